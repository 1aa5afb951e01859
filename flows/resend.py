"""Send dead letters through the log again, each as the record that it was.

In:    letters, in their order; how many a second
Out:   records with their own key, value and headers, and a mark that tells where the letter stands;
       ``Resent``: what was sent, what cannot be, and where to go on
State: none; a letter is passed once its delivery is confirmed, so that a crash repeats a few
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

from flows.letters import DEAD, REPLAY_MARK, Letter, Places, Wanted
from flows.records import RecordsTopic
from flows.settings import append

BLOCK = 500


@dataclass
class Resent:
    """How far it came."""

    sent: int = 0
    again: int = 0
    """Of those sent: letters of records that had been replayed before."""
    passed: int = 0
    """Letters that were not meant."""
    unsendable: Counter[str] = field(default_factory=Counter)
    """By why they cannot be sent."""
    places: dict[int, int] = field(default_factory=dict)
    """By partition: the first letter that is still to be looked at."""
    finished: bool = False


class Outbox(Protocol):
    """Takes records; returns once all of them are where they belong."""

    def send(self, letters: list[Letter]) -> None:
        """Send them, in their order."""


def mark_of(letter: Letter, source: str) -> bytes:
    """Where the letter stands: ``flowsell.records.v1.dlq/3/17``."""
    return f"{source}/{letter.partition}/{letter.offset}".encode()


def why_not(letter: Letter, to_file: bool) -> str:
    """Why a letter cannot be sent as it was; empty if it can."""
    if letter.was_bytes is not None:
        return "truncated"
    if to_file and (letter.value is None or b"\n" in letter.value):
        return "no_line"
    return ""


def resend(
    letters: Iterable[Letter],
    wanted: Wanted,
    outbox: Outbox,
    *,
    to_file: bool,
    limit: int | None,
    pace: Pace,
    is_stopped: Callable[[], bool],
    reached: Callable[[Places], None],
    resent: Resent,
) -> None:
    """Send what is wanted; ``resent`` tells how far it came, also where this raises.

    ``reached`` hears of every place up to which all is delivered.
    """
    told = iter(letters)
    while not is_stopped() and (limit is None or resent.sent < limit):
        left = pace.most if limit is None else min(pace.most, limit - resent.sent)
        block, places, passed, unsendable = _block(told, wanted, left, to_file)
        if not places:
            resent.finished = True
            return
        pace.wait(len(block))
        outbox.send(block)
        resent.sent += len(block)
        resent.again += sum(bool(letter.marks) for letter in block)
        resent.passed += passed
        resent.unsendable.update(unsendable)
        resent.places |= places
        reached(resent.places)


def _block(
    letters: Iterator[Letter], wanted: Wanted, most: int, to_file: bool
) -> tuple[list[Letter], dict[int, int], int, Counter[str]]:
    """Up to so many letters to send, the places behind what was read, and what was left out."""
    block: list[Letter] = []
    places: dict[int, int] = {}
    unsendable: Counter[str] = Counter()
    passed = 0
    for letter in islice(letters, BLOCK):
        places[letter.partition] = letter.offset + 1
        if not wanted.takes(letter):
            passed += 1
        elif why := why_not(letter, to_file):
            unsendable[why] += 1
        else:
            block.append(letter)
            if len(block) == most:
                break
    return block, places, passed, unsendable


class Pace:
    """So many letters a second; without a rate as fast as they are taken."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._started = time.monotonic()
        self._sent = 0
        self.most = BLOCK if rate is None else max(1, min(BLOCK, int(rate / 5)))
        """How many are sent at once."""

    def wait(self, more: int) -> None:
        """Return when so many more may be sent."""
        if self._rate is not None:
            time.sleep(max(0.0, self._started + self._sent / self._rate - time.monotonic()))
        self._sent += more


class Nowhere:
    """The outbox of a dry run."""

    def send(self, letters: list[Letter]) -> None:
        """Sends nothing."""


class LogFile:
    """The end of a log; lines have no headers, so they carry no mark."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, letters: list[Letter]) -> None:
        """Append the values as lines."""
        if letters:
            append(self._path, [letter.value or b"" for letter in letters])


class Log:
    """The records topic."""

    def __init__(self, topic: RecordsTopic, source: str, rekey: bool) -> None:
        self._topic = topic
        self._source = source
        self._rekey = rekey

    def send(self, letters: list[Letter]) -> None:
        """Returns once the log has them; raises ``EngineError``."""
        for letter in letters:
            key = letter.key
            if (self._rekey or (key is None and self._source != DEAD)) and letter.named_tenant:
                key = letter.named_tenant.encode()
            # A record without a key was in some lane by chance: it goes there again.
            lane = letter.origin.partition if key is None else None
            mark = (REPLAY_MARK, mark_of(letter, self._source))
            self._topic.append(letter.value, key, lane, [*letter.headers, mark])
        self._topic.settle()
