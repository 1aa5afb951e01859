"""Tenants and their settings in force, with the resolved numbers as columns for vectorised rules.

State: the settings as they were given (JSON); every other column is derived from them
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from schemas.batch import I4, I8, NONE, Objects
from schemas.keys import row_keys, text_key
from schemas.settings import DEFAULT_SETTINGS, TenantSettings, Trigger, parse_settings
from state.index import Rows
from state.table import Column, Table
from state.zones import Zones

_UNSET = np.iinfo(np.int64).max


class Tenants(Table):
    """One row a tenant; ``settings`` and ``reminders`` run beside the columns, by row."""

    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "name": Column("O", None),
        "stored": Column("O", None, text=False),
        "window": Column("i4", derived=True),
        "recent": Column("i4", derived=True),
        "cooling": Column("i4", derived=True),
        "often": Column("i4", derived=True),
        "repeated": Column("i4", derived=True),
        "big": Column("i8", _UNSET, derived=True),
        "fair": Column("i8", _UNSET, derived=True),
        "bounded": Column("?", derived=True),
        "zone": Column("i4", derived=True),
        "exponent": Column("i1", 2, derived=True),
        "midnight_ms": Column("i8", _UNSET, derived=True),
    }
    name: Objects
    stored: Objects
    window: I4
    recent: I4
    cooling: I4
    often: I4
    repeated: I4
    big: I8
    fair: I8
    bounded: NDArray[np.bool_]
    zone: I4
    exponent: NDArray[np.int8]
    midnight_ms: I8

    def __init__(self, zones: Zones) -> None:
        super().__init__()
        self._zones = zones
        self._rows: dict[str, int] = {}
        self.settings: list[TenantSettings] = []
        self.reminders: list[tuple[Trigger, ...]] = []
        self.entries: list[tuple[Trigger, ...]] = []
        # Reminder rules as (tenant, rule) matrices: lead time, and a key of the rule's id.
        self.reminder_before: I8 = np.zeros((0, 0), np.int64)
        self.reminder_key: NDArray[np.uint64] = np.zeros((0, 0), np.uint64)

    def row(self, name: str) -> int:
        """The tenant's row; one that is not known yet starts with the default settings."""
        row = self._rows.get(name)
        if row is None:
            key = row_keys(np.array([text_key(name)], np.uint64), np.zeros(1, np.uint64))
            rows, _ = self.find_or_add(key)
            row = self._rows[name] = int(rows[0])
            self.name[row] = name
            self._apply(row, DEFAULT_SETTINGS)
        return row

    def adopt(self, row: int, settings: TenantSettings) -> None:
        """Puts new settings in force."""
        self.stored[row] = settings.source
        self.changed[row] = True
        self._apply(row, settings)

    def adopt_stored(self) -> None:
        """Rebuilds what is derived, after a restore."""
        self._rows = {}
        for row in self.live().tolist():
            self._rows[self.name[row]] = row
            stored = self.stored[row]
            settings = DEFAULT_SETTINGS
            if stored is not None:
                settings = parse_settings(stored, f"tenants.{self.name[row]}")
            self._apply(row, settings)

    def await_midnight(self, rows: Rows, now_ms: int) -> None:
        """Sets the next local midnight after an instant."""
        zones = self.zone[rows]
        today = self._zones.day(zones, np.full(len(rows), now_ms))
        self.midnight_ms[rows] = self._zones.midnight(zones, today + np.int32(1))

    def next_midnight(self) -> int:
        """The earliest midnight that is awaited."""
        return int(self.midnight_ms[: self.rows].min(initial=_UNSET))

    def whose_midnight(self, midnight_ms: int) -> Rows:
        """Tenants whose next midnight this is."""
        return np.flatnonzero(self.midnight_ms[: self.rows] == midnight_ms).astype(np.int32)

    def _apply(self, row: int, settings: TenantSettings) -> None:
        while len(self.settings) <= row:
            self.settings.append(DEFAULT_SETTINGS)
            self.reminders.append(())
            self.entries.append(())
        self.settings[row] = settings
        self.reminders[row] = tuple(t for t in settings.triggers if t.kind == "reminder")
        self.entries[row] = tuple(t for t in settings.triggers if t.kind == "segment_entered")
        self.window[row] = settings.window_days
        self.recent[row], self.cooling[row] = settings.recency_days
        self.often[row], self.repeated[row] = settings.frequency
        self.bounded[row] = settings.boundaries is not None
        self.big[row], self.fair[row] = settings.boundaries or (_UNSET, _UNSET)
        self.zone[row] = self._zones.code(settings.timezone)
        self.exponent[row] = settings.currency_exponent
        self._set_reminders(row)

    def _set_reminders(self, row: int) -> None:
        rules = self.reminders[row]
        height, width = self.reminder_before.shape
        if row >= height or len(rules) > width:
            shape = (max(len(self.changed), row + 1), max(width, len(rules)))
            before, key = np.full(shape, NONE), np.zeros(shape, np.uint64)
            before[:height, :width] = self.reminder_before
            key[:height, :width] = self.reminder_key
            self.reminder_before, self.reminder_key = before, key
        self.reminder_before[row] = NONE
        for place, rule in enumerate(rules):
            self.reminder_before[row, place] = rule.before_ms
            self.reminder_key[row, place] = text_key(rule.id)
