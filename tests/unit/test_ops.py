"""The ops endpoint tells what the vitals say, and nothing that it should not."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.broker import free_ports
from flows.environment import EnvironmentMistake
from flows.metrics import FAMILIES, Clock, registry_of
from flows.ops import PAGES, Endpoint, serving
from state.census import Census
from state.vitals import LaneVitals, Phase, Vitals

NOW = 1_000.0
NOW_MS = 1_700_000_000_000.0

Counts = Counter[tuple[str, ...]]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def lane(position: int = 10, emits_from: int = 10, **fields: float) -> LaneVitals:
    """A lane that is committed as far as it is read, and was saved five seconds ago."""
    told = LaneVitals(position, emits_from, position, int(NOW_MS) - 90_000, NOW - 5, NOW - 100)
    for name, value in fields.items():
        setattr(told, name, value)
    return told


def running(*lanes: LaneVitals, phase: Phase = "running") -> Vitals:
    vitals = Vitals()
    vitals.phase = phase
    vitals.turn(NOW)
    vitals.lanes = dict(enumerate(lanes))
    return vitals


def endpoint(vitals: Vitals, is_draining: bool = False, now: float = NOW) -> Endpoint:
    clock = Clock(lambda: now, lambda: NOW_MS)
    return Endpoint(vitals, lambda: is_draining, clock, registry_of(vitals, clock), NOW)


def health(path: str, vitals: Vitals, is_draining: bool = False, now: float = NOW) -> str:
    """Why not; empty where all is well."""
    status, _, body = endpoint(vitals, is_draining, now).answer(path, "")
    told = json.loads(body)
    assert status == (200 if told["ok"] else 503)
    assert told["ok"] == (not told["why"])
    return str(told["why"])


def samples(vitals: Vitals) -> Samples:
    """What ``/metrics`` says, read as Prometheus reads it."""
    status, _, body = endpoint(vitals).answer("/metrics", "")
    assert status == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def sample(told: Samples, name: str, **labels: str) -> float:
    return told[name, frozenset(labels.items())]


def test_a_process_that_polls_its_restored_lanes_is_ready() -> None:
    assert health("/readyz", running(lane(), lane())) == ""


def test_a_member_without_lanes_is_ready_to_take_some() -> None:
    assert health("/readyz", running()) == ""


@pytest.mark.parametrize(
    ("phase", "why"),
    [
        ("starting", "connecting to Kafka"),
        ("waiting", "another process does this; it takes over when that one is gone"),
        ("joining", "waiting for lanes"),
        ("restoring", "restoring lanes"),
        ("rebalancing", "its lanes were taken away, waiting for others"),
        ("draining", "draining"),
    ],
)
def test_it_is_not_ready_and_still_alive_while(phase: Phase, why: str) -> None:
    vitals = running(lane(), phase=phase)
    assert health("/readyz", vitals) == why
    assert health("/livez", vitals) == ""


def test_it_is_not_ready_while_it_folds_again_what_was_committed() -> None:
    vitals = running(lane(), lane(position=3, emits_from=10))
    assert health("/readyz", vitals) == "folding 7 records again that were committed before"


def test_it_is_not_ready_from_the_moment_a_drain_is_asked_for() -> None:
    assert health("/readyz", running(lane()), is_draining=True) == "draining"


def test_it_is_not_ready_while_an_engine_is_away_and_says_which() -> None:
    vitals = running(lane())
    vitals.away["valkey"] = "Valkey at cache:6379: Connection refused"
    assert health("/readyz", vitals) == "cut off: Valkey at cache:6379: Connection refused"
    assert health("/livez", vitals) == ""


def test_a_lane_that_has_no_state_has_no_age_of_a_snapshot() -> None:
    vitals = running(lane())
    vitals.lanes[0].saved_at = None
    names = {name for name, _ in samples(vitals)}
    assert "flowsell_lag_records" in names
    assert "flowsell_snapshot_age_seconds" not in names


def test_it_is_not_ready_while_no_broker_is_connected() -> None:
    vitals = running(lane())
    vitals.is_connected = False
    assert health("/readyz", vitals) == "cut off: no broker is connected"
    assert health("/livez", vitals) == ""


def test_a_loop_that_stands_is_not_ready_at_first_and_then_not_alive() -> None:
    vitals = running(lane())
    assert health("/readyz", vitals, now=NOW + 9) == ""
    assert health("/readyz", vitals, now=NOW + 11) == "the loop has not turned for 11 s"
    assert health("/livez", vitals, now=NOW + 59) == ""
    assert health("/livez", vitals, now=NOW + 61) == "nothing has moved for 61 s"
    assert health("/readyz", vitals, now=NOW + 61) == "nothing has moved for 61 s"


def test_a_long_restore_is_alive_as_long_as_lanes_come_back() -> None:
    vitals = running(phase="restoring")
    vitals.alive_at = NOW + 100
    assert health("/livez", vitals, now=NOW + 150) == ""
    assert health("/livez", vitals, now=NOW + 161) == "nothing has moved for 61 s"


def test_a_start_that_hangs_is_not_alive() -> None:
    assert health("/livez", Vitals(), now=NOW + 61) == "nothing has moved for 61 s"


def test_every_page_is_there_and_others_are_not() -> None:
    pages = endpoint(running(lane()))
    for page in ("/", *PAGES):
        assert pages.answer(page, "")[0] == 200
    assert pages.answer("/admin", "")[0] == 404
    assert all(page in pages.answer("/", "")[2].decode() for page in PAGES)


def test_counters_say_what_was_committed_and_known_labels_start_at_zero() -> None:
    vitals = running(lane())
    before = samples(vitals)
    assert sample(before, "flowsell_records_total", kind="webhook") == 0
    assert sample(before, "flowsell_dead_letters_total", reason="clock") == 0
    counts = Counter(
        {
            ("records", "webhook"): 8,
            ("events", "yclients", "visit"): 7,
            ("dead_letters", "json"): 1,
            ("decisions", "sent", ""): 2,
            ("late_events",): 3,
        }
    )
    vitals.count_committed(counts, np.array([40, 400]), 0.02, NOW)
    after = samples(vitals)
    assert sample(after, "flowsell_records_total", kind="webhook") == 8
    assert sample(after, "flowsell_events_total", provider="yclients", kind="visit") == 7
    assert sample(after, "flowsell_dead_letters_total", reason="json") == 1
    assert sample(after, "flowsell_decisions_total", outcome="sent", reason="") == 2
    assert sample(after, "flowsell_late_events_total") == 3
    assert sample(after, "flowsell_dead_letter_ratio") == 1 / 8
    assert sample(after, "flowsell_commit_seconds_count") == 1
    assert sample(after, "flowsell_end_to_end_seconds_bucket", le="0.05") == 1
    assert sample(after, "flowsell_end_to_end_seconds_bucket", le="0.5") == 2
    assert sample(after, "flowsell_end_to_end_seconds_count") == 2
    assert sample(after, "flowsell_end_to_end_seconds_sum") == pytest.approx(0.44)
    assert sample(after, "flowsell_last_commit_age_seconds") == 0


def test_the_ratio_of_dead_letters_forgets_what_is_older_than_a_minute() -> None:
    vitals = running(lane())
    rubbish: Counts = Counter({("records", "unknown"): 100, ("dead_letters", "json"): 100})
    good: Counts = Counter({("records", "webhook"): 300})
    vitals.count_committed(rubbish, np.empty(0, np.int64), 0.1, NOW - 61)
    assert sample(samples(vitals), "flowsell_dead_letter_ratio") == 0
    vitals.count_committed(rubbish, np.empty(0, np.int64), 0.1, NOW - 59)
    vitals.count_committed(good, np.empty(0, np.int64), 0.1, NOW - 1)
    assert sample(samples(vitals), "flowsell_dead_letter_ratio") == 0.25


def test_lag_is_what_is_not_committed_and_its_age_that_of_the_oldest() -> None:
    behind = lane(position=20, end=50)
    behind.waiting.extend([(25, int(NOW_MS) - 8_000), (30, int(NOW_MS) - 2_000)])
    vitals = running(behind, lane(end=10), lane(end=11))
    told = samples(vitals)
    assert sample(told, "flowsell_lag_records", lane="0") == 30
    assert sample(told, "flowsell_lag_seconds", lane="0") == 8
    assert sample(told, "flowsell_lag_records", lane="1") == 0
    assert sample(told, "flowsell_lag_seconds", lane="1") == 0
    assert sample(told, "flowsell_lag_seconds", lane="2") == 90  # none is read: since the last one
    behind.commit(25)
    told = samples(vitals)
    assert sample(told, "flowsell_lag_records", lane="0") == 25
    assert sample(told, "flowsell_lag_seconds", lane="0") == 2
    assert sample(told, "flowsell_snapshot_age_seconds", lane="0") == 5
    assert sample(told, "flowsell_lanes_owned") == 3


def test_customers_of_a_watched_tenant_stand_apart_and_the_sum_counts_everybody_once() -> None:
    one, two = lane(), lane()
    one.census = Census({"visits": 5}, 100, Counter({("333", ""): 4, ("333", "t1"): 2}))
    two.census = Census({"visits": 6}, 10, Counter({("333", ""): 1, ("000", ""): 1}))
    told = samples(running(one, two))
    assert sample(told, "flowsell_customers", segment="333") == 5
    assert sample(told, "flowsell_customers", segment="333", tenant="t1") == 2
    assert sample(told, "flowsell_customers", segment="000") == 1
    assert sample(told, "flowsell_state_rows", table="visits") == 11
    assert sample(told, "flowsell_state_bytes") == 110


def test_every_family_is_told_once_the_lanes_are_counted() -> None:
    told = lane()
    told.census = Census({"visits": 5}, 100, Counter({("333", ""): 4}))
    vitals = running(told)
    counts = Counter(
        {
            ("events", "iiko", "visit"): 1,
            ("ignored", "echo"): 1,
            ("decisions", "refused", "stale"): 1,
        }
    )
    vitals.count_committed(counts, np.array([1]), 0.1, NOW)
    names = {name for name, _ in samples(vitals)}
    for family in FAMILIES:
        shown = f"{family.exposed}_sum" if family.kind == "histogram" else family.exposed
        assert shown in names, family.name


@contextmanager
def listening(vitals: Vitals) -> Iterator[HTTPConnection]:
    [port] = free_ports(1)
    with serving(port, vitals, lambda: False):
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        yield connection
        connection.close()


def test_it_answers_over_http_until_the_flow_is_over() -> None:
    vitals = running(lane())
    vitals.turn(time.monotonic())
    with listening(vitals) as connection:
        for path, status in (("/readyz?verbose", 200), ("/livez", 200), ("/nothing", 404)):
            connection.request("GET", path)
            answer = connection.getresponse()
            assert (answer.status, bool(answer.read())) == (status, True)
        connection.request("HEAD", "/metrics")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        connection.request("POST", "/metrics", body="x")
        assert connection.getresponse().status == 501
    with pytest.raises(ConnectionRefusedError):
        connection.request("GET", "/livez")


def test_a_port_that_is_taken_is_a_mistake_of_the_environment() -> None:
    [port] = free_ports(1)
    with (
        serving(port, Vitals(), lambda: False),
        pytest.raises(EnvironmentMistake, match=f"FLOWSELL_OPS_PORT: cannot listen on {port}"),
        serving(port, Vitals(), lambda: False),
    ):
        pass


def test_port_0_listens_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.ops._Server", None)
    with serving(0, Vitals(), lambda: False):
        pass
