"""What is answered to commands changes later ones alike, however the log is cut or cleaned."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tests.answers import answered
from tests.engine import Row, comparable, run
from tests.life import large_logs
from tests.logs import Record, lines_of
from tests.property.test_cleanup import ALWAYS, NEVER, cleaned

FINAL = {"sent", "refused", "holdout"}


@given(large_logs(), st.integers(0, 2**32), st.data())
def test_answers_are_heard_in_their_order_however_the_log_is_cut(
    log: list[Record], seed: int, data: st.DataObject
) -> None:
    lines = lines_of(answered(log, Random(seed)))
    whole, single = run(lines), run(lines, cuts=range(len(lines)))
    assert comparable(single) == comparable(whole)
    cuts = data.draw(st.sets(st.integers(1, len(lines)), max_size=20))
    assert comparable(run(lines, cuts=cuts, restarts=[*cuts][::2])) == comparable(whole)


@given(large_logs(), st.integers(0, 2**32))
def test_cleaning_up_changes_nothing_of_what_the_gate_remembers(
    log: list[Record], seed: int
) -> None:
    lines = lines_of(answered(log, Random(seed)))
    always = cleaned(lines, ALWAYS, range(len(lines)))
    assert comparable(always) == comparable(cleaned(lines, NEVER, set()))


@given(large_logs(), st.integers(0, 2**32))
def test_every_due_trigger_has_at_most_one_final_decision_and_none_goes_out_unasked(
    log: list[Record], seed: int
) -> None:
    streams = run(lines_of(answered(log, Random(seed))))
    rows: list[Row] = streams.rows("decisions")
    finals = [row["command_id"] for row in rows if row["outcome"] in FINAL]
    assert len(finals) == len(set(finals))
    held = {row["command_id"] for row in rows if row["outcome"] == "held"}
    assert len(held) == sum(row["outcome"] == "held" for row in rows)
    sent = {row["command_id"] for row in rows if row["outcome"] == "sent"}
    told = [row["command_id"] for row in streams.rows("commands") if not row["withdrawn"]]
    assert sorted(told) == sorted(sent)
