"""Refuse settings of tenants that may not be processed here.

In:    tenants' settings, as a file has them; ``FLOWSELL_COUNTRIES``
Out:   the same settings
Errors: ``SettingsError``, one line that names the tenant (exit code 2)
"""

from __future__ import annotations

from schemas.mistakes import SettingsError
from schemas.settings import TenantSettings


def at_home(
    tenants: dict[str, TenantSettings], countries: frozenset[str]
) -> dict[str, TenantSettings]:
    """All of them, where none names a country that is not among these; no countries are all."""
    for tenant, settings in tenants.items():
        country = settings.country
        if countries and country is not None and country not in countries:
            ours = ", ".join(sorted(countries))
            raise SettingsError(
                f"tenants.{tenant}.country", f"{country} is not among FLOWSELL_COUNTRIES ({ours})"
            )
    return tenants
