"""Follow a log day by day: what each tenant-local midnight meets, over the facts told before it.

Takes: record lines in log order; a visitor of midnights
Out:   every tenant's ledger at the end; ``Midnight``: the ledger as of the new day's first instant
Source: a tenant's midnight comes before the first record of its lane whose clock has reached it
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.oracle import take
from tests.oracle_ledger import Ledger
from tests.oracle_rows import Told, read
from tests.oracle_times import midnight_of


@dataclass
class Midnight:
    """A tenant's day begins; ``ledger`` holds what was told before, at the midnight's instant."""

    ledger: Ledger
    day: int
    at: int
    position: int  # of the record that lets the time pass


@dataclass
class Step:
    """One record has been taken, after every midnight before it; ``repeats``: facts known."""

    told: Told
    ledgers: dict[str, Ledger]
    repeats: int


def days(
    lines: Sequence[bytes],
    lanes: int,
    id_key: bytes,
    begin: Callable[[Midnight], None],
    took: Callable[[Ledger], None] = lambda _ledger: None,
) -> Iterator[Step]:
    """Every record in turn, in log order.

    ``begin`` is called for each midnight between, ``took`` after each fact of a record.
    """
    ledgers: dict[int, dict[str, Ledger]] = defaultdict(dict)
    awaited: dict[str, int] = {}
    for told in read(lines, lanes):
        lane = ledgers[told.lane]
        if lane:
            _pass(lane, awaited, told, begin)
        repeats = take(lane, told, id_key, took)
        if told.tenant is not None and (told.tenant not in awaited or told.settings is not None):
            awaited[told.tenant] = _next_midnight(lane[told.tenant], told.clock)
        yield Step(told, lane, repeats)


def _pass(
    lane: dict[str, Ledger],
    awaited: dict[str, int],
    told: Told,
    begin: Callable[[Midnight], None],
) -> None:
    """All midnights of a gap, in their order."""
    while (at := min(awaited[tenant] for tenant in lane)) <= told.clock:
        for tenant, ledger in lane.items():
            if awaited[tenant] == at:
                ledger.clock = at
                begin(Midnight(ledger, ledger.today, at, told.position))
                awaited[tenant] = _next_midnight(ledger, at)


def _next_midnight(ledger: Ledger, at: int) -> int:
    clock, ledger.clock = ledger.clock, at
    day = ledger.today
    ledger.clock = clock
    return midnight_of(day + 1, ledger.rules.timezone)
