"""What the stores and topics know of one customer, put together as a path.

In:    whom; the environment: FLOWSELL_POSTGRES, FLOWSELL_CLICKHOUSE, FLOWSELL_KAFKA, or some
Out:   ``CustomerPath``, and what is missing from it
State: none; nothing is written

PostgreSQL says who it is, ClickHouse how the segment has changed. Its decisions are without their
customers; the topics have them by customer, for as long as they keep them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import msgspec

from flows.customer_path import CustomerPath, Moment, Sought, Unknown, decided, of_change
from flows.environment import Environment, EnvironmentMistake
from flows.progress import Step
from operators.phones import canonical_phone
from schemas.keys import customer_id, lane_of
from schemas.outputs import (
    Profile,
    SegmentChange,
    Tombstone,
    decode_change,
    decode_command,
    decode_decision,
    decode_profile,
    decode_tombstone,
)
from schemas.settings import TenantSettings
from schemas.topics import TOPICS

if TYPE_CHECKING:
    from flows.topic_reader import TopicReader

GROUP = "flowsell.explain"
_CHANGES = (
    "SELECT `from`, `to`, cause, toString(at) FROM flowsell.segment_changes_now "
    "WHERE tenant = {tenant:String} AND customer_id = {customer:String} ORDER BY at"
)
_SEGMENT = (
    "SELECT segment, r, f, m, recency_days, frequency, monetary_minor, toString(last_visit_at) "
    "FROM flowsell.customer_segments FINAL "
    "WHERE tenant = {tenant:String} AND customer_id = {customer:String}"
)

_GONE = b'"forgotten":'


def path_of_stores(
    environment: Environment, sought: Sought, settings: TenantSettings | None, step: Step
) -> CustomerPath:
    """What is known of the customer; raises ``Unknown`` where that is nothing."""
    if not (environment.postgres or environment.clickhouse or environment.kafka):
        raise EnvironmentMistake(
            "FLOWSELL_POSTGRES, FLOWSELL_CLICKHOUSE, FLOWSELL_KAFKA: none is set; "
            "`explain` needs one of them, or --log FILE"
        )
    who, said = _who(environment, sought, settings)
    path = CustomerPath(sought.tenant, who, "stores", settings.timezone if settings else "UTC")
    if settings is not None:
        path.business, path.currency = settings.name, settings.currency
        path.consent_default = settings.consent_default
    if said is None and environment.kafka is not None and environment.postgres is None:
        values = _of_topic(environment, "profiles", who, step)
        said = _told(values[-1]) if values else None
    if isinstance(said, Tombstone) and said.forgotten:
        path.forgotten_at = said.as_of
        return path
    if isinstance(said, Tombstone) and said.merged_into is not None:
        path.merged_into, who = said.merged_into, said.merged_into
        said = _heir(environment, sought.tenant, who, step)
    path.profile = said if isinstance(said, Profile) else None
    _tell_moments(environment, path, who, step)
    if path.profile is None and not path.moments and path.merged_into is None:
        raise Unknown(f"{sought.tenant}: no such customer in the stores that are set")
    if path.currency is None and path.profile is not None:
        path.currency = path.profile.currency
    path.sort()
    return path


def _who(
    environment: Environment, sought: Sought, settings: TenantSettings | None
) -> tuple[str, Profile | Tombstone | None]:
    """The customer's id, and what PostgreSQL says of it."""
    who = sought.customer_id
    if who is not None:
        return who, _of_postgres(environment, sought.tenant, "customer_id", who)
    number = canonical_phone(sought.phone or "", settings.country if settings else None)
    if not number:
        raise Unknown(
            f"{sought.tenant}: this is no phone in full; with a + in front it is, "
            "or --settings FILE tells the country"
        )
    said = _of_postgres(environment, sought.tenant, "phone", f"+{number}")
    if said is not None:
        return said.customer_id, said
    who = customer_id(environment.offline_id_key, sought.tenant, number)
    return who, _of_postgres(environment, sought.tenant, "customer_id", who)


def _heir(
    environment: Environment, tenant: str, who: str, step: Step
) -> Profile | Tombstone | None:
    if environment.postgres is not None:
        return _of_postgres(environment, tenant, "customer_id", who)
    values = _of_topic(environment, "profiles", who, step)
    return _told(values[-1]) if values else None


def _of_postgres(
    environment: Environment, tenant: str, by: Literal["customer_id", "phone"], value: str
) -> Profile | Tombstone | None:
    if environment.postgres is None:
        return None
    from flows.profiles import postgres_of

    line = postgres_of(environment).find(tenant, by, value)
    return None if line is None else _told(line)


def _told(value: bytes) -> Profile | Tombstone:
    """A profile, or the tombstone of an id that is no more."""
    return decode_tombstone(value) if _GONE in value else decode_profile(value)


def _tell_moments(environment: Environment, path: CustomerPath, who: str, step: Step) -> None:
    """Segment changes and decisions, each once, and what nobody can tell."""
    changes: dict[tuple[int, str], Moment] = {}
    if environment.clickhouse is not None:
        told, standing = _of_clickhouse(environment.clickhouse, path.tenant, who)
        changes = {(each.at_ms, each.facts["to"]): each for each in told}
        if path.profile is None and standing is not None:
            path.profile = standing
            path.missing.append("phones")
    if environment.kafka is not None:
        for value in _of_topic(environment, "segments", who, step):
            moment = of_change(decode_change(value))
            changes.setdefault((moment.at_ms, moment.facts["to"]), moment)
        decisions = map(decode_decision, _of_topic(environment, "decisions", who, step))
        commands = map(decode_command, _of_topic(environment, "commands", who, step))
        path.moments += decided(decisions, commands)
        path.missing.append("retention")
    else:
        path.missing.append("decisions")
        if environment.clickhouse is None:
            path.missing.append("changes")
    path.moments += changes.values()
    path.missing.append("visits")


def _of_clickhouse(url: str, tenant: str, who: str) -> tuple[list[Moment], Profile | None]:
    from sinks.clickhouse_engine import ClickHouse
    from sinks.clickhouse_target import target_of

    engine = ClickHouse(target_of(url))
    engine.open()
    try:
        changes = engine.rows(_CHANGES, tenant=tenant, customer=who)
        found = engine.rows(_SEGMENT, tenant=tenant, customer=who)
    finally:
        engine.close()
    if found and not found[0][0]:
        return [], None  # merged or forgotten: of who is no more nothing is told
    told = [
        of_change(SegmentChange(tenant, who, before, after, cause, f"{at}Z", 0))
        for before, after, cause, at in changes
    ]
    return told, _standing(tenant, who, found[0]) if found else None


def _standing(tenant: str, who: str, row: tuple[object, ...]) -> Profile:
    """What ClickHouse knows of somebody: no phone, no name, no consent, and not as of when."""
    names = ("segment", "r", "f", "m", "recency_days", "frequency", "monetary_minor")
    last = row[len(names)]
    told = dict(zip(names, row, strict=False)) | {
        "last_visit_at": last and f"{last}Z".replace(" ", "T").replace(".000Z", "Z")
    }
    nothing = dict.fromkeys(("phone", "name", "currency", "next_booking_at", "birthday"))
    whose = {"tenant": tenant, "customer_id": who, "aliases": {}, "consent": {}}
    return msgspec.convert(told | nothing | whose | {"as_of": "", "position": 0}, Profile)


def _of_topic(environment: Environment, stream: str, who: str, step: Step) -> list[bytes]:
    """The values of this key, which stand in one partition."""
    from flows.topic_reader import TopicReader

    reader = TopicReader(environment, TOPICS[stream].name, GROUP)
    try:
        return [*_values(reader, who, step)]
    finally:
        reader.close()


def _values(reader: TopicReader, who: str, step: Step) -> Iterator[bytes]:
    partition, key = lane_of(who, len(reader.partitions())), who.encode()
    for read, message in enumerate(reader.messages(partition), 1):
        if message.key() == key and message.value() is not None:
            yield message.value()
        if read % 10_000 == 0:
            step(0, read)
