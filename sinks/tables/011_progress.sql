-- How far each partition of a topic is in these tables: a start goes on from there.
CREATE TABLE IF NOT EXISTS flowsell.progress
(
    place LowCardinality(String),
    next UInt64,
    at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(next)
ORDER BY place
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
