"""``flowsell generate``: write plausible life of synthetic tenants to a file or to Kafka.

In:    numbers of tenants, customers and days, a seed, faults, an effect; a pace
Out:   ``.ndjson`` or ``.ndjson.gz``, stdout (``-``), or the records topic; a summary
State: none; the same arguments and the same ``FLOWSELL_ID_KEY`` write the same bytes
"""

from __future__ import annotations

import gzip
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import click
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from rich.console import Console
from rich.table import Table

from flows.environment import Environment, read_environment
from flows.kafka import client_properties
from flows.living import living
from flows.logging import configure
from flows.progress import Step, progress
from flows.summary import print_json
from schemas.engines import EngineError
from schemas.record import PROVIDERS
from schemas.topics import MAX_MESSAGE_BYTES, TOPICS
from sources.generator import World

Write = Callable[[bytes], None]

KINDS = ("settings", "receipt", "history", "forget", "heartbeat")
FROM_ENVIRONMENT = ""
"""Value of ``--kafka`` given without servers."""

_STEP_RECORDS = 2_048
_BUFFER_BYTES = 1 << 20
_PATIENCE_SECONDS = 30.0


@dataclass(slots=True)
class Tally:
    """What was written."""

    records: int = 0
    size: int = 0
    """Bytes, with line ends."""
    kinds: Counter[str] = field(default_factory=Counter)
    """By kind, of webhooks by provider; ``unreadable`` is poison."""
    seconds: float = 0.0

    def count(self, line: bytes) -> None:
        """One more record."""
        self.records += 1
        self.size += len(line) + 1
        self.kinds[kind_of(line)] += 1

    def as_json(self) -> dict[str, Any]:
        """One object for machines."""
        rate = round(self.records / self.seconds) if self.seconds > 0 else 0
        return {
            "records": self.records,
            "bytes": self.size,
            "seconds": round(self.seconds, 3),
            "records_per_second": rate,
            "kinds": dict(sorted(self.kinds.items())),
        }


def kind_of(line: bytes) -> str:
    """``webhook yclients``, ``settings``, …, from the start of the line alone."""
    parts = line[:160].split(b'"')
    if len(parts) < 4 or parts[1] != b"kind":
        return "unreadable"
    kind = parts[3].decode("ascii", "replace")
    if kind == "webhook" and len(parts) > 11:
        provider = parts[11].decode("ascii", "replace")
        return f"webhook {provider}" if provider in PROVIDERS else "unreadable"
    return kind if kind in KINDS else "unreadable"


def tenant_of(line: bytes) -> bytes | None:
    """The key of a record that names its tenant where the generator writes it."""
    parts = line[:80].split(b'"', 8)
    return parts[7] if len(parts) > 8 and parts[5] == b"tenant" else None


def write_all(lines: Iterator[bytes], write: Write, pace: Write, step: Write) -> Tally:
    """Write every line; ``step`` sees one in a while."""
    tally = Tally()
    started = time.monotonic()
    for line in lines:
        pace(line)
        write(line)
        tally.count(line)
        if tally.records % _STEP_RECORDS == 0:
            step(line)
    tally.seconds = time.monotonic() - started
    return tally


def paced(rate: float | None) -> Write:
    """Waits so that no more than ``rate`` records a second have passed since the first."""
    started: float | None = None
    passed = 0

    def wait(_: bytes) -> None:
        nonlocal started, passed
        now = time.monotonic()
        if started is None:
            started = now
        ahead = passed / (rate or 1.0) - (now - started)
        passed += 1
        if ahead > 0.002:
            time.sleep(ahead)

    return wait if rate else lambda _: None


@contextmanager
def file_writer(out: str) -> Iterator[Write]:
    """Lines into a file; compressed where its name ends in ``.gz``, byte-equal every time."""
    with ExitStack() as opened:
        file: BinaryIO | gzip.GzipFile = sys.stdout.buffer
        if out != "-":
            try:
                file = opened.enter_context(Path(out).open("wb", buffering=_BUFFER_BYTES))
            except OSError as error:
                raise click.UsageError(f"cannot write {out}: {error.strerror}") from None
        if out.endswith(".gz"):
            packed = gzip.GzipFile("", "wb", compresslevel=4, fileobj=file, mtime=0)
            file = opened.enter_context(packed)
        yield opened.enter_context(_lines_to(file))


@contextmanager
def _lines_to(file: BinaryIO | gzip.GzipFile) -> Iterator[Write]:
    held: list[bytes] = []

    def write(line: bytes) -> None:
        held.append(line)
        if len(held) >= 512:
            flush()

    def flush() -> None:
        held.append(b"")
        file.write(b"\n".join(held))
        held.clear()

    yield write
    flush()


@contextmanager
def kafka_writer(environment: Environment, topic: str) -> Iterator[Write]:
    """Records into the topic, keyed by tenant as every gateway does; each delivery is checked."""
    servers = environment.kafka
    producer = Producer(
        {
            "linger.ms": 20,
            "message.max.bytes": MAX_MESSAGE_BYTES,
            "enable.idempotence": True,
            **client_properties(environment),
            "partitioner": "murmur2_random",
        }
    )
    failures: Counter[str] = Counter()

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures[error.str()] += 1

    def check() -> None:
        if failures:
            count, why = sum(failures.values()), next(iter(failures))
            raise EngineError(f"Kafka at {servers}: {count} records were not taken: {why}")

    def write(line: bytes) -> None:
        while True:
            try:
                # a line without its tenant still needs a lane that is the same every time
                key = tenant_of(line) or b"unknown"
                producer.produce(topic, line, key, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
                check()
        producer.poll(0)

    try:
        producer.list_topics(topic, timeout=10)
    except KafkaException as error:
        raise EngineError(f"Kafka at {servers}: {error.args[0].str()}") from None
    yield write
    left = producer.flush(_PATIENCE_SECONDS)
    check()
    if left:
        raise EngineError(f"Kafka at {servers}: {left} records were not taken in time")


def log_days(start: date, days: int, step: Step) -> Write:
    """Progress by the log's own clock: thousandths of a day since its start."""
    records = 0

    def at(line: bytes) -> None:
        nonlocal records
        records += _STEP_RECORDS
        found = line.rfind(b'"appended_at":"', 0, 300)
        text = line[found + 15 : found + 31].decode("ascii", "replace")
        try:
            since = datetime.fromisoformat(text) - datetime.combine(start, datetime.min.time())
        except ValueError:  # poison
            return
        step(min(int(since.total_seconds() / 86.4), days * 1_000), records)

    return at


def print_tally(tally: Tally, where: str, console: Console) -> None:
    """Records by kind and provider, bytes and seconds."""
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    for kind, count in tally.kinds.most_common():
        table.add_row(kind, f"{count:,}")
    table.add_row("records", f"{tally.records:,}", style="bold")
    table.add_row("bytes", f"{tally.size:,}")
    table.add_row("seconds", f"{tally.seconds:.1f}")
    console.print(table)
    console.print(f"in {where}", soft_wrap=True)


@click.command("generate")
@click.option("--tenants", type=click.IntRange(1, 100_000), default=20, show_default=True)
@click.option(
    "--customers",
    type=click.IntRange(0),
    default=20_000,
    show_default=True,
    help="Of all tenants together.",
)
@click.option("--days", type=click.IntRange(1), default=180, show_default=True)
@click.option(
    "--start",
    type=click.DateTime(["%Y-%m-%d"]),
    default="2026-01-05",
    show_default=True,
    help="First day of the log (UTC).",
)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--faults",
    is_flag=True,
    help="Duplicates, disorder, lateness and poison, as in life; one tenant has 30 % of it all.",
)
@click.option(
    "--effect",
    metavar="POINTS",
    type=click.FloatRange(0, 100),
    default=10.0,
    show_default=True,
    help="How many of 100 customers more return within 14 days of a marketing command.",
)
@click.option("--records", type=click.IntRange(0), help="Stop after so many records.")
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    help="Records a second; as fast as possible without it.",
)
@click.option("--out", metavar="FILE", help=".ndjson or .ndjson.gz; - is stdout (default).")
@click.option(
    "--kafka",
    metavar="[SERVERS]",
    is_flag=False,
    flag_value=FROM_ENVIRONMENT,
    help="Into the records topic instead; without servers: those of FLOWSELL_KAFKA.",
)
@click.option("--topic", default=TOPICS["records"].name, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
@click.option("--no-progress", is_flag=True, help="Say nothing until the end.")
def command(
    tenants: int,
    customers: int,
    days: int,
    start: datetime,
    seed: int,
    faults: bool,
    effect: float,
    records: int | None,
    rate: float | None,
    out: str | None,
    kafka: str | None,
    topic: str,
    as_json: bool,
    no_progress: bool,
) -> None:
    """Write plausible life of synthetic tenants: the same arguments, the same bytes.

    The records are folded as they are made, and the commands that this causes are answered: by
    receipts, statuses, replies, and customers who come back. Ids of commands depend on
    FLOWSELL_ID_KEY: who folds this log elsewhere makes the same ones under the same key.
    """
    environment = read_environment()
    configure(environment.log)
    if out is not None and kafka is not None:
        raise click.UsageError("give either --out or --kafka")
    if kafka is not None and kafka != FROM_ENVIRONMENT:
        environment = replace(environment, kafka=kafka)
    world = World(tenants, customers, days, seed, faults, start.date(), effect)
    lines = islice(living(world, environment.offline_id_key), records)
    target = out or "-"
    writer = file_writer(target) if kafka is None else kafka_writer(environment, topic)
    with progress("generating", days * 1_000, not no_progress) as step, writer as write:
        tally = write_all(lines, write, paced(rate), log_days(start.date(), days, step))
    if kafka is None and target == "-":
        print_tally(tally, "stdout", Console(stderr=True, highlight=False))
    elif as_json:
        print_json(tally.as_json())
    else:
        where = target if kafka is None else f"{topic} at {environment.kafka}"
        print_tally(tally, where, Console(highlight=False))
