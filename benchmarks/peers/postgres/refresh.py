"""The nightly batch in PostgreSQL SQL: a table of visits, then everybody anew.

Takes: the day's records; the tables ``visits`` and ``segments`` of the database
Out:   today's ``segments``, and a message for everybody who is not where they were
"""

from __future__ import annotations

import time
from typing import Any

import psutil
import psycopg

from benchmarks.peers.given import given
from benchmarks.peers.job import FREQUENCY, MONETARY_MINOR, RECENCY_DAYS, WINDOW_DAYS, day_of_ms
from benchmarks.peers.nightly import Inbox, keep_cost, tell

_TABLES = """
CREATE TABLE IF NOT EXISTS visits (
    tenant text, phone text NOT NULL, visit text, version bigint NOT NULL,
    attended boolean NOT NULL, day date NOT NULL, amount bigint NOT NULL,
    PRIMARY KEY (tenant, visit)
);
CREATE TABLE IF NOT EXISTS segments (
    tenant text, phone text, segment text NOT NULL, PRIMARY KEY (tenant, phone)
);
CREATE TEMPORARY TABLE loaded (value jsonb);
"""
_LOAD = r"""
WITH told AS (
    SELECT value->>'tenant' AS tenant, value->>'provider' AS provider, value->'body' AS body
    FROM loaded
    WHERE value->>'provider' IN ('yclients', 'generic')
), visit AS (
    SELECT tenant, data->'client'->>'phone' AS phone,
        'y' || (body->>'company_id') || ':' || (body->>'resource_id') AS visit,
        extract(epoch FROM (data->>'last_change_date')::timestamptz)::bigint AS version,
        data->>'attendance' = '1' AND data->>'deleted' = 'false'
            AND body->>'status' <> 'delete' AS attended,
        (data->>'date')::date AS day,
        (SELECT sum((each->>'cost')::bigint * (each->>'amount')::bigint) * 100
            FROM jsonb_array_elements(data->'services') AS each) AS amount
    FROM (SELECT tenant, body, body->'data' AS data FROM told
        WHERE provider = 'yclients' AND body->>'resource' = 'record') AS record
    UNION ALL
    SELECT tenant, body->>'phone', 'g' || (body->>'id'), (body->>'version')::bigint,
        body->>'status' = 'attended', left(body->>'starts_at', 10)::date,
        (body->>'amount_minor')::bigint
    FROM told
    WHERE provider = 'generic' AND body->>'type' = 'visit'
)
INSERT INTO visits
SELECT DISTINCT ON (tenant, visit) tenant,
    regexp_replace(regexp_replace(phone, '\D', '', 'g'), '^8(\d{10})$', '7\1'),
    visit, version, attended, day, amount
FROM visit
ORDER BY tenant, visit, version DESC
ON CONFLICT (tenant, visit) DO UPDATE SET phone = excluded.phone, version = excluded.version,
    attended = excluded.attended, day = excluded.day, amount = excluded.amount
    WHERE visits.version < excluded.version
"""
_REFRESH = f"""
CREATE TEMPORARY TABLE today AS
SELECT tenant, phone,
    CASE WHEN r <= {RECENCY_DAYS[0]} THEN '3' WHEN r <= {RECENCY_DAYS[1]} THEN '2' ELSE '1' END
    || CASE WHEN f >= {FREQUENCY[0]} THEN '3' WHEN f >= {FREQUENCY[1]} THEN '2' ELSE '1' END
    || CASE WHEN m >= {MONETARY_MINOR[0]} THEN '3' WHEN m >= {MONETARY_MINOR[1]} THEN '2'
        ELSE '1' END AS segment
FROM (
    SELECT tenant, phone,
        min(greatest(%(today)s - day, 0)) AS r,
        count(DISTINCT day) FILTER (WHERE %(today)s - day < {WINDOW_DAYS}) AS f,
        coalesce(sum(amount) FILTER (WHERE %(today)s - day < {WINDOW_DAYS}), 0) AS m
    FROM visits
    WHERE attended
    GROUP BY tenant, phone
) AS features
"""
_CHANGES = """
SELECT tenant, phone, coalesce(b.segment, '000'), coalesce(n.segment, '000')
FROM today AS n FULL JOIN segments AS b USING (tenant, phone)
WHERE n.segment IS DISTINCT FROM b.segment
"""
_REPLACE = "TRUNCATE segments; INSERT INTO segments SELECT tenant, phone, segment FROM today"


def load(connection: Any, values: list[bytes]) -> None:
    """The versions of visits that these records tell of, where they are newer."""
    with connection.cursor() as cursor:
        with cursor.copy("COPY loaded (value) FROM STDIN") as copy:
            for value in values:
                copy.write_row((value.decode(),))
        cursor.execute(_LOAD)
        cursor.execute("TRUNCATE loaded")


def refresh(connection: Any, today: int) -> list[Any]:
    """Everybody anew; what has changed since the last time."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE visits")
        cursor.execute(_REFRESH.replace("%(today)s", f"(date '1970-01-01' + {today})"))
        changed: list[Any] = cursor.execute(_CHANGES).fetchall()
        cursor.execute(_REPLACE)
    return changed


def _server_cpu_seconds(connection: Any) -> float:
    server = psutil.Process(connection.info.backend_pid).parent()
    family = [server, *server.children(recursive=True)] if server else []
    return float(sum(sum(each.cpu_times()[:4]) for each in family))


def main() -> None:
    """One night."""
    told = given()
    inbox = Inbox(told)
    with psycopg.connect(told.postgres) as connection:
        connection.execute("SET work_mem = '512MB'")
        connection.execute("SET timezone = 'UTC'")
        connection.execute(_TABLES)
        for values in inbox.batches():
            load(connection, values)
        connection.commit()
        inbox.commit()
        wall, cpu = time.perf_counter(), _server_cpu_seconds(connection)
        changed = refresh(connection, day_of_ms(int(time.time() * 1000)))
        connection.commit()
        used = _server_cpu_seconds(connection) - cpu
        keep_cost(told, time.perf_counter() - wall, used)
    tell(told, changed)


if __name__ == "__main__":
    main()
