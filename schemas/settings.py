"""A tenant's settings: checked once, resolved once, then only read by the fold.

Takes: the ``settings`` of a settings record, or a TOML, YAML or JSON file with ``tenants.<id>``
Errors: ``SettingsError``, one for the first mistake, with its path; then nothing is applied
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import blake2b
from typing import Any, TypeVar, get_args

import msgspec
import phonenumbers
import yaml

from schemas.currencies import EXPONENTS, UNKNOWN_EXPONENT
from schemas.mistakes import SettingsError, convert, shown, unknown
from schemas.presets import PRESETS
from schemas.segments import CODES, SCHEME, SEGMENTS
from schemas.settings_body import (
    BranchBody,
    CapBody,
    Consent,
    OfferBody,
    ScoringBody,
    SettingsBody,
)
from schemas.triggers import (
    CATEGORIES,
    OFFER_TEMPLATE,
    Trigger,
    channel_name,
    minute_of_day,
    parse_triggers,
)
from schemas.zones import UTC, zone_names

__all__ = [
    "DEFAULT_SETTINGS",
    "Cap",
    "Offer",
    "SettingsError",
    "TenantSettings",
    "Trigger",
    "parse_settings",
    "parse_tenants",
    "parse_tenants_file",
    "tables_of_file",
    "thresholds_version",
]

_T = TypeVar("_T")


class Cap(msgspec.Struct, frozen=True):
    """At most ``max`` marketing contacts in today and the ``per_days - 1`` local days before."""

    per_days: int
    max: int


class Offer(msgspec.Struct, frozen=True):
    """A message for one segment."""

    template: str
    params: dict[str, Any]


class TenantSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings with every default filled in; what the fold asks often is ready here."""

    name: str | None
    preset: str
    timezone: str
    country: str | None
    currency: str | None
    """``None``: unknown, amounts of any currency count."""
    currency_exponent: int
    locale: str
    branches: dict[str, str]
    """Zone by branch, for branches that have their own."""
    window_days: int
    recency_days: tuple[int, int]
    """Upper bounds of R 3 and R 2, inclusive."""
    frequency: tuple[int, int]
    """Lower bounds of F 3 and F 2."""
    monetary: tuple[int, int] | None
    """Lower bounds of M 3 and M 2 where the settings give sums; ``None``: tertiles."""
    average_check_minor: int | None
    boundaries: tuple[int, int] | None
    """Lower bounds of M 3 and M 2 that hold without any history; ``None``: every digit is 2."""
    quiet_hours: tuple[int, int]
    """Minutes of the local day, start inclusive, end exclusive, over midnight where start > end."""
    quiet_utility: tuple[int, int]
    caps: tuple[Cap, ...]
    holdout_percent: int
    return_days: int
    consent_default: str
    banned_channels: dict[str, frozenset[str]]
    """Channels that a category may not use."""
    watched: bool
    offers: dict[int, Offer]
    """By segment; none at all: what the catalogue suggests."""
    triggers: tuple[Trigger, ...]
    source: bytes
    """The settings as given, in canonical JSON: parsing them again gives an equal object."""

    def zone_of(self, branch: str) -> str:
        """The zone in which visits of this branch are read and told."""
        return self.branches.get(branch, self.timezone)

    def message_for(self, trigger: Trigger, segment: int) -> tuple[str, dict[str, Any]]:
        """Template and parameters of a trigger for a customer of this segment."""
        if trigger.template != OFFER_TEMPLATE:
            return trigger.template, trigger.params
        offer = (self.offers or suggested_offers(self.locale)).get(segment)
        if offer is None:
            return trigger.template, trigger.params
        return offer.template, trigger.params | offer.params


def parse_settings(raw: bytes | msgspec.Raw | Mapping[str, object], path: str) -> TenantSettings:
    """Check and resolve one tenant's settings; ``path`` starts every error (``tenants.t0042``).

    Unknown keys are ignored, as every reader does.
    """
    table = _table(raw, path)
    source = _canonical(table, path)
    parts = {
        key: table.pop(key, None) for key in ("branches", "offers", "channel_policy", "triggers")
    }
    known = {"consent_default": get_args(Consent), "monetary": ("tertiles", "two sums")}
    body = convert(table, SettingsBody, path, known)
    _check_closed_sets(body, path)
    offers = _offers(parts["offers"], f"{path}.offers")
    thresholds = _thresholds(body, path)
    currency = body.currency
    return TenantSettings(
        name=body.name,
        preset=_or(body.preset, "generic"),
        timezone=_or(body.timezone, UTC),
        country=body.country,
        currency=currency,
        currency_exponent=UNKNOWN_EXPONENT if currency is None else EXPONENTS[currency],
        locale=_or(body.locale, "en"),
        branches=_branches(parts["branches"], f"{path}.branches"),
        **thresholds,
        average_check_minor=body.average_check_minor,
        quiet_hours=_window(body.quiet_hours, ("21:00", "10:00"), f"{path}.quiet_hours"),
        quiet_utility=_window(body.quiet_utility, ("22:00", "08:00"), f"{path}.quiet_utility"),
        caps=_caps(body.caps, f"{path}.caps"),
        holdout_percent=_or(body.holdout_percent, 10),
        return_days=_or(body.return_days, 14),
        consent_default=_or(body.consent_default, "deny"),
        banned_channels=_banned(parts["channel_policy"], f"{path}.channel_policy"),
        watched=_or(body.watched, False),
        offers=offers,
        triggers=parse_triggers(_or(parts["triggers"], ()), f"{path}.triggers", frozenset(offers)),
        source=source,
    )


@cache
def suggested_offers(locale: str) -> dict[int, Offer]:
    """What the catalogue suggests for every segment, in Russian or else in English."""
    russian = locale.lower().replace("_", "-").partition("-")[0] == "ru"
    return {
        code: Offer(each.key, {"action": each.action_russian if russian else each.action})
        for code, each in SEGMENTS.items()
    }


def thresholds_version(settings: TenantSettings, boundaries: tuple[int, int] | None) -> str:
    """12 hex digits of everything that a segment was scored with, the same in every process.

    ``boundaries`` are the lower bounds of M 3 and M 2 on that day; ``None``: every digit is 2.
    """
    parts = (
        SCHEME,
        settings.window_days,
        settings.recency_days,
        settings.frequency,
        settings.monetary is not None,
        boundaries,
        settings.currency,
    )
    return blake2b(msgspec.json.encode(parts), digest_size=6).hexdigest()


class _YamlLoader(yaml.SafeLoader):
    """Reads ``11:00`` as it is written, as YAML 1.2 does; in 1.1, PyYAML's own, it is 660."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # as the class above declares it
        first: [("tag:yaml.org,2002:str", re.compile(r"\d+(?::\d+)+$")), *words]
        for first, words in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def tables_of_file(name: str, content: bytes) -> dict[str, Any]:
    """The raw settings by tenant of a ``.toml``, ``.yaml``, ``.yml`` or ``.json`` file."""
    suffix = name.rpartition(".")[2].lower()
    try:
        if suffix == "toml":
            document: object = tomllib.loads(content.decode())
        elif suffix in ("yaml", "yml"):
            document = yaml.load(content, _YamlLoader)  # noqa: S506  # a safe one
        elif suffix == "json":
            document = msgspec.json.decode(content)
        else:
            raise SettingsError(name, "not a .toml, .yaml or .json file")
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        if isinstance(error, SettingsError):
            raise
        reason = str(error).strip().replace("\n", " ") or type(error).__name__
        raise SettingsError(name, f"cannot be read: {reason}") from None
    return _tenant_tables(document)


def parse_tenants(document: object) -> dict[str, TenantSettings]:
    """The settings of every tenant in a parsed document with a table ``tenants``."""
    return {
        tenant: parse_settings(table, f"tenants.{tenant}")
        for tenant, table in _tenant_tables(document).items()
    }


def parse_tenants_file(name: str, content: bytes) -> dict[str, TenantSettings]:
    """The settings of every tenant in a file; its name tells the format."""
    return parse_tenants({"tenants": tables_of_file(name, content)})


def _tenant_tables(document: object) -> dict[str, Any]:
    if not isinstance(document, Mapping) or "tenants" not in document:
        raise SettingsError("tenants", "missing")
    tables = document["tenants"]
    if not isinstance(tables, Mapping):
        raise SettingsError("tenants", f"expected a table by tenant: {shown(tables)}")
    for tenant in tables:
        if not isinstance(tenant, str):
            raise SettingsError("tenants", f"tenant ids must be text in quotes: {shown(tenant)}")
        if not tenant:
            raise SettingsError("tenants", "a tenant's id is empty")
    return dict(tables)


def _table(raw: bytes | msgspec.Raw | Mapping[str, object], path: str) -> dict[str, Any]:
    value: object = raw
    if isinstance(raw, bytes | bytearray | memoryview | msgspec.Raw):
        try:
            value = msgspec.json.decode(raw)
        except (ValueError, RecursionError) as error:
            raise SettingsError(path, f"not JSON: {error}") from None
    if not isinstance(value, Mapping):
        raise SettingsError(path, f"expected a table: {shown(value)}")
    return dict(value)


def _canonical(table: dict[str, Any], path: str) -> bytes:
    try:
        _check_keys(table, path)
        return msgspec.json.encode(table, order="deterministic")
    except RecursionError:
        raise SettingsError(path, "nested too deep") from None
    except (TypeError, OverflowError, msgspec.EncodeError) as error:
        raise SettingsError(path, f"not settings: {error}") from None


def _check_keys(value: object, path: str) -> None:
    """YAML reads a bare ``133:`` as a number, and then no key is what it seems."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise SettingsError(path, f"keys must be text; write them in quotes: {shown(key)}")
            _check_keys(item, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check_keys(item, f"{path}[{index}]")


def _or(value: _T | None, default: _T) -> _T:
    return default if value is None else value


def _check_closed_sets(body: SettingsBody, path: str) -> None:
    if body.preset is not None and body.preset not in PRESETS:
        raise unknown(f"{path}.preset", "preset", body.preset, PRESETS)
    _check_zone(body.timezone, f"{path}.timezone")
    if body.country is not None and body.country not in _countries():
        raise unknown(f"{path}.country", "country", body.country)
    if body.currency is not None and body.currency not in EXPONENTS:
        raise unknown(f"{path}.currency", "currency", body.currency)


@cache
def _countries() -> frozenset[str]:
    """Regions that have phone numbers: what a tenant's country is for."""
    return frozenset(phonenumbers.SUPPORTED_REGIONS)


def _check_zone(name: str | None, path: str) -> None:
    if name is not None and name not in zone_names():
        raise unknown(path, "timezone", name)


def _thresholds(body: SettingsBody, path: str) -> dict[str, Any]:
    """The preset with the tenant's own scoring over it, by the names in ``TenantSettings``."""
    preset = PRESETS[_or(body.preset, "generic")]
    scoring = _or(body.scoring, ScoringBody())
    recency = _or(scoring.recency_days, preset.recency_days)
    frequency = _or(scoring.frequency, preset.frequency)
    monetary = None if scoring.monetary == "tertiles" else scoring.monetary
    at = f"{path}.scoring"
    if recency[0] > recency[1]:
        raise SettingsError(f"{at}.recency_days", f"R3 is over R2: {shown(recency)}")
    if frequency[0] < frequency[1]:
        raise SettingsError(f"{at}.frequency", f"F3 is under F2: {shown(frequency)}")
    if monetary is not None and monetary[0] < monetary[1]:
        raise SettingsError(f"{at}.monetary", f"the better sum comes first: {shown(monetary)}")
    boundaries = monetary
    check = body.average_check_minor
    if boundaries is None and check is not None:
        boundaries = (frequency[0] * check, frequency[1] * check)
    return {
        "window_days": _or(scoring.window_days, preset.window_days),
        "recency_days": recency,
        "frequency": frequency,
        "monetary": monetary,
        "boundaries": boundaries,
    }


def _window(given: tuple[str, str] | None, shipped: tuple[str, str], path: str) -> tuple[int, int]:
    start, end = _or(given, shipped)
    return minute_of_day(start, f"{path}[0]"), minute_of_day(end, f"{path}[1]")


def _caps(given: list[CapBody] | None, path: str) -> tuple[Cap, ...]:
    shipped = [CapBody(per_days=1, max=1), CapBody(per_days=7, max=3)]
    caps = _or(given, shipped)
    days = [cap.per_days for cap in caps]
    for index, per_days in enumerate(days):
        if per_days in days[:index]:
            raise SettingsError(f"{path}[{index}].per_days", f"capped twice: {per_days}")
    return tuple(Cap(cap.per_days, cap.max) for cap in caps)


def _items(raw: object, path: str) -> Iterable[tuple[str, object]]:
    """Key and value of a table with free keys, which msgspec would not name in an error."""
    if raw is None:
        return ()
    if not isinstance(raw, Mapping):
        raise SettingsError(path, f"expected a table: {shown(raw)}")
    return raw.items()


def _branches(raw: object, path: str) -> dict[str, str]:
    zones: dict[str, str] = {}
    for branch, value in _items(raw, path):
        at = f"{path}.{branch}"
        body = convert(value, BranchBody, at)
        _check_zone(body.timezone, f"{at}.timezone")
        if body.timezone is not None:
            zones[branch] = body.timezone
    return zones


def _offers(raw: object, path: str) -> dict[int, Offer]:
    offers: dict[int, Offer] = {}
    for code, value in _items(raw, path):
        if code not in CODES:
            raise unknown(f"{path}.{code}", "segment", code)
        body = convert(value, OfferBody, f"{path}.{code}")
        offers[CODES[code]] = Offer(body.template, body.params or {})
    return offers


def _banned(raw: object, path: str) -> dict[str, frozenset[str]]:
    banned: dict[str, frozenset[str]] = {}
    for category, value in _items(raw, path):
        if category not in CATEGORIES:
            raise unknown(f"{path}.{category}", "category", category, CATEGORIES)
        names = convert(value, list[str], f"{path}.{category}")
        for index, name in enumerate(names):
            at = f"{path}.{category}[{index}]"
            if not name.startswith("!"):
                raise SettingsError(at, f'not a ban: {shown(name)} (write "!{name}")')
            channel_name(name[1:], at, shown_as=name)
        banned[category] = frozenset(name[1:] for name in names)
    return banned


DEFAULT_SETTINGS = parse_settings({}, "defaults")
"""A tenant that has told nothing: preset ``generic``, zone UTC, no triggers."""
