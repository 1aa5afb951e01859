"""Write visits as commands tell them, and the occasions that they are: many at once.

In:    rows of visits, with the instants at which they start
Out:   ``Visit``; ``visit:<provider>:<branch>:<id>@<start minute>``
State: read only
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from operators.texts import instant_texts, minute_text
from schemas.batch import I8, SERVICES_SEPARATOR
from schemas.outputs import Visit
from state.index import Rows
from state.lane import LaneState


def told_visits(
    state: LaneState, groups: Sequence[Sequence[int]], start_ms: I8, local_ms: I8
) -> list[Visit]:
    """A ``Visit`` for each group of rows, which are in order of their start.

    ``start_ms`` and ``local_ms`` are when each group starts, and what the clock on the wall says.
    """
    visits, words = state.visits, state.words.text
    firsts = np.fromiter((group[0] for group in groups), np.int32, len(groups))
    told = []
    for group, identity, service, name, start, local in zip(
        groups,
        visit_ids(state, firsts),
        visits.services[firsts].tolist(),
        visits.staff[firsts].tolist(),
        instant_texts(start_ms),
        instant_texts(local_ms),
        strict=True,
    ):
        assert start is not None
        assert local is not None
        if len(group) == 1:
            services = service_titles(state, service)
            staff = [words[name]] if name >= 0 else []
            told.append(Visit([identity], start, local[:-1], services, staff))
        else:
            told.append(_several(state, group, start, local[:-1]))
    return told


def visit_occasions(state: LaneState, visits: Rows, start_ms: I8) -> list[str]:
    """What the occasions of visits at their starts are called."""
    scopes, scope = state.scopes, state.visits.scope[visits]
    provider, branch = scopes.provider[scope].tolist(), scopes.branch[scope].tolist()
    return [
        f"visit:{each}:{place}:{identity}@{minute_text(start)}"
        for each, place, identity, start in zip(
            provider, branch, visit_ids(state, visits), start_ms.tolist(), strict=True
        )
    ]


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
