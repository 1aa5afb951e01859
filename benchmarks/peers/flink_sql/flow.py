"""The common job as Flink's documentation writes it in SQL: deduplicate, aggregate, upsert.

Takes: the records topic as JSON, with the fields that the job reads
Out:   the segments topic, an upsert where a customer's features change, without ``from`` and ``at``
State: Flink's own, of the deduplication and the aggregate; exactly once by checkpoints

SQL has no sum over an array without a join: a record's services are read up to the first, which is
all that the log's records have.
"""

from __future__ import annotations

from benchmarks.peers.given import Given, given
from benchmarks.peers.job import FREQUENCY, MONETARY_MINOR, RECENCY_DAYS, WINDOW_DAYS
from benchmarks.peers.pyflink.cluster import kafka_options, sink_options, table_environment

_SETTINGS = {
    "table.exec.mini-batch.enabled": "true",
    "table.exec.mini-batch.allow-latency": "200 ms",
    "table.exec.mini-batch.size": "5000",
    "table.optimizer.distinct-agg.split.enabled": "false",
}
_RECORDS = """
CREATE TABLE records (
    tenant STRING,
    provider STRING,
    body ROW<
        resource STRING, resource_id BIGINT, company_id BIGINT, status STRING,
        data ROW<attendance INT, deleted BOOLEAN, `date` STRING, last_change_date STRING,
            client ROW<phone STRING>, services ARRAY<ROW<cost BIGINT, amount BIGINT>>>,
        type STRING, id STRING, version BIGINT, phone STRING, starts_at STRING,
        amount_minor BIGINT>
) WITH ('connector' = 'kafka', 'format' = 'json', 'json.ignore-parse-errors' = 'true', {})
"""
_SEGMENTS = """
CREATE TABLE segments (
    customer STRING, tenant STRING, phone STRING, `to` STRING,
    PRIMARY KEY (customer) NOT ENFORCED
) WITH ('connector' = 'upsert-kafka', 'key.format' = 'raw', 'value.format' = 'json',
    'value.fields-include' = 'EXCEPT_KEY', {})
"""
_DIGITS = r"REGEXP_REPLACE({}, '\D', '')"
_VISITS = f"""
CREATE TEMPORARY VIEW visits AS
SELECT tenant, {_DIGITS.format("body.data.client.phone")} AS digits,
    'y' || CAST(body.company_id AS STRING) || ':' || CAST(body.resource_id AS STRING) AS visit,
    UNIX_TIMESTAMP(body.data.last_change_date, 'yyyy-MM-dd''T''HH:mm:ssXX') AS version,
    body.data.attendance = 1 AND NOT body.data.deleted AND body.status <> 'delete' AS attended,
    TO_DATE(SUBSTRING(body.data.`date`, 1, 10)) AS visited,
    body.data.services[1].cost * body.data.services[1].amount * 100 AS amount
FROM records WHERE provider = 'yclients' AND body.resource = 'record'
UNION ALL
SELECT tenant, {_DIGITS.format("body.phone")}, 'g' || body.id, body.version,
    body.status = 'attended', TO_DATE(SUBSTRING(body.starts_at, 1, 10)), body.amount_minor
FROM records WHERE provider = 'generic' AND body.type = 'visit'
"""
_AGO = "TIMESTAMPDIFF(DAY, visited, CURRENT_DATE)"
_FEATURES = f"""
CREATE TEMPORARY VIEW features AS
SELECT tenant, phone,
    MIN({_AGO}) AS r,
    COUNT(DISTINCT visited) FILTER (WHERE {_AGO} < {WINDOW_DAYS}) AS f,
    COALESCE(SUM(amount) FILTER (WHERE {_AGO} < {WINDOW_DAYS}), 0) AS m
FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY tenant, visit ORDER BY version DESC) AS newest,
        CASE WHEN CHAR_LENGTH(digits) = 11 AND digits LIKE '8%' THEN '7' || SUBSTRING(digits, 2)
            ELSE digits END AS phone
    FROM visits
)
WHERE newest = 1 AND attended
GROUP BY tenant, phone
"""
_INSERT = f"""
INSERT INTO segments
SELECT tenant || '|' || phone, tenant, phone,
    CASE WHEN r <= {RECENCY_DAYS[0]} THEN '3' WHEN r <= {RECENCY_DAYS[1]} THEN '2' ELSE '1' END
    || CASE WHEN f >= {FREQUENCY[0]} THEN '3' WHEN f >= {FREQUENCY[1]} THEN '2' ELSE '1' END
    || CASE WHEN m >= {MONETARY_MINOR[0]} THEN '3' WHEN m >= {MONETARY_MINOR[1]} THEN '2'
        ELSE '1' END
FROM features
"""


def run(told: Given) -> None:
    """Source to sink, until it is stopped."""
    _, tables = table_environment(told, _SETTINGS)
    tables.execute_sql(_RECORDS.format(kafka_options(told, told.records)))
    tables.execute_sql(_SEGMENTS.format(sink_options(told)))
    tables.execute_sql(_VISITS)
    tables.execute_sql(_FEATURES)
    tables.execute_sql(_INSERT).wait()


if __name__ == "__main__":
    run(given())
