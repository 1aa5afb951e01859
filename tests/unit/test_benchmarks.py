"""The benchmarks measure what they say they do."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.latency import Latencies
from benchmarks.midnight import Plan, planned, soonest_midnight
from benchmarks.pacing import asked_town
from benchmarks.scenarios import chunk_of, filled
from benchmarks.triggers import TWELVE, against_none, due_minutes
from benchmarks.workload import Load
from operators.decode import decode
from operators.fold import fold
from schemas.settings import parse_settings
from schemas.triggers import KINDS, parse_triggers
from schemas.zones import zone
from sources.bodies import heartbeat_record
from sources.business import DAY, HOUR, MINUTE, SECOND
from state.lane import LaneState
from tests.logs import ms


def test_twelve_triggers_of_all_kinds_decide_something_under_the_same_log() -> None:
    rules = [rule | {"channels": ["sms"], "template": "x"} for rule in TWELVE]
    parsed = parse_triggers(rules, "triggers", frozenset())
    assert len(parsed) == 12
    assert {trigger.kind for trigger in parsed} == set(KINDS)
    told = against_none(Load(2_000, 400, lanes=2, runs=2), lambda _: None)
    assert told["decisions"] > 50
    assert len(told["losses"]) == 2


def test_in_each_kinds_minute_as_many_are_due_as_were_asked_for() -> None:
    told = due_minutes(Load(0, 300, lanes=2, runs=0, visits_each=2), 60, lambda _: None)
    assert {kind: each["due"] for kind, each in told["kinds"].items()} == dict.fromkeys(
        ("reminder", "birthday", "after_visit", "rebook", "winback", "no_show"), 60
    )
    assert told["decisions_of_quiet_minutes"] == 0


def beat(state: LaneState, at: int, lanes: int) -> list[str]:
    """Causes of the changes that the passing of time until then brings."""
    chunk = chunk_of(state.lane, [heartbeat_record(at, at)], [at], at)
    return [
        json.loads(change.value)["cause"]
        for batch in decode(chunk, lanes)
        for change in fold(state, batch).streams["segments"]
    ]


@given(st.datetimes(datetime(2026, 1, 1), datetime(2036, 12, 31)))
@example(datetime(2026, 4, 23, 21, 59))  # Cairo's next day begins at 01:00
@example(datetime(2026, 10, 25, 0, 30))  # clocks of Europe go back
@example(datetime(2026, 6, 10, 18, 14, 59))  # a quarter past belongs to Kathmandu
@example(datetime(2026, 6, 10, 12, 0))  # a midnight now is one
def test_whenever_a_midnight_is_asked_for_one_comes_within_the_hour(after: datetime) -> None:
    after_ms = int(after.replace(tzinfo=UTC).timestamp() * SECOND)
    midnight, name = soonest_midnight(after_ms)
    assert 0 <= midnight - after_ms <= HOUR
    last, first = (
        datetime.fromtimestamp(midnight / SECOND + seconds, zone(name)).date()
        for seconds in (-1, 0)
    )
    assert first == last + timedelta(days=1)


def test_offsets_of_a_part_of_an_hour_are_used() -> None:
    assert soonest_midnight(ms("2026-06-10T18:05:00Z")) == (
        ms("2026-06-10T18:15:00Z"),
        "Asia/Kathmandu",
    )


def test_commands_told_by_the_minute_of_a_day_that_begins_are_counted_but_not_timed() -> None:
    kinds = ["segment_entered", "segment_entered", "reminder", "reply"]
    latencies = Latencies([120.0, 120.3, 120.0, 180.0], [40.0, 0.25, 0.5, 0.75], kinds)
    assert latencies.between(60, 240).tolist() == [250, 500, 750]
    assert latencies.between(60, 180, by_clock=False).tolist() == [250]
    assert [latencies.days_begun(*span) for span in ((60, 240), (121, 240))] == [1, 0]
    assert Latencies().days_begun(0, 240) == len(Latencies().between(0, 240)) == 0


@pytest.mark.parametrize(("patience", "is_first"), [(60, True), (60, False), (0, False)])
def test_a_load_with_a_midnight_leaves_time_for_its_warm_up(patience: int, is_first: bool) -> None:
    now = time.time() * SECOND
    load = Load(100, 50_000, visits_each=6, messages_each=2)
    load = planned(load, Plan(2, 60, 10, patience, 25_000, is_first))
    wait = load.first_minute - now
    assert wait > 16 * SECOND  # 400,000 records at 25,000 a second
    told_at = now if is_first else now - DAY
    assert load.warm_from == pytest.approx(told_at, abs=5 * SECOND)
    assert (load.runs, load.run_ms, load.records) == (70, SECOND, 100)
    if patience:
        midnight = datetime.fromtimestamp(load.first_minute / SECOND + 60, zone(load.zone))
        assert (midnight - timedelta(seconds=1)).date() < midnight.date()
    else:
        assert (load.zone, wait < 2 * MINUTE) == ("", True)


def test_all_tenants_of_a_load_with_a_zone_change_day_at_its_midnight() -> None:
    midnight = ms("2026-06-10T18:15:00Z")
    load = Load(
        0, 800, lanes=2, runs=0, visits_each=6, first_minute=midnight - MINUTE,
        zone="Asia/Kathmandu", is_sleepless=True,
    )  # fmt: skip
    town = asked_town(load)
    for business in town.businesses:
        told = parse_settings(business.settings, "settings")
        assert (told.timezone, told.quiet_hours) == ("Asia/Kathmandu", (0, 0))
        assert {branch.zone for branch in business.branches} == {business.place.zone}
    states = filled(town, lambda _: None)
    last = [cause for state in states for cause in beat(state, midnight - 1, 2)]
    first = [cause for state in states for cause in beat(state, midnight + 5 * MINUTE, 2)]
    assert (last, len(first) > 10) == ([], True)
    assert set(first) <= {"time", "thresholds"}
