"""Keep payments and sales of goods, and tell what they and the visits that they are for are worth.

Takes: payments in log order; the ledger whose visits they are for
Out:   money of attended visits, and of payments that count by themselves
Source: payments of a visit's unit are the unit's money, and its earliest attended record has it;
        a unit lives as long as anything in it is inside the window; a sale of goods counts unless
        it is paid, or its visit is, and stays for as long as what has paid it
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from tests.oracle_bodies import Key, PaymentFact, VisitFact
from tests.oracle_people import stand_in

if TYPE_CHECKING:
    from tests.oracle_ledger import Ledger, Visit


@dataclass
class Payment:
    """The winning version of a payment or a sale."""

    fact: PaymentFact
    version: int | None
    kept_day: int


@dataclass
class Unit:
    """A visit of the provider's that a payment has named."""

    kept_day: int
    holder: Key | None = None


@dataclass
class Sale:
    """A sale of goods that was told, or that a payment has named."""

    kept_day: int
    is_settled: bool = False  # a payment for it has left the window


@dataclass
class Money:
    """One tenant's payments."""

    ledger: Ledger
    payments: dict[Key, Payment] = field(default_factory=dict)
    units: dict[Key, Unit] = field(default_factory=dict)
    sales: dict[Key, Sale] = field(default_factory=dict)

    def take(self, fact: PaymentFact) -> bool:
        """One version more; tells whether it repeats what is known."""
        stored = self.payments.get(fact.key)
        day = self.ledger.day(fact)
        told = self.ledger.today if day is None else day
        if stored is None:
            if not self.ledger.is_inside(day):
                return False
            self._write(fact, Payment(fact, fact.version, told))
            return False
        if _repeats(fact, stored):
            return True
        if _is_older(fact, stored):
            return False
        kept = replace(stored.fact, deleted=True) if fact.deleted else fact
        version = stored.version if fact.version is None else fact.version
        self._write(fact, Payment(kept, version, max(stored.kept_day, told)))
        return False

    def _write(self, told: PaymentFact, payment: Payment) -> None:
        fact = payment.fact
        self.payments[fact.key] = payment
        if fact.sale is not None:
            self._keep_sale(fact.sale, payment)
        if fact.unit is not None:
            unit = self.units.get(fact.unit)
            if unit is None:
                unit = self._begin(fact.unit, payment)
            unit.kept_day = max(unit.kept_day, payment.kept_day)
        payer = self.payer(fact)
        if payer is not None and payer[0] == "phone" and not told.deleted:
            self.ledger.people.name(payer, fact.phone, self.ledger.clock)

    def _keep_sale(self, name: Key, payment: Payment) -> None:
        sale = self.sales.setdefault(name, Sale(payment.kept_day))
        sale.kept_day = max(sale.kept_day, payment.kept_day)
        told = self._told(name)
        if told is not None:
            told.kept_day = max(told.kept_day, sale.kept_day)
            unit = self.units.get(told.fact.unit) if told.fact.unit else None
            if unit is not None:
                unit.kept_day = max(unit.kept_day, told.kept_day)

    def _told(self, sale: Key) -> Payment | None:
        told = [p for p in self.payments.values() if p.fact.is_sale and p.fact.sale == sale]
        return told[0] if told else None

    def _begin(self, name: Key, first: Payment) -> Unit:
        days = [visit.kept_day for visit in self._visits_of(name)]
        unit = self.units[name] = Unit(max(days, default=first.kept_day))
        self._choose(name)
        return unit

    def placed(self, visit: Visit, before: Key | None) -> None:
        """A visit was written: its unit before and its unit now choose who has their money."""
        name = visit.fact.unit
        if name is not None and name in self.units:
            unit = self.units[name]
            unit.kept_day = max(unit.kept_day, visit.kept_day)
        for each in (before, name):
            if each is not None and each in self.units:
                self._choose(each)

    def rederive(self) -> None:
        """New settings may move days, and with the order of starts the one who has the money."""
        for payment in self.payments.values():
            payment.kept_day = max(
                payment.kept_day, self.ledger.day(payment.fact) or payment.kept_day
            )
        for payment in self.payments.values():
            if payment.fact.sale is not None:
                self._keep_sale(payment.fact.sale, payment)
        for name, unit in self.units.items():
            own = [each for each in self.payments.values() if each.fact.unit == name]
            days = [each.kept_day for each in own]
            days += [each.kept_day for each in self._visits_of(name)]
            unit.kept_day = max([unit.kept_day, *days])
            if unit.holder in self.ledger.visits:
                self._choose(name)

    def _visits_of(self, name: Key) -> list[Visit]:
        return [visit for visit in self.ledger.visits.values() if visit.fact.unit == name]

    def _choose(self, name: Key) -> None:
        found = [visit for visit in self._visits_of(name) if visit.is_attended]
        # Of equal starts any would do: nobody's money depends on it in these logs.
        found.sort(key=lambda visit: self.ledger.start(visit.fact) or 0)
        self.units[name].holder = found[0].fact.key if found else None

    def _is_held(self, payment: Payment) -> bool:
        """By its own day, or by that of its unit."""
        unit = self.units.get(payment.fact.unit) if payment.fact.unit else None
        days = [payment.kept_day, payment.kept_day if unit is None else unit.kept_day]
        return self.ledger.is_inside(max(days))

    def expire(self) -> None:
        """Lets go of all that has left the window, each as it counted until then."""
        gone = [key for key, payment in self.payments.items() if not self._is_held(payment)]
        alone = {key: payment for key in gone if self.counts_alone(payment := self.payments[key])}
        for key, payment in alone.items():
            day = self.ledger.day(payment.fact)
            if day is not None:
                self.ledger.keep_past(key, day, self.minor(payment.fact.major))
        for key in gone:
            fact = self.payments.pop(key).fact
            if fact.sale is not None and not (fact.is_sale or fact.deleted):
                self.sales[fact.sale].is_settled = True
        for name in [name for name, sale in self.sales.items() if not self._stays(name, sale)]:
            del self.sales[name]
        over = [n for n, unit in self.units.items() if not self.ledger.is_inside(unit.kept_day)]
        for name in over:
            del self.units[name]

    def _stays(self, name: Key, sale: Sale) -> bool:
        return self.ledger.is_inside(sale.kept_day) or self._told(name) is not None

    def payer(self, fact: PaymentFact) -> Key | None:
        """Whose money it is where it counts by itself."""
        if fact.unit is not None and not fact.is_sale:
            return None
        return fact.client or stand_in(fact.phone)

    def minor(self, major: Decimal) -> int:
        """Minor units of the tenant's currency."""
        exponent = self.ledger.rules.currency_exponent
        return int((major * 10**exponent).to_integral_value(ROUND_HALF_UP))

    def _price(self, fact: VisitFact) -> int:
        own = self.ledger.rules.currency
        if own is not None and fact.currency not in {None, own}:
            return 0
        return self.minor(fact.major) if fact.major is not None else fact.amount or 0

    def _live(self) -> list[PaymentFact]:
        facts = [payment.fact for payment in self.payments.values()]
        return [fact for fact in facts if not fact.deleted]

    def _paid(self) -> dict[Key, int]:
        paid: dict[Key, int] = {}
        for fact in self._live():
            if fact.unit is not None and not fact.is_sale:
                paid[fact.unit] = paid.get(fact.unit, 0) + self.minor(fact.major)
        return paid

    def counts_alone(self, payment: Payment) -> bool:
        """Whether it is money of its own day."""
        fact = payment.fact
        if fact.deleted:
            return False
        if not fact.is_sale:
            return fact.unit is None
        if fact.unit is not None and fact.unit in self._paid():
            return False
        if fact.sale is not None and self.sales[fact.sale].is_settled:
            return False
        return not any(each.sale == fact.sale and not each.is_sale for each in self._live())

    def of_visits(self) -> dict[Key, int]:
        """What each attended visit that stands is worth."""
        paid = self._paid()
        worth: dict[Key, int] = {}
        for visit in self.ledger.visits.values():
            unit = visit.fact.unit
            if not visit.is_attended:
                continue
            if unit is not None and unit in paid:
                holds = self.units[unit].holder == visit.fact.key
                worth[visit.fact.key] = max(0, paid[unit]) if holds else 0
            else:
                worth[visit.fact.key] = self._price(visit.fact)
        return worth

    def alone(self) -> list[tuple[Key, int, str | None, int]]:
        """Key, day, customer and sum of money of its own day."""
        found = []
        for key, payment in self.payments.items():
            day = self.ledger.day(payment.fact)
            if day is not None and self.counts_alone(payment):
                who = self.ledger.owner(self.payer(payment.fact))
                found.append((key, day, who, self.minor(payment.fact.major)))
        return found


def _repeats(fact: PaymentFact, stored: Payment) -> bool:
    if fact.version not in {None, stored.version} or fact.deleted != stored.fact.deleted:
        return False
    same = replace(fact, version=None) == replace(stored.fact, version=None)
    return same or fact.deleted


def _is_older(fact: PaymentFact, stored: Payment) -> bool:
    if fact.version is None or stored.version is None:
        return False
    undead = stored.fact.deleted and not fact.deleted
    return fact.version < stored.version or (fact.version == stored.version and undead)
