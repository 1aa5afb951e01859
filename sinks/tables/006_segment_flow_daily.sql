CREATE TABLE IF NOT EXISTS flowsell.segment_flow_daily
(
    tenant LowCardinality(String),
    day Date,
    `from` LowCardinality(String),
    `to` LowCardinality(String),
    customers UInt32,
    position UInt64
)
ENGINE = ReplacingMergeTree(position)
PARTITION BY toYear(day)
ORDER BY (tenant, day, `from`, `to`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE VIEW IF NOT EXISTS flowsell.segment_flow_daily_now AS
SELECT tenant, day, `from`, `to`, customers
FROM flowsell.segment_flow_daily FINAL;
