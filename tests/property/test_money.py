"""However the log of visits and payments is cut, and whenever it is cleaned, the same comes out."""

from __future__ import annotations

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from operators.fold import close
from operators.prune import prune
from state.lane import LaneState
from state.snapshots import SnapshotStore
from tests.engine import ID_KEY, Streams, comparable, feed, pieces, run
from tests.logs import (
    DAY,
    HOUR,
    MINUTE,
    Record,
    client,
    heartbeat,
    lines_of,
    local,
    payment,
    record,
    sale,
    settings,
    wall,
)

TENANT = "t1"
ZONES = ("Asia/Almaty", "UTC", "America/New_York")
PHONES = ("+77011234567", "+77017654321")
SCORINGS = (
    {"window_days": 5},
    {"window_days": 9, "monetary": [500_000, 200_000]},
    {"window_days": 4, "frequency": [2, 1]},
)
FINGERPRINT: dict[str, object] = {"fold": "test", "lanes": 1}


class Till:
    """Draws a log of a few visits, payments and sales that name one another."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.zone = chance.choice(ZONES)
        self.now = local("2026-06-10 12:00", "UTC")

    def log(self, size: int) -> list[Record]:
        """Settings and about ``size`` records, often near midnight."""
        chance = self.chance
        log = [self._settings()]
        for _ in range(size):
            steps = (0, 0, MINUTE, 2 * MINUTE, HOUR, 7 * HOUR, DAY, 3 * DAY)
            self.now += chance.choice(steps)
            if chance.random() < 0.15:
                self.now = (self.now // DAY + 1) * DAY + chance.randrange(-6, 7) * MINUTE
            kinds = (self._visit, self._visit, self._payment, self._payment, self._sale, self._card)
            log.append(chance.choice(kinds)())
            if chance.random() < 0.05:
                log.append(self._settings())
            if chance.random() < 0.05:
                log.append(dict(chance.choice(log[1:])) | {"received_at": log[-1]["received_at"]})
        log.append(heartbeat(self.now + chance.choice((0, 1, 6)) * DAY))
        return log

    def _settings(self) -> Record:
        chance = self.chance
        rules: Record = {"scoring": chance.choice(SCORINGS)}
        rules |= {"currency": chance.choice(("KZT", "JPY"))}
        rules |= {"average_check_minor": chance.choice((None, 100_000))}
        zone = chance.choice((self.zone, self.zone, *ZONES))
        return settings(TENANT, self.now, timezone=zone, **rules)

    def _told(self) -> dict[str, object]:
        """What every record tells: when, which version, whose."""
        chance = self.chance
        days = chance.choice((0, 0, 0, 1, 2, 3, 4, 6, -1, -2))
        at = self.now - days * DAY - chance.choice((0, 1, 60)) * MINUTE
        version = chance.choice((None, 1, 2, 3, 4, 5, 6))
        who, phone = chance.choice((None, 1, 1, 2, 3)), chance.choice((None, None, *PHONES))
        return {"date": wall(at, self.zone), "version": version, "client": who, "phone": phone}

    def _visit(self) -> Record:
        chance, told = self.chance, self._told()
        told["attendance"] = chance.choice((1, 1, 1, 0, -1))
        told["deleted"] = chance.random() < 0.1
        told["costs"] = ((chance.choice((0, 1000, 2500.5)), 1),)
        told["unit"] = chance.choice((1, 1, 2, 3))
        return record(TENANT, self.now, chance.randrange(1, 5), **told)  # type: ignore[arg-type]

    def _payment(self) -> Record:
        chance, told = self.chance, self._told()
        told["deleted"] = chance.random() < 0.15
        told["unit"] = chance.choice((None, 1, 1, 2, 3))
        told["sale"] = chance.choice((None, None, 1, 2))
        amount = chance.choice((4000, 1500, -1000, -7000, 0, 0.5))
        number = chance.randrange(1, 5)
        return payment(TENANT, self.now, number, amount, **told)  # type: ignore[arg-type]

    def _sale(self) -> Record:
        chance, told = self.chance, self._told()
        told["deleted"] = chance.random() < 0.15
        told["unit"] = chance.choice((None, 1, 2))
        return sale(TENANT, self.now, chance.randrange(1, 3), 700, **told)  # type: ignore[arg-type]

    def _card(self) -> Record:
        chance = self.chance
        who, phone = chance.choice((1, 2, 3)), chance.choice((None, *PHONES))
        version = chance.choice((None, 1, 2, 3))
        return client(TENANT, self.now, who, phone=phone, version=version)


class Lines(list[bytes]):
    """Lines whose repr does not fill the terminal."""

    def __repr__(self) -> str:
        return f"<{len(self)} lines>"


def logs(most: int) -> st.SearchStrategy[Lines]:
    """Logs that shrink."""
    return st.builds(
        lambda chance, size: Lines(lines_of(Till(chance).log(size))),
        st.randoms(use_true_random=False),
        st.integers(1, most),
    )


def seeded(size: int) -> st.SearchStrategy[Lines]:
    """Longer logs from a seed."""
    return st.integers(0, 2**32).map(lambda seed: Lines(lines_of(Till(Random(seed)).log(size))))


def clean_run(lines: list[bytes], cuts: set[int], cleaned: set[int]) -> Streams:
    """The log in pieces; after some of them what is beyond its horizon is freed."""
    states, streams = {0: LaneState(0, id_key=ID_KEY)}, Streams()
    for start, stop in pieces(len(lines), cuts):
        feed(states, lines, start, stop, streams)
        if stop in cleaned:
            prune(states[0], states[0].clock_ms)
    streams.add(close(states[0]))
    return streams


@given(logs(25) | seeded(60), st.data())
def test_any_cut_and_any_clean_up_give_the_same_bytes(lines: Lines, data: st.DataObject) -> None:
    cuts = data.draw(st.sets(st.integers(1, len(lines)), max_size=20))
    cleaned = data.draw(st.sets(st.sampled_from(sorted(cuts)))) if cuts else set()
    whole, cut = run(lines), clean_run(lines, cuts, cleaned)
    assert comparable(cut) == comparable(whole)
    assert cut.digests == whole.digests


@given(seeded(80))
def test_one_record_at_a_time_and_a_clean_up_after_each_give_the_same_bytes(lines: Lines) -> None:
    every = set(range(1, len(lines)))
    whole, single = run(lines), clean_run(lines, every, every)
    assert comparable(single) == comparable(whole)


@given(seeded(60), st.data())
def test_a_restored_lane_goes_on_with_the_same_money(lines: Lines, data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(lines) - 1))
    states, streams = {0: LaneState(0, id_key=ID_KEY)}, Streams()
    feed(states, lines, 0, cut, streams)
    with TemporaryDirectory() as folder:
        store = SnapshotStore(Path(folder).as_uri(), FINGERPRINT)
        store.save(states[0])
        fresh = SnapshotStore(Path(folder).as_uri(), FINGERPRINT)
        restored = {0: fresh.restore(0, ID_KEY, at_most=len(lines))}
    feed(restored, lines, cut, len(lines), streams)
    streams.add(close(restored[0]))
    assert comparable(streams) == comparable(run(lines))
