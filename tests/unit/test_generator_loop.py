"""The closed loop: commands are answered, statuses follow, customers come back as planted."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import pytest

from flows.living import Engine
from operators.decode import decode
from operators.phones import canonical_phone
from schemas.batch import ATTENDED, NONE, Chunk
from sources.bodies import Yclients
from sources.business import DAY, Visit, businesses, customer
from sources.generator import World
from sources.pull import EPOCH, Pull, last_credit
from sources.senders import LOST_RECEIPTS
from sources.story import MISSES, MISSES_REMINDED, Desk, Story

Command = dict[str, Any]
DAYS, POINTS = 75, 40.0


@dataclass
class Lived:
    """A world that was lived, and the commands that it heard."""

    log: list[bytes]
    commands: list[Command]

    def sent(self) -> Iterator[Command]:
        """Without what was withdrawn."""
        return (command for command in self.commands if not command["withdrawn"])


def lived(effect: float, customers: int = 1_500, days: int = DAYS) -> Lived:
    world = World(4, customers, days, seed=3, effect=effect)
    engine = Engine(b"demo")
    told = Lived(world.opening(), [])
    waiting = list(told.log)
    for day in world.days:
        commands = engine.commands(waiting + world.live(day))
        told.commands += commands
        world.hear(commands)
        waiting = world.settle(day)
        told.log += world.written()
    return told


@pytest.fixture(scope="module")
def pulled() -> Lived:
    return lived(POINTS)


@pytest.fixture(scope="module")
def unmoved() -> Lived:
    return lived(0.0)


def ms(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() * 1000


def of_kind(told: Lived, kind: str) -> list[dict[str, Any]]:
    head = f'{{"kind":"{kind}"'.encode()
    return [orjson.loads(line) for line in told.log if line.startswith(head)]


def test_every_command_gets_its_receipt_but_for_the_planted_loss(pulled: Lived) -> None:
    answered = {receipt["command_id"] for receipt in of_kind(pulled, "receipt")}
    end = ms(of_kind(pulled, "heartbeat")[-1]["received_at"])
    sent = [each for each in pulled.sent() if ms(each["created_at"]) < end - 60_000]
    lost = sum(each["command_id"] not in answered for each in sent)
    assert len(sent) > 1_000
    assert lost / len(sent) < LOST_RECEIPTS + 4 * math.sqrt(LOST_RECEIPTS / len(sent))
    assert lost


def test_every_receipt_is_for_a_command_and_comes_at_once(pulled: Lived) -> None:
    made = {command["command_id"]: ms(command["created_at"]) for command in pulled.sent()}
    for receipt in of_kind(pulled, "receipt"):
        assert 0 < ms(receipt["received_at"]) - made[receipt["command_id"]] < 20_000


def test_a_receipt_tells_each_attempt_and_the_next_channel_follows_a_failure(
    pulled: Lived,
) -> None:
    channels = {command["command_id"]: command["channels"] for command in pulled.sent()}
    attempts: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for receipt in of_kind(pulled, "receipt"):
        attempts[receipt["command_id"]].append((receipt["channel"], receipt["status"]))
        assert ("message_id" in receipt) == (receipt["status"] == "accepted")
    for command, told in attempts.items():
        assert [channel for channel, _ in told] == channels[command][: len(told)]
        assert all(status == "failed" for _, status in told[:-1])
    assert any(len(told) == 2 and told[1] == ("sms", "accepted") for told in attempts.values())


def test_statuses_are_lost_repeated_skipped_and_never_run_backwards(pulled: Lived) -> None:
    seen: dict[str, list[str]] = defaultdict(list)
    for record in of_kind(pulled, "webhook"):
        if record["provider"] != "whatsapp":
            continue
        for status in record["body"]["entry"][0]["changes"][0]["value"].get("statuses", ()):
            seen[status["id"]].append(status["status"])
    kinds = Counter(tuple(dict.fromkeys(told)) for told in seen.values())
    total = len(seen)
    assert kinds["sent", "delivered", "read"] / total > 0.6
    assert kinds["sent", "read"] / total == pytest.approx(0.06, abs=0.03)
    assert kinds["delivered", "read"] > 0
    assert any(len(told) > len(set(told)) for told in seen.values())
    assert 0 < sum("failed" in told for told in seen.values()) / total < 0.03


def test_customers_answer_and_a_few_want_no_more(pulled: Lived) -> None:
    texts = b"".join(line for line in pulled.log if b'"text":{"body":' in line).decode()
    assert "Спасибо!" in texts
    assert "еренесите" in texts
    assert any(word in texts for word in ("СТОП", "STOP", "тписаться", "Stop", "стоп"))


def returned(told: Lived) -> tuple[int, int]:
    """Customers with a marketing command, and of them who came within 14 days of the first."""
    came = attended(told)
    end = ms(of_kind(told, "heartbeat")[-1]["received_at"]) - 15 * DAY
    first: dict[tuple[str, int], bool] = {}
    for command in told.sent():
        at = ms(command["created_at"])
        who = (command["tenant"], int(command["phone"][1:]))
        if command["category"] == "marketing" and at < end and who not in first:
            first[who] = any(at < start <= at + 14 * DAY for start in came[who])
    return len(first), sum(first.values())


def attended(told: Lived) -> dict[tuple[str, int], set[float]]:
    """Starts of all visits that were ever attended, by tenant and phone."""
    places = {each.tenant: each.place for each in businesses(4, 3)}
    chunk = Chunk(-1, np.arange(len(told.log), dtype=np.int64), None, told.log)
    (batch,) = decode(chunk, 1)
    found: dict[tuple[str, int], set[float]] = defaultdict(set)
    rows = batch.visits
    for row in np.flatnonzero(rows.status == ATTENDED).tolist():
        tenant = batch.scopes[rows.scope[row]].tenant
        start = float(rows.start_ms[row])
        if rows.start_ms[row] == NONE:
            local = datetime.fromtimestamp(int(rows.local_ms[row]) / 1000, UTC)
            zone = ZoneInfo(places[tenant].zone)
            start = local.replace(tzinfo=zone).timestamp() * 1000
        if rows.phone[row]:
            phone = canonical_phone(rows.phone[row], places[tenant].country)
            found[tenant, phone].add(start)
    return found


def test_the_planted_effect_is_there(pulled: Lived, unmoved: Lived) -> None:
    (asked, came), (asked_before, came_before) = returned(pulled), returned(unmoved)
    rate, before = came / asked, came_before / asked_before
    error = math.sqrt(rate * (1 - rate) / asked + before * (1 - before) / asked_before)
    assert min(asked, asked_before) > 120
    assert rate - before == pytest.approx(POINTS / 100, abs=3 * error)


@pytest.mark.parametrize("anyway", [0.05, 0.4, 0.75])
def test_a_pull_adds_its_points_whatever_the_share_of_those_who_come_anyway(anyway: float) -> None:
    rng, pull = Random(5), Pull(20.0)
    coming = [rng.random() < anyway for _ in range(20_000)]
    lured = [pull.lures("t", str(n), 0, each, rng) for n, each in enumerate(coming)]
    assert not any(each and came for each, came in zip(lured, coming, strict=True))
    assert sum(lured) / len(coming) == pytest.approx(0.2, abs=0.01)


def test_a_pull_adds_its_points_once_a_month_however_many_contacts_there_are() -> None:
    rng, pull = Random(5), Pull(20.0)
    january, february = range(31), range(31, 59)
    for month in (january, february):
        lured = sum(
            any(pull.lures("t", str(who), day, anyway=False, rng=rng) for day in month[::7])
            for who in range(20_000)
        )
        assert lured / 20_000 == pytest.approx(0.2, abs=0.01)


def test_whom_another_trigger_is_credited_for_is_made_up_for() -> None:
    rng, pull = Random(5), Pull(100.0)
    assert pull.lures("a", "1", 0, anyway=False, rng=rng)
    pull.passes("a", "b")
    assert not pull.lures("b", "1", 0, anyway=True, rng=rng)
    assert pull.lures("a", "2", 0, anyway=False, rng=rng)
    assert pull.lures("a", "3", 0, anyway=False, rng=rng)
    assert pull.lures("b", "2", 0, anyway=False, rng=rng)


def test_without_an_effect_nobody_is_lured() -> None:
    rng = Random(5)
    pull = Pull(0.0)
    assert not any(pull.lures("t", str(n), 0, anyway=False, rng=rng) for n in range(1_000))


@pytest.mark.parametrize(
    ("told", "cooldown", "last"),
    [
        ("2026-01-05", 0, "2026-02-14"),
        ("2026-01-05", 26, "2026-02-14"),
        ("2026-01-05", 27, "2026-01-19"),
        ("2026-12-31", 0, "2027-01-14"),
        ("2028-02-29", 1, "2028-03-14"),
    ],
)
def test_a_visit_may_credit_the_last_contact_that_a_month_can_have(
    told: str, cooldown: int, last: str
) -> None:
    day, wanted = (date.fromisoformat(each).toordinal() - EPOCH for each in (told, last))
    assert last_credit(day, cooldown) == wanted


def test_who_reads_a_reminder_is_less_often_absent() -> None:
    (business,) = businesses(1, 1)
    rng = Random(7)
    crm = Yclients(business)
    desk = Desk(business, rng, lambda *_: None, crm, None, None)
    who = customer(business, 1, 20_000, rng)
    absent: Counter[bool] = Counter()
    for number in range(6_000):
        visit = Visit(number, number, who, 0, 0, 0, 100, 100, 0, 0, False)
        story = Story(desk, visit, who, 0, 30 * DAY, 30 * DAY)
        story.reminded = number % 2 == 0
        _, came = story.come()
        absent[story.reminded] += not came
    assert absent[True] / 3_000 == pytest.approx(MISSES_REMINDED, abs=0.015)
    assert absent[False] / 3_000 == pytest.approx(MISSES, abs=0.02)


def test_the_log_causes_the_commands_that_it_answers(pulled: Lived) -> None:
    """All but a few: in the loop a day's answers are heard when it is over, in the log at once."""
    again = Counter(each["command_id"] for each in Engine(b"demo").commands(pulled.log))
    answered = Counter(each["command_id"] for each in pulled.commands)
    different = (again - answered).total() + (answered - again).total()
    assert different <= answered.total() / 100
