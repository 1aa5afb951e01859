-- A sum of squares of money needs more than 64 bits.
CREATE TABLE IF NOT EXISTS flowsell.uplift_monthly
(
    tenant LowCardinality(String),
    month LowCardinality(String),
    trigger LowCardinality(String),
    variant LowCardinality(String),
    customers UInt32,
    returned UInt32,
    revenue_minor Int64,
    revenue_squared Int256,
    position UInt64
)
ENGINE = ReplacingMergeTree(position)
ORDER BY (tenant, month, trigger, variant)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE VIEW IF NOT EXISTS flowsell.uplift_monthly_now AS
SELECT tenant, month, trigger, variant, customers, returned, revenue_minor, revenue_squared
FROM flowsell.uplift_monthly FINAL;

-- How sure the differences are, `flowsell uplift --clickhouse` says.
CREATE VIEW IF NOT EXISTS flowsell.uplift_by_trigger AS
SELECT tenant, trigger,
    sumIf(customers, variant = 'treated') AS treated,
    sumIf(customers, variant = 'holdout') AS held_out,
    sumIf(returned, variant = 'treated') / nullIf(treated, 0) AS treated_rate,
    sumIf(returned, variant = 'holdout') / nullIf(held_out, 0) AS holdout_rate,
    treated_rate - holdout_rate AS rate_difference,
    sumIf(revenue_minor, variant = 'treated') / nullIf(treated, 0) AS treated_revenue_minor,
    sumIf(revenue_minor, variant = 'holdout') / nullIf(held_out, 0) AS holdout_revenue_minor,
    treated_revenue_minor - holdout_revenue_minor AS revenue_difference_minor
FROM flowsell.uplift_monthly_now
GROUP BY tenant, trigger;
