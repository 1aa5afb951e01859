"""The comparison with other engines runs, and whoever takes part ends in the right segments."""

import pytest

from benchmarks.broker import KafkaUnavailableError, libraries
from benchmarks.peers.catalogue import PEERS
from benchmarks.peers.command import compare
from benchmarks.peers.size import Size
from tests.recovery.log import is_short


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_every_peer_that_needs_no_install_does_the_common_job() -> None:
    try:
        libraries()
    except KafkaUnavailableError as reason:
        pytest.skip(f"no Apache Kafka here: {reason}")
    size = Size(
        records=4_000 if is_short() else 40_000,
        customers=500 if is_short() else 5_000,
        runs=1, seed=1, lanes=4, held_seconds=0 if is_short() else 5,
    )  # fmt: skip
    peers = [peer for peer in PEERS if peer.is_quick]
    told = {each["name"]: each for each in compare(peers, size, print)}
    assert {name: each.get("reason") for name, each in told.items()} == dict.fromkeys(told)
    assert {name: each["customers_right"] for name, each in told.items()} == dict.fromkeys(told, 1)
    assert set(told) == {"flowsell", "bytewax", "polars", "clickhouse", "postgres"}
    if not is_short():
        assert (told["flowsell"]["lost"], told["flowsell"]["twice"]) == (0, 0)
