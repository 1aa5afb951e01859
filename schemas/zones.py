"""IANA time zones out of the tzdata package alone, never out of the machine's own files.

Two machines with different system zones would fold one log into different outputs; the package's
version is part of the fold's fingerprint.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo

UTC = "UTC"


@cache
def zone_names() -> frozenset[str]:
    """Every zone name that settings may use."""
    listing = resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8")
    return frozenset(listing.split()) - {"Factory"}  # tzdata's own placeholder


@cache
def zone(name: str) -> ZoneInfo:
    """The zone's rules; ``KeyError`` where there is no such zone."""
    if name not in zone_names():
        raise KeyError(name)
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=name)
