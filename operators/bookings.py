"""Write visits as commands tell them, and the occasions that they are: many at once.

In:    rows of visits, with the instants at which they start
Out:   ``Visit`` as JSON; ``visit:<provider>:<branch>:<id>@<start minute>``
State: read only
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.batch import I8, SERVICES_SEPARATOR
from schemas.forms import INSTANT, JSON, MINUTE, PLAIN, TEXT, WALL, Form
from schemas.outputs import Visit
from schemas.texts import instant_text, wall_text
from state.index import Rows
from state.lane import LaneState

_ENCODE = msgspec.json.Encoder().encode
_VISIT = Form(
    *(b'{"ids":[', TEXT, b'],"starts_at":', INSTANT, b',"local_start":"', WALL),
    *(b'","services":', JSON, b',"staff":', JSON, b"}"),
)
_OCCASION = Form(b"visit:", PLAIN, b":", PLAIN, b":", PLAIN, b"@", MINUTE)


def told_visits(
    state: LaneState,
    firsts: Rows,
    ids: list[str],
    several: dict[int, list[int]],
    start_ms: I8,
    local_ms: I8,
) -> list[bytes]:
    """A ``Visit`` for each day's first row; ``several`` has all rows of days that have more.

    ``ids`` are the firsts' own; ``start_ms`` and ``local_ms`` are when each day starts, and what
    the clock on the wall says.
    """
    visits, words = state.visits, state.words.text
    told = _VISIT.fill(
        ids,
        start_ms,
        local_ms,
        _each_told(visits.services[firsts], lambda word: service_titles(state, word)),
        _each_told(visits.staff[firsts], lambda word: [words[word]] if word >= 0 else []),
    )
    for at, row in enumerate(firsts.tolist()) if several else ():
        if row in several:
            start, local = instant_text(start_ms.item(at)), wall_text(local_ms.item(at))
            told[at] = _ENCODE(_several(state, several[row], start, local))
    return told


def runs_of(visits: Rows, starts: NDArray[np.intp]) -> dict[int, list[int]]:
    """Runs of more than one visit, each under its first; ``starts`` are where runs begin."""
    if len(starts) == len(visits):
        return {}
    sizes = np.diff(starts, append=len(visits))
    longer = (sizes > 1).nonzero()[0]
    return {
        visits.item(start): visits[start : start + size].tolist()
        for start, size in zip(starts[longer].tolist(), sizes[longer].tolist(), strict=True)
    }


def _each_told(words: Rows, tell: Callable[[int], list[str]]) -> list[bytes]:
    """The JSON of what each word tells; most words come again."""
    each = words.tolist()
    told = {word: _ENCODE(tell(word)) for word in set(each)}
    return [told[word] for word in each]


def visit_occasions(state: LaneState, visits: Rows, ids: list[str], start_ms: I8) -> list[str]:
    """What the occasions of visits at their starts are called, which have these ids."""
    scopes, scope = state.scopes, state.visits.scope[visits]
    provider, branch = scopes.provider[scope].tolist(), scopes.branch[scope].tolist()
    told = _OCCASION.fill(provider, branch, ids, start_ms)
    return list(map(bytes.decode, told))


def visit_ids(state: LaneState, visits: Rows) -> list[str]:
    """The provider's ids as text."""
    ids = list(map(str, state.visits.id[visits].tolist()))
    if len(state.visit_texts):
        texts = state.visit_texts.index.find(state.visits.key[visits])
        for at in (texts >= 0).nonzero()[0].tolist():
            ids[at] = state.visit_texts.text[texts[at]]
    return ids


def service_titles(state: LaneState, word: int) -> list[str]:
    """The titles of a list of services, none of -1; nobody changes what is returned."""
    return _titles(state.words.text[word]) if word >= 0 else []


def _several(state: LaneState, rows: Sequence[int], start: str, local: str) -> Visit:
    visits, words = state.visits, state.words.text
    services: list[str] = []
    staff: list[str] = []
    for row in rows:
        service, name = visits.services.item(row), visits.staff.item(row)
        services += service_titles(state, service)
        if name >= 0 and words[name] not in staff:
            staff.append(words[name])
    return Visit(visit_ids(state, np.array(rows, np.int32)), start, local, services, staff)


@lru_cache(maxsize=65_536)
def _titles(services: str) -> list[str]:
    return services.split(SERVICES_SEPARATOR)
