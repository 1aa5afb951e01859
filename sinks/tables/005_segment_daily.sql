CREATE TABLE IF NOT EXISTS flowsell.segment_daily
(
    tenant LowCardinality(String),
    day Date,
    segment LowCardinality(String),
    customers UInt32,
    revenue_minor Int64,
    position UInt64
)
ENGINE = ReplacingMergeTree(position)
PARTITION BY toYear(day)
ORDER BY (tenant, day, segment)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE VIEW IF NOT EXISTS flowsell.segment_daily_now AS
SELECT tenant, day, segment, customers, revenue_minor
FROM flowsell.segment_daily FINAL;
