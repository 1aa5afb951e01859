"""Tell what money visits and payments brought.

In:    rows of attended visits, or of payments
Out:   i8 minor units of the tenant's currency, one a row
State: read only

An attended visit brings its own amount, unless a live payment names its money unit: then the unit's
earliest attended record has the sum of all its payments, never below 0, and the others nothing.
"""

from __future__ import annotations

import numpy as np

from schemas.batch import I8
from state.index import Rows
from state.lane import LaneState
from state.money import LIVE
from state.tables import Flags

_MAJOR_DIGITS = 3  # decoders give major units in thousandths
_DIVISORS = np.array([1000, 100, 10, 1], np.int64)
_HALVES = _DIVISORS // 2


def visit_money(state: LaneState, rows: Rows) -> I8:
    """Money of these attended visits; an amount in another currency than the tenant's is none."""
    visits, units = state.visits, state.units
    money = visits.amount[rows]
    major = visits.is_major[rows].nonzero()[0]
    if len(major):
        tenants = state.scopes.tenant[visits.scope[rows[major]]]
        money[major] = minor_units(state, tenants, money[major])
    money[visits.foreign[rows]] = 0
    if len(units):
        unit = visits.unit[rows]
        paid = (unit >= 0).nonzero()[0]
        if len(paid):
            paid = paid[units.count[unit[paid]] > 0]
            unit = unit[paid]
            holds = units.holder[unit] == rows[paid]
            money[paid] = np.where(holds, np.maximum(units.paid[unit], 0), 0)
    return money


def payment_money(state: LaneState, rows: Rows) -> I8:
    """Money of these payments that counts by itself, on the payment's own day; else 0.

    A payment for a visit is the visit's money; a sale that is paid, or whose visit is, is no more
    than the price of what the payment is for.
    """
    return np.where(counts_alone(state, rows), payment_minor(state, rows), 0)


def counts_alone(state: LaneState, rows: Rows) -> Flags:
    """Whether these payments count by themselves."""
    payments, units = state.payments, state.units
    unit, sale = payments.unit[rows], payments.is_sale[rows]
    covered = (payments.covers[rows] > 0) | ((unit >= 0) & (units.count[unit] > 0))
    alone: Flags = (payments.status[rows] == LIVE) & np.where(sale, ~covered, unit < 0)
    return alone


def payment_minor(state: LaneState, rows: Rows) -> I8:
    """The payments' own amounts."""
    payments = state.payments
    tenants = state.scopes.tenant[payments.scope[rows]]
    return minor_units(state, tenants, payments.amount[rows])


def minor_units(state: LaneState, tenants: Rows, thousandths: I8) -> I8:
    """Minor units of the tenants' currencies, halves away from zero."""
    digits = np.minimum(state.tenants.exponent[tenants], _MAJOR_DIGITS)
    minor: I8 = (np.abs(thousandths) + _HALVES[digits]) // _DIVISORS[digits]
    return np.where(thousandths < 0, -minor, minor)
