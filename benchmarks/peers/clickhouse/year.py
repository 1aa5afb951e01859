"""What one nightly refresh costs of a year of many customers: ``python -m`` this module.

Takes: numbers of customers and of visits of each, as arguments; five million and six without
Out:   one JSON line: seconds and CPU seconds of the refresh alone, without loading the day
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from typing import Any

from chdb.session import Session

from benchmarks.peers.clickhouse.refresh import CHANGES, TABLES, refresh
from benchmarks.peers.job import WINDOW_DAYS

_TODAY = 20_500
_TENANTS = 2_500
_VISITS = """
INSERT INTO visits
SELECT
    concat('t', leftPad(toString(number % {customers} % {tenants}), 4, '0')),
    concat('7701', leftPad(toString(number % {customers}), 7, '0')),
    concat('y', toString(number)),
    1, 1,
    {today} - cityHash64(number) % {window},
    100000 + cityHash64(number, 1) % 900000
FROM numbers({visits})
"""


def main(customers: int = 5_000_000, visits_each: int = 6) -> None:
    """Fill the table with a year, and recompute everybody once."""
    with tempfile.TemporaryDirectory() as folder:
        session: Any = Session(folder)
        for statement in TABLES:
            session.query(statement)
        visits = customers * visits_each
        session.query(
            _VISITS.format(
                customers=customers,
                tenants=_TENANTS,
                today=_TODAY,
                window=WINDOW_DAYS,
                visits=visits,
            )
        )
        refresh(session, _TODAY - 1)
        wall, cpu = time.perf_counter(), time.process_time()
        refresh(session, _TODAY)
        changed = session.query(f"SELECT count() FROM ({CHANGES})", "CSV").bytes()
        told = {
            "customers": customers,
            "visits": visits,
            "seconds": round(time.perf_counter() - wall, 1),
            "cpu_seconds": round(time.process_time() - cpu, 1),
            "changed": int(changed),
        }
        session.close()
    print(json.dumps(told))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
