"""``flowsell bench stores``: what the warehouse and the profiles flow write a second.

Takes: made-up outputs, as the topics have them; the engines run beside, and share the machine
Out:   a table, or one JSON line: medians of the runs
Beside it: the same rows read by Arrow itself and inserted by hand, run by run in turn

Rates of the warehouse are by CPU time of this process, in which chDB runs: rows a second on one
core. Those of profiles are by the clock, which others share; their CPU time is told beside.
"""

from __future__ import annotations

import io
import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click
import pyarrow as pa
import pyarrow.json as pa_json
from rich.console import Console

from benchmarks.engines import PostgresServer, ValkeyServer
from benchmarks.machine import options, print_row, tell
from benchmarks.site import cpu_seconds
from schemas.keys import customer_id
from schemas.slices import Place, Slice
from sinks.clickhouse_engine import ClickHouse
from sinks.clickhouse_rows import TABLES
from sinks.clickhouse_target import Embedded
from sinks.migrations import migrate
from sinks.postgres import ProfilesInPostgres
from sinks.postgres_engine import Postgres
from sinks.postgres_engine import migrate as migrate_postgres
from sinks.store import Cadence, Engine, Store
from sinks.valkey import Customers, ProfilesInValkey
from sinks.warehouse import WarehouseEngine

ID_KEY = b"bench"
SLICE = 20_000
READS = 5_000
WAREHOUSE = Cadence(enough_rows=10_000, wait_seconds=1.0)
PROFILES = Cadence(enough_rows=5_000, wait_seconds=0.2, is_beside=True)

_PHONE = 77_010_000_000

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of everything."""

    rows_per_second: float
    by_hand_rows_per_second: float
    upserts_per_second: float
    upsert_cpu_us: float
    """Of this process and both engines."""
    read_ms: list[float]


def phone_of(number: int) -> int:
    """E.164 of the n-th customer."""
    return _PHONE + number


def reports(rows: int, seed: int) -> dict[str, list[bytes]]:
    """Lines of both streams by table: scores for the most part, changes, and days."""
    rng = random.Random(seed)
    lines: dict[str, list[bytes]] = {"customer_segments": [], "segment_changes": []}
    lines["segment_daily"] = []
    for position in range(rows):
        kind = rng.random()
        tenant, who = f"t{rng.randrange(2_500):04d}", f"{rng.randrange(1 << 40):032x}"
        day = f"2026-{rng.randrange(1, 12):02d}-{rng.randrange(1, 28):02d}"
        row: dict[str, Any] = {"tenant": tenant}
        table = "segment_daily"
        if kind < 0.7:
            table = "customer_segments"
            row |= {"customer_id": who, "segment": "312", "r": 3, "f": 1, "m": 2}
            row |= {"recency_days": 31, "frequency": 2, "monetary_minor": rng.randrange(10**7)}
            row |= {"last_visit_at": f"{day}T07:00:00Z"}
        elif kind < 0.9:
            table = "segment_changes"
            row |= {"customer_id": who, "from": "311", "to": "312", "cause": "visit"}
            row |= {"at": f"2026-11-20T{rng.randrange(24):02d}:00:00.123Z"}
        else:
            row |= {"day": day, "segment": "312", "customers": 5, "revenue_minor": 10**6}
        row["position"] = position
        head = {} if table == "segment_changes" else {"table": table}
        lines[table].append(json.dumps(head | row, separators=(",", ":")).encode())
    return lines


def profiles(customers: int, run: int, seed: int) -> list[bytes]:
    """A line for each customer, in an order of its own."""
    order = list(range(customers))
    random.Random(seed + run).shuffle(order)
    said: dict[str, Any] = {
        "aliases": {}, "segment": "312", "r": 3, "f": 1, "m": 2, "recency_days": 31,
        "frequency": 2, "monetary_minor": 1_650_000, "currency": "KZT",
        "last_visit_at": "2026-03-20T07:00:00Z", "next_booking_at": None,
        "birthday": "1990-02-28",
        "consent": {"marketing": {"value": True, "at": "2026-03-20T07:00:00Z", "source": "client"}},
        "as_of": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }  # fmt: skip
    lines = []
    for at, number in enumerate(order):
        tenant, phone = f"t{number % 2_500:04d}", phone_of(number)
        who = {"tenant": tenant, "customer_id": customer_id(ID_KEY, tenant, phone)}
        who |= {"phone": f"+{phone}", "name": f"Мария {number}"}
        lines.append(
            json.dumps(
                who | said | {"position": run * customers + at},
                ensure_ascii=False,
                separators=(",", ":"),
            ).encode()
        )
    return lines


def slices(stream: str, lines: list[bytes], first: int) -> Iterator[Slice]:
    """As a consumer's answers would be."""
    for at in range(0, len(lines), SLICE):
        some = lines[at : at + SLICE]
        offsets = [*range(first + at, first + at + len(some))]
        yield Slice(1, Place(stream, 0), offsets, [*some], offsets[-1] + 1)


def opened(engine: Engine, cadence: Cadence) -> Store:
    """A store that takes slices."""
    store = Store(engine, "bench", cadence)
    store.open()
    store.resume(1)
    return store


def through_the_flow(folder: Path, lines: dict[str, list[bytes]]) -> float:
    """CPU seconds from lines to rows and places in chDB."""
    store = opened(WarehouseEngine(Embedded(folder)), WAREHOUSE)
    changes = lines["segment_changes"]
    others = [line for table, some in lines.items() if table != "segment_changes" for line in some]
    began = time.process_time()
    for said in slices("segments", changes, 0):
        store.add(said)
    for said in slices("aggregates", others, 0):
        store.add(said)
    store.flush()
    took = time.process_time() - began
    store.close()
    return took


def by_hand(folder: Path, lines: dict[str, list[bytes]]) -> float:
    """The same with what Arrow and the client have, table by table and as much at once."""
    engine = ClickHouse(Embedded(folder))
    engine.open()
    migrate(engine)
    began = time.process_time()
    for table, some in lines.items():
        schema = pa.schema([(name, column.arrow) for name, column in TABLES[table].items()])
        # The reader knows no days: they are texts to it, and cast afterwards.
        read_as = pa.schema(
            [(each.name, pa.string() if pa.types.is_date(each.type) else each.type)
             for each in schema]
        )  # fmt: skip
        options = pa_json.ParseOptions(explicit_schema=read_as, unexpected_field_behavior="ignore")
        for at in range(0, len(some), SLICE):
            text = io.BytesIO(b"\n".join(some[at : at + SLICE]))
            reading = pa_json.ReadOptions(use_threads=False, block_size=64 << 20)
            engine.insert(table, pa_json.read_json(text, reading, options).cast(schema))
    took = time.process_time() - began
    engine.close()
    return took


def measure(rows: int, customers: int, runs: int, seed: int, say: Say) -> list[Run]:
    """Run by run: the flow, the hand, both engines of profiles, and reads."""
    lines = reports(rows, seed)
    found = []
    with TemporaryDirectory(prefix="flowsell-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        postgres, hashes = PostgresServer(folder / "postgres"), ValkeyServer(folder / "valkey")
        try:
            engine = Postgres(postgres.url)
            engine.open()
            migrate_postgres(engine)
            engine.close()
            for run in range(runs):
                flow = through_the_flow(folder / f"flow-{run}", lines)
                hand = by_hand(folder / f"hand-{run}", lines)
                wall, cpu = _upserts(postgres, hashes, profiles(customers, run, seed), run)
                read = _reads(hashes, customers, seed)
                found.append(
                    Run(rows / flow, rows / hand, customers / wall, cpu / customers * 1e6, read)
                )
                say(
                    f"run {run + 1} of {runs}: {rows / flow:,.0f} rows/s, "
                    f"by hand {rows / hand:,.0f}; {customers / wall:,.0f} upserts/s"
                )
        finally:
            hashes.close()
            postgres.close()
    return found


def _upserts(
    postgres: PostgresServer, hashes: ValkeyServer, lines: list[bytes], run: int
) -> tuple[float, float]:
    """Seconds by the clock, and of CPU by this process and both engines, for every line."""

    def used() -> float:
        return time.process_time() + postgres.cpu_seconds() + cpu_seconds(hashes.pid)

    stores = [
        opened(ProfilesInPostgres(postgres.url), PROFILES),
        opened(ProfilesInValkey(hashes.url), PROFILES),
    ]
    began, cpu = time.perf_counter(), used()
    for said in slices("profiles", lines, run * len(lines)):
        for store in stores:
            store.add(said)
    for store in stores:
        store.flush()
    took = time.perf_counter() - began, used() - cpu
    assert not any(store.is_away for store in stores), "an engine refused"
    for store in stores:
        store.close()
    return took


def _reads(hashes: ValkeyServer, customers: int, seed: int) -> list[float]:
    """Milliseconds of each look-up by phone."""
    asks, rng, took = Customers(hashes.url, ID_KEY), random.Random(seed), []
    for _ in range(READS):
        number = rng.randrange(customers)
        began = time.perf_counter()
        found = asks.of_phone(f"t{number % 2_500:04d}", f"+{phone_of(number)}")
        took.append((time.perf_counter() - began) * 1_000)
        assert found["segment"] == "312"
    asks.close()
    return took


def as_json(runs: list[Run]) -> dict[str, Any]:
    """Figures with their spread."""
    reads = sorted(ms for run in runs for ms in run.read_ms)
    rates = [run.rows_per_second for run in runs]
    return {
        "warehouse_rows_per_second": round(median(rates)),
        "by_hand_rows_per_second": round(median(run.by_hand_rows_per_second for run in runs)),
        "share_of_by_hand": round(
            median(run.rows_per_second / run.by_hand_rows_per_second for run in runs), 4
        ),
        "upserts_per_second": round(median(run.upserts_per_second for run in runs)),
        "upsert_cpu_us": round(median(run.upsert_cpu_us for run in runs), 1),
        "read_p50_ms": round(median(reads), 3),
        "read_p99_ms": round(reads[len(reads) * 99 // 100], 3),
        "spread": round((max(rates) - min(rates)) / median(rates), 4),
    }


def print_runs(told: dict[str, Any], console: Console) -> None:
    """One row."""
    row = {
        "rows/s": f"{told['warehouse_rows_per_second']:,}",
        "by hand": f"{told['by_hand_rows_per_second']:,}",
        "share": f"{told['share_of_by_hand']:.2f}",
        "upserts/s": f"{told['upserts_per_second']:,}",
        "CPU each": f"{told['upsert_cpu_us']:.0f} µs",
        "read p99": f"{told['read_p99_ms']:.3f} ms",
        "spread": f"{told['spread']:.0%}",
    }
    print_row("topics into stores", row, console)


@click.command("stores")
@click.option("--rows", type=click.IntRange(1_000), default=300_000, show_default=True)
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True)
@options(customers=50_000, lanes=None)
def stores(rows: int, runs: int, customers: int, seed: int, quick: bool, is_json: bool) -> None:
    """Rows and upserts a second into ClickHouse, PostgreSQL and Valkey."""
    err = Console(stderr=True, highlight=False)
    if quick:
        rows, customers, runs = 20_000, 2_000, 2
    told = as_json(measure(rows, customers, runs, seed, err.print))
    tell(told, is_json, partial(print_runs, told))
