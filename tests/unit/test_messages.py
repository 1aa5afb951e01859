"""Each status of a message counts once; a receipt, a command or a phone tells whose it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from operators import messages
from operators.decode import decode
from operators.fold import fold
from schemas.keys import alias_customer_id, command_id, customer_id, text_keys
from state.lane import LaneState
from state.messages import THEIRS, UNASKED, command_keys, message_keys
from tests.bookings import DUE, START, TOLD, booked, rules
from tests.engine import ID_KEY, chunk_of, pieces
from tests.logs import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Record,
    envelope,
    heartbeat,
    lines_of,
    message_in,
    stamp,
)
from tests.people import BSUID, TENANT, is_written_to, writes

PHONE = 77011234567
SENT = command_id(TENANT, "reminder", f"visit:generic::v1@{stamp(START)[:16]}Z")

Counts = Counter[tuple[str, ...]]


def status(at: int, told: str = "delivered", id: str = "m1", **rest: Any) -> Record:
    """A status of a message, told ``ago`` after it happened."""
    body = {"type": "message_status", "message_id": id, "channel": "sms", "status": told}
    body |= {"at": stamp(at - rest.pop("ago", 0))} | rest
    return envelope("webhook", rest.pop("tenant", TENANT), at, provider="generic", body=body)


def receipt(at: int, command: str = SENT, id: str | None = "m1", **rest: Any) -> Record:
    told = {"command_id": command, "message_id": id, "channel": "sms", "status": "accepted"}
    return envelope("receipt", TENANT, at, **told | rest)


def folded(log: list[Record], cuts: Iterable[int] | None = None) -> tuple[LaneState, Counts]:
    """The lane and all counts after the log."""
    state, counts, lines = LaneState(0, id_key=ID_KEY), Counts(), lines_of(log)
    for start, stop in pieces(len(lines), cuts):
        for batch in decode(chunk_of(lines, start, stop), 1):
            counts.update(fold(state, batch).counts)
    return state, counts


def row_of(state: LaneState, id: str, tenant: str = TENANT) -> int:
    space = state.tenants.key[[state.tenants.row(tenant)]]
    return int(state.messages.index.find(message_keys(space, text_keys([id])))[0])


def command_row(state: LaneState, command: str = SENT) -> int:
    space = state.tenants.key[[state.tenants.row(TENANT)]]
    return int(state.messages.index.find(command_keys(space, text_keys([command])))[0])


def whose(state: LaneState, id: str = "m1") -> str | None:
    """The id of the customer behind a message."""
    customer = int(state.messages.customer[row_of(state, id)])
    return None if customer < 0 else state.customers.id[customer].decode()


def duplicates(*told: Record) -> int:
    """How many of these records' statuses came for the second time; a booking comes before them."""
    _, counts = folded([rules(), booked(TOLD), *told])
    return counts["duplicates", "generic"] + counts["duplicates", "receipt"]


def test_a_status_that_comes_again_is_a_duplicate() -> None:
    assert duplicates(status(TOLD), status(TOLD + SECOND), status(TOLD + 2 * SECOND)) == 2


def test_every_status_of_a_message_is_new_in_whatever_order() -> None:
    told = ("read", "sent", "delivered", "failed", "accepted")
    assert duplicates(*(status(TOLD + n, each) for n, each in enumerate(told))) == 0


def test_what_a_sender_answers_is_no_duplicate_of_what_its_provider_says() -> None:
    told = [receipt(TOLD), status(TOLD, "accepted"), receipt(TOLD, status="failed")]
    assert duplicates(*told, status(TOLD, "failed")) == 0
    assert duplicates(*told, receipt(TOLD), status(TOLD, "accepted")) == 2


def test_a_sender_that_failed_on_two_channels_has_said_two_things() -> None:
    first = receipt(TOLD, id=None, status="failed")
    second = receipt(TOLD, id=None, status="failed", channel="whatsapp")
    assert duplicates(first, second) == 0
    assert duplicates(first, second, second) == 1


def test_one_id_at_two_tenants_is_two_messages() -> None:
    assert duplicates(status(TOLD), status(TOLD, tenant="t2")) == 0


def test_a_message_that_a_customer_wrote_counts_once() -> None:
    wrote = message_in(TENANT, TOLD, "m1", "+77011234567")
    assert duplicates(wrote, wrote) == 1
    state, _ = folded([rules(), wrote])
    assert state.messages.command[row_of(state, "m1")] == THEIRS


def test_a_command_that_is_sent_awaits_its_message() -> None:
    state, _ = folded([rules(), booked(TOLD), heartbeat(DUE)])
    row = command_row(state)
    assert state.messages.command[row] == row
    assert state.customers.id[state.messages.customer[row]].decode() == _customer()


def _customer() -> str:
    return customer_id(ID_KEY, TENANT, PHONE)


def test_a_receipt_tells_whose_message_it_is() -> None:
    state, _ = folded([rules(), booked(TOLD), heartbeat(DUE), receipt(DUE + SECOND)])
    assert whose(state) == _customer()
    assert state.messages.command[row_of(state, "m1")] == command_row(state)


def test_a_status_that_names_the_command_needs_no_receipt() -> None:
    told = status(DUE + SECOND, command_id=SENT)
    state, _ = folded([rules(), booked(TOLD), heartbeat(DUE), told])
    assert whose(state) == _customer()


def test_a_command_of_another_tenant_is_none_of_ours() -> None:
    told = status(DUE + SECOND, command_id=SENT, tenant="t2")
    state, _ = folded([rules(), booked(TOLD), heartbeat(DUE), told])
    assert state.messages.command[row_of(state, "m1", "t2")] == UNASKED


def test_a_status_that_comes_before_its_receipt_waits_for_it() -> None:
    log = [rules(), booked(TOLD), heartbeat(DUE), status(DUE + SECOND), receipt(DUE + MINUTE)]
    log += [status(DUE + 10 * DAY)]
    state, counts = folded(log)
    assert whose(state) == _customer()
    assert counts["duplicates", "generic"] == 1


def test_a_status_waits_ten_minutes_for_its_receipt() -> None:
    for late, again in ((10 * MINUTE - 1, 1), (10 * MINUTE, 0)):
        assert duplicates(status(TOLD), status(TOLD + late)) == again


def test_every_hearing_makes_a_message_wait_longer() -> None:
    told = [status(TOLD + n * 9 * MINUTE, each) for n, each in enumerate(("sent", "read", "sent"))]
    assert duplicates(*told) == 1


def test_a_message_of_a_command_is_known_for_three_weeks() -> None:
    begin = [heartbeat(DUE), receipt(DUE + SECOND), status(DUE + HOUR)]
    assert duplicates(*begin, status(DUE + 21 * DAY - 1)) == 1
    assert duplicates(*begin, status(DUE + 21 * DAY)) == 0


def test_what_happened_more_than_three_weeks_ago_is_ignored() -> None:
    state, counts = folded([rules(), status(TOLD, ago=21 * DAY), status(TOLD, id="m2")])
    assert counts["ignored", "horizon"] == 1
    assert row_of(state, "m1") < 0 <= row_of(state, "m2")


def test_a_status_makes_nobody_a_customer() -> None:
    state, counts = folded([rules(), status(TOLD, phone="+77011234567")])
    assert len(state.customers) == 0
    assert counts["ignored", "nobody"] == 1


def test_the_phone_of_a_known_customer_tells_whose_message_it_is() -> None:
    state, _ = folded([rules(), booked(TOLD), status(TOLD, phone="8 701 123-45-67")])
    assert whose(state) == _customer()


@pytest.mark.parametrize("cuts", [None, [1], [2], [1, 2]])
def test_who_becomes_known_later_was_nobody_at_the_status(cuts: list[int] | None) -> None:
    told = status(TOLD, phone="+77011234567")
    state, counts = folded([rules(), told, booked(TOLD), status(TOLD, id="m2")], cuts)
    assert whose(state) is None
    assert counts["ignored", "nobody"] == 2


@pytest.mark.parametrize("cuts", [None, *([n] for n in range(1, 6)), range(6)])
def test_the_alias_of_a_recipient_tells_whose_message_it_is(cuts: list[int] | None) -> None:
    """As of the status: whoever gets the alias later gets no message with it."""
    log = [
        rules(),
        is_written_to(TENANT, TOLD, "m0", None, "1"),
        writes(TENANT, TOLD + SECOND, "w1", None, "1"),
        is_written_to(TENANT, TOLD + 2 * SECOND, "m1", None, "1"),
        writes(TENANT, TOLD + 3 * SECOND, "w2", str(PHONE), "1"),
        is_written_to(TENANT, TOLD + 4 * SECOND, "m2", None, "1"),
    ]
    state, _ = folded(log, cuts)
    alone = alias_customer_id(ID_KEY, TENANT, BSUID, "KZ.1")
    assert [whose(state, f"m{n}") for n in range(3)] == [None, alone, _customer()]


@pytest.mark.parametrize("cuts", [None, [3], [4], [3, 4]])
def test_a_command_is_not_known_before_it_is_sent(cuts: list[int] | None) -> None:
    early, late = status(DUE - 1, command_id=SENT), status(DUE, id="m2", command_id=SENT)
    state, _ = folded([rules(), booked(TOLD), early, late, heartbeat(DUE)], cuts)
    assert state.messages.command[row_of(state, "m1")] == UNASKED
    assert state.messages.command[row_of(state, "m2")] == command_row(state)


def test_messages_that_are_not_awaited_any_more_are_freed() -> None:
    log = [rules(), *(status(TOLD + n, id=f"m{n}") for n in range(100))]
    state, _ = folded(log)
    assert len(state.messages) == 100
    messages.forget_messages(state, TOLD + HOUR)
    assert len(state.messages) == 0
