"""``flowsell settings load|follow``: tenants' settings from PostgreSQL to the log, as they change.

In:    the tables that an application edits; the environment: FLOWSELL_KAFKA, FLOWSELL_POSTGRES
Out:   a settings record for each tenant whose settings are others than the log has; mistakes,
       beside the settings that they are in
State: the tables': what the log has. One process follows, another waits until that one is gone
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
import numpy as np
import structlog

from flows.environment import Environment, read_from, require
from flows.kafka import Topics, client_properties
from flows.ops import serving
from flows.settings import publish, record_of
from flows.stop import Stop
from schemas.engines import EngineError
from schemas.mistakes import SettingsError
from schemas.record import SIZE_LIMIT, utc_text
from schemas.settings import TenantSettings, parse_settings
from sinks.postgres_settings import SettingsInPostgres, Wanted
from state.vitals import Vitals

AT_ONCE = 500
"""Tenants whose records are acknowledged together."""
QUIET_SECONDS = 30.0
"""How often the same engine's absence is told in the log."""

_NOBODY_WAITED = np.empty(0, np.int64)
_log = structlog.get_logger("settings")


@dataclass(frozen=True)
class Cadence:
    """When the tables are looked at without having been told, and how long each wait lasts."""

    scan_seconds: float = 60.0
    look_seconds: float = 0.5
    """A drain takes no longer to be noticed."""
    again_seconds: float = 1.0
    most_again_seconds: float = 15.0


class Judged(NamedTuple):
    """One tenant's settings as a record, or why they are none."""

    tenant: str
    settings: bytes
    record: bytes
    mistake: SettingsError | None


def judge(wanted: Wanted, received_at: str) -> Judged:
    """The record that ``settings apply`` would publish, or what ``settings check`` would say."""
    path = f"tenants.{wanted.tenant}"
    try:
        record = record_of(wanted.tenant, parse_settings(wanted.settings, path), received_at)
        if len(record) > SIZE_LIMIT:
            raise SettingsError(path, f"{len(record)} bytes, over {SIZE_LIMIT}")
    except SettingsError as mistake:
        return Judged(wanted.tenant, wanted.settings, b"", mistake)
    return Judged(wanted.tenant, wanted.settings, record, None)


def trigger_at_fault(wanted: Wanted, mistake: SettingsError) -> str | None:
    """The id of the trigger that a mistake is in, if it is in one."""
    place = mistake.path.removeprefix(f"tenants.{wanted.tenant}.triggers[")
    number = place.partition("]")[0]
    if place == mistake.path or not number.isdecimal():
        return None
    triggers = msgspec.json.decode(wanted.settings)["triggers"]
    return str(triggers[int(number)]["id"])


class Follower:
    """Carries what was edited from the tables into one log; ``turn`` again and again.

    ``send`` takes records by tenant, and returns when their delivery was acknowledged.
    """

    def __init__(
        self,
        tables: SettingsInPostgres,
        send: Callable[[Mapping[str, bytes]], None],
        log: str,
        stop: Stop,
        vitals: Vitals,
        cadence: Cadence,
    ) -> None:
        self._tables = tables
        self._send = send
        self._log = log
        self._stop = stop
        self._vitals = vitals
        self._cadence = cadence
        self._is_open = True
        self._leads = False
        self._look_at = 0.0
        """When the tables are looked at next, told or not."""
        self._doubted: list[str] = []
        """Who was being sent when an engine was lost."""
        self._failures: Counter[str] = Counter()
        self._told_at: dict[str, float] = {}

    def turn(self) -> None:
        """One look at the tables if it is time, then a wait for an edit."""
        self._vitals.turn(time.monotonic())
        try:
            self._take_part()
        except EngineError as failure:
            self._is_open = self._leads = False
            self._lose(self._tables.name, failure)

    def _take_part(self) -> None:
        seconds = self._cadence.look_seconds
        if not self._is_open:
            if time.monotonic() < self._look_at:
                time.sleep(seconds)
                return
            self._tables.open()
            self._is_open = True
            if self._doubted:  # who leads by now may have sent something newer before it
                self._tables.doubt(self._doubted)
                self._doubted = []
        self._back(self._tables.name)
        if not self._leads:
            self._leads = self._tables.lead()
            if not self._leads:
                self._vitals.phase = "waiting"
                time.sleep(seconds)
                return
            _log.info("follows", tables=str(self._tables))
            self._vitals.phase = "running"
            self._look_at = 0.0
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + self._cadence.scan_seconds
            self._look(None)
        edited = self._tables.heard(seconds)
        # While Kafka is away nobody is looked at for an edit: the next scan finds them all.
        if edited != [] and not self._failures["kafka"]:
            self._look(edited)

    def _look(self, tenants: Sequence[str] | None) -> None:
        """Send what the log does not have of these or of all; say what cannot be sent."""
        now = utc_text(datetime.now(UTC))
        wanted = self._tables.changed(self._log, tenants)
        ready: list[Judged] = []
        for each in wanted:
            judged = judge(each, now)
            self._tell(each, judged)
            if judged.mistake is None and not each.is_sent:
                ready.append(judged)
        for start in range(0, len(ready), AT_ONCE):
            if self._stop.asked() or not self._carry(ready[start : start + AT_ONCE]):
                return
        self._back("kafka")

    def _tell(self, wanted: Wanted, judged: Judged) -> None:
        """Put the mistake into the table where it is another one than it says."""
        mistake = judged.mistake
        if (None if mistake is None else str(mistake)) == wanted.mistake:
            return
        if mistake is None:
            self._tables.tell(wanted.tenant, None)
        else:
            _log.warning("settings are not in force", tenant=wanted.tenant, path=mistake.path)
            self._tables.tell(wanted.tenant, str(mistake), trigger_at_fault(wanted, mistake))

    def _carry(self, some: Sequence[Judged]) -> bool:
        """Records into the log, noted as sent when they are there; whether Kafka took them."""
        began = time.monotonic()
        self._tables.sending({each.tenant: each.settings for each in some}, self._log)
        self._doubted = [each.tenant for each in some]
        try:
            self._send({each.tenant: each.record for each in some})
        except EngineError as failure:
            self._lose("kafka", failure)
            return False
        self._tables.sent(self._doubted)
        self._doubted = []
        now = time.monotonic()
        self._vitals.turn(now)
        self._vitals.count_committed(Counter(), _NOBODY_WAITED, now - began, now)
        _log.info("published", tenants=len(some))
        return True

    def _lose(self, sink: str, failure: EngineError) -> None:
        self._failures[sink] += 1
        self._vitals.counts["sink_errors", sink] += 1
        self._vitals.away[sink] = str(failure)
        cadence, now = self._cadence, time.monotonic()
        pause = cadence.again_seconds * 2.0 ** min(self._failures[sink] - 1, 10)
        self._look_at = now + min(pause, cadence.most_again_seconds)
        if now - self._told_at.get(sink, -QUIET_SECONDS) >= QUIET_SECONDS:
            self._told_at[sink] = now
            _log.warning("engine is away", sink=sink, why=str(failure))

    def _back(self, sink: str) -> None:
        if self._failures.pop(sink, 0):
            self._vitals.away.pop(sink, None)
            _log.info("engine is back", sink=sink)


def tables_of(environment: Environment) -> SettingsInPostgres:
    """The tables, as the environment says."""
    assert environment.postgres is not None
    with read_from("FLOWSELL_POSTGRES"):
        return SettingsInPostgres(environment.postgres)


def load(environment: Environment, tenants: Mapping[str, TenantSettings]) -> str:
    """Put settings into the tables, all or none; returns where that is."""
    require(environment, "settings load", "postgres")
    for tenant, settings in tenants.items():
        if b"\\u0000" in settings.source:
            raise SettingsError(f"tenants.{tenant}", "holds a NUL, which PostgreSQL cannot keep")
    tables = tables_of(environment)
    tables.open()
    try:
        tables.put(tenants)
    finally:
        tables.close()
    return str(tables)


def follow(environment: Environment, stop: Stop, is_again: bool, cadence: Cadence) -> None:
    """Run until ``stop`` asks for a drain; raises what keeps it from starting.

    ``is_again``: whatever the log may have, everybody is published.
    """
    require(environment, "settings follow", "kafka", "postgres")
    tables, vitals = tables_of(environment), Vitals()
    with serving(environment.ops_port, vitals, lambda: stop.draining):
        topics = Topics(client_properties(environment))
        topics.check(environment.lanes)
        log = topics.log()
        tables.open()
        try:
            if is_again:
                tables.doubt()
            follower = Follower(
                tables, lambda records: publish(environment, records), log, stop, vitals, cadence
            )
            _log.info("started", tables=str(tables))
            while not stop.asked():
                follower.turn()
        finally:
            tables.close()
    _log.info("drained")
