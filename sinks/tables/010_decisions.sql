CREATE TABLE IF NOT EXISTS flowsell.decisions
(
    tenant LowCardinality(String),
    decision_id String,
    trigger LowCardinality(String),
    outcome LowCardinality(String),
    reason LowCardinality(Nullable(String)),
    at DateTime64(3, 'UTC'),
    position UInt64
)
ENGINE = ReplacingMergeTree(position)
PARTITION BY toYYYYMM(at)
ORDER BY (tenant, decision_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE VIEW IF NOT EXISTS flowsell.decisions_now AS
SELECT tenant, decision_id, trigger, outcome, reason, at
FROM flowsell.decisions FINAL;
