"""The common job of the peers: its log, its oracle, and how outputs are judged."""

import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from benchmarks.peers import job, table
from benchmarks.peers.catalogue import PEERS
from benchmarks.peers.environment import version_of
from benchmarks.peers.log import PeerLog
from benchmarks.peers.oracle import owed
from benchmarks.peers.outputs import Harm, Told, harm, share_right
from benchmarks.peers.plot import bars
from benchmarks.workload import FIRST_MINUTE, Load
from operators.decode import decode
from operators.fold import fold
from schemas.batch import Chunk
from schemas.keys import customer_id
from sources.business import SECOND
from state.lane import LaneState

ID_KEY = b"bench"
LOAD = Load(
    2_700, 400, 1, lanes=4, runs=2, run_ms=SECOND, first_minute=FIRST_MINUTE,
    records_per_second=2_700,
)  # fmt: skip
TODAY = job.day_of_ms(FIRST_MINUTE)


def phases() -> list[list[Chunk]]:
    log = PeerLog(LOAD)
    return [log.past(), log.run(0, 1), log.run(1, 2)]


@pytest.fixture(scope="module")
def chunks() -> list[Chunk]:
    return [chunk for phase in phases() for chunk in phase]


@pytest.fixture(scope="module")
def values(chunks: list[Chunk]) -> list[bytes]:
    return [value for chunk in chunks for value in chunk.values]


def by_the_job(values: Iterable[bytes]) -> dict[tuple[str, str], str]:
    kept: dict[tuple[str, str], Any] = {}
    for value in values:
        visit = job.read(orjson.loads(value))
        if visit is not None:
            who = visit.tenant, visit.phone
            kept[who], _ = job.fold(kept.get(who), visit, TODAY)
    return {who: each["segment"] for who, each in kept.items() if each["segment"] != job.LEAD}


def test_the_job_ends_where_the_oracle_says(values: list[bytes]) -> None:
    told = owed(values, TODAY)
    assert len(told) >= LOAD.customers
    assert by_the_job(values) == told
    assert len(set(told.values())) > 8


def test_the_engine_ends_where_the_oracle_says(chunks: list[Chunk], values: list[bytes]) -> None:
    states = [LaneState(lane, ID_KEY) for lane in range(LOAD.lanes)]
    at = Counter[int]()
    ends: dict[str, str] = {}
    for chunk in chunks:
        count = len(chunk.values)
        positions = np.arange(at[chunk.lane], at[chunk.lane] + count)
        at[chunk.lane] += count
        clock = np.full(count, FIRST_MINUTE, np.int64)
        given = Chunk(chunk.lane, positions, clock, chunk.values, chunk.keys)
        for batch in decode(given, LOAD.lanes):
            for message in fold(states[chunk.lane], batch).streams["segments"]:
                change = orjson.loads(message.value)
                ends[change["customer_id"]] = change["to"]
    assert ends == {
        customer_id(ID_KEY, tenant, int(phone)): code
        for (tenant, phone), code in owed(values, TODAY).items()
    }


def test_the_oracle_notices_records_that_are_missing(values: list[bytes]) -> None:
    assert owed(values, TODAY) != owed(values[: len(values) // 2], TODAY)


def test_the_order_of_the_records_changes_no_end(values: list[bytes]) -> None:
    assert owed(values[::-1], TODAY) == owed(values, TODAY)
    assert by_the_job(values[::-1]) == owed(values, TODAY)


def test_the_same_seed_gives_the_same_log(values: list[bytes]) -> None:
    assert [value for phase in phases() for chunk in phase for value in chunk.values] == values


def test_a_run_has_records_again_and_late() -> None:
    run = [value for chunk in phases()[1] for value in chunk.values]
    again = sum(count - 1 for count in Counter(run).values())
    assert 0.01 < again / len(run) < 0.04
    received = re.compile(rb'"received_at":"([^"]*)"')
    for lane in range(LOAD.lanes):
        told = [
            found[1]
            for chunk in phases()[1]
            if chunk.lane == lane
            for value in chunk.values
            if b"whatsapp" in value and (found := received.search(value))
        ]
        backwards = sum(later < earlier for earlier, later in pairwise(told))
        assert 0 < backwards < len(told) * 0.1


def test_a_run_has_every_provider_and_visits_that_are_taken_back(values: list[bytes]) -> None:
    records = [orjson.loads(value) for value in values]
    webhooks = [each for each in records if each["kind"] == "webhook"]
    assert {each["provider"] for each in webhooks} == {"yclients", "whatsapp", "generic"}
    generic = [each["body"] for each in webhooks if each["provider"] == "generic"]
    assert {body["status"] for body in generic} == {"booked", "attended", "cancelled"}
    assert {body["phone"][0] for body in generic} == {"+", "8"}
    days = [job.day_of(body["starts_at"][:10]) for body in generic]
    assert min(days) < TODAY - job.WINDOW_DAYS


def test_every_lane_ends_a_phase_with_its_marker() -> None:
    log = PeerLog(LOAD)
    wanted = log.marker_customers(1)
    assert len({tenant for tenant, _ in wanted}) == LOAD.lanes
    last = {chunk.lane: chunk.values[-1] for chunk in log.run(0, 1)}
    visits = [job.read(orjson.loads(value)) for value in last.values()]
    assert {(visit.tenant, visit.phone) for visit in visits if visit} == wanted


def change(before: str, after: str, version: int = 1) -> Told:
    value = orjson.dumps({"from": before, "to": after, "version": version})
    return Told(0.0, "t1|7701", value)


def test_a_missing_link_is_a_lost_change() -> None:
    whole = [change("000", "312"), change("312", "322", 2), change("322", "323", 3)]
    assert harm(whole, {"t1|7701": "323"}) == Harm(lost=0, twice=0)
    assert harm([whole[0], whole[2]], {"t1|7701": "323"}) == Harm(lost=1, twice=0)
    assert harm(whole[:2], {"t1|7701": "323"}) == Harm(lost=1, twice=0)


def test_a_message_that_was_there_already_is_told_twice() -> None:
    told = [change("000", "312"), change("312", "322", 2)]
    assert harm([*told, *told], {"t1|7701": "322"}) == Harm(lost=0, twice=2)


def test_rows_are_judged_by_their_end_alone() -> None:
    rows = [Told(0.0, "t1|7701", orjson.dumps({"to": code})) for code in ("312", "323")]
    assert harm(rows, {"t1|7701": "323"}) == Harm(lost=0, twice=None)
    assert harm([*rows, rows[0]], {"t1|7701": "312"}) == Harm(lost=0, twice=None)
    assert harm(rows, {"t1|7701": "333"}) == Harm(lost=1, twice=None)


def test_the_last_message_of_a_customer_is_what_is_right_or_wrong() -> None:
    told = [change("000", "312"), change("312", "322", 2)]
    assert share_right(told, {"t1|7701": "322", "t1|7702": "311"}) == 0.5
    assert share_right(told, {"t1|7701": "312"}) == 0.0


def test_every_peer_has_a_pinned_version() -> None:
    for peer in PEERS:
        assert re.fullmatch(r"\d+\.\d+(\.\d+)?", version_of(peer)), peer.name


def test_the_picture_has_a_bar_for_each_peer_and_the_cheapest_first() -> None:
    told = [
        {"name": "flowsell", "title": "Ours", "cpu_seconds_per_million": 20.0},
        {"name": "faust", "title": "A <b>", "cpu_seconds_per_million": 10.0},
    ]
    picture = bars(told)
    assert picture.count("<rect") == 3
    assert picture.index("A &lt;b&gt;") < picture.index("Ours")


def figures(name: str, customers: int, rate: int) -> dict[str, Any]:
    return {
        "name": name, "title": name.title(), "version": "1.0", "customers": customers,
        "records_per_second": rate, "cpu_seconds_per_million": 1.5, "rss_bytes": 10**8,
        "promise": "once",
    }  # fmt: skip


def test_a_row_is_kept_for_each_peer_and_number_of_customers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "RESULTS.md"
    results.write_text("before\n<!-- peers -->\nold\n<!-- /peers -->\nafter\n", encoding="utf-8")
    monkeypatch.setattr(table, "_RESULTS", results)
    monkeypatch.setattr(table, "_KEPT", tmp_path / "results.json")
    monkeypatch.setattr(table, "_PLOT", tmp_path / "results.svg")
    away = {"name": "quix", "title": "Quix", "customers": 100, "reason": "not here"}
    table.keep([figures("faust", 100, 11), figures("flowsell", 100, 22), away], {"commit": "a"})
    table.keep([figures("flowsell", 9_000, 33), figures("faust", 100, 44)], {"commit": "b"})
    text = results.read_text(encoding="utf-8")
    rates = [row.split("|")[3].strip() for row in text.splitlines() if "| 1.5 |" in row]
    assert rates == ["22", "44", "33"]
    assert "Not measured: Quix, 100 customers: not here" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert (tmp_path / "results.svg").read_text(encoding="utf-8").count("<text") == 5
