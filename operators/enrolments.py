"""Enrol customers: each at the first contact of a trigger in a calendar month, in one variant.

In:    customers before and after their contacts, or what these are credited with, have changed
Out:   changes of months, each at the record that made it
State: rows of ``uplift_months``; read only: contacts
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from operators.funnel import is_open
from operators.moments import Moment
from operators.owed import Owed
from operators.restate import Differences
from schemas.batch import I4, I8, NONE
from state.chains import walk
from state.funnel import SQUARE_BASE, UpliftMonths, funnel_keys, month_ends
from state.index import Rows
from state.lane import LaneState
from state.runs import begins


@dataclass(slots=True)
class Enrolments:
    """n of them: the customer's place among those asked for, the month's row, what it counts."""

    place: Rows
    row: Rows
    by: tuple[I8, ...]


def enrolments(state: LaneState, customers: Rows) -> Enrolments:
    """All that are still kept, whichever months can still change."""
    table = state.contacts
    places = np.arange(len(customers), dtype=np.int64)
    place, contact = walk(state.customers.first_contact[customers], table.next_contact, places)
    counts = table.fills[contact] & (table.funnel[contact] >= 0)
    place, contact = place[counts], contact[counts]
    if not len(contact):
        return Enrolments(
            contact, contact, tuple([np.zeros(0, np.int64)] * len(UpliftMonths.MEASURES))
        )
    month, rule = month_ends(table.day[contact]), table.rule[contact]
    order = np.lexsort((table.at_ms[contact], rule, month, place))
    place, contact, month, rule = place[order], contact[order], month[order], rule[order]
    first = begins(place, month, rule)
    starts = first.nonzero()[0]
    revenue = np.add.reduceat(table.credit_money[contact], starts)
    returned = np.logical_or.reduceat(table.credit_ms[contact] != NONE, starts)
    high, low = _squares(revenue)
    measures = (np.ones(len(starts), np.int64), returned.astype(np.int64), revenue, high, low)
    return Enrolments(place[starts], _rows(state, contact[starts], month[starts]), measures)


def _squares(revenue: I8) -> tuple[I8, I8]:
    high, low = np.zeros((2, len(revenue)), np.int64)
    for at in revenue.nonzero()[0].tolist():
        high[at], low[at] = divmod(revenue.item(at) ** 2, SQUARE_BASE)
    return high, low


def _rows(state: LaneState, contacts: Rows, months: I4) -> Rows:
    """Rows of the months of these contacts, by their triggers and variants."""
    days = state.funnel_days
    tenant, day = state.contacts.tenant[contacts], state.contacts.funnel[contacts]
    trigger, variant = days.trigger[day], days.variant[day]
    told = trigger.astype(np.int64) * 2 + variant
    keys = funnel_keys(state.tenants.key[tenant], months, told)
    table = state.uplift_months
    return table.of(keys, tenant=tenant, day=months, trigger=trigger, variant=variant)


def enrol(state: LaneState, owed: Owed, contacts: Rows, moment: Moment) -> None:
    """New contacts, one a customer, enrol who had none of the trigger's in the month before.

    They are credited with nothing yet, so that whoever was enrolled stays as counted.
    """
    table = state.contacts
    heads = state.customers.first_contact[table.customer[contacts]]
    line, each = walk(heads, table.next_contact, np.arange(len(contacts)))
    alike = table.fills[each] & (table.funnel[each] >= 0)
    alike &= table.rule[each] == table.rule[contacts][line]
    line, each = line[alike], each[alike]
    months = month_ends(table.day[contacts])
    same = months[line] == month_ends(table.day[each])
    anew = np.bincount(line[same], minlength=len(contacts)) == 1
    anew &= is_open(state, table.tenant[contacts], months, moment.now_ms)
    lines = anew.nonzero()[0]
    if not len(lines):
        return
    told, nothing = moment.take(lines), np.zeros(len(lines), np.int64)
    rows = _rows(state, contacts[lines], months[lines])
    measures = (nothing + 1, nothing, nothing, nothing, nothing)
    owed.uplift.append(Differences(rows, told.now_ms, told.position, measures))


def note_enrolments(
    state: LaneState, owed: Owed, before: Enrolments, after: Enrolments, moment: Moment
) -> None:
    """Changes the months by what is there now and was not; ``moment`` is by place."""
    row = np.concatenate([before.row, after.row])
    place = np.concatenate([before.place, after.place])
    by = [np.concatenate([-was, now]) for was, now in zip(before.by, after.by, strict=True)]
    order = np.lexsort((place, row))
    if not len(order):
        return
    row, place = row[order], place[order]
    first = begins(row, place)
    starts = first.nonzero()[0]
    net = [np.add.reduceat(measure[order], starts) for measure in by]
    row, place = row[starts], place[starts]
    table = state.uplift_months
    changed = np.any(net, axis=0)
    changed &= is_open(state, table.tenant[row], table.day[row], moment.now_ms[place])
    lines = changed.nonzero()[0]
    if not len(lines):
        return
    told = moment.take(place[lines])
    measures = tuple(measure[lines] for measure in net)
    owed.uplift.append(Differences(row[lines], told.now_ms, told.position, measures))
