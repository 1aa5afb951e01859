"""The nightly batch in ClickHouse SQL, embedded (chDB): a table of visits, then everybody anew.

Takes: the day's records; the tables ``visits`` and ``segments`` in the peer's folder
Out:   today's ``segments``, and a message for everybody who is not where they were
"""

from __future__ import annotations

import time
from typing import Any

import orjson
import pyarrow as pa
from chdb.session import Session

from benchmarks.peers.given import given
from benchmarks.peers.job import FREQUENCY, MONETARY_MINOR, RECENCY_DAYS, WINDOW_DAYS, day_of_ms
from benchmarks.peers.nightly import Inbox, keep_cost, tell

TABLES = (
    """CREATE TABLE IF NOT EXISTS visits (
        tenant LowCardinality(String), phone String, visit String, version Int64,
        attended Bool, day Int32, amount Int64
    ) ENGINE = ReplacingMergeTree(version) ORDER BY (tenant, visit)""",
    """CREATE TABLE IF NOT EXISTS segments (
        tenant LowCardinality(String), phone String, segment FixedString(3)
    ) ENGINE = MergeTree ORDER BY (tenant, phone)""",
    "CREATE TABLE IF NOT EXISTS segments_before AS segments",
)
_PHONE = r"replaceRegexpOne(replaceRegexpAll({}, '\\D', ''), '^8(\\d{{10}})$', '7\\1')"
_LOAD = f"""
INSERT INTO visits
WITH JSONExtractRaw(value, 'body') AS body, JSONExtractRaw(body, 'data') AS data
SELECT
    JSONExtractString(value, 'tenant'),
    {_PHONE.format("JSONExtractString(data, 'client', 'phone')")},
    concat('y', JSONExtractRaw(body, 'company_id'), ':', JSONExtractRaw(body, 'resource_id')),
    toUnixTimestamp(parseDateTimeBestEffort(JSONExtractString(data, 'last_change_date'))),
    JSONExtractInt(data, 'attendance') = 1 AND NOT JSONExtractBool(data, 'deleted')
        AND JSONExtractString(body, 'status') != 'delete',
    toInt32(toDate(left(JSONExtractString(data, 'date'), 10))),
    arraySum(s -> s.cost * s.amount, JSONExtract(data, 'services',
        'Array(Tuple(cost Int64, amount Int64))')) * 100
FROM (SELECT assumeNotNull(value) AS value FROM Python(loaded))
WHERE JSONExtractString(value, 'provider') = 'yclients'
    AND JSONExtractString(body, 'resource') = 'record'
UNION ALL
WITH JSONExtractRaw(value, 'body') AS body
SELECT
    JSONExtractString(value, 'tenant'),
    {_PHONE.format("JSONExtractString(body, 'phone')")},
    concat('g', JSONExtractString(body, 'id')),
    JSONExtractInt(body, 'version'),
    JSONExtractString(body, 'status') = 'attended',
    toInt32(toDate(left(JSONExtractString(body, 'starts_at'), 10))),
    JSONExtractInt(body, 'amount_minor')
FROM (SELECT assumeNotNull(value) AS value FROM Python(loaded))
WHERE JSONExtractString(value, 'provider') = 'generic'
    AND JSONExtractString(body, 'type') = 'visit'
"""
_REFRESH = f"""
INSERT INTO segments
SELECT tenant, phone, concat(
    multiIf(r <= {RECENCY_DAYS[0]}, '3', r <= {RECENCY_DAYS[1]}, '2', '1'),
    multiIf(f >= {FREQUENCY[0]}, '3', f >= {FREQUENCY[1]}, '2', '1'),
    multiIf(m >= {MONETARY_MINOR[0]}, '3', m >= {MONETARY_MINOR[1]}, '2', '1'))
FROM (
    SELECT tenant, phone,
        min(greatest({{today}} - day, 0)) AS r,
        uniqExactIf(day, {{today}} - day < {WINDOW_DAYS}) AS f,
        sumIf(amount, {{today}} - day < {WINDOW_DAYS}) AS m
    FROM visits FINAL
    WHERE attended
    GROUP BY tenant, phone
)
"""
CHANGES = """
SELECT tenant, phone, if(b.segment = '', '000', b.segment) AS before,
    if(n.segment = '', '000', n.segment) AS after
FROM (SELECT tenant, phone, toString(segment) AS segment FROM segments) AS n
FULL JOIN (SELECT tenant, phone, toString(segment) AS segment FROM segments_before) AS b
    USING (tenant, phone)
WHERE before != after
"""


def refresh(session: Any, today: int) -> None:
    """Everybody anew, from every visit of the year."""
    session.query("EXCHANGE TABLES segments AND segments_before")
    session.query("TRUNCATE TABLE segments")
    session.query(_REFRESH.format(today=today))


def main() -> None:
    """One night."""
    told = given()
    inbox = Inbox(told)
    session: Any = Session(str(told.state / "chdb"))
    for statement in TABLES:
        session.query(statement)
    for values in inbox.batches():
        loaded = pa.table({"value": pa.array(values, pa.string())})  # noqa: F841  # named in _LOAD
        session.query(_LOAD)
    inbox.commit()
    wall, cpu = time.perf_counter(), time.process_time()
    refresh(session, day_of_ms(int(time.time() * 1000)))
    changed = session.query(CHANGES, "JSONCompactEachRow").bytes()
    keep_cost(told, time.perf_counter() - wall, time.process_time() - cpu)
    tell(told, (tuple(orjson.loads(line)) for line in changed.splitlines()))
    session.close()


if __name__ == "__main__":
    main()
