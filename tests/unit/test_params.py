"""Params of a trigger, or of an offer, may tell the customer what the business knows."""

from __future__ import annotations

from operators.params import has_blanks
from tests.agenda import START, came, lived, rule, rules
from tests.engine import Row
from tests.logs import DAY, HOUR, Record

ASKS = {
    "text": "Ваша {favourite_service} ждёт",
    "days": "{usual_interval_days}",
    "more": [{"since": "{last_visit}"}, 3],
    "braces": "{discount}",
}


def params_of(*visits: Record, **fields: object) -> Row:
    thanks = rule("after_visit", after="2h", params=ASKS, **fields)
    (*_, last) = lived(rules(thanks), *visits, until=START + 31 * DAY, step=HOUR).rows("commands")
    params: Row = last["params"]
    return params


def test_blanks_are_filled_with_what_is_known() -> None:
    days = (0, 10, 30)
    titles = (["nails", "tea"], ["haircut"], ["haircut", "tea"])
    visits = [
        came(START + day * DAY, START + day * DAY, f"v{day}", services=named)
        for day, named in zip(days, titles, strict=True)
    ]
    assert params_of(*visits) == {
        "text": "Ваша haircut ждёт",
        "days": "10",
        "more": [{"since": "2026-07-15"}, 3],
        "braces": "{discount}",
    }


def test_what_is_not_known_is_left_empty() -> None:
    told = params_of(came(START, START, services=[]))
    assert (told["text"], told["days"]) == ("Ваша  ждёт", "")


def test_an_offer_is_filled_in_as_well() -> None:
    offers = {"312": {"template": "t", "params": {"since": "{last_visit}"}}}
    offers |= dict.fromkeys(("313", "311"), offers["312"])
    thanks = rule("after_visit", after="2h", template="offer")
    streams = lived(rules(thanks, offers=offers), came(START, START), until=START + DAY)
    (command,) = streams.rows("commands")
    assert command["params"] == {"since": "2026-06-15"}


def test_params_without_blanks_are_not_touched() -> None:
    assert not has_blanks({"discount": 10, "text": "{discount}", "list": ["a", {"b": None}]})
    assert has_blanks({"list": ["a", {"b": "{last_visit}"}]})
