"""The common job as Bytewax's documentation writes it: stock connectors, one key per customer.

Takes: the records topic, with ``KafkaSource``
Out:   the segments topic, with ``KafkaSink``
State: what ``stateful_flat_map`` keeps for each key, in Bytewax's own recovery store
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import bytewax.operators as op
import orjson
from bytewax._bytewax import cli_main
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSourceMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir

from benchmarks.peers.given import Given, given
from benchmarks.peers.job import Kept, Visit, day_of_ms, fold, read

_EPOCH = timedelta(seconds=1)
"""Between snapshots of the recovery store."""
_BATCH = 10_000

Keyed = tuple[str, tuple[Visit, int]]
Message = KafkaSinkMessage[bytes, bytes]


def keyed(message: KafkaSourceMessage[Any, Any]) -> Keyed | None:
    """By customer, the visit and the append time of its record."""
    visit = read(orjson.loads(message.value))
    if visit is None or message.timestamp is None:
        return None
    return visit.customer, (visit, message.timestamp[1])


def score(kept: Kept | None, event: tuple[Visit, int]) -> tuple[Kept, list[Message]]:
    """The customer after a visit, and the change if there is one."""
    visit, at = event
    kept, change = fold(kept, visit, day_of_ms(at))
    if change is None:
        return kept, []
    return kept, [KafkaSinkMessage(change.key.encode(), orjson.dumps(change.told(at)))]


def build(told: Given) -> Dataflow:
    """Source to sink."""
    flow = Dataflow("peers")
    records = kop.input(
        "records", flow, brokers=[told.bootstrap], topics=[told.records], batch_size=_BATCH
    )
    visits = op.filter_map("visits", records.oks, keyed)
    changes = op.stateful_flat_map("score", visits, score)
    messages = op.key_rm("changes", changes)
    kop.output("segments", messages, brokers=[told.bootstrap], topic=told.segments)
    return flow


def main() -> None:
    """Run in one worker, as one process on one core."""
    told = given()
    store = told.state / "recovery"
    if not store.exists():
        store.mkdir()
        init_db_dir(store, 1)
    cli_main(build(told), epoch_interval=_EPOCH, recovery_config=RecoveryConfig(store))


if __name__ == "__main__":
    main()
