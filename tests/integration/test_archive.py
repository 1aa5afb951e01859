"""The archive on a server that speaks MongoDB's protocol: what is kept, how long, and of whom."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.cli import run
from operators.excerpt import excerpt
from schemas.keys import customer_id, lane_of
from schemas.slices import Place
from schemas.written import Written
from sinks.mongo import KEPT_DAYS, MessagesInMongo
from tests.following import Following
from tests.kafka_flow import ID_KEY, LANES, Engagement, wait_until
from tests.stores import (
    KeptInMongo,
    close_opened,
    customer,
    kept,
    mongo_server,
    opened,
    written,
)

pytestmark = pytest.mark.xdist_group("kafka")

AT = "2026-11-22T10:00:00Z"
PLACE = Place("records", 0)
VARIABLES = ("FLOWSELL_KAFKA", "FLOWSELL_INSTANCE", "FLOWSELL_ID_KEY", "FLOWSELL_MONGO")


@pytest.fixture
def there(tmp_path: Path) -> Iterator[KeptInMongo]:
    """An empty one."""
    with kept("mongo", tmp_path) as one:
        assert isinstance(one, KeptInMongo)
        yield one


def tell(engine: MessagesInMongo, *lines: bytes) -> None:
    engine.add("records", [*lines])
    engine.write(engine.take(), {PLACE: 40})


def wish(number: int, position: int) -> bytes:
    said = {"said": "forgotten", "tenant": "salon", "customer_id": customer(number)}
    return json.dumps(said | {"position": position}).encode()


def opened_one(there: KeptInMongo) -> MessagesInMongo:
    engine = there.engine()
    assert isinstance(engine, MessagesInMongo)
    opened(engine)
    return engine


def test_of_a_forgotten_customer_nothing_older_is_left_and_nothing_comes_back(
    there: KeptInMongo,
) -> None:
    engine = opened_one(there)
    tell(engine, written(1, 5, "a"), written(2, 6, "b"))
    again = written(1, 7, "c", message_id="other")
    tell(engine, wish(1, 8), again)
    assert there.there() == {customer(2): "b"}
    tell(engine, written(1, 5, "a"), again)
    tell(engine, written(1, 9, "d", message_id="later"))
    assert there.there() == {customer(2): "b"}


def test_who_opts_in_again_is_kept_from_there_on(there: KeptInMongo) -> None:
    engine = opened_one(there)
    lines = [
        written(1, 5, "a"),
        wish(1, 8),
        written(1, 9, "not yet", message_id="n"),
        written(1, 10, "START", message_id="s", is_opt_in=True),
        written(1, 11, "b", message_id="b"),
    ]
    texts = {"START", "b"}
    tell(engine, *lines)
    assert {each["text"] for each in there.asks.messages.find()} == texts
    for line in lines:
        tell(engine, line)
    assert {each["text"] for each in there.asks.messages.find()} == texts
    tell(engine, wish(1, 12))
    assert there.there() == {}


@pytest.mark.parametrize("in_one_batch", [True, False])
def test_who_had_written_before_the_phone_was_told_is_forgotten_with_it(
    there: KeptInMongo, in_one_batch: bool
) -> None:
    engine = opened_one(there)
    lines = [
        written(7, 4, "hidden"),
        written(1, 5, "told", alias_id=customer(7)),
        written(2, 6, "somebody else"),
        wish(1, 8),
    ]
    for some in [lines] if in_one_batch else [[line] for line in lines]:
        tell(engine, *some)
    tell(engine, written(7, 9, "hidden again", message_id="later"))
    assert there.there() == {customer(2): "somebody else"}


def test_the_retention_is_an_index_that_follows_what_was_asked_last(there: KeptInMongo) -> None:
    for days in (KEPT_DAYS, 30):
        engine = MessagesInMongo(mongo_server().url, days)
        opened(engine)
        index = there.asks.messages.index_information()["kept"]
        assert (index["key"], index["expireAfterSeconds"]) == ([("at", 1)], days * 86_400)
        close_opened()


@pytest.mark.faults
def test_a_message_that_is_old_goes_by_itself(there: KeptInMongo) -> None:
    engine = opened_one(there)
    old_ms = int((time.time() - (KEPT_DAYS + 1) * 86_400) * 1000)
    tell(engine, written(1, 5, "old", at_ms=old_ms), written(2, 6, "new"))
    wait_until(lambda: there.there() == {customer(2): "new"}, 120)


def webhook(number: int, text: str) -> bytes:
    said = {
        "type": "message_in",
        "message_id": f"m-{number}",
        "phone": f"+7701{number % 40:07d}",
        "channel": "whatsapp",
        "text": text,
        "at": AT,
    }
    record = {"kind": "webhook", "tenant": f"t{number % 5}", "provider": "generic"}
    return json.dumps(record | {"received_at": AT, "body": said}, ensure_ascii=False).encode()


def forget(tenant: str, phone: int) -> bytes:
    who = customer_id(ID_KEY, tenant, phone)
    record = {"kind": "forget", "tenant": tenant, "received_at": AT, "customer_id": who}
    return json.dumps(record).encode()


def test_what_the_log_holds_is_in_the_archive_through_kills_of_the_flow_and_of_the_server(
    engagement: Engagement, there: KeptInMongo
) -> None:
    log = [webhook(number, f"Мария пишет {number}") for number in range(300)]
    gone = forget("t3", 77010000003)
    following = Following(engagement, "archive", ("records",), FLOWSELL_MONGO=mongo_server().url)
    process = following.start()
    engagement.append(log[:150])
    wait_until(lambda: len(there.there()) > 0, 60)
    process.kill()
    process = following.start("--days", "3650")
    wait_until(lambda: "partitions assigned" in process.said or not process.is_running, 60)
    there.go_away()
    engagement.append([*log[150:], gone, log[3]])
    there.come_back()
    wait_until(lambda: following.is_settled() or not process.is_running, 90)
    owed = {}
    for number, value in enumerate(log):
        lane = lane_of(f"t{number % 5}", LANES)
        (line,) = excerpt(value, number, lane, LANES, ID_KEY)
        assert isinstance(line, Written)
        owed[line.tenant, line.message_id] = line.customer_id, line.text
    who = customer_id(ID_KEY, "t3", 77010000003)
    owed = {key: told for key, told in owed.items() if told[0] != who}
    assert len(owed) < len(log)
    found: list[Any] = list(there.asks.messages.find())
    assert {(f["tenant"], f["message_id"]): (f["customer_id"], f["text"]) for f in found} == owed
    assert "7701" not in repr([{**each, "customer_id": "", "_id": ""} for each in found])
    assert process.end() == 0, process.said
    assert "Мария" not in process.said


def test_without_its_client_library_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "mongodb://flow:hush@127.0.0.1:1/flowsell")
    monkeypatch.setitem(sys.modules, "sinks.mongo", None)
    assert run(["run", "archive"]) == 2
    assert "needs pymongo" in capsys.readouterr().err


@pytest.mark.parametrize("missing", VARIABLES)
def test_what_is_not_set_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "mongodb://flow:hush@127.0.0.1:1/flowsell")
    monkeypatch.delenv(missing)
    assert run(["run", "archive"]) == 2
    assert f"{missing}: not set; `run archive` needs it" in capsys.readouterr().err


def test_a_url_that_is_none_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "x")
    for url in ("http://flow:hush@127.0.0.1:1", "mongodb://flow:hush@127.0.0.1:port"):
        monkeypatch.setenv("FLOWSELL_MONGO", url)
        assert run(["run", "archive"]) == 2
        told = capsys.readouterr().err
        assert told.startswith("flowsell: FLOWSELL_MONGO: not mongodb://user:password@host:port/")
        assert "hush" not in told
