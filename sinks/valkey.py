"""Customers as senders ask for them: one hash each in Valkey, set only by a later position.

Takes:    values of the stream ``profiles``: profiles and tombstones
Delivery: at least once: every hash has been answered before the places are noted
Replays:  a value of a lower position than what is there changes nothing; of equal positions the
          later one holds; a value that is ``KEPT_SECONDS`` old is not there any more

A hash is ``flowsell:customer:<customer_id>``. The id is a keyed hash of tenant and phone, so who
has the key finds a phone without the phone standing anywhere in here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec
import valkey
from valkey.backoff import NoBackoff
from valkey.exceptions import ValkeyError
from valkey.retry import Retry

from schemas.engines import EngineError
from schemas.keys import customer_id
from schemas.slices import Place, place_of

STREAM = "profiles"
KEPT_SECONDS = 400 * 86_400
"""From ``as_of`` on: longer than the windows of most businesses. PostgreSQL keeps everybody."""
CONNECT_SECONDS = 10
ANSWER_SECONDS = 30
AT_ONCE = 1_000
"""Hashes that are on their way before an answer is read."""

CUSTOMER = "flowsell:customer:"
LOG = "flowsell:log"
PLACES = "flowsell:places"
LOST = "LOST"

# Positions do not fit Lua's numbers: compared as texts, the shorter one is the lower.
_SET = """
local was, new = redis.call('HGET', KEYS[1], 'position'), ARGV[1]
if was and (#was > #new or (#was == #new and was > new)) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'position', new, unpack(ARGV, 3))
redis.call('EXPIREAT', KEYS[1], ARGV[2])
return 1
"""
_NOTE = f"""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('{LOST} data') end
for i = 2, #ARGV, 2 do
  local was, new = redis.call('HGET', KEYS[2], ARGV[i]), ARGV[i + 1]
  if not was or tonumber(was) < tonumber(new) then redis.call('HSET', KEYS[2], ARGV[i], new) end
end
return 1
"""


class Said(msgspec.Struct, gc=False):
    """What is kept of a profile or a tombstone: no phone, no alias, no birthday."""

    tenant: str
    customer_id: str
    as_of: datetime
    position: int
    name: str | None = None
    segment: str | None = None
    last_visit_at: str | None = None
    next_booking_at: str | None = None
    consent: msgspec.Raw = msgspec.Raw(b"")
    merged_into: str | None = None
    forgotten: bool | None = None


_said = msgspec.json.Decoder(Said).decode


def hash_of(said: Said) -> list[str | bytes | int]:
    """Arguments of the script: the position, when it expires, then names and values by turns."""
    expires = int(said.as_of.timestamp()) + KEPT_SECONDS
    arguments: list[str | bytes | int] = [said.position, expires, "tenant", said.tenant]
    if said.merged_into:
        return [*arguments, "merged_into", said.merged_into]
    if said.forgotten:
        return [*arguments, "forgotten", "1"]
    arguments += ["segment", said.segment or "", "consent", bytes(said.consent)]
    for name in ("name", "last_visit_at", "next_booking_at"):
        value = getattr(said, name)
        if value:
            arguments += [name, value]
    return arguments


class ProfilesInValkey:
    """Valkey, as a store sees it."""

    name = "valkey"

    def __init__(self, url: str) -> None:
        self._client = connection(url)
        self._log = ""
        self._set = ""
        self._note = ""
        self._held: dict[str, Said] = {}

    def __str__(self) -> str:
        """As errors name it: without its user."""
        return named(self._client)

    def open(self, log: str) -> Mapping[Place, int]:
        """Connect, and claim the database for this log; an empty one is filled from the topic."""
        self._log = log
        with answers(self._client):
            self._client.set(LOG, log, nx=True)
            claimed = self._client.get(LOG)
            self._set = str(self._client.script_load(_SET))
            self._note = str(self._client.script_load(_NOTE))
        if claimed != log:
            raise EngineError(f"{self}: holds the customers of another log; give an empty database")
        return self.places()

    def places(self) -> Mapping[Place, int]:
        """The offset up to which every customer is there."""
        return places_of(self._client)

    def add(self, stream: str, values: list[bytes]) -> None:
        """Hold the last value of each customer."""
        assert stream == STREAM
        held = self._held
        for value in values:
            said = _said(value)
            before = held.get(said.customer_id)
            if before is None or said.position >= before.position:
                held[said.customer_id] = said

    def held(self) -> int:
        """Customers."""
        return len(self._held)

    def take(self) -> list[Said]:
        """The last of each."""
        held, self._held = self._held, {}
        return [*held.values()]

    def write(self, taken: list[Said], reached: Mapping[Place, int]) -> None:
        """Hashes, each set or left by its position; when all are answered, the places."""
        with answers(self._client):
            for start in range(0, len(taken), AT_ONCE):
                self._send(taken[start : start + AT_ONCE])
            if reached:
                told = [each for place, at in reached.items() for each in (str(place), at)]
                self._client.evalsha(self._note, 2, LOG, PLACES, self._log, *told)

    def _send(self, some: Sequence[Said]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for said in some:
            key = CUSTOMER + said.customer_id
            pipeline.execute_command("EVALSHA", self._set, 1, key, *hash_of(said))
        # Told to raise, the client would repeat the command, and so a name.
        for answer in pipeline.execute(raise_on_error=False):
            if isinstance(answer, ValkeyError):
                raise answer

    def close(self) -> None:
        """Let go of Valkey and of what is held."""
        self._held = {}
        self._client.close()


class Customers:
    """Who is this phone, may I write, which segment: what a sender asks."""

    def __init__(self, url: str, id_key: bytes) -> None:
        self._client = connection(url)
        self._id_key = id_key

    def of_phone(self, tenant: str, phone: str) -> dict[str, str]:
        """The hash of a phone in E.164; empty where nobody is known by it, or all was forgotten."""
        return self.of_id(customer_id(self._id_key, tenant, int(phone.removeprefix("+"))))

    def of_id(self, wanted: str) -> dict[str, str]:
        """The hash of a customer id; one that was merged away leads to who it is now."""
        found: dict[str, str] = self._client.hgetall(CUSTOMER + wanted)
        if into := found.get("merged_into"):
            found = self._client.hgetall(CUSTOMER + into)
        return {} if "forgotten" in found or "merged_into" in found else found

    def close(self) -> None:
        """Let go of Valkey."""
        self._client.close()


def connection(url: str) -> Any:
    """A client that asks once: who holds what it asks for decides when to ask again."""
    try:
        return valkey.Valkey.from_url(
            url,
            decode_responses=True,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
            client_name="flowsell",
        )
    except ValueError:
        raise ValueError("not valkey://user:password@host:port/number") from None


def places_of(client: Any) -> Mapping[Place, int]:
    """The offset up to which every customer is there, by place."""
    with answers(client):
        found: dict[str, str] = client.hgetall(PLACES)
    return {place_of(place): int(offset) for place, offset in found.items()}


@contextmanager
def answers(client: Any) -> Iterator[None]:
    """What Valkey refuses inside is an ``EngineError``."""
    try:
        yield
    except ValkeyError as error:
        raise EngineError(f"{named(client)}: {_why(error)}") from None


def named(client: Any) -> str:
    """Where a client goes to, as errors say it."""
    where = client.get_connection_kwargs()
    if "path" in where:
        return f"Valkey at {where['path']}"
    return f"Valkey at {where.get('host', 'localhost')}:{where.get('port', 6379)}"


def _why(error: ValkeyError) -> str:
    """What Valkey or the way to it says; no answer of a pipeline repeats its command."""
    text = str(error)
    if LOST in text:
        return "has lost its data; it is filled again"
    return (text.splitlines() or [type(error).__name__])[0][:200]
