"""Everything one lane remembers: its tables, its tenants, its place in the log.

State: the tables of ``tables`` and ``tenants``; chains, indexes and due instants are derived from
       them and rebuilt by ``rederive``
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schemas.batch import I8
from schemas.keys import row_keys, text_key
from state.contacts import Contacts, Cooldowns, Failures, Held
from state.crowds import Crowds
from state.days import Counters, DayEnds, FlowDays, Minutes, SegmentDays, VisitDays
from state.due import DueColumn
from state.funnel import FunnelDays, UpliftMonths
from state.index import Rows
from state.messages import Messages, Tallies
from state.money import Payments, Units, UnitVisits
from state.people import Aliases, Tombstones
from state.runs import begins
from state.table import Table
from state.tables import (
    Clients,
    Customers,
    Marks,
    Occasions,
    Places,
    Scopes,
    Visits,
    VisitTexts,
    Words,
)
from state.tenants import EVERYWHERE, Tenants
from state.zones import Zones


class LaneState:
    """The fold's state over one Kafka partition, as columns.

    ``position`` is the next position to fold, ``clock_ms`` the running maximum of append times,
    ``digest`` the sum modulo 2**64 of the hashes of all outputs so far. Tenants of other
    ``countries`` than these are refused; none are all.
    """

    def __init__(self, lane: int, id_key: bytes, countries: frozenset[str] = EVERYWHERE) -> None:
        self.lane = lane
        self.id_key = id_key
        self.position = 0
        self.clock_ms = 0
        self.cleaned_ms = 0
        self.digest = 0
        self.zones = Zones()
        self.tenants = Tenants(self.zones, countries)
        self.words = Words()
        self.scopes = Scopes()
        self.places = Places()
        self.customers = Customers()
        self.clients = Clients()
        self.aliases = Aliases()
        self.tombstones = Tombstones()
        self.visits = Visits()
        self.visit_texts = VisitTexts()
        self.payments = Payments()
        self.units = Units()
        self.unit_visits = UnitVisits(self.visits, self.scopes)
        self.occasions = Occasions()
        self.marks = Marks()
        self.messages = Messages()
        self.held = Held()
        self.contacts = Contacts()
        self.cooldowns = Cooldowns()
        self.failures = Failures()
        self.crowds = Crowds()
        self.tallies = Tallies()
        self.visit_days = VisitDays()
        self.segment_days = SegmentDays()
        self.flow_days = FlowDays()
        self.day_ends = DayEnds()
        self.funnel_days = FunnelDays()
        self.uplift_months = UpliftMonths()
        self.minutes = Minutes()
        self.due = DueColumn(self.customers)
        self._word_rows: dict[str, int] = {}
        self._place_rows: dict[tuple[int, str | None], int] = {}

    @property
    def tables(self) -> dict[str, Table]:
        """Every stored table under its storage name."""
        return {
            "tenants": self.tenants,
            "words": self.words,
            "scopes": self.scopes,
            "places": self.places,
            "customers": self.customers,
            "clients": self.clients,
            "aliases": self.aliases,
            "tombstones": self.tombstones,
            "visits": self.visits,
            "visit_texts": self.visit_texts,
            "payments": self.payments,
            "units": self.units,
            "occasions": self.occasions,
            "marks": self.marks,
            "messages": self.messages,
            "held": self.held,
            "contacts": self.contacts,
            "cooldowns": self.cooldowns,
            "failures": self.failures,
            "crowds": self.crowds,
            "tallies": self.tallies,
            "visit_days": self.visit_days,
            "segment_days": self.segment_days,
            "flow_days": self.flow_days,
            "day_ends": self.day_ends,
            "funnel_days": self.funnel_days,
            "uplift_months": self.uplift_months,
            "minutes": self.minutes,
        }

    def rederive(self) -> None:
        """Rebuilds indexes, chains, zones and due instants from the stored columns."""
        for table in self.tables.values():
            table.reindex()
            if isinstance(table, Counters):
                table.find_least()
        self.tenants.adopt_stored()
        self._word_rows = {self.words.text[row]: row for row in self.words.live().tolist()}
        self._place_rows = {}
        for place in self.places.live().tolist():
            self.places.zone[place] = self.zone_of_place(place)
            named = (int(self.places.tenant[place]), self.places.branch[place])
            self._place_rows[named] = place
        self.relink()
        self.due.rebuild()
        self.tenants.await_midnight(self.tenants.live(), self.clock_ms)

    def relink(self) -> None:
        """Rebuilds the chains customer → aliases, → contacts, → clients → visits, payments."""
        clients, visits, aliases = self.clients, self.visits, self.aliases
        self.relink_contacts()
        _chain(aliases.live(), aliases.customer, self.customers.first_alias, aliases.next_alias)
        _chain(clients.live(), clients.customer, self.customers.first_client, clients.next_client)
        _chain(visits.live(), visits.client, clients.first_visit, visits.next_visit)
        self.relink_money()

    def relink_contacts(self) -> None:
        """Rebuilds the chains customer → contacts and → failures."""
        contacts, failures = self.contacts, self.failures
        heads = self.customers.first_contact
        _chain(contacts.live(), contacts.customer, heads, contacts.next_contact)
        heads = self.customers.first_failure
        _chain(failures.live(), failures.customer, heads, failures.next_failure)

    def relink_money(self) -> None:
        """Rebuilds the chains client → payments and unit → payments, and the units' visits."""
        clients, payments, units = self.clients, self.payments, self.units
        _chain(payments.live(), payments.client, clients.first_payment, payments.next_payment)
        _chain(payments.live(), payments.unit, units.first_payment, payments.next_in_unit)
        self.unit_visits.rebuild()

    def intern(self, texts: Sequence[str | None]) -> Rows:
        """Rows of these words, -1 for None."""
        known = self._word_rows
        return np.array(
            [-1 if t is None else known[t] if t in known else self._add_word(t) for t in texts],
            np.int32,
        )

    def places_of(self, tenants: list[int], branches: list[str | None]) -> Rows:
        """The rows of tenants' branches."""
        known = self._place_rows
        return np.array(
            [
                known[named] if named in known else self._add_place(*named)
                for named in zip(tenants, branches, strict=True)
            ],
            np.int32,
        )

    def _add_place(self, tenant: int, branch: str | None) -> int:
        key = row_keys(self.tenants.key[[tenant]], _key(branch or ""))
        rows, _ = self.places.find_or_add(key)
        row = self._place_rows[tenant, branch] = int(rows[0])
        self.places.tenant[row] = tenant
        self.places.branch[row] = branch or ""
        self.places.zone[row] = self.zone_of_place(row)
        return row

    def _add_word(self, text: str) -> int:
        rows, _ = self.words.find_or_add(row_keys(_key(text), np.zeros(1, np.uint64)))
        row = self._word_rows[text] = int(rows[0])
        self.words.text[row] = text
        return row

    def zone_of_place(self, place: int) -> int:
        """The zone in which visits at this place are read."""
        settings = self.tenants.settings[int(self.places.tenant[place])]
        return self.zones.code(settings.zone_of(self.places.branch[place]))

    def tenant_day(self, tenants: Rows, instants: I8) -> NDArray[np.int32]:
        """Tenant-local calendar days of instants."""
        return self.zones.day(self.tenants.zone[tenants], instants)


def _key(text: str) -> NDArray[np.uint64]:
    return np.array([text_key(text)], np.uint64)


def _chain(children: Rows, parent: Rows, first: Rows, following: Rows) -> None:
    first[:] = -1
    following[:] = -1
    children = children[parent[children] >= 0]
    ordered = children[np.argsort(parent[children], kind="stable")]
    parents = parent[ordered]
    starts = begins(parents)
    first[parents[starts]] = ordered[starts]
    inner = (~starts).nonzero()[0]
    following[ordered[inner - 1]] = ordered[inner]
