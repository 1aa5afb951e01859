"""``flowsell forget TENANT PHONE``: a wish in the log, followed through every store to its end.

In:    a tenant, and a phone or a customer id; the stores that the environment names
Out:   a ``forget`` record; a report, store by store: what was there, what is, until when
State: none; the wish is the log's, and the same command again changes nothing

The phone goes no further than this process: the record, the stores and the report know an id.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click
import msgspec

from flows.environment import Environment, read_environment, require, with_mongo
from flows.forget_report import Report, Trace, print_report
from flows.logging import configure
from flows.progress import progress
from flows.summary import print_json
from schemas.durations import DAY_MS
from schemas.engines import EngineError
from schemas.keys import customer_id, lane_of
from schemas.outputs import decode_tombstone
from schemas.record import utc_text
from schemas.slices import Place
from schemas.topics import TOPICS
from sinks.traces import Traces

if TYPE_CHECKING:
    from flows.topic_reader import TopicReader

PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 0.25
_AGING = ("records", "commands", "decisions", "segments", "dead_letters")
"""Streams whose topics let go of a record after a time of their own."""

_COMPACTED = timedelta(days=2)
"""A compacted topic looks at what is a day old, and is looked at in turn."""

_BASES = timedelta(days=1)
_ID = re.compile("[0-9a-f]{32}")
_FORGOTTEN, _MERGED = b'"forgotten":true', b'"merged_into":"'


@dataclass(frozen=True)
class Wish:
    """Who wants to be forgotten, and where the log has it."""

    tenant: str
    customer: str
    lane: int
    position: int
    at: datetime


def phone_of(text: str, country: str | None) -> int:
    """The canonical phone; raises ``UsageError``, which does not repeat it."""
    from operators.phones import canonical_phone

    phone = canonical_phone(text, country)
    if not phone:
        hint = "give it with its +, or --country" if country is None else f"of country {country}"
        raise click.UsageError(f"PHONE: is no phone number: {hint}")
    return phone


def country_of(environment: Environment, tenant: str) -> str | None:
    """The country in the tenant's settings, as the log has them."""
    from flows.settings import settings_of, topic_lines

    with progress("reading settings", 0) as step:
        found, _ = settings_of(tenant, topic_lines(environment, tenant, step))
    return None if found is None else found.settings.country


def wish_of(tenant: str, customer: str, at: datetime) -> bytes:
    """The record."""
    told = {"kind": "forget", "tenant": tenant, "received_at": utc_text(at)}
    return msgspec.json.encode(told | {"customer_id": customer})


def traces_of(environment: Environment) -> list[Traces]:
    """The stores that the environment names."""
    from sinks.clickhouse_target import target_of
    from sinks.traces import TracesInClickHouse, TracesInPostgres, TracesInValkey

    found: list[Traces] = []
    if environment.postgres is not None:
        found.append(TracesInPostgres(environment.postgres))
    if environment.valkey is not None:
        found.append(TracesInValkey(environment.valkey))
    if environment.clickhouse is not None:
        found.append(TracesInClickHouse(target_of(environment.clickhouse)))
    if environment.mongo is not None:
        found.append(_archive(environment.mongo))
    return found


def _archive(url: str) -> Traces:
    with with_mongo():
        from sinks.mongo import TracesInMongo

        return TracesInMongo(url)


def old_files(uri: str | None, wish: Wish) -> int:
    """Snapshot files of the lane that were written before the wish was folded."""
    from state.shelf import Shelf, is_manifest, position_of

    if uri is None:
        return 0
    names = [entry.name for entry in Shelf(uri).entries(wish.lane)]
    return sum(not is_manifest(name) and position_of(name) <= wish.position for name in names)


class Following:
    """A wish on its way through the flows."""

    def __init__(self, environment: Environment, patience: float) -> None:
        from flows.kafka import Topics, client_properties

        self._environment = environment
        self._properties = client_properties(environment)
        Topics(self._properties).check(environment.lanes)
        self._readers: dict[str, TopicReader] = {}
        self._deadline = time.monotonic() + patience

    def close(self) -> None:
        """Let go of Kafka."""
        for reader in self._readers.values():
            reader.close()

    def publish(self, tenant: str, customer: str) -> Wish:
        """The wish in the log, its delivery verified."""
        from flows.records import RecordsTopic

        at = datetime.now(UTC)
        topic = RecordsTopic(self._environment)
        topic.append(wish_of(tenant, customer, at), tenant.encode())
        topic.settle()
        return Wish(tenant, customer, lane_of(tenant, self._environment.lanes), topic.last, at)

    def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Looks again and again; raises ``EngineError`` when patience is at its end."""
        while not is_so():
            if time.monotonic() > self._deadline:
                raise EngineError(f"{what}; the wish is in the log, the same command goes on")
            time.sleep(LOOK_SECONDS)

    def is_folded(self, wish: Wish) -> bool:
        """Whether the engagement flow has committed past the wish."""
        from flows.positions import committed
        from flows.run import GROUP

        at = committed(self._properties, GROUP, self._environment.lanes)[wish.lane]
        return at.position > wish.position

    def ends(self, streams: Sequence[str]) -> dict[Place, int]:
        """The ends of these streams' partitions now."""
        lanes = range(self._environment.lanes)
        return {
            Place(stream, lane): self._end(stream, lane) for stream in streams for lane in lanes
        }

    def answer(self, wish: Wish, begins: Mapping[Place, int]) -> str | None:
        """Whose tombstone the fold has answered with; ``None``: it stood already."""
        for place, begin in begins.items():
            for message in self._reader(place.stream).messages(place.partition, begin):
                if (value := message.value()) and _FORGOTTEN in value:
                    said = decode_tombstone(value)
                    if said.tenant == wish.tenant and said.position == wish.position:
                        return said.customer_id
        return None

    def heir(self, customer: str) -> str | None:
        """Whom an id was merged into, as the topic says last; ``None`` for any other id."""
        last: bytes | None = None
        lane = lane_of(customer, self._environment.lanes)
        for message in self._reader("profiles").messages(lane):
            if message.key() == customer.encode():
                last = message.value()
        return decode_tombstone(last).merged_into if last and _MERGED in last else None

    def _reader(self, stream: str) -> TopicReader:
        from flows.topic_reader import TopicReader

        if stream not in self._readers:
            name = TOPICS[stream].name
            self._readers[stream] = TopicReader(self._environment, name, "flowsell-forget")
        return self._readers[stream]

    def _end(self, stream: str, lane: int) -> int:
        from confluent_kafka import TopicPartition

        reader = self._reader(stream)
        one = TopicPartition(TOPICS[stream].name, lane)
        return int(reader.asked(lambda: reader.consumer.get_watermark_offsets(one, 10))[1])


def follow(
    environment: Environment, tenant: str, customer: str, waits: bool, patience: float
) -> Report:
    """Publishes the wish, and looks after it in every store."""
    following = Following(environment, patience)
    with ExitStack() as opened:
        opened.callback(following.close)
        stores = traces_of(environment)
        for store in stores:
            opened.callback(store.close)
            store.open()
        before = {store.name: store.count(tenant, [customer]) for store in stores}
        begins = following.ends(("profiles",))
        wish = following.publish(tenant, customer)
        if not waits:
            return Report(tenant, customer, wish.position, is_clean=False, traces=[])
        following.until(lambda: following.is_folded(wish), "the engagement flow has not come to it")
        answered = following.answer(wish, begins)
        person = answered or following.heir(customer) or customer
        ids = sorted({customer, person})
        said = "forgotten now" if answered else "was forgotten before"
        traces = [Trace("state", said, None, 0, None)]
        for store in stores:
            if person != customer:
                before[store.name] = store.count(tenant, ids)
            traces.append(_emptied(following, store, wish, ids, before[store.name]))
        traces += _aging(environment, wish)
    is_clean = all(trace.now == 0 or trace.until is not None for trace in traces)
    return Report(tenant, person, wish.position, is_clean, traces)


def _emptied(
    following: Following, store: Traces, wish: Wish, ids: Sequence[str], before: int
) -> Trace:
    """Waits until the store has everything of before the wish, and deletes what is left."""
    ends = following.ends(store.streams)

    def has_come() -> bool:
        places = store.places()
        return all(places.get(place, 0) >= end for place, end in ends.items())

    try:
        following.until(has_come, f"{store.name} has not come to it")
    except EngineError as late:
        return Trace(store.name, str(late), before, store.count(wish.tenant, ids), None)
    store.erase(wish.tenant, ids, wish.position)
    left = store.count(wish.tenant, ids)
    return Trace(store.name, "still tells something" if left else "emptied", before, left, None)


def _aging(environment: Environment, wish: Wish) -> list[Trace]:
    """What nobody deletes, and until when it may be there."""
    files = old_files(environment.state, wish)
    traces = [Trace("snapshots", "of before the wish", files, files, wish.at + _BASES)]
    for stream in _AGING:
        kept = timedelta(days=int(TOPICS[stream].config["retention.ms"]) / DAY_MS)
        traces.append(Trace(TOPICS[stream].name, "ages out", None, None, wish.at + kept))
    compacted = wish.at + _COMPACTED
    return [*traces, Trace(TOPICS["profiles"].name, "is compacted", None, None, compacted)]


@click.command("forget")
@click.argument("tenant")
@click.argument("written", metavar="PHONE", nargs=-1)
@click.option(
    "--customer-id", "customer", metavar="ID", help="Who has no phone, or is known by id."
)
@click.option("--country", metavar="CC", help="How PHONE is written, if not as the settings say.")
@click.option("--wait/--no-wait", "waits", default=True, help="Follow it through every store.")
@click.option("--patience", default=PATIENCE_SECONDS, show_default=True, help="Seconds to wait.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    tenant: str,
    written: tuple[str, ...],
    customer: str | None,
    country: str | None,
    waits: bool,
    patience: float,
    as_json: bool,
) -> int:
    """Forget a customer of TENANT everywhere, and prove it; exit code 0 only if it is so."""
    phone = " ".join(written)  # a part of it in an error would be told
    if bool(phone) == (customer is not None):
        raise click.UsageError("give either PHONE or --customer-id")
    environment = read_environment()
    require(environment, "forget", "kafka")
    configure(environment.log)
    if phone:
        require(environment, "forget", "id_key")
        assert environment.id_key is not None
        if country is None and not phone.lstrip(" (").startswith("+"):
            country = country_of(environment, tenant)
        customer = customer_id(environment.id_key, tenant, phone_of(phone, country))
    assert customer is not None
    if not _ID.fullmatch(customer):
        raise click.UsageError("--customer-id: not 32 hex digits")
    with progress("forgetting", 0, shown=not as_json):
        report = follow(environment, tenant, customer, waits, patience)
    if as_json:
        print_json(msgspec.to_builtins(report))
    else:
        print_report(report, waits)
    return 0 if report.is_clean or not waits else 3
