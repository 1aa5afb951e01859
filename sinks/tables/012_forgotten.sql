-- Who wanted to be forgotten, by a keyed hash: what is of before the wish shows in no view, whoever writes it again.
CREATE TABLE IF NOT EXISTS flowsell.forgotten
(
    tenant LowCardinality(String),
    customer_id String,
    position UInt64
)
ENGINE = ReplacingMergeTree(position)
ORDER BY (tenant, customer_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE OR REPLACE VIEW flowsell.segment_changes_now AS
SELECT said.tenant AS tenant, said.customer_id AS customer_id, said.at AS at, said.`to` AS `to`, said.`from` AS `from`,
    said.cause AS cause
FROM (SELECT * FROM flowsell.segment_changes FINAL) AS said
LEFT JOIN (SELECT tenant, customer_id, max(position) + 1 AS from_position FROM flowsell.forgotten GROUP BY tenant, customer_id) AS gone
    ON said.tenant = gone.tenant AND said.customer_id = gone.customer_id
WHERE said.position >= gone.from_position;
