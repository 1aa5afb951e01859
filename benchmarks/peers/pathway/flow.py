"""The common job as Pathway's documentation writes it: tables, with all columns in its own engine.

Takes: the records topic as JSON, with the fields that the job reads
Out:   the segments topic; a message with the header ``pathway_diff`` of -1 takes a row back
State: Pathway's own, with its input and progress in the peer's folder

Recency is as of the start of the process, which is then restarted daily. A record's services are
read up to the first, which is all that the log's records have.
"""

from __future__ import annotations

import time

import pathway as pw

from benchmarks.peers.given import Given, given
from benchmarks.peers.job import FREQUENCY, MONETARY_MINOR, RECENCY_DAYS, WINDOW_DAYS, day_of_ms

_AUTOCOMMIT_MS = 100
_SNAPSHOT_MS = 1_000
_NEVER, _OUTSIDE = 100_000, -1
"""Days since a visit that was not attended, and the day of one that does not count."""
_PATHS = {
    "tenant": "/tenant", "provider": "/provider", "resource": "/body/resource",
    "kind": "/body/type", "resource_id": "/body/resource_id", "company_id": "/body/company_id",
    "status": "/body/status", "attendance": "/body/data/attendance",
    "deleted": "/body/data/deleted", "date": "/body/data/date",
    "changed": "/body/data/last_change_date", "written": "/body/data/client/phone",
    "cost": "/body/data/services/0/cost", "amount": "/body/data/services/0/amount",
    "own_id": "/body/id", "version": "/body/version", "phone": "/body/phone",
    "starts_at": "/body/starts_at", "amount_minor": "/body/amount_minor",
}  # fmt: skip


class Record(pw.Schema):
    """What the job reads of a record; most of it is missing in most of them."""

    tenant: str | None = pw.column_definition(default_value=None)
    provider: str | None = pw.column_definition(default_value=None)
    resource: str | None = pw.column_definition(default_value=None)
    kind: str | None = pw.column_definition(default_value=None)
    resource_id: int | None = pw.column_definition(default_value=None)
    company_id: int | None = pw.column_definition(default_value=None)
    status: str | None = pw.column_definition(default_value=None)
    attendance: int | None = pw.column_definition(default_value=None)
    deleted: bool | None = pw.column_definition(default_value=None)
    date: str | None = pw.column_definition(default_value=None)
    changed: str | None = pw.column_definition(default_value=None)
    written: str | None = pw.column_definition(default_value=None)
    cost: int | None = pw.column_definition(default_value=None)
    amount: int | None = pw.column_definition(default_value=None)
    own_id: str | None = pw.column_definition(default_value=None)
    version: int | None = pw.column_definition(default_value=None)
    phone: str | None = pw.column_definition(default_value=None)
    starts_at: str | None = pw.column_definition(default_value=None)
    amount_minor: int | None = pw.column_definition(default_value=None)


def visits(records: pw.Table) -> pw.Table:
    """The versions of visits that records tell of."""
    at = pw.unwrap(pw.this._metadata["timestamp_millis"].as_int())
    crm = records.filter((pw.this.provider == "yclients") & (pw.this.resource == "record"))
    own = records.filter((pw.this.provider == "generic") & (pw.this.kind == "visit"))
    return pw.Table.concat_reindex(
        crm.select(
            tenant=pw.unwrap(pw.this.tenant),
            phone=_digits(pw.unwrap(pw.this.written)),
            visit="y" + pw.unwrap(pw.this.company_id).to_string() + ":"
            + pw.unwrap(pw.this.resource_id).to_string(),
            version=pw.unwrap(pw.this.changed).dt.strptime("%Y-%m-%dT%H:%M:%S%z")
            .dt.timestamp(unit="s"),
            attended=(pw.unwrap(pw.this.attendance) == 1) & ~pw.unwrap(pw.this.deleted)
            & (pw.unwrap(pw.this.status) != "delete"),
            day=_day(pw.unwrap(pw.this.date)),
            minor=pw.unwrap(pw.this.cost) * pw.unwrap(pw.this.amount) * 100,
            at=at,
        ),
        own.select(
            tenant=pw.unwrap(pw.this.tenant),
            phone=_digits(pw.unwrap(pw.this.phone)),
            visit="g" + pw.unwrap(pw.this.own_id),
            version=pw.cast(float, pw.unwrap(pw.this.version)),
            attended=pw.unwrap(pw.this.status) == "attended",
            day=_day(pw.unwrap(pw.this.starts_at)),
            minor=pw.unwrap(pw.this.amount_minor),
            at=at,
        ),
    )  # fmt: skip


def _digits(written: pw.ColumnExpression) -> pw.ColumnExpression:
    for mark in ("+", " ", "(", ")", "-"):
        written = written.str.replace(mark, "")
    is_home = written.str.startswith("8") & (written.str.len() == 11)
    return pw.if_else(is_home, "7" + written.str.slice(1, 11), written)


def _day(text: pw.ColumnExpression) -> pw.ColumnExpression:
    seconds = text.str.slice(0, 10).dt.strptime("%Y-%m-%d").dt.timestamp(unit="s")
    return pw.cast(int, seconds) // 86_400


def segments(versions: pw.Table, today: int) -> pw.Table:
    """Customer, segment and the append time of the last record that counted."""
    newest = versions.groupby(pw.this.tenant, pw.this.visit).reduce(
        row=pw.reducers.argmax(pw.this.version)
    )
    latest = versions.ix(newest.row)
    ago = pw.if_else(pw.this.day > today, 0, today - pw.this.day)
    aged = latest.with_columns(
        ago=pw.if_else(pw.this.attended, ago, _NEVER),
        day=pw.if_else(pw.this.attended & (ago < WINDOW_DAYS), pw.this.day, _OUTSIDE),
        minor=pw.if_else(pw.this.attended & (ago < WINDOW_DAYS), pw.this.minor, 0),
    )
    features = aged.groupby(pw.this.tenant, pw.this.phone).reduce(
        customer=pw.this.tenant + "|" + pw.this.phone,
        r=-pw.reducers.min(pw.this.ago),
        f=pw.reducers.count_distinct(pw.this.day)
        - pw.cast(int, pw.reducers.min(pw.this.day) == _OUTSIDE),
        m=pw.reducers.sum(pw.this.minor),
        at=pw.reducers.max(pw.this.at),
    )
    r = _digit(pw.this.r, (-RECENCY_DAYS[0], -RECENCY_DAYS[1]))
    code = r + _digit(pw.this.f, FREQUENCY) + _digit(pw.this.m, MONETARY_MINOR)
    is_lead = pw.this.r == -_NEVER
    return features.select(pw.this.customer, pw.this.at, to=pw.if_else(is_lead, "000", code))


def _digit(value: pw.ColumnExpression, at_least: tuple[int, int]) -> pw.ColumnExpression:
    two_or_three = pw.if_else(value >= at_least[0], "3", "2")
    return pw.if_else(value >= at_least[1], two_or_three, "1")


def build(told: Given) -> None:
    """Source to sink."""
    kafka = {"bootstrap.servers": told.bootstrap, "group.id": "peers", "session.timeout.ms": "6000",
             "auto.offset.reset": "earliest"}  # fmt: skip
    records = pw.io.kafka.read(
        kafka, told.records, schema=Record, format="json", json_field_paths=_PATHS,
        with_metadata=True, autocommit_duration_ms=_AUTOCOMMIT_MS, name="records",
    )  # fmt: skip
    today = day_of_ms(int(time.time() * 1000))
    changed = segments(visits(records), today).deduplicate(
        value=pw.this["to"],
        instance=pw.this.customer,
        acceptor=lambda new, old: new != old,
        name="changes",
    )
    pw.io.kafka.write(changed, kafka, told.segments, format="json", key=changed.customer)


def main() -> None:
    """Run as one process of as many threads as PATHWAY_THREADS says."""
    told = given()
    build(told)
    backend = pw.persistence.Backend.filesystem(str(told.state / "pathway"))
    pw.run(
        persistence_config=pw.persistence.Config(backend, snapshot_interval_ms=_SNAPSHOT_MS),
        monitoring_level=pw.MonitoringLevel.NONE,
    )


if __name__ == "__main__":
    main()
