"""The fold's triggers, gate and funnel against a second, slow implementation."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decided import (
    TABLES,
    commands_of,
    decisions_of,
    funnel_of,
    sent_by,
    simulated,
    told_rows,
)
from tests.engine import run
from tests.life_rules import KINDS, answered, ruled_logs
from tests.logs import Record, lines_of
from tests.oracle_walk import Town


def assert_alike(log: list[Record]) -> dict[str, Town]:
    """The fold has decided what the simulator has, decision by decision."""
    lines = lines_of(log)
    streams, towns = run(lines), simulated(lines)
    expected = [decision for town in towns.values() for decision in town.said.decisions]
    assert sorted(decisions_of(streams), key=str) == sorted(expected, key=str)
    commands = [command for town in towns.values() for command in town.said.commands]
    assert sorted(commands_of(streams)) == sorted(commands)
    for table in TABLES:
        assert told_rows(streams, table) == funnel_of(towns, table)
    return towns


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=settings().max_examples // 2)  # all of them together are tried as well
@given(st.data())
def test_the_fold_decides_each_kind_of_trigger_as_the_simulator_does(
    kind: str, data: st.DataObject
) -> None:
    log = data.draw(ruled_logs((kind,)))
    assert_alike(log)


@given(ruled_logs(), st.integers(0, 2**32))
def test_the_fold_decides_everything_as_the_simulator_does_also_when_it_is_answered(
    log: list[Record], seed: int
) -> None:
    towns = assert_alike(log)
    assert_alike(answered(log, Random(seed), sent_by(towns)))
