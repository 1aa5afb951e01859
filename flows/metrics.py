"""Metrics of a running process, as Prometheus reads them.

Takes: ``Vitals``, which the worker's thread fills, and the two clocks of the moment of reading
Out:   metric families of ``FAMILIES``, in that order; labels from closed sets, never a phone, and a
       tenant only where its settings say ``watched``
State: none; everything is worked out when it is asked for, so that nobody pays who is not asked
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, get_args

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from schemas.outputs import Cause
from schemas.record import PROVIDERS, REASONS, RECORD_KINDS
from state.census import UNWATCHED
from state.vitals import Histogram, LaneVitals, Vitals

Samples = Iterable[tuple[tuple[str, ...], float]]


class Family(NamedTuple):
    """A metric's name (counters without ``_total``), kind, labels, and what it tells."""

    name: str
    kind: str
    labels: tuple[str, ...]
    about: str

    @property
    def exposed(self) -> str:
        """The name by which queries ask."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


FAMILIES = tuple(
    Family(f"flowsell_{name}", kind, labels, about)
    for name, kind, labels, about in (
        ("records", "counter", ("kind",), "Records of the log, committed."),
        ("events", "counter", ("provider", "kind"), "What webhooks said."),
        ("dead_letters", "counter", ("reason",), "Records that cannot be used."),
        ("dead_letter_ratio", "gauge", (), "Share of dead letters within the last minute."),
        ("duplicates", "counter", ("provider",), "Events that said the same again."),
        ("late_events", "counter", (), "Events more than an hour before the lane's clock."),
        ("ignored", "counter", ("why",), "Events that change nothing, and why."),
        ("lag_records", "gauge", ("lane",), "Records of the lane that are not committed."),
        ("lag_seconds", "gauge", ("lane",), "Age of the oldest record that is not committed."),
        (
            "end_to_end_seconds",
            "histogram",
            (),
            "From a record's append to its commands' commit.",
        ),
        ("commit_seconds", "histogram", (), "How long transactions took."),
        (
            "last_commit_age_seconds",
            "gauge",
            (),
            "Since the last commit, or since lanes are owned.",
        ),
        ("snapshot_bytes", "gauge", (), "Size of the snapshot that was written last."),
        ("snapshot_age_seconds", "gauge", ("lane",), "Since the lane was saved as it is."),
        ("state_rows", "gauge", ("table",), "Rows in use, over the owned lanes."),
        ("state_bytes", "gauge", (), "Columns and indexes of the owned lanes."),
        ("segment_changes", "counter", ("cause",), "Customers that moved between segments."),
        ("decisions", "counter", ("outcome", "reason"), "What became of due triggers."),
        (
            "sink_errors",
            "counter",
            ("sink",),
            "Calls that an engine refused; they are tried again.",
        ),
        ("customers", "gauge", ("segment", "tenant"), "Customers by segment; `tenant` if watched."),
        ("lanes_owned", "gauge", (), "Lanes of this process."),
    )
)
"""Every metric of ours, in the order in which it is told."""

_AT_ZERO: Mapping[str, tuple[str, ...]] = {
    "flowsell_records": (*(str(kind.__struct_config__.tag) for kind in RECORD_KINDS), "unknown"),
    "flowsell_dead_letters": REASONS,
    "flowsell_duplicates": (*PROVIDERS, "receipt"),
    "flowsell_segment_changes": get_args(Cause),
    "flowsell_sink_errors": ("kafka", "clickhouse", "postgres", "valkey", "mongo"),
}
"""Labels that are there from the start: what appears at 1 has no rate before its second time."""


@dataclass(frozen=True)
class Clock:
    """When metrics are read: monotonic seconds, and ms since the Unix epoch."""

    monotonic: Callable[[], float]
    epoch_ms: Callable[[], float]


class Metrics(Collector):
    """The families, filled from ``vitals`` each time they are asked for."""

    def __init__(self, vitals: Vitals, clock: Clock) -> None:
        self._vitals = vitals
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """All of ``FAMILIES``; what is not known yet has no sample."""
        vitals = self._vitals
        counted: dict[str, dict[tuple[str, ...], float]] = {}
        for (name, *labels), times in dict(vitals.counts).items():
            counted.setdefault(f"flowsell_{name}", {})[tuple(labels)] = times
        now, now_ms = self._clock.monotonic(), self._clock.epoch_ms()
        gauges = gauges_of(vitals, now, now_ms)
        histograms = {
            "flowsell_end_to_end_seconds": vitals.end_to_end,
            "flowsell_commit_seconds": vitals.commits,
        }
        for family in FAMILIES:
            if family.kind == "counter":
                yield _counter(family, counted.get(family.name, {}))
            elif family.kind == "histogram":
                yield _histogram(family, histograms[family.name])
            else:
                yield _gauge(family, gauges[family.name])


def gauges_of(vitals: Vitals, now: float, now_ms: float) -> dict[str, Samples]:
    """The samples of every gauge, by name."""
    lanes = vitals.lanes.copy()
    records, dead = vitals.last_minute(now)
    rows, size, customers = _censuses(lanes.values())
    since = vitals.committed_at
    if since is None and lanes:
        since = min(lane.owned_at for lane in lanes.values())
    return {
        "flowsell_dead_letter_ratio": [((), dead / records if records else 0.0)],
        "flowsell_lag_records": _by_lane(lanes, lambda lane: lane.lag_records),
        "flowsell_lag_seconds": _by_lane(lanes, lambda lane: lane.lag_seconds(now_ms)),
        "flowsell_last_commit_age_seconds": [((), now - since)] if since and lanes else [],
        "flowsell_snapshot_bytes": [((), vitals.snapshot_bytes)],
        "flowsell_snapshot_age_seconds": [
            ((str(n),), now - lane.saved_at)
            for n, lane in sorted(lanes.items())
            if lane.saved_at is not None
        ],
        "flowsell_state_rows": [((table,), count) for table, count in rows.items()],
        "flowsell_state_bytes": [((), size)],
        "flowsell_customers": list(customers.items()),
        "flowsell_lanes_owned": [((), len(lanes))],
    }


def _by_lane(lanes: Mapping[int, LaneVitals], measure: Callable[[LaneVitals], float]) -> Samples:
    return [((str(n),), measure(lane)) for n, lane in sorted(lanes.items())]


def _censuses(
    lanes: Iterable[LaneVitals],
) -> tuple[Counter[str], int, Counter[tuple[str, ...]]]:
    """Rows by table, bytes, customers by segment and watched tenant, over all lanes."""
    rows: Counter[str] = Counter()
    customers: Counter[tuple[str, ...]] = Counter()
    size = 0
    for census in [lane.census for lane in lanes]:
        if census is not None:
            rows.update(census.rows)
            customers.update(census.customers)
            size += census.bytes
    return rows, size, customers


def _counter(family: Family, counted: Mapping[tuple[str, ...], float]) -> Metric:
    metric = CounterMetricFamily(family.name, family.about, labels=family.labels)
    zeros = {(label,): 0.0 for label in _AT_ZERO.get(family.name, ())}
    for labels, times in ((zeros if family.labels else {(): 0.0}) | dict(counted)).items():
        metric.add_metric(labels, times)
    return metric


def _gauge(family: Family, samples: Samples) -> Metric:
    metric = GaugeMetricFamily(family.name, family.about, labels=family.labels)
    for labels, value in samples:
        if family.labels[-1:] == ("tenant",) and labels[-1] == UNWATCHED:
            metric.samples.append(_without_tenant(family, labels, value))
        else:
            metric.add_metric(labels, value)
    return metric


def _without_tenant(family: Family, labels: tuple[str, ...], value: float) -> Sample:
    return Sample(family.name, dict(zip(family.labels[:-1], labels, strict=False)), value)


def _histogram(family: Family, told: Histogram) -> Metric:
    metric = HistogramMetricFamily(family.name, family.about)
    bounds = [*map(floatToGoString, told.bounds), "+Inf"]
    metric.add_metric([], list(zip(bounds, told.cells.cumsum().tolist(), strict=True)), told.sum)
    return metric


def registry_of(vitals: Vitals, clock: Clock) -> CollectorRegistry:
    """Our metrics, and what Prometheus' clients tell of any process: CPU, memory, files."""
    registry = CollectorRegistry()
    registry.register(Metrics(vitals, clock))
    ProcessCollector(registry=registry)
    return registry
