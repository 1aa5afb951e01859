-- An id that was merged into another one, or forgotten, is a row without a segment.
CREATE TABLE IF NOT EXISTS flowsell.customer_segments
(
    tenant LowCardinality(String),
    customer_id String,
    segment LowCardinality(String),
    r Nullable(UInt8),
    f Nullable(UInt8),
    m Nullable(UInt8),
    recency_days Nullable(Int32),
    frequency UInt32,
    monetary_minor Int64,
    last_visit_at Nullable(DateTime64(3, 'UTC')),
    position UInt64
)
ENGINE = ReplacingMergeTree(position)
ORDER BY (tenant, customer_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE VIEW IF NOT EXISTS flowsell.customer_segments_now AS
SELECT tenant, customer_id, segment, r, f, m, recency_days, frequency, monetary_minor, last_visit_at
FROM flowsell.customer_segments FINAL
WHERE segment != '';
