"""However the log is cut, crashed or repeated, the same bytes come out at the same positions."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from operators.fold import close
from schemas.batch import Message
from state.lane import LaneState
from state.snapshots import SnapshotStore
from state.tenants import EVERYWHERE
from tests.engine import ID_KEY, Row, Streams, comparable, feed, pieces, run
from tests.life import large_logs, logs
from tests.logs import DAY, Record, heartbeat, lines_of, ms, settings, trigger, visit

FINGERPRINT: dict[str, object] = {"fold": "test", "lanes": 2}


@given(logs(), st.integers(1, 3), st.data())
def test_any_cutting_of_the_log_gives_the_same_bytes(
    lines: list[bytes], lanes: int, data: st.DataObject
) -> None:
    cuts = data.draw(st.sets(st.integers(1, len(lines)), max_size=20))
    whole, cut = run(lines, lanes), run(lines, lanes, cuts, restarts=[*cuts][::2])
    assert comparable(cut) == comparable(whole)
    assert cut.digests == whole.digests


@given(logs())
def test_one_record_at_a_time_gives_the_same_bytes(lines: list[bytes]) -> None:
    every = range(len(lines))
    whole = run(lines)
    for restarts in ((), every[::2], every[1::2]):
        single = run(lines, cuts=every, restarts=restarts)
        assert comparable(single) == comparable(whole)
        assert single.digests == whole.digests


def test_cleaning_up_between_two_batches_changes_nothing() -> None:
    """The visit has left the window and is freed, or not yet, when its record comes again."""
    day = ms("2026-06-01T09:00:00Z")
    told = {"status": "confirmed", "starts_at": day + 5 * DAY}
    log = [
        settings("t1", day, scoring={"window_days": 5}),
        visit("t1", day + DAY, "v1", version=1, client="crm-1", phone="+77011234567", **told),
        visit("t1", day + 15 * DAY, "v2", version=1, phone="+77017654321", **told),
        visit("t1", day + 19 * DAY, "v1", version=2, client="crm-2", phone="+77010000001",
              status="cancelled", starts_at=day + 18 * DAY),
    ]  # fmt: skip
    lines = lines_of(log)
    assert comparable(run(lines, cuts=range(len(lines)))) == comparable(run(lines))


def test_reminders_due_at_once_have_one_order_after_a_crash_as_well() -> None:
    """Two branches, told in one order before the snapshot and freed from their rows since."""
    day = ms("2026-06-01T09:00:00Z")
    told: Row = {"status": "booked", "phone": "+77011234567", "starts_at": day + 40 * DAY}
    old = {"status": "booked", "phone": "+77011234567", "starts_at": day + DAY}
    log = [
        settings("t1", day, triggers=[trigger("reminder", before="24h")]),
        *(visit("t1", day, f"old{n}", version=1, branch=f"b{n}", **old) for n in (3, 1, 2)),
        *(visit("t1", day, f"v{n}", version=1, branch=f"b{n}", **told) for n in (2, 3, 1)),
        *(visit("t1", day + DAY, f"w{n}", version=1, branch=f"b{n}", **told) for n in (5, 4)),
        heartbeat(day + 41 * DAY),
    ]
    lines = lines_of(log)
    whole = run(lines)
    assert len(whole.rows("decisions")) >= 5
    for cut in range(1, len(lines)):
        with TemporaryDirectory() as folder:
            spans = pieces(len(lines), [cut])
            resumed = crash_and_resume(lines, 1, spans, {0}, Path(folder))
        for key, messages in resumed.messages.items():
            assert whole.messages[key][len(whole.messages[key]) - len(messages) :] == messages


@given(logs())
def test_a_prefix_of_the_log_gives_a_prefix_of_the_streams_in_order(lines: list[bytes]) -> None:
    whole = run(lines, ended=False)
    prefix = run(lines[: len(lines) // 2], ended=False)
    for key, messages in prefix.messages.items():
        assert whole.messages[key][: len(messages)] == messages
    for messages in whole.messages.values():
        positions = [message.position for message in messages]
        assert positions == sorted(positions)
        assert 0 <= positions[0] <= positions[-1] < len(lines)


@given(logs(), st.integers(1, 3), st.data())
def test_a_crash_after_a_snapshot_changes_nothing(
    lines: list[bytes], lanes: int, data: st.DataObject
) -> None:
    cuts = data.draw(st.sets(st.integers(1, len(lines)), max_size=12))
    spans = pieces(len(lines), cuts)
    saves = data.draw(st.sets(st.integers(0, len(spans) - 1), min_size=1, max_size=4))
    whole = run(lines, lanes)
    with TemporaryDirectory() as folder:
        resumed = crash_and_resume(lines, lanes, spans, saves, Path(folder))
    for key, messages in resumed.messages.items():
        owed = whole.messages[key]
        assert owed[len(owed) - len(messages) :] == messages
    assert resumed.digests == whole.digests


def crash_and_resume(
    lines: list[bytes],
    lanes: int,
    spans: list[tuple[int, int]],
    saves: set[int],
    folder: Path,
    countries: frozenset[str] = EVERYWHERE,
) -> Streams:
    """Save after some pieces, die after the last one, restore the newest snapshot, go on from it.

    Each lane must owe everything from the snapshot on: what the restored lanes said is compared
    with the end of what an undisturbed run said, and nothing before the snapshot comes again.
    """
    store = SnapshotStore(folder.as_uri(), FINGERPRINT)
    states = {lane: LaneState(lane, ID_KEY, countries) for lane in range(lanes)}
    before = Streams()
    owed: dict[tuple[int, str], int] = {}
    resume = 0
    for number, (start, stop) in enumerate(spans):
        feed(states, lines, start, stop, before)
        if number in saves:
            for state in states.values():
                store.save(state)
            owed = {key: len(messages) for key, messages in before.messages.items()}
            resume = stop
    fresh = SnapshotStore(folder.as_uri(), FINGERPRINT)
    restored = {lane: fresh.restore(lane, ID_KEY, len(lines), countries) for lane in range(lanes)}
    after = Streams()
    for start, stop in spans:
        if start >= resume:
            feed(restored, lines, start, stop, after)
    for state in restored.values():
        after.add(close(state))
    whole = run(lines, lanes, countries=countries)
    for key, messages in whole.messages.items():
        assert len(messages) == owed.get(key, 0) + len(after.messages[key]), key
    return after


@given(large_logs(orderly=True), st.integers(0, 2**32))
def test_a_record_that_comes_again_changes_no_output(log: list[Record], seed: int) -> None:
    chance = Random(seed)
    twice = list(log)
    for record in chance.sample(log, len(log) // 5):
        first = next(n for n, each in enumerate(twice) if each is record)
        soon = record["kind"] != "webhook"  # settings that come again later are a change
        place = first + 1 if soon else chance.randrange(first + 1, len(twice) + 1)
        twice.insert(place, dict(record))
    once, again = run(lines_of(log)), run(lines_of(twice))
    for stream in ("commands", "decisions", "segments"):
        assert without_positions(again, stream) == without_positions(once, stream)
    assert last_rows(again) == last_rows(once)


def without_positions(streams: Streams, stream: str) -> list[tuple[bytes, Row]]:
    """Keys and rows, position left out."""
    messages: list[Message] = [
        message
        for (_, name), each in streams.messages.items()
        if name == stream
        for message in each
    ]
    rows = [(message.key, json.loads(message.value)) for message in messages]
    return [(key, {k: v for k, v in row.items() if k != "position"}) for key, row in rows]


def last_rows(streams: Streams) -> dict[bytes, Row]:
    """What compaction leaves of profiles and aggregates, but for the counts of webhooks."""
    last = dict(without_positions(streams, "profiles") + without_positions(streams, "aggregates"))
    return {key: row for key, row in last.items() if row.get("table") != "webhooks_minutely"}


@given(large_logs(), st.integers(2, 4))
def test_the_number_of_lanes_changes_no_output(log: list[Record], lanes: int) -> None:
    """Where a heartbeat tells every lane each new time, so that all see it pass alike."""
    ticking: list[Record] = []
    clock = 0
    for record in log:
        if (at := ms(record.get("appended_at") or record["received_at"])) > clock:
            clock = at
            ticking.append(heartbeat(clock))
        ticking.append(record)
    lines = lines_of(ticking)
    assert all_messages(run(lines, lanes)) == all_messages(run(lines))


def all_messages(streams: Streams) -> Counter[tuple[str, Message]]:
    """Every output of whatever lane."""
    return Counter(
        (stream, message) for (_, stream), each in streams.messages.items() for message in each
    )
