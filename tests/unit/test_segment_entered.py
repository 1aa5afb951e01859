"""A trigger on a segment fires when a customer enters it, once, and not because rules changed."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.keys import command_id
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
    ms,
    settings,
    stamp,
    trigger,
    visit,
)
from tests.people import PHONE, TENANT, WHO, ZONE

CAME = local("2026-06-01 12:00", ZONE)
SCORING = {
    "window_days": 60,
    "recency_days": [5, 20],
    "frequency": [3, 2],
    "monetary": [500_000, 100_000],
}


def rules(*triggers: Record, at: int = CAME - 40 * DAY, **scoring: Any) -> Record:
    quiet = scoring.pop("quiet_utility", ["22:00", "08:00"])
    told = {"timezone": ZONE, "scoring": SCORING | scoring, "triggers": list(triggers)}
    told["quiet_utility"] = quiet
    return settings(TENANT, at, **told)


def entered(*segments: str, **fields: Any) -> Record:
    came_from = fields.pop("came_from", None)
    told = {"cooldown_days": 0} | fields | ({} if came_from is None else {"from": came_from})
    return trigger("segment_entered", **({"segments": list(segments)} if segments else {}), **told)


def came(starts_at: int = CAME, id: str = "v1", at: int | None = None, **told: Any) -> Record:
    body = {"status": "attended", "phone": PHONE, "amount_minor": 200_000, "version": 1}
    when = starts_at + HOUR if at is None else at
    return visit(TENANT, when, id, **body | {"starts_at": starts_at} | told)


def commands(streams: Streams) -> list[tuple[str, str]]:
    return [(row["trigger"], row["segment"]) for row in streams.rows("commands")]


def decisions(streams: Streams) -> list[tuple[str, str | None]]:
    return [(row["outcome"], row["reason"]) for row in streams.rows("decisions")]


def test_it_fires_when_a_visit_brings_the_customer_in() -> None:
    log = [rules(entered("312")), came()]
    streams = run(lines_of(log))
    (sent,) = streams.rows("commands")
    due = ms(sent["due_at"])
    assert due == (CAME + HOUR) // MINUTE * MINUTE
    assert ms(sent["created_at"]) == CAME + HOUR
    assert ms(sent["expires_at"]) == due + 72 * HOUR
    assert sent["occasion"] == f"segment:{WHO}:312@{stamp(due)[:16]}Z"
    assert sent["command_id"] == command_id(TENANT, "segment_entered", sent["occasion"])
    assert (sent["category"], sent["visit"], sent["branch"]) == ("marketing", None, None)
    assert sent["rfm"] == {
        "recency_days": 0,
        "frequency": 1,
        "monetary_minor": 200_000,
        "currency": "KZT",
    }
    assert (sent["segment"], sent["scheme"], sent["withdrawn"]) == ("312", "3best", False)
    assert decisions(streams) == [("sent", None)]


def test_it_fires_at_midnight_when_time_brings_the_customer_in() -> None:
    log = [rules(entered("212")), came(), *heartbeats(CAME + 2 * HOUR, CAME + 9 * DAY, 10 * MINUTE)]
    streams = run(lines_of(log))
    (sent,) = streams.rows("commands")
    midnight = local("2026-06-07 00:00", ZONE)
    assert midnight <= ms(sent["due_at"]) <= midnight + 5 * MINUTE
    change = streams.rows("segments")[-1]
    assert ms(change["at"]) // MINUTE == ms(sent["due_at"]) // MINUTE
    assert sent["due_at"] == sent["created_at"]
    assert sent["rfm"]["recency_days"] == 6


def test_it_fires_again_when_the_customer_enters_again() -> None:
    log = [rules(entered("312", "322")), came(), heartbeat(CAME + 10 * DAY)]
    log += [came(CAME + 11 * DAY, "v2"), heartbeat(CAME + 12 * DAY)]
    streams = run(lines_of(log))
    assert commands(streams) == [("segment_entered", "312"), ("segment_entered", "322")]
    ids = [row["command_id"] for row in streams.rows("commands")]
    assert len(set(ids)) == 2


def test_staying_in_the_segment_fires_nothing() -> None:
    log = [rules(entered("312")), came(), came(CAME + 2 * HOUR, "v2", amount_minor=1000)]
    assert len(run(lines_of(log)).rows("commands")) == 1


@pytest.mark.parametrize(("came_from", "fires"), [(["312"], True), (["222", "322"], False)])
def test_from_says_where_the_customer_must_come_from(came_from: list[str], fires: bool) -> None:
    log = [rules(entered("212", came_from=came_from)), came(), heartbeat(CAME + 7 * DAY)]
    assert len(run(lines_of(log)).rows("commands")) == fires


def test_from_a_lead_is_from_000() -> None:
    log = [rules(entered("312", came_from=["000"])), came()]
    assert len(run(lines_of(log)).rows("commands")) == 1


def test_another_segment_fires_nothing_at_all() -> None:
    streams = run(lines_of([rules(entered("333")), came(), heartbeat(CAME + 30 * DAY)]))
    assert (commands(streams), decisions(streams)) == ([], [])


def test_becoming_a_lead_is_no_entry() -> None:
    log = [rules(entered("000")), card(TENANT, CAME, "crm-1", version=1, phone=PHONE)]
    streams = run(lines_of(log))
    assert (commands(streams), streams.rows("segments")) == ([], [])


def test_a_new_scoring_moves_customers_and_fires_nothing() -> None:
    log = [rules(entered("212", "311")), came()]
    log.append(rules(entered("212", "311"), at=CAME + DAY, monetary=[900_000, 300_000]))
    streams = run(lines_of(log))
    change = streams.rows("segments")[-1]
    assert (change["from"], change["to"], change["cause"]) == ("312", "311", "thresholds")
    assert (commands(streams), decisions(streams)) == ([], [])


def test_a_correction_that_brings_the_customer_in_fires() -> None:
    log = [rules(entered("311")), came(), came(at=CAME + DAY, version=2, amount_minor=1)]
    streams = run(lines_of(log))
    assert commands(streams) == [("segment_entered", "311")]
    assert streams.rows("segments")[-1]["cause"] == "correction"


def test_after_an_outage_it_is_stale() -> None:
    midnight = local("2026-06-07 00:00", ZONE)
    log = [rules(entered("212")), came(), heartbeat(midnight + 72 * HOUR + 5 * MINUTE)]
    streams = run(lines_of(log))
    assert commands(streams) == []
    assert decisions(streams) == [("refused", "stale")]
    (decision,) = streams.rows("decisions")
    assert midnight <= ms(decision["at"]) <= midnight + 5 * MINUTE


def test_after_a_short_outage_it_is_still_sent() -> None:
    midnight = local("2026-06-07 00:00", ZONE)
    streams = run(lines_of([rules(entered("212")), came(), heartbeat(midnight + 71 * HOUR)]))
    assert decisions(streams) == [("sent", None)]


def test_its_time_to_live_is_the_triggers() -> None:
    log = [rules(entered("312", ttl="2h")), came()]
    (sent,) = run(lines_of(log)).rows("commands")
    assert ms(sent["expires_at"]) == ms(sent["due_at"]) + 2 * HOUR


def test_two_triggers_on_one_segment_are_two_commands() -> None:
    both = entered("312", category="utility"), entered("312", id="another", category="utility")
    told = run(lines_of([rules(*both, quiet_utility=["00:00", "00:00"]), came()])).rows("commands")
    assert sorted(row["trigger"] for row in told) == ["another", "segment_entered"]
    assert len({row["command_id"] for row in told}) == 2


def test_the_offer_of_the_segment_is_its_template() -> None:
    offers = {"312": {"template": "second_visit", "params": {"discount": 20}}}
    told = {"timezone": ZONE, "scoring": SCORING, "offers": offers}
    rule = entered("312", template="offer", params={"sign": "!"})
    log = [settings(TENANT, CAME - DAY, triggers=[rule], **told), came()]
    (sent,) = run(lines_of(log)).rows("commands")
    assert sent["template"] == "second_visit"
    assert sent["params"] == {"discount": 20, "sign": "!"}


@pytest.mark.parametrize(
    ("locale", "action"),
    [
        ("en", "review request, second-visit offer"),
        ("ru", "просьба об отзыве, предложение на второй визит"),
        ("ru-KZ", "просьба об отзыве, предложение на второй визит"),
        ("kk", "review request, second-visit offer"),
    ],
)
def test_without_offers_the_catalogue_s_suggestion_is_the_offer(locale: str, action: str) -> None:
    rule = entered("312", template="offer", params={"sign": "!"})
    told = {"timezone": ZONE, "scoring": SCORING, "locale": locale}
    log = [settings(TENANT, CAME - DAY, triggers=[rule], **told), came()]
    (sent,) = run(lines_of(log)).rows("commands")
    assert sent["template"] == "new"
    assert sent["params"] == {"action": action, "sign": "!"}


def test_the_same_log_gives_the_same_ids_and_no_id_twice() -> None:
    log = [rules(entered("312", "322", "333", "233", "133", "111"))]
    log += [*(came(CAME + n * DAY, f"v{n}") for n in range(8)), heartbeat(CAME + 90 * DAY)]
    first, second = run(lines_of(log)), run(lines_of(log), cuts=[2, 5])
    assert comparable(first) == comparable(second)
    assert commands(first) == [("segment_entered", code) for code in ("312", "322", "333")]
    told: list[Row] = first.rows("decisions")
    assert [row["reason"] for row in told] == [None, None, None, "stale", "stale", "stale"]
    assert len({row["decision_id"] for row in told}) == len(told)
