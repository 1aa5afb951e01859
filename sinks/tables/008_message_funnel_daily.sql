CREATE TABLE IF NOT EXISTS flowsell.message_funnel_daily
(
    tenant LowCardinality(String),
    day Date,
    trigger LowCardinality(String),
    channel LowCardinality(String),
    variant LowCardinality(String),
    commanded UInt32,
    accepted UInt32,
    sent UInt32,
    delivered UInt32,
    read UInt32,
    replied UInt32,
    failed UInt32,
    returned UInt32,
    revenue_minor Int64,
    position UInt64
)
ENGINE = ReplacingMergeTree(position)
PARTITION BY toYear(day)
ORDER BY (tenant, day, trigger, channel, variant)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE VIEW IF NOT EXISTS flowsell.message_funnel_daily_now AS
SELECT tenant, day, trigger, channel, variant, commanded, accepted, sent, delivered, read, replied, failed, returned,
    revenue_minor
FROM flowsell.message_funnel_daily FINAL;

-- Shares of what was commanded; null where nothing was. Days add up only as counts.
CREATE VIEW IF NOT EXISTS flowsell.message_funnel_rates AS
SELECT tenant, day, trigger, channel, variant, commanded,
    accepted / nullIf(commanded, 0) AS accepted_rate,
    sent / nullIf(commanded, 0) AS sent_rate,
    delivered / nullIf(commanded, 0) AS delivered_rate,
    read / nullIf(commanded, 0) AS read_rate,
    replied / nullIf(commanded, 0) AS replied_rate,
    failed / nullIf(commanded, 0) AS failed_rate,
    returned / nullIf(commanded, 0) AS returned_rate
FROM flowsell.message_funnel_daily_now;
