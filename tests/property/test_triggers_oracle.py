"""The fold's triggers, gate and funnel against a second, slow implementation, as far as built."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decided import (
    WHOLE,
    Scope,
    commands_of,
    decisions_of,
    funnel_of,
    sent_by,
    simulated,
    told_rows,
)
from tests.engine import run
from tests.life_rules import answered, ruled_logs
from tests.logs import Record, lines_of
from tests.oracle_walk import Town


def assert_alike(log: list[Record], scope: Scope) -> dict[str, Town]:
    """The fold has decided what the simulator has, decision by decision."""
    lines = lines_of(log)
    streams, towns = run(lines), simulated(lines, scope)
    expected = [decision for town in towns.values() for decision in town.said.decisions]
    assert sorted(decisions_of(streams), key=str) == sorted(expected, key=str)
    commands = [command for town in towns.values() for command in town.said.commands]
    assert sorted(commands_of(streams)) == sorted(commands)
    for table in scope.tables:
        assert told_rows(streams, table) == funnel_of(towns, table)
    return towns


@pytest.mark.parametrize("kind", WHOLE.kinds)
@settings(max_examples=settings().max_examples // 2)  # all of them together are tried as well
@given(st.data())
def test_the_fold_decides_each_kind_of_trigger_as_the_simulator_does(
    kind: str, data: st.DataObject
) -> None:
    log = data.draw(ruled_logs((kind,), WHOLE.simple))
    assert_alike(log, WHOLE)


@given(ruled_logs(WHOLE.kinds, WHOLE.simple), st.integers(0, 2**32))
def test_the_fold_decides_everything_as_the_simulator_does_also_when_it_is_answered(
    log: list[Record], seed: int
) -> None:
    towns = assert_alike(log, WHOLE)
    assert_alike(answered(log, Random(seed), sent_by(towns)), WHOLE)
