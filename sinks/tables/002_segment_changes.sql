CREATE TABLE IF NOT EXISTS flowsell.segment_changes
(
    tenant LowCardinality(String),
    customer_id String,
    at DateTime64(3, 'UTC'),
    `to` LowCardinality(String),
    `from` LowCardinality(String),
    cause LowCardinality(String),
    position UInt64
)
ENGINE = ReplacingMergeTree(position)
PARTITION BY toYYYYMM(at)
ORDER BY (tenant, customer_id, at, `to`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE VIEW IF NOT EXISTS flowsell.segment_changes_now AS
SELECT tenant, customer_id, at, `to`, `from`, cause
FROM flowsell.segment_changes FINAL;
