"""What each store, on its real engine, still tells of somebody who wants to be forgotten."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from schemas.slices import Place
from sinks.clickhouse_engine import ClickHouse
from sinks.mongo import TracesInMongo
from sinks.traces import Traces, TracesInClickHouse, TracesInPostgres, TracesInValkey
from sinks.warehouse import WarehouseEngine
from tests.stores import (
    Kept,
    KeptInClickHouse,
    KeptInMongo,
    close_opened,
    customer,
    kept,
    mongo_server,
    opened,
    postgres_server,
    tombstone,
    valkey_server,
)

TENANT, WISH = "salon", 9
ONE, OTHER = customer(1), customer(2)


@pytest.fixture(scope="module", params=["clickhouse", "postgres", "valkey", "mongo"])
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kept]:
    """Each in turn."""
    with kept(request.param, tmp_path_factory.mktemp("kept")) as found:
        yield found


@pytest.fixture
def there(engine: Kept) -> Iterator[Kept]:
    """The same, empty."""
    yield engine
    close_opened()
    engine.clear()


def traces_in(there: Kept) -> Traces:
    if isinstance(there, KeptInClickHouse):
        return TracesInClickHouse(there.server)
    if isinstance(there, KeptInMongo):
        return TracesInMongo(mongo_server().url)
    if there.engine().name == "postgres":
        return TracesInPostgres(postgres_server().url)
    return TracesInValkey(valkey_server().url)


def gone(there: Kept) -> bytes:
    """What the topic says of one who was forgotten."""
    if isinstance(there, KeptInMongo):
        said = {"said": "forgotten", "tenant": TENANT, "customer_id": ONE, "position": WISH}
        return json.dumps(said).encode()
    if not isinstance(there, KeptInClickHouse):
        return tombstone(1, WISH, into=None)
    return there.message(1, WISH, "")


def test_who_is_forgotten_is_counted_until_nothing_is_left_and_nobody_else_is_harmed(
    there: Kept,
) -> None:
    engine, traces = opened(there.engine()), traces_in(there)
    engine.add(there.stream, [there.message(1, 7, "312"), there.message(2, 8, "333")])
    engine.write(engine.take(), {Place(there.stream, 0): 40})
    traces.open()
    assert [traces.count(TENANT, [who]) for who in (ONE, OTHER, customer(3))] == [1, 1, 0]
    assert traces.places() == {Place(there.stream, 0): 40}
    engine.add(there.stream, [gone(there)])
    engine.write(engine.take(), {Place(there.stream, 0): 41})
    for _ in range(2):
        traces.erase(TENANT, [ONE], WISH)
        assert [traces.count(TENANT, [who]) for who in (ONE, OTHER)] == [0, 1]
    traces.close()
    assert there.there()[OTHER] == "333"


@pytest.mark.parametrize("engine", ["clickhouse"], indirect=True)
def test_segment_changes_are_deleted_and_an_older_one_that_comes_again_shows_nowhere(
    there: Kept,
) -> None:
    assert isinstance(there, KeptInClickHouse)
    traces, engine = traces_in(there), WarehouseEngine(there.server)
    opened(engine)

    def change(number: int, position: int) -> None:
        said = {"tenant": TENANT, "customer_id": customer(number), "from": "000", "to": "312"}
        said |= {"cause": "visit", "at": f"2026-03-20T08:00:0{position % 10}Z"}
        engine.add("segments", [json.dumps(said | {"position": position}).encode()])
        engine.write(engine.take(), {})

    for number, position in ((1, 0), (1, 7), (2, 8)):
        change(number, position)
    traces.open()
    assert traces.count(TENANT, [ONE]) == 2
    traces.erase(TENANT, [ONE], WISH)
    assert traces.count(TENANT, [ONE]) == 0
    change(1, 7)
    change(1, 12)
    traces.close()
    reads = ClickHouse(there.server)
    reads.open()
    seen = reads.rows("SELECT customer_id, `to` FROM flowsell.segment_changes_now ORDER BY 1")
    reads.close()
    assert seen == [(ONE, "312"), (OTHER, "312")]


@pytest.mark.parametrize("engine", ["mongo"], indirect=True)
def test_messages_of_who_was_forgotten_under_an_earlier_id_go_and_stay_away(there: Kept) -> None:
    engine, traces = opened(there.engine()), traces_in(there)
    for _ in range(2):
        engine.add(there.stream, [there.message(2, 7, "b"), there.message(3, 8, "c")])
        engine.write(engine.take(), {})
        traces.erase(TENANT, [ONE, OTHER], WISH)
        assert traces.count(TENANT, [ONE, OTHER]) == 0
    traces.close()
    assert there.there() == {customer(3): "c"}
