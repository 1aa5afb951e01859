"""The benchmarks of triggers measure what they say they do."""

from __future__ import annotations

from benchmarks.triggers import TWELVE, against_none, due_minutes
from benchmarks.workload import Load
from schemas.triggers import KINDS, parse_triggers


def test_twelve_triggers_of_all_kinds_decide_something_under_the_same_log() -> None:
    rules = [rule | {"channels": ["sms"], "template": "x"} for rule in TWELVE]
    parsed = parse_triggers(rules, "triggers", frozenset())
    assert len(parsed) == 12
    assert {trigger.kind for trigger in parsed} == set(KINDS)
    told = against_none(Load(2_000, 400, lanes=2, runs=2), lambda _: None)
    assert told["decisions"] > 50
    assert len(told["losses"]) == 2


def test_in_each_kinds_minute_as_many_are_due_as_were_asked_for() -> None:
    told = due_minutes(Load(0, 300, lanes=2, runs=0, visits_each=2), 60, lambda _: None)
    assert {kind: each["due"] for kind, each in told["kinds"].items()} == dict.fromkeys(
        ("reminder", "birthday", "after_visit", "rebook", "winback", "no_show"), 60
    )
    assert told["decisions_of_quiet_minutes"] == 0
