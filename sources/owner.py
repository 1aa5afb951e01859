"""What a synthetic business's owner wants: its settings, as they would be written by hand.

Takes: the business's number, place, vertical and branches
Out:   settings as a record carries them
"""

from __future__ import annotations

from typing import Any

from sources.places import Place, Vertical

_COOLING = ["233", "232", "231", "223", "222", "221", "213", "212", "211"]
_WINBACK = ["133", "132", "123", "131", "122", "113", "112"]
_SECOND_VISIT = ["323", "322", "321"]
_FIRST_VISIT = ["313", "312", "311"]


def settings_of(
    index: int,
    place: Place,
    vertical: Vertical,
    own_zones: dict[str, str],
    reminders: list[tuple[str, int]],
) -> dict[str, Any]:
    """Settings in full; ``own_zones`` are those of branches that do not live in the tenant's.

    ``reminders`` are trigger ids and hours before the visit.
    """
    check = round(vertical.check * place.price * 100)
    settings: dict[str, Any] = {
        "name": f"Business {index + 1}",
        "preset": vertical.preset,
        "timezone": place.zone,
        "country": place.country,
        "currency": place.currency,
        "locale": place.locale,
        "quiet_hours": ["21:00", "10:00"],
        "holdout_percent": 10,
        "offers": {
            code: {"template": f"winback_{place.locale}", "params": {"discount": 10 + 5 * (i % 3)}}
            for i, code in enumerate(reversed(_WINBACK))
        },
        "triggers": _triggers(index, place, reminders),
    }
    if index % 5 in (0, 1, 3):
        settings["scoring"] = {"monetary": [round(check * 3.2), round(check * 1.1)]}
    elif index % 5 == 2:
        settings["average_check_minor"] = check
    if own_zones:
        settings["branches"] = {name: {"timezone": zone} for name, zone in own_zones.items()}
    if index % 6 != 5:  # who asks at the counter; what is agreed there no webhook tells
        settings["consent_default"] = "allow"
    return settings


def _triggers(index: int, place: Place, reminders: list[tuple[str, int]]) -> list[dict[str, Any]]:
    channels = ["whatsapp"] if index % 4 == 3 else ["whatsapp", "sms"]
    triggers: list[dict[str, Any]] = [
        {
            "id": name,
            "kind": "reminder",
            "before": f"{hours}h",
            "channels": channels,
            "template": f"reminder_{place.locale}",
        }
        for name, hours in reminders
    ]
    entered: list[tuple[str, list[str], list[str] | None, str]] = [
        ("winback", _WINBACK, _COOLING, "offer"),
        ("second_visit", _SECOND_VISIT, _FIRST_VISIT, f"second_visit_{place.locale}"),
    ]
    if index % 2 == 0:
        entered.append(("champion", ["333"], None, f"champion_{place.locale}"))
        entered.append(("cooling", _COOLING[:4], ["333", "332", "331", "323"], "cooling"))
    for name, segments, came_from, template in entered:
        trigger: dict[str, Any] = {
            "id": name,
            "kind": "segment_entered",
            "segments": segments,
            "channels": channels,
            "template": template,
        }
        if came_from is not None:
            trigger["from"] = came_from
        triggers.append(trigger)
    return triggers
