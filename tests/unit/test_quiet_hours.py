"""What is due in quiet hours waits for their end, and meets the whole gate again then."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from operators.quiet import inside_window, window_ends
from schemas.keys import decision_id
from state.lane import LaneState
from tests.engine import Row, Streams, comparable, run
from tests.logs import (
    DAY,
    HOUR,
    MINUTE,
    Record,
    card,
    heartbeat,
    heartbeats,
    lines_of,
    local,
    message_in,
    ms,
    settings,
    trigger,
    visit,
)
from tests.people import PHONE, TENANT, ZONE

NIGHT = local("2026-06-01 23:30", ZONE)
MORNING = local("2026-06-02 10:00", ZONE)
TOLD = {"scoring": {"monetary": [500_000, 100_000]}, "quiet_hours": ["21:00", "10:00"]}
OFFER = trigger("segment_entered", segments=["312"])


def rules(*triggers: Record, at: int = NIGHT - DAY, **told: Any) -> Record:
    return settings(TENANT, at, timezone=ZONE, triggers=list(triggers) or [OFFER], **TOLD | told)


def came(at: int = NIGHT, id: str = "v1", **told: Any) -> Record:
    body: Record = {"status": "attended", "phone": PHONE, "amount_minor": 200_000, "version": 1}
    return visit(TENANT, at, id, **body | {"starts_at": at} | told)


def says(text: str, at: int) -> Record:
    return message_in(TENANT, at, f"m{at}", PHONE, text)


def after(*log: Record, until: int = MORNING + HOUR) -> Streams:
    """The log and a heartbeat every quarter of an hour; any cutting of it gives the same."""
    told = sorted(
        [rules(), *log, *heartbeats(NIGHT, until, 15 * MINUTE)], key=lambda r: r["received_at"]
    )
    lines = lines_of(told)
    whole, single = run(lines), run(lines, cuts=range(len(lines)))
    assert comparable(whole) == comparable(single)
    return whole


def decided(streams: Streams) -> list[tuple[str, str | None, int]]:
    rows: list[Row] = streams.rows("decisions")
    return [(row["outcome"], row["reason"], ms(row["at"])) for row in rows]


HELD = ("held", "quiet_hours", NIGHT)


def test_it_is_held_once_and_goes_out_at_the_end_of_the_window() -> None:
    streams = after(came())
    assert decided(streams) == [HELD, ("sent", None, MORNING)]
    held, final = streams.rows("decisions")
    (sent,) = streams.rows("commands")
    assert held["command_id"] == final["command_id"] == sent["command_id"]
    assert held["decision_id"] == decision_id(sent["command_id"], "held")
    assert final["decision_id"] == decision_id(sent["command_id"], "final")
    assert (ms(sent["due_at"]), ms(sent["created_at"])) == (NIGHT, MORNING)
    assert ms(sent["expires_at"]) == NIGHT + 72 * HOUR


def test_an_answer_that_is_held_goes_out_though_a_neighbour_was_busy_meanwhile() -> None:
    answer = trigger("reply", category="marketing", ttl="24h")
    early = MORNING - 2 * HOUR
    neighbour = [came(early + at * MINUTE, "v2", phone="+77015550199", version=at) for at in (1, 2)]
    log = [rules(answer, at=NIGHT, consent_default="allow"), came(early - 2 * MINUTE)]
    streams = after(*log, says("привет", early), *neighbour)
    assert decided(streams) == [("held", "quiet_hours", early), ("sent", None, MORNING)]


def test_a_birthday_at_night_is_told_in_the_morning() -> None:
    bday = trigger("birthday", at="07:00", segments=["000"])
    told = card(TENANT, NIGHT - HOUR, "crm-1", phone=PHONE, birthday="1990-06-02", version=1)
    early = local("2026-06-02 07:00", ZONE)
    streams = after(rules(bday, at=NIGHT - 2 * HOUR), told)
    assert decided(streams) == [("held", "quiet_hours", early), ("sent", None, MORNING)]


def test_a_message_whose_time_ends_before_the_window_goes_stale_at_its_end() -> None:
    short = rules(OFFER | {"ttl": "2h"}, at=NIGHT - HOUR)
    assert decided(after(short, came())) == [HELD, ("refused", "stale", MORNING)]


def test_who_opts_out_while_it_waits_does_not_get_it() -> None:
    streams = after(came(), says("стоп", NIGHT + HOUR))
    assert decided(streams) == [HELD, ("refused", "consent", MORNING)]
    given = card(TENANT, NIGHT + 2 * HOUR, "crm-1", phone=PHONE, consent={"marketing": True})
    streams = after(came(), says("стоп", NIGHT + HOUR), given)
    assert decided(streams) == [HELD, ("refused", "consent", MORNING)]


def test_of_two_that_are_released_together_one_goes_out() -> None:
    other = OFFER | {"id": "warmer", "priority": 90}
    streams = after(rules(OFFER, other, at=NIGHT - HOUR), came())
    told = [(row["trigger"], row["outcome"], row["reason"]) for row in streams.rows("decisions")]
    assert sorted(told) == [
        ("segment_entered", "held", "quiet_hours"),
        ("segment_entered", "refused", "priority"),
        ("warmer", "held", "quiet_hours"),
        ("warmer", "sent", None),
    ]


def test_a_rule_that_is_removed_withdraws_what_it_holds() -> None:
    gone = rules(trigger("reminder", before="24h"), at=NIGHT + HOUR)
    streams = after(came(), gone)
    assert decided(streams) == [HELD, ("withdrawn", None, NIGHT + HOUR)]
    assert streams.rows("commands") == []


def test_new_settings_are_asked_at_the_release() -> None:
    streams = after(came(), rules(at=NIGHT + HOUR, holdout_percent=100))
    assert decided(streams) == [HELD, ("holdout", "holdout", MORNING)]
    longer = rules(at=NIGHT + HOUR, quiet_hours=["21:00", "12:00"])
    noon = MORNING + 2 * HOUR
    streams = after(came(), longer, until=noon + HOUR)
    assert decided(streams) == [HELD, ("sent", None, noon)]


def test_after_an_outage_over_the_release_it_goes_out_unless_it_is_night_again() -> None:
    log = [rules(), came(), heartbeat(MORNING + 5 * HOUR)]
    assert decided(run(lines_of(log))) == [HELD, ("sent", None, MORNING)]
    log = [rules(), came(), heartbeat(MORNING + 12 * HOUR), heartbeat(MORNING + 25 * HOUR)]
    assert decided(run(lines_of(log))) == [HELD, ("sent", None, MORNING + DAY)]


def test_a_visit_that_is_taken_back_takes_its_thanks_along() -> None:
    thanks = trigger("after_visit", after="0m", cooldown_days=0)
    log = [rules(thanks, at=NIGHT - 2 * HOUR)]
    log.append(came(NIGHT - HOUR, ends_at=None))
    back = came(NIGHT - HOUR, status="cancelled", version=2)
    back["received_at"] = heartbeat(NIGHT + 2 * HOUR)["received_at"]
    streams = after(*log, back)
    assert [outcome for outcome, *_ in decided(streams)] == ["held", "withdrawn"]


def test_a_visit_that_turns_out_to_be_another_person_s_takes_what_is_held_for_it_along() -> None:
    missed = rules(trigger("no_show", after="0m"), at=NIGHT - HOUR)
    log = [missed, card(TENANT, NIGHT - MINUTE, "crm-1", phone=PHONE, version=1)]
    log.append(came(client="crm-1", phone=None, status="no_show"))
    own = came(id="v2", phone="+77017654321", status="no_show")  # the other person waits as well
    learnt = card(TENANT, NIGHT + HOUR, "crm-1", phone="+77017654321", version=2)
    sent = "sent", None, MORNING
    assert decided(after(*log, own)) == [HELD, HELD, sent, sent]
    withdrawn = "withdrawn", None, NIGHT + HOUR
    assert decided(after(*log, own, learnt)) == [HELD, HELD, withdrawn, sent]


@pytest.mark.parametrize(
    ("text", "is_quiet"),
    [("20:59", False), ("21:00", True), ("23:59", True), ("00:00", True), ("09:59", True),
     ("10:00", False)],
)  # fmt: skip
def test_a_window_begins_with_its_start_and_ends_before_its_end(text: str, is_quiet: bool) -> None:
    assert quiet_at(ZONE, f"2026-06-01 {text}", "21:00", "10:00") == is_quiet


def test_equal_ends_are_no_window() -> None:
    assert not quiet_at(ZONE, "2026-06-01 12:00", "12:00", "12:00")


def quiet_at(zone: str, when: str, start: str, end: str) -> bool:
    code, now, window = asked(zone, local(when, zone), start, end)
    return bool(inside_window(STATE, code, now, *window)[0])


STATE = LaneState(0, b"demo")


def asked(zone: str, now_ms: int, start: str, end: str) -> tuple[Any, Any, Any]:
    minutes = [int(text[:2]) * 60 + int(text[3:]) for text in (start, end)]
    window = tuple(np.array([minute * MINUTE], np.int64) for minute in minutes)
    return np.array([STATE.zones.code(zone)], np.int32), np.array([now_ms]), window


@pytest.mark.parametrize(
    ("held", "released"),
    [
        ("2026-03-28 23:00", "2026-03-29 08:00"),  # an hour less to wait
        ("2026-10-24 23:00", "2026-10-25 08:00"),  # an hour more
        ("2026-03-29 01:30", "2026-03-29 08:00"),
        ("2026-10-25 02:30", "2026-10-25 08:00"),
    ],
)
def test_on_days_that_change_the_clock_the_wall_tells_the_end(held: str, released: str) -> None:
    zone = "Europe/Berlin"
    code, now, window = asked(zone, local(held, zone), "22:00", "08:00")
    assert window_ends(STATE, code, now, window[1]).tolist() == [local(released, zone)]


def test_an_hour_that_is_told_twice_is_quiet_twice() -> None:
    second = local("2026-10-25 02:10", "Europe/Berlin") + HOUR
    code, now, window = asked("Europe/Berlin", second, "22:00", "02:30")
    assert inside_window(STATE, code, now, *window)[0]
    assert window_ends(STATE, code, now, window[1]).tolist() == [second + 20 * MINUTE]
