"""The contract of every store, kept on its real engine: one suite for all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from schemas.engines import EngineError
from schemas.slices import Place, Slice
from sinks.store import Cadence, Store
from state.vitals import Vitals
from tests.stores import Kept, close_opened, customer, kept, opened

EAGER = Cadence(enough_rows=1, wait_seconds=0.0)
LAZY = Cadence(enough_rows=1_000, wait_seconds=1.0)

A, B = customer(1), customer(2)


@pytest.fixture(scope="module", params=["clickhouse", "postgres", "valkey", "mongo"])
def one(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """Each engine in turn."""
    with kept(request.param, tmp_path_factory.mktemp("kept")) as found:
        yield found


@pytest.fixture
def there(one: Kept) -> Iterator[Kept]:
    """The same, empty."""
    yield one
    close_opened()
    one.clear()


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def said(there: Kept, term: int, first: int, *values: bytes) -> Slice:
    """A slice that begins at this offset, with a marker behind it."""
    offsets = [*range(first, first + len(values))]
    end = first + len(values) + 1
    return Slice(term, Place(there.stream, 0), offsets, [*values], end)


def test_nothing_is_reached_before_it_is_opened_and_what_is_not_there_is_one_line(
    there: Kept,
) -> None:
    engine = there.nowhere()
    with pytest.raises(EngineError) as refusal:
        engine.open("log-1")
    assert str(refusal.value).count("\n") == 0
    assert "127.0.0.1:1" in str(refusal.value)
    assert "hush" not in str(refusal.value)


def test_a_batch_is_there_and_so_are_its_places(there: Kept) -> None:
    engine = opened(there.engine())
    engine.add(there.stream, [there.message(1, 7, "312"), there.message(2, 8, "333")])
    assert engine.held() == 2
    place = Place(there.stream, 3)
    engine.write(engine.take(), {place: 40})
    engine.close()
    assert there.there() == {A: "312", B: "333"}
    assert dict(opened(there.engine()).places()) == {place: 40}


def test_the_same_batch_twice_is_once(there: Kept) -> None:
    engine = opened(there.engine())
    for _ in range(2):
        engine.add(there.stream, [there.message(1, 7, "312"), there.message(2, 8, "333")])
        engine.write(engine.take(), {Place(there.stream, 0): 40})
    assert there.there() == {A: "312", B: "333"}
    assert dict(engine.places()) == {Place(there.stream, 0): 40}
    engine.close()


def test_a_stale_message_is_refused_and_of_equal_positions_the_later_holds(there: Kept) -> None:
    engine = opened(there.engine())
    for position, segment, then in (
        (2**53 + 7, "312", "312"),
        (2**53 + 6, "111", "312"),
        (9, "111", "312"),
        (2**53 + 7, "313", "313"),
        (2**53 + 8, "333", "333"),
    ):
        engine.add(there.stream, [there.message(1, position, segment)])
        engine.write(engine.take(), {})
        assert there.there() == {A: then}
    engine.close()


def test_a_customer_of_whom_a_batch_says_much_is_what_it_says_last(there: Kept) -> None:
    engine = opened(there.engine())
    engine.add(there.stream, [there.message(1, 7, "312"), there.message(1, 8, "333")])
    engine.add(there.stream, [there.message(1, 9, "332")])
    engine.write(engine.take(), {})
    assert there.there() == {A: "332"}
    engine.close()


def test_a_place_never_goes_back(there: Kept) -> None:
    engine = opened(there.engine())
    for at in (40, 39, 41):
        engine.write(engine.take(), {Place(there.stream, 0): at})
    assert dict(engine.places()) == {Place(there.stream, 0): 41}
    engine.close()


def test_an_engine_keeps_one_log_only(there: Kept) -> None:
    engine = opened(there.engine())
    engine.write(engine.take(), {Place(there.stream, 0): 40})
    engine.close()
    with pytest.raises(EngineError, match="another log"):
        there.engine().open("log-2")


def test_places_are_never_ahead_of_rows(there: Kept) -> None:
    engine = opened(there.engine())
    engine.write(engine.take(), {Place(there.stream, 0): 40})
    there.refuse_places()
    engine.add(there.stream, [there.message(1, 7, "312")])
    with pytest.raises(EngineError) as refusal:
        engine.write(engine.take(), {Place(there.stream, 0): 50})
    assert "312" not in str(refusal.value)
    engine.close()
    there.accept_places()
    again = opened(there.engine())
    assert dict(again.places()) == {Place(there.stream, 0): 40}
    again.add(there.stream, [there.message(1, 7, "312")])
    again.write(again.take(), {Place(there.stream, 0): 50})
    assert there.there() == {A: "312"}
    again.close()


def test_rows_wait_for_enough_of_them_or_for_the_time(there: Kept) -> None:
    clock = Hands()
    store = Store(there.engine(), "log-1", LAZY, clock=clock)
    store.open()
    store.resume(1)
    store.add(said(there, 1, 0, there.message(1, 7, "312")))
    clock.now += 0.9
    store.tick()
    assert there.there() == {}
    assert store.written(Place(there.stream, 0)) is None
    clock.now += 0.2
    store.tick()
    assert there.there() == {A: "312"}
    assert store.written(Place(there.stream, 0)) == 2
    many = [there.message(number, 8, "333") for number in range(1, 1_001)]
    store.add(said(there, 1, 2, *many))
    assert len(there.there()) == 1_000
    store.close()


def test_what_was_written_is_cut_off_and_an_earlier_term_is_not_taken(there: Kept) -> None:
    store = Store(there.engine(), "log-1", EAGER)
    store.open()
    store.resume(2)
    store.add(said(there, 1, 0, there.message(1, 7, "312")))
    assert there.there() == {}
    store.add(said(there, 2, 0, there.message(1, 7, "312")))
    again = there.message(1, 9, "111")
    store.add(said(there, 2, 0, again))
    assert there.there() == {A: "312"}
    store.add(said(there, 2, 0, again, again, there.message(2, 8, "333")))
    assert there.there() == {A: "312", B: "333"}
    store.close()


def test_an_engine_that_goes_away_loses_nothing_and_catches_up_when_it_is_back(
    there: Kept,
) -> None:
    clock, vitals = Hands(), Vitals()
    store = Store(there.engine(), "log-1", EAGER, vitals, clock)
    store.open()
    store.resume(1)
    store.add(said(there, 1, 0, there.message(1, 7, "312")))
    there.go_away()
    store.add(said(there, 1, 2, there.message(2, 8, "311")))
    assert vitals.counts["sink_errors", store.name] == 1
    assert store.name in vitals.away
    assert "\n" not in vitals.away[store.name]
    store.add(said(there, 1, 4, there.message(2, 9, "333")))  # nobody holds what is away
    clock.now += 60
    store.tick()
    assert store.name in vitals.away
    there.come_back()
    for _ in range(200):
        clock.now += 60
        store.tick()
        if not vitals.away:
            break
    assert store.life == 2
    assert vitals.away == {}
    assert store.written(Place(there.stream, 0)) == 2, "reading begins here"
    store.resume(2)
    store.add(said(there, 2, 2, there.message(2, 8, "311")))
    store.add(said(there, 2, 4, there.message(2, 9, "333")))
    assert there.there() == {A: "312", B: "333"}
    assert store.written(Place(there.stream, 0)) == 6
    store.close()


def test_another_process_that_was_ahead_is_believed(there: Kept) -> None:
    store = Store(there.engine(), "log-1", EAGER)
    store.open()
    other = opened(there.engine())
    other.write(other.take(), {Place(there.stream, 0): 40})
    other.close()
    store.refresh()
    assert store.written(Place(there.stream, 0)) == 40
    store.close()


def test_a_write_beside_is_told_when_it_is_there_and_a_refusal_loses_nothing(there: Kept) -> None:
    vitals = Vitals()
    store = Store(there.engine(), "log-1", Cadence(1, 0.0, is_beside=True), vitals)
    store.open()
    store.resume(1)
    place = Place(there.stream, 0)
    store.add(said(there, 1, 0, there.message(1, 7, "312")))
    store.add(said(there, 1, 2, there.message(2, 8, "333")))
    store.flush()
    assert there.there() == {A: "312", B: "333"}
    assert store.written(place) == 4
    there.refuse_places()
    store.add(said(there, 1, 4, there.message(1, 9, "313")))
    store.flush()
    there.accept_places()
    assert store.name in vitals.away
    assert store.written(place) == 4
    store.close()
