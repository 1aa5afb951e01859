"""What the fold counts is what its streams say, and a census is what its profiles say."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache

from operators.decode import decode
from operators.fold import close, fold
from state.census import UNWATCHED, take_census
from state.lane import LaneState
from tests.engine import ID_KEY, Streams, chunk_of, pieces
from tests.logs import lines_of, ms, settings, visit
from tests.recovery.log import life

RECORDS = 4_000
LINES = list(life(RECORDS, seed=11))
WATCHED = json.loads(LINES[0])["tenant"]


@cache
def folded(every: int) -> tuple[Counter[tuple[str, ...]], Streams]:
    """Counts and outputs of the log in pieces of so many records, and of its close."""
    counts: Counter[tuple[str, ...]] = Counter()
    streams = Streams(states={0: LaneState(0, ID_KEY)})
    for start, stop in pieces(RECORDS, range(0, RECORDS, every)):
        for batch in decode(chunk_of(LINES, start, stop), 1):
            outputs = fold(streams.states[0], batch)
            counts.update(outputs.counts)
            streams.add(outputs)
    streams.add(close(streams.states[0]))
    return counts, streams


def named(counts: Counter[tuple[str, ...]], name: str) -> Counter[tuple[str, ...]]:
    """The labels under which something was counted, and how often."""
    return Counter({key[1:]: times for key, times in counts.items() if key[0] == name})


def test_every_record_is_counted_by_its_kind() -> None:
    counts, _ = folded(RECORDS)
    assert named(counts, "records").total() == RECORDS


def test_decisions_are_counted_by_outcome_and_reason() -> None:
    counts, streams = folded(RECORDS)
    told = Counter((row["outcome"], row["reason"] or "") for row in streams.rows("decisions"))
    assert told
    assert told == named(counts, "decisions")


def test_segment_changes_are_counted_by_cause() -> None:
    counts, streams = folded(RECORDS)
    told = Counter((row["cause"],) for row in streams.rows("segments"))
    assert len(told) > 1
    assert told == named(counts, "segment_changes")


def test_late_events_are_those_of_the_minutes() -> None:
    counts, streams = folded(RECORDS)
    rows = [row for row in streams.rows("aggregates") if row["table"] == "webhooks_minutely"]
    last = {(row["tenant"], row["provider"], row["minute"]): row["late"] for row in rows}
    assert sum(last.values()) == counts["late_events",] > 0


def test_webhooks_of_a_tenant_are_counted_until_its_settings_come() -> None:
    at = ms("2026-11-20T10:00:00Z")
    log = [
        visit("bare", at, "v-1"),
        visit("told", at, "v-1"),
        settings("told", at),
        visit("told", at, "v-2"),
        visit("bare", at, "v-2"),
    ]
    state = LaneState(0, ID_KEY)
    [batch] = decode(chunk_of(lines_of(log), 0, len(log)), 1)
    assert fold(state, batch).counts["ignored", "settings"] == 3


def test_any_cutting_of_the_log_counts_the_same() -> None:
    counts, _ = folded(RECORDS)
    assert folded(97)[0] == counts


def test_a_census_counts_the_customers_of_the_profiles() -> None:
    _, streams = folded(RECORDS)
    told = Counter((row["segment"], UNWATCHED) for row in streams.profiles().values())
    census = take_census(streams.states[0])
    assert +census.customers == told
    assert census.rows["customers"] >= told.total()
    assert census.bytes > 0


def test_a_census_tells_a_watched_tenant_apart() -> None:
    _, streams = folded.__wrapped__(RECORDS)  # one of its own, for it goes on
    state = streams.states[0]
    given = json.loads(LINES[0])["settings"]
    watched = settings(WATCHED, state.clock_ms, **given | {"watched": True})
    [batch] = decode(chunk_of(lines_of([watched]), 0, 1), 1)
    fold(state, batch)
    census = take_census(state)
    tenants = Counter(row["tenant"] for row in streams.profiles().values())
    apart = sum(times for (_, tenant), times in census.customers.items() if tenant == WATCHED)
    assert apart == tenants[WATCHED] > 0
    assert census.customers.total() == tenants.total()
