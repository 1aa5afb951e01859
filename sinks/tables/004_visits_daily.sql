CREATE TABLE IF NOT EXISTS flowsell.visits_daily
(
    tenant LowCardinality(String),
    day Date,
    visits UInt32,
    walk_ins UInt32,
    revenue_minor Int64,
    position UInt64
)
ENGINE = ReplacingMergeTree(position)
PARTITION BY toYear(day)
ORDER BY (tenant, day)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE VIEW IF NOT EXISTS flowsell.visits_daily_now AS
SELECT tenant, day, visits, walk_ins, revenue_minor
FROM flowsell.visits_daily FINAL;
