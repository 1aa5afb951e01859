"""Tenants that move from country to country, in a deployment for some countries alone."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from tests.engine import Row, Streams, comparable, pieces, run
from tests.life import PLACES, Lines, large_logs, small_logs
from tests.logs import Record, history, lines_of, ms, settings
from tests.property.test_cleanup import ALWAYS, NEVER, cleaned
from tests.property.test_cuts import crash_and_resume


class Moves(NamedTuple):
    """A log in which tenants move, and the countries that are ours."""

    log: list[Record]
    countries: frozenset[str]

    @property
    def lines(self) -> list[bytes]:
        return Lines(lines_of(self.log))


def times_of(told: Record) -> Record:
    """When the record came, in all ways in which it says so."""
    return {key: told[key] for key in ("received_at", "appended_at") if key in told}


@st.composite
def moves(draw: st.DrawFn) -> Moves:
    """Settings of another country, of one of ours and of none, anywhere in a life."""
    log = list(draw(st.one_of(small_logs(), large_logs())))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(log) - 1))
        tenant = draw(st.sampled_from(PLACES)).tenant
        country = draw(st.sampled_from(("KZ", "RU", "DE", None)))
        told = settings(tenant, ms(log[at]["received_at"]), country=country)
        if draw(st.integers(0, 4)) == 0:
            told = history(tenant, ms(log[at]["received_at"]))
        log.insert(at, told | times_of(log[at]))
    countries = draw(st.sets(st.sampled_from(("KZ", "RU", "DE")), min_size=1, max_size=3))
    return Moves(log, frozenset(countries))


def abroad(moves: Moves) -> list[int]:
    """The records that come from abroad, told from the log alone."""
    where: dict[str, str] = {}
    found = []
    for position, told in enumerate(moves.log):
        if told["kind"] == "settings" and told["settings"].get("country"):
            where[told["tenant"]] = told["settings"]["country"]
        country = where.get(told.get("tenant", ""))
        if country and country not in moves.countries and told["kind"] != "forget":
            found.append(position)
    return found


@given(moves(), st.integers(1, 3), st.data())
def test_any_cutting_of_a_log_with_moves_gives_the_same_bytes(
    moves: Moves, lanes: int, data: st.DataObject
) -> None:
    lines = moves.lines
    cuts = data.draw(st.sets(st.integers(1, len(lines)), max_size=20))
    whole = run(lines, lanes, countries=moves.countries)
    every = range(len(lines))
    for where, restarts in ((cuts, [*cuts][::2]), (every, ()), (every, every[::2])):
        cut = run(lines, lanes, where, restarts=restarts, countries=moves.countries)
        assert comparable(cut) == comparable(whole)
        assert cut.digests == whole.digests
        assert sorted(cut.dead) == sorted(whole.dead)
        assert +cut.counts == +whole.counts


@given(moves())
def test_cleaning_up_changes_nothing_where_tenants_move(moves: Moves) -> None:
    always = cleaned(moves.lines, ALWAYS, range(len(moves.log)), moves.countries)
    never = cleaned(moves.lines, NEVER, set(), moves.countries)
    assert comparable(always) == comparable(never)
    assert sorted(always.dead) == sorted(never.dead)


@given(moves(), st.integers(1, 3), st.data())
def test_a_crash_after_a_snapshot_forgets_no_country(
    moves: Moves, lanes: int, data: st.DataObject
) -> None:
    lines = moves.lines
    spans = pieces(len(lines), data.draw(st.sets(st.integers(1, len(lines)), max_size=12)))
    saves = data.draw(st.sets(st.integers(0, len(spans) - 1), min_size=1, max_size=4))
    whole = run(lines, lanes, countries=moves.countries)
    with TemporaryDirectory() as folder:
        resumed = crash_and_resume(lines, lanes, spans, saves, Path(folder), moves.countries)
    for key, messages in resumed.messages.items():
        owed = whole.messages[key]
        assert owed[len(owed) - len(messages) :] == messages
    assert resumed.digests == whole.digests
    owed_dead = sorted(whole.dead)
    assert owed_dead[len(owed_dead) - len(resumed.dead) :] == sorted(resumed.dead)


@given(moves())
def test_every_record_from_abroad_is_a_dead_letter_with_its_bytes(moves: Moves) -> None:
    lines = moves.lines
    unusable = {letter.position for letter in run(lines).dead}
    streams = run(lines, countries=moves.countries)
    positions = [letter.position for letter in streams.dead]
    assert positions == sorted(unusable | {*abroad(moves)})
    assert [letter.value for letter in streams.dead] == [lines[at] for at in positions]
    refused = [letter for letter in streams.dead if letter.stage == "residence"]
    assert {letter.reason for letter in refused} <= {"tenant"}
    assert [letter.position for letter in refused] == sorted({*abroad(moves)} - unusable)


@given(moves())
def test_what_comes_from_abroad_only_lets_time_pass(moves: Moves) -> None:
    """As if a heartbeat stood in its place, but for the counts of webhooks."""
    quiet = list(moves.log)
    for at in abroad(moves):
        quiet[at] = {"kind": "heartbeat"} | times_of(quiet[at])
    refused = run(moves.lines, countries=moves.countries)
    silent = run(lines_of(quiet))
    assert without_minutes(refused) == without_minutes(silent)
    events = [
        {key: n for key, n in s.counts.items() if key[0] == "events"} for s in (refused, silent)
    ]
    assert events[0] == events[1]
    assert kept(refused) == kept(silent)


def without_minutes(streams: Streams) -> dict[str, list[Row]]:
    """Every stream's rows."""
    rows = {stream: streams.rows(stream) for _, stream in streams.messages}
    return {
        stream: left
        for stream, each in rows.items()
        if (left := [row for row in each if row.get("table") != "webhooks_minutely"])
    }


def kept(streams: Streams) -> dict[str, int]:
    """How many rows the lane keeps, but for what it counts of webhooks."""
    tables = streams.states[0].tables
    counted = ("minutes", "scopes", "tenants")
    return {name: len(table) for name, table in tables.items() if name not in counted}


@given(moves())
def test_webhooks_from_abroad_are_counted_as_dead(moves: Moves) -> None:
    streams = run(moves.lines, countries=moves.countries)
    rows = [row for row in streams.rows("aggregates") if row["table"] == "webhooks_minutely"]
    last = {(row["tenant"], row["provider"], row["minute"]): row for row in rows}
    webhooks = [at for at, told in enumerate(moves.log) if told["kind"] == "webhook"]
    dead = {letter.position for letter in streams.dead} & {*webhooks}
    assert sum(row["records"] for row in last.values()) == len(webhooks)
    assert sum(row["dead"] for row in last.values()) == len(dead)


@given(moves())
def test_where_all_countries_are_ours_nothing_is_refused(moves: Moves) -> None:
    lines = moves.lines
    ours = run(lines, countries=frozenset({"KZ", "RU", "DE", "US"}))
    everywhere = run(lines)
    assert comparable(ours) == comparable(everywhere)
    assert ours.dead == everywhere.dead
