"""Read the process environment: the one module that does.

Takes: a mapping of names to values, ``os.environ`` as a rule, and the files that ``…_FILE`` name
Out:   ``Environment``, checked; secrets in it never show in its repr
Errors: ``EnvironmentMistake``, one line that names the variable (exit code 2)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, TypeVar

from schemas.keys import DEFAULT_LANES
from sinks.clickhouse_target import target_of

PREFIX = "FLOWSELL_"
KAFKA_PREFIX = "FLOWSELL_KAFKA_"
FILE_SUFFIX = "_FILE"
DEFAULT_OPS_PORT = 9108
DEMO_ID_KEY = b"demo"
"""What offline commands hash customer ids with when no key is set."""

MOST_LANES = 4096

# librdkafka spells one property with an underscore, and takes this one from FLOWSELL_KAFKA.
_SPELLED = {"log.level": "log_level"}
# librdkafka properties that are paths by their own name: their variable gives no …_FILE of ours.
_PATHS = (
    "sasl.oauthbearer.assertion.file",
    "sasl.oauthbearer.assertion.jwt.template.file",
    "sasl.oauthbearer.assertion.private.key.file",
)
_BOOTSTRAP = ("bootstrap.servers", "metadata.broker.list")

T = TypeVar("T")


class EnvironmentMistake(Exception):
    """A variable that is unknown, unreadable or not what it should be."""


@dataclass(frozen=True)
class Environment:
    """Everything that a deployment may set, with the shipped defaults."""

    kafka: str | None = None
    """Bootstrap servers."""
    kafka_properties: Mapping[str, str] = field(default_factory=dict)
    """librdkafka properties, by librdkafka's names."""
    clickhouse: str | None = None
    """``chdb:<folder>`` or a URL with user and password: ``target_of`` reads it."""
    postgres: str | None = None
    """A URL with user and password, as libpq reads it."""
    valkey: str | None = None
    """A URL with user and password."""
    mongo: str | None = None
    """A URL with user and password."""
    state: str | None = None
    """URI of the folder in which snapshots live."""
    instance: str | None = None
    """Static member id in the consumer group."""
    lanes: int = DEFAULT_LANES
    ops_port: int = DEFAULT_OPS_PORT
    id_key: bytes | None = None
    """Secret of the keyed hash that makes customer ids."""
    countries: frozenset[str] = frozenset()
    """Countries whose tenants may be processed here; empty: all."""
    log: Literal["console", "json"] = "console"

    def __repr__(self) -> str:
        """Names of what is set; values only where they can hold no secret."""
        plain = {"lanes", "ops_port", "log", "instance"}
        parts = []
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name == "kafka_properties":
                parts.append(f"{each.name}={sorted(value)}")
            elif each.name in plain or not value:
                parts.append(f"{each.name}={value!r}")
            else:
                parts.append(f"{each.name}=<set>")
        return f"Environment({', '.join(parts)})"

    @property
    def offline_id_key(self) -> bytes:
        """The key of commands that need no secret one: replay, demo, benchmarks."""
        return DEMO_ID_KEY if self.id_key is None else self.id_key


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise ValueError("not a whole number") from None
        if not low <= number <= high:
            raise ValueError(f"not between {low} and {high}")
        return number

    return parse


def _log(text: str) -> str:
    if text not in ("console", "json"):
        raise ValueError("neither console nor json")
    return text


def _countries(text: str) -> frozenset[str]:
    codes = [code.strip().upper() for code in text.split(",") if code.strip()]
    if not codes or not all(len(code) == 2 and code.isascii() and code.isalpha() for code in codes):
        raise ValueError("not a list of two-letter country codes, such as RU,KZ")
    return frozenset(codes)


def _clickhouse(text: str) -> str:
    target_of(text)
    return text


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.partition("://")[0] not in schemes:
            raise ValueError(f"not {schemes[0]}://user:password@host:port/…")
        return text

    return parse


_PARSERS: dict[str, Callable[[str], object]] = {
    "KAFKA": str,
    "CLICKHOUSE": _clickhouse,
    "POSTGRES": _url("postgresql", "postgres"),
    "VALKEY": _url("valkey", "valkeys", "redis", "rediss", "unix"),
    "MONGO": _url("mongodb", "mongodb+srv"),
    "STATE": str,
    "INSTANCE": str,
    "LANES": _whole(1, MOST_LANES),
    "OPS_PORT": _whole(0, 65_535),
    "ID_KEY": str.encode,
    "COUNTRIES": _countries,
    "LOG": _log,
}
"""What each variable's text becomes; a parser's error never repeats the text (it may be secret)."""


def kafka_property(name: str) -> str:
    """``FLOWSELL_KAFKA_SECURITY_PROTOCOL`` → ``security.protocol``."""
    dotted = name.removeprefix(KAFKA_PREFIX).lower().replace("_", ".")
    return _SPELLED.get(dotted, dotted)


def _hint(name: str) -> str:
    near = get_close_matches(name.removeprefix(PREFIX), _PARSERS, n=1)
    if near:
        return f"; did you mean {PREFIX}{near[0]}?"
    return f"; known are {', '.join(PREFIX + short for short in _PARSERS)}"


def _is_known(name: str) -> bool:
    return name.removeprefix(PREFIX) in _PARSERS or (
        name.startswith(KAFKA_PREFIX) and len(name) > len(KAFKA_PREFIX)
    )


def _read(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise EnvironmentMistake(f"{name}: cannot read the file {path}: {why}") from None


def _texts(variables: Mapping[str, str]) -> dict[str, str]:
    """Values by plain name, with ``…_FILE`` read; an empty value is a variable not set."""
    texts: dict[str, str] = {}
    for name in sorted(variables):
        if not name.startswith(PREFIX):
            continue
        value = variables[name]
        plain = name if kafka_property(name) in _PATHS else name.removesuffix(FILE_SUFFIX)
        if not _is_known(plain):
            raise EnvironmentMistake(f"{name}: unknown variable{_hint(plain)}")
        if not value:
            continue
        if plain in texts:
            raise EnvironmentMistake(f"{name}: {plain} is set as well; keep one of them")
        text = value if plain == name else _read(name, value)
        if text:
            texts[plain] = text
    return texts


def parse_environment(variables: Mapping[str, str]) -> Environment:
    """Check every ``FLOWSELL_*`` variable; others are none of ours."""
    values: dict[str, object] = {}
    properties: dict[str, str] = {}
    for name, text in _texts(variables).items():
        short = name.removeprefix(PREFIX)
        if short not in _PARSERS:
            key = kafka_property(name)
            if key in _BOOTSTRAP:
                raise EnvironmentMistake(f"{name}: set FLOWSELL_KAFKA instead")
            properties[key] = text
            continue
        try:
            values[short.lower()] = _PARSERS[short](text)
        except ValueError as error:
            raise EnvironmentMistake(f"{name}: {error}") from None
    return Environment(kafka_properties=properties, **values)  # type: ignore[arg-type]


def require(environment: Environment, command: str, *names: str) -> None:
    """Raise for the first of these, by field, that is not set and that ``command`` needs."""
    for name in names:
        if getattr(environment, name) is None:
            raise EnvironmentMistake(f"{PREFIX}{name.upper()}: not set; `{command}` needs it")


@contextmanager
def read_from(name: str) -> Iterator[None]:
    """What a client has against the value of a variable is a mistake of the environment."""
    try:
        yield
    except ValueError as mistake:
        raise EnvironmentMistake(f"{name}: {mistake}") from None


@contextmanager
def with_mongo() -> Iterator[None]:
    """What uses FLOWSELL_MONGO, whose client library is not in every installation."""
    try:
        with read_from("FLOWSELL_MONGO"):
            yield
    except ModuleNotFoundError:
        raise EnvironmentMistake(
            "FLOWSELL_MONGO: needs pymongo, which comes with flowsell-stream[mongo]"
        ) from None


def instance_of(environment: Environment, number: int) -> str:
    """Who the n-th of several processes of this host is in the group."""
    return f"{environment.instance}-{number}"


def variables_of(
    environment: Environment, number: int, variables: Mapping[str, str]
) -> dict[str, str]:
    """``variables`` for the n-th of several processes: an instance and an ops port of its own."""
    own = {
        "FLOWSELL_INSTANCE": instance_of(environment, number),
        "FLOWSELL_OPS_PORT": str(environment.ops_port and environment.ops_port + number),
    }
    taken = own.keys() | {f"{name}{FILE_SUFFIX}" for name in own}
    return {name: value for name, value in variables.items() if name not in taken} | own


def read_environment() -> Environment:
    """The environment of this process."""
    return parse_environment(os.environ)


def process_variables(environment: Environment, number: int) -> dict[str, str]:
    """The environment of the n-th of several processes that this one starts."""
    return variables_of(environment, number, os.environ)
