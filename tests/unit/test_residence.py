"""What tenants of other countries send is refused, whatever it is, until they are at home."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.engagement import fingerprint
from flows.residence import at_home
from operators.decode import decode
from operators.fold import fold
from operators.residence import MESSAGE, refuse_abroad
from schemas.batch import Chunk, DeadLetter
from schemas.keys import customer_id
from schemas.mistakes import SettingsError
from schemas.settings import parse_settings
from state.lane import LaneState
from state.pointer import difference
from state.snapshots import SnapshotStore
from state.tenants import Tenants
from tests.engine import ID_KEY, Streams, chunk_of, feed, run
from tests.logs import (
    Record,
    card,
    envelope,
    forget,
    heartbeat,
    history,
    lines_of,
    message_in,
    ms,
    settings,
    visit,
    whatsapp_message,
)

OURS = frozenset({"KZ"})
WIDER = frozenset({"KZ", "RU"})
AT = ms("2026-11-20T10:00:00Z")
PHONE, OTHER = 77011234567, 77017654321
RECEIPT = envelope("receipt", "t1", AT, command_id="c", message_id="m", status="accepted")
FINGERPRINT = {"fold": "test"}


def moves_to(country: str | None, **fields: Any) -> Record:
    return settings("t1", AT, country=country, **fields)


def came(id: str, phone: int = PHONE, tenant: str = "t1") -> Record:
    return visit(
        tenant, AT, id, version=1, status="attended", phone=f"+{phone}",
        starts_at=AT, amount_minor=100, currency="KZT",
    )  # fmt: skip


def told(*log: Record, countries: frozenset[str] = OURS) -> Streams:
    return run(lines_of([*log]), countries=countries)


def dead(streams: Streams) -> list[int]:
    return [letter.position for letter in streams.dead]


@pytest.mark.parametrize(
    "record",
    [
        came("v-1"),
        card("t1", AT, "c-1", version=1, phone=f"+{PHONE}"),
        message_in("t1", AT, "m-1", f"+{PHONE}"),
        whatsapp_message("t1", AT, "w-1", str(PHONE)),
        RECEIPT,
        moves_to("DE"),
        moves_to(None),
        history("t1", AT, came("v-1")),
        history("t1", AT),
    ],
    ids=lambda record: record["kind"],
)
def test_every_kind_of_record_from_abroad_is_a_dead_letter(record: Record) -> None:
    log = [moves_to("RU"), record, heartbeat(AT)]
    lines = lines_of(log)
    streams = told(*log)
    assert streams.dead == [
        DeadLetter(at, "residence", "tenant", MESSAGE, None, lines[at]) for at in (0, 1)
    ]
    assert streams.counts["dead_letters", "tenant"] == 2
    assert not any(times for name, times in streams.counts.items() if name[0] == "events")
    assert streams.profiles() == {}


def test_a_dead_letter_from_a_lane_keeps_its_key_and_its_position() -> None:
    lines = lines_of([moves_to("RU"), came("v-1")])
    state = LaneState(0, ID_KEY, OURS)
    positions, clock = np.array([41, 43]), np.full(2, AT)
    [batch] = decode(Chunk(0, positions, clock, lines, [b"t1", b"t1"]), 1)
    found = [(each.position, each.key, each.value) for each in fold(state, batch).dead_letters]
    assert found == [(41, b"t1", lines[0]), (43, b"t1", lines[1])]


def test_a_record_that_is_dead_already_stays_what_it_was() -> None:
    spoilt = visit("t1", AT, "v-1", status="attended")
    streams = told(moves_to("RU"), spoilt)
    assert [(each.position, each.stage) for each in streams.dead] == [
        (0, "residence"),
        (1, "decode"),
    ]


def test_a_tenant_is_abroad_from_its_settings_to_those_that_bring_it_home() -> None:
    log = [came("v-1"), moves_to("KZ"), came("v-2"), moves_to("RU"), came("v-3", OTHER),
           moves_to("DE"), moves_to("KZ"), came("v-4", OTHER)]  # fmt: skip
    streams = told(*log)
    assert dead(streams) == [3, 4, 5]
    assert streams.profile("t1", PHONE)["monetary_minor"] == 200
    assert streams.profile("t1", OTHER)["monetary_minor"] == 100


def test_settings_of_a_tenant_abroad_are_not_in_force() -> None:
    streams = told(moves_to("KZ", name="before"), moves_to("RU", name="after"))
    assert streams.states[0].tenants.settings[0].name == "before"


def test_settings_without_a_country_leave_a_tenant_where_it_is() -> None:
    assert (
        dead(told(moves_to(None), came("v-1"), moves_to("KZ"), moves_to(None), came("v-2"))) == []
    )
    assert dead(told(moves_to("RU"), moves_to(None), came("v-1"))) == [0, 1, 2]


def test_a_tenant_without_settings_and_a_neighbour_are_at_home() -> None:
    streams = told(moves_to("RU"), came("v-1", tenant="t2"), came("v-2"))
    assert dead(streams) == [0, 2]
    assert streams.profile("t2", PHONE)["monetary_minor"] == 100


def test_who_was_kept_before_the_tenant_moved_can_still_be_forgotten() -> None:
    who = customer_id(ID_KEY, "t1", PHONE)
    log = [moves_to("KZ"), came("v-1"), moves_to("RU"), forget("t1", AT, who)]
    streams = told(*log)
    assert dead(streams) == [2]
    assert streams.tombstones()[who]["forgotten"] is True
    assert who in told(*log[:3]).profiles()


def test_webhooks_from_abroad_are_counted_as_dead_in_their_minute() -> None:
    [row] = [
        row
        for row in told(moves_to("RU"), came("v-1"), came("v-2")).rows("aggregates")
        if row["table"] == "webhooks_minutely"
    ]
    assert (row["records"], row["events"], row["dead"]) == (2, 0, 2)


def test_a_batch_of_tenants_at_home_is_not_touched() -> None:
    log = [moves_to("KZ"), came("v-1"), history("t1", AT, came("v-2")), RECEIPT]
    [batch] = decode(chunk_of(lines_of(log), 0, len(log)), 1)
    assert refuse_abroad(LaneState(0, ID_KEY, OURS), batch) is batch
    other = LaneState(0, ID_KEY, OURS)
    feed({0: other}, lines_of([settings("t9", AT, country="RU")]), 0, 1, Streams())
    assert refuse_abroad(other, batch) is batch


def test_a_batch_is_left_as_it_was_whoever_folds_it() -> None:
    log = lines_of([moves_to("RU"), came("v-1")])
    [batch] = decode(chunk_of(log, 0, len(log)), 1)
    for _ in range(2):
        outputs = fold(LaneState(0, ID_KEY, OURS), replace(batch, counts=batch.counts.copy()))
        assert len(outputs.dead_letters) == 2
    assert fold(LaneState(0, ID_KEY), batch).dead_letters == []


def saved(folder: Path, log: list[Record], countries: frozenset[str]) -> SnapshotStore:
    store, state = SnapshotStore(str(folder), FINGERPRINT), LaneState(0, ID_KEY, countries)
    feed({0: state}, lines_of(log), 0, len(log), Streams())
    store.save(state)
    return SnapshotStore(str(folder), FINGERPRINT)


@pytest.mark.parametrize(
    ("before", "after", "is_abroad"),
    [(OURS, OURS, True), (OURS, WIDER, False), (WIDER, OURS, True), (frozenset(), OURS, True),
     (OURS, frozenset(), False)],
)  # fmt: skip
def test_a_restored_lane_judges_by_its_own_countries(
    tmp_path: Path, before: frozenset[str], after: frozenset[str], is_abroad: bool
) -> None:
    state = saved(tmp_path, [moves_to("RU")], before).restore(0, ID_KEY, 1, after)
    assert state.tenants.abroad == ({"t1"} if is_abroad else set())
    streams = Streams()
    feed({0: state}, [b"", *lines_of([came("v-1")])], 1, 2, streams)
    assert len(streams.dead) == is_abroad


def test_a_snapshot_from_before_the_column_has_the_country_in_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = [moves_to("RU"), settings("t2", AT, country="KZ")]
    with monkeypatch.context() as patched:
        columns = {k: v for k, v in Tenants.COLUMNS.items() if k != "country"}
        patched.setattr(Tenants, "COLUMNS", columns)
        patched.setattr(Tenants, "locate", lambda *_: None)
        store = saved(tmp_path, log, frozenset())
    assert store.restore(0, ID_KEY, 2, OURS).tenants.abroad == {"t1"}


def test_other_countries_start_only_where_nothing_is_folded_again() -> None:
    ours, wider = fingerprint(4, ID_KEY, OURS), fingerprint(4, ID_KEY, WIDER)
    everywhere = fingerprint(4, ID_KEY)
    assert difference(ours, fingerprint(4, ID_KEY, OURS), is_drained=False) == ""
    assert difference(ours, wider, is_drained=True) == ""
    told = difference(ours, wider, is_drained=False)
    assert told.startswith("it was committed by countries KZ, this is KZ,RU; stop the old version")
    assert "countries all, this is KZ;" in difference(everywhere, ours, is_drained=False)


def test_given_settings_of_a_tenant_abroad_are_one_clear_mistake() -> None:
    tenants = {
        name: parse_settings(given, f"tenants.{name}")
        for name, given in {"t1": {"country": "KZ"}, "t2": {}, "t3": {"country": "DE"}}.items()
    }
    assert at_home(tenants, frozenset()) is tenants
    with pytest.raises(
        SettingsError, match=r"tenants\.t3\.country: DE is not among FLOWSELL_COUNTRIES \(KZ, RU\)"
    ):
        at_home(tenants, WIDER)
