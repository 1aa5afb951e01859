CREATE TABLE IF NOT EXISTS flowsell.webhooks_minutely
(
    tenant LowCardinality(String),
    provider LowCardinality(String),
    minute DateTime('UTC'),
    records UInt32,
    events UInt32,
    duplicates UInt32,
    late UInt32,
    dead UInt32,
    position UInt64
)
ENGINE = ReplacingMergeTree(position)
PARTITION BY toYYYYMM(minute)
ORDER BY (tenant, provider, minute)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE VIEW IF NOT EXISTS flowsell.webhooks_minutely_now AS
SELECT tenant, provider, minute, records, events, duplicates, late, dead
FROM flowsell.webhooks_minutely FINAL;
