"""Read the records that are no webhooks: receipts, settings, wishes to be forgotten.

In:    decoded records with their numbers in the lane's batch; the lane's append times
Out:   statuses among the findings, checked settings, forget events
State: none
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from schemas.batch import (
    ACCEPTED,
    FAILED,
    I8,
    NONE,
    ForgetEvent,
    SettingsEvent,
    StatusEvents,
)
from schemas.keys import text_key
from schemas.record import UNREADABLE, Forget, Receipt, SettingsRecord, unreadable
from schemas.settings import SettingsError, parse_settings
from schemas.webhooks import drift
from schemas.webhooks.findings import (
    RECEIPT,
    Findings,
    all_the_same,
    flags,
    indexes,
    integers,
    objects,
)


def add_receipts(
    receipts: Sequence[tuple[int, Receipt]], appended_ms: I8, findings: Findings
) -> None:
    """What senders answered, at the time at which the log has it."""
    if not receipts:
        return
    count = len(receipts)
    record = indexes([record for record, _ in receipts])
    told = [receipt for _, receipt in receipts]
    statuses = StatusEvents(
        record=record,
        scope=indexes([findings.scopes[each.tenant, RECEIPT, ""] for each in told]),
        message=integers([text_key(each.message_id) if each.message_id else NONE for each in told]),
        status=flags([ACCEPTED if each.status == "accepted" else FAILED for each in told]),
        at_ms=appended_ms[record],
        command=objects([each.command_id for each in told], count),
        phone=all_the_same(None, count),
        error=indexes([drift.error_code(each.error) for each in told]),
        alias=all_the_same(None, count),
        channel=objects([each.channel for each in told], count),
    )
    findings.add(RECEIPT, statuses, np.ones(count, np.bool_), "")


def checked_settings(
    told: Sequence[tuple[int, SettingsRecord]], findings: Findings
) -> list[SettingsEvent]:
    """Settings without a mistake; others are refused."""
    events = []
    for record, each in told:
        if findings.barred is not None and findings.barred[record]:
            continue
        try:
            settings = parse_settings(each.settings, f"tenants.{each.tenant}")
        except SettingsError as mistake:
            findings.refuse(record, "shape", str(mistake))
        except UNREADABLE as error:
            findings.refuse(record, *unreadable(error, "settings"))
        else:
            events.append(SettingsEvent(record, each.tenant, settings))
    return events


def forget_events(told: Sequence[tuple[int, Forget]], findings: Findings) -> list[ForgetEvent]:
    """Wishes to be forgotten, of records that have a time."""
    barred = findings.barred
    return [
        ForgetEvent(record, each.tenant, each.customer_id)
        for record, each in told
        if barred is None or not barred[record]
    ]
