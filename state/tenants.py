"""Tenants and their settings in force, with the resolved numbers as columns for vectorised rules.

State: the settings as they were given (JSON); the country that was told last; monetary boundaries,
       which each midnight sets from what customers have spent; every other column is derived from
       the settings
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from schemas.batch import I4, I8, NONE, Objects
from schemas.keys import row_keys, text_key
from schemas.settings import (
    DEFAULT_SETTINGS,
    TenantSettings,
    parse_settings,
    thresholds_version,
)
from state.funnel import FUNNEL_DAYS
from state.index import Rows
from state.rules import Rules
from state.table import Column, Table
from state.triggers import COLUMNS, OfKind
from state.zones import Zones

_UNSET = np.iinfo(np.int64).max
_NO_DAY = np.iinfo(np.int32).min

EVERYWHERE: frozenset[str] = frozenset()
"""In the place of countries: tenants may be of any."""

BIG_ENOUGH = 300
"""From so many customers on, boundaries are tertiles of what they have spent."""

UNBOUNDED = (np.iinfo(np.int64).max, np.iinfo(np.int64).min)
"""Lower bounds of M 3 and M 2 under which every digit is 2."""


class Tenants(Table):
    """One row a tenant; ``settings`` run beside the columns, by row, ``triggers`` by kind and row.

    ``big`` and ``fair`` are the lower bounds of M 3 and M 2 from ``bounds_day`` on, those
    ``before`` hold for customers whose day has not begun yet. ``crowd`` is the number of customers
    with a visit in the window at the last midnight, ``check`` the lower median of a visit day's
    sum, NONE if there is none. ``consents``: who has said nothing may be written to. For
    ``contact_days`` contacts count, for ``cooldown_days`` the last one of a rule. ``country`` is
    where it was told to be last, whether or not those settings are in force; ``abroad`` names the
    tenants that are in none of ``countries``.
    """

    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "name": Column("O", None),
        "stored": Column("O", None, text=False),
        "window": Column("i4", derived=True),
        "recent": Column("i4", derived=True),
        "cooling": Column("i4", derived=True),
        "often": Column("i4", derived=True),
        "repeated": Column("i4", derived=True),
        "big": Column("i8", UNBOUNDED[0]),
        "fair": Column("i8", UNBOUNDED[1]),
        "big_before": Column("i8", UNBOUNDED[0]),
        "fair_before": Column("i8", UNBOUNDED[1]),
        "bounds_day": Column("i4", _NO_DAY),
        "crowd": Column("i4"),
        "check": Column("i8", NONE),
        "country": Column("O", None),
        "zone": Column("i4", derived=True),
        "consents": Column("?", derived=True),
        "contact_days": Column("i4", derived=True),
        "cooldown_days": Column("i4", derived=True),
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
    big_before: I8
    fair_before: I8
    bounds_day: I4
    crowd: I4
    check: I8
    country: Objects
    zone: I4
    consents: NDArray[np.bool_]
    contact_days: I4
    cooldown_days: I4
    exponent: NDArray[np.int8]
    midnight_ms: I8

    def __init__(self, zones: Zones, countries: frozenset[str] = EVERYWHERE) -> None:
        super().__init__()
        self._zones = zones
        self.countries = countries
        self.abroad: set[str] = set()
        self._rows: dict[str, int] = {}
        self.settings: list[TenantSettings] = []
        # Quiet windows as (tenant, marketing or utility, start or end), minutes of the local day.
        self.quiet: I4 = np.zeros((0, 2, 2), np.int32)
        self.triggers: dict[str, OfKind] = {kind: OfKind(kind) for kind in COLUMNS}
        self._thresholds: list[tuple[str, str]] = []  # versions: before ``bounds_day``, from it on
        self.rules = Rules()
        # Caps as (tenant, cap) matrices: over how many days (0: no cap), and how many.
        self.cap_days: I4 = np.zeros((0, 0), np.int32)
        self.cap_most: I4 = np.zeros((0, 0), np.int32)

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
        """Puts new settings in force: at once, also for customers whose day has not begun yet."""
        self.stored[row] = settings.source
        self.changed[row] = True
        big, fair = int(self.big[row]), int(self.fair[row])
        if settings.monetary is not None:
            big, fair = settings.monetary
        elif self.crowd[row] < BIG_ENOUGH:
            big, fair = self.fixed_boundaries(row, settings)
        self.big[row] = self.big_before[row] = big
        self.fair[row] = self.fair_before[row] = fair
        self.bounds_day[row] = _NO_DAY
        self._apply(row, settings)

    def is_home(self, country: str) -> bool:
        """Whether tenants of this country may be kept here."""
        return not self.countries or country in self.countries

    def locate(self, row: int, country: str) -> None:
        """Remembers where the tenant is."""
        self.country[row] = country
        self.changed[row] = True
        if self.is_home(country):
            self.abroad.discard(self.name[row])
        else:
            self.abroad.add(self.name[row])

    def fixed_boundaries(self, row: int, settings: TenantSettings) -> tuple[int, int]:
        """Boundaries of a tenant with few customers: multiples of what one visit day brings."""
        check = settings.average_check_minor
        if check is None:
            check = int(self.check[row])
        if check == NONE:
            return UNBOUNDED
        often, repeated = settings.frequency
        return often * check, repeated * check

    def begin_boundaries(self, rows: Rows, days: I4, big: I8, fair: I8) -> None:
        """Boundaries from these days on; those in force until now are those before."""
        self.big_before[rows], self.fair_before[rows] = self.big[rows], self.fair[rows]
        self.big[rows], self.fair[rows] = big, fair
        self.bounds_day[rows] = days
        self.touch(rows)
        for row in rows.tolist():
            self._name_thresholds(row)

    def boundaries_on(self, tenants: Rows, days: I4) -> tuple[I8, I8]:
        """Lower bounds of M 3 and M 2 for customers who are in these days."""
        old = days < self.bounds_day[tenants]
        big = np.where(old, self.big_before[tenants], self.big[tenants])
        return big, np.where(old, self.fair_before[tenants], self.fair[tenants])

    def boundaries(self, row: int) -> tuple[int, int] | None:
        """Lower bounds of M 3 and M 2 in force; ``None``: every digit is 2."""
        return _told(int(self.big[row]), int(self.fair[row]))

    def thresholds_on(self, rows: Rows, days: I4) -> list[str]:
        """``thresholds_version`` of what customers who are in these days are scored with."""
        versions = self._thresholds
        new = (days >= self.bounds_day[rows]).tolist()
        return [versions[row][at] for row, at in zip(rows.tolist(), new, strict=True)]

    def adopt_stored(self) -> None:
        """Rebuilds what is derived, after a restore."""
        self._rows, self.abroad = {}, set()
        for row in self.live().tolist():
            self._rows[self.name[row]] = row
            stored = self.stored[row]
            settings = DEFAULT_SETTINGS
            if stored is not None:
                settings = parse_settings(stored, f"tenants.{self.name[row]}")
            self._apply(row, settings)
            country = self.country[row] or settings.country  # older snapshots lack the column
            if country is not None:
                self.locate(row, country)

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
        awaited: Rows = (self.midnight_ms[: self.rows] == midnight_ms).nonzero()[0]
        return awaited

    def _apply(self, row: int, settings: TenantSettings) -> None:
        while len(self.settings) <= row:
            self.settings.append(DEFAULT_SETTINGS)
            self._thresholds.append(("", ""))
        self.settings[row] = settings
        self.rules.adopt(row, settings)
        for of_kind in self.triggers.values():
            of_kind.put(row, settings.triggers, self.rules)
        self.window[row] = settings.window_days
        self.recent[row], self.cooling[row] = settings.recency_days
        self.often[row], self.repeated[row] = settings.frequency
        self.zone[row] = self._zones.code(settings.timezone)
        self.exponent[row] = settings.currency_exponent
        self.consents[row] = settings.consent_default == "allow"
        self.contact_days[row] = contact_days(settings)
        self.cooldown_days[row] = cooldown_days(settings)
        self._set_quiet(row)
        self._set_caps(row)
        self._name_thresholds(row)

    def _set_quiet(self, row: int) -> None:
        if row >= len(self.quiet):
            windows = np.zeros((max(len(self.changed), row + 1), 2, 2), np.int32)
            windows[: len(self.quiet)] = self.quiet
            self.quiet = windows
        self.quiet[row] = self.settings[row].quiet_hours, self.settings[row].quiet_utility

    def _name_thresholds(self, row: int) -> None:
        settings = self.settings[row]
        now = thresholds_version(settings, self.boundaries(row))
        held = _told(int(self.big_before[row]), int(self.fair_before[row]))
        self._thresholds[row] = (thresholds_version(settings, held), now)

    def _set_caps(self, row: int) -> None:
        caps = self.settings[row].caps
        height, width = self.cap_days.shape
        if row >= height or len(caps) > width:
            shape = (max(len(self.changed), row + 1), max(width, len(caps)))
            days, most = np.zeros((2, *shape), np.int32)
            days[:height, :width], most[:height, :width] = self.cap_days, self.cap_most
            self.cap_days, self.cap_most = days, most
        self.cap_days[row] = 0
        for place, cap in enumerate(caps):
            self.cap_days[row, place], self.cap_most[row, place] = cap.per_days, cap.max


def contact_days(settings: TenantSettings) -> int:
    """For how many days contacts count: for caps, and in the funnel and its months."""
    return max([FUNNEL_DAYS, *(cap.per_days for cap in settings.caps)])


def cooldown_days(settings: TenantSettings) -> int:
    """For how many days the last contact of a rule counts."""
    return max([FUNNEL_DAYS, *(trigger.cooldown_days for trigger in settings.triggers)])


def _told(big: int, fair: int) -> tuple[int, int] | None:
    return None if (big, fair) == UNBOUNDED else (big, fair)
