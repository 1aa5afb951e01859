"""The archive: what customers and businesses wrote to each other, in MongoDB.

Takes:    lines of ``operators.excerpt``: messages, and customers that are to be forgotten
Delivery: at least once: every message is on disk before the places are noted
Replays:  a message of a lower position than what is there changes nothing; of equal positions the
          later one holds; what is older than a wish to be forgotten does not come back

A message is one document, by tenant, provider and the provider's id of it. It goes by itself when
it is old: an index on its time sees to that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
from pymongo import DeleteMany, MongoClient, ReplaceOne, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

from schemas.engines import EngineError
from schemas.slices import Place, place_of
from schemas.written import Forgotten, Written

STREAM = "records"
DATABASE = "flowsell"
KEPT_DAYS = 365
CONNECT_SECONDS = 10
ANSWER_SECONDS = 30
CHOOSE_SECONDS = 2
"""How long a server is looked for; who holds the messages asks again."""

AT_ONCE = 500
"""Messages that are on their way before an answer is waited for."""

_DAY_SECONDS = 86_400
_TTL = "kept"
_DUPLICATE = 11_000
_OTHER_OPTIONS = (85, 86)
"""What servers say to an index that is there with another time."""

_decode = msgspec.json.Decoder(Written | Forgotten).decode

Document = dict[str, Any]


def key_of(written: Written) -> str:
    """The id of its document."""
    return "\x1f".join((written.tenant, written.provider, written.message_id))


def document(written: Written) -> Document:
    """A message as it is kept."""
    kept: Document = {"_id": key_of(written), **msgspec.structs.asdict(written)}
    del kept["is_opt_in"], kept["at_ms"]
    return kept | {"at": datetime.fromtimestamp(written.at_ms / 1000, UTC)}


def person(tenant: str, customer_id: str) -> str:
    """The id of a wish to be forgotten."""
    return f"{tenant}\x1f{customer_id}"


def may_be_kept(position: int, wish: Mapping[str, int] | None) -> bool:
    """Whether a message is kept of a customer with this wish: only from an opt-in after it on."""
    if wish is None:
        return True
    return wish["position"] < wish.get("lifted", -1) <= position


def connection(url: str) -> MongoClient[Document]:
    """A client that connects when it is first asked, and answers when what it wrote is on disk."""
    return MongoClient(
        url,
        connect=False,
        tz_aware=True,
        appname=DATABASE,
        w="majority",
        journal=True,
        serverSelectionTimeoutMS=CHOOSE_SECONDS * 1000,
        connectTimeoutMS=CONNECT_SECONDS * 1000,
        socketTimeoutMS=ANSWER_SECONDS * 1000,
    )


class MessagesInMongo:
    """MongoDB, as a store sees it."""

    name = "mongo"

    def __init__(self, url: str, kept_days: int = KEPT_DAYS) -> None:
        self._url = url
        self._kept_seconds = kept_days * _DAY_SECONDS
        try:
            connection(url).close()
        except (PyMongoError, ValueError):
            raise ValueError("not mongodb://user:password@host:port/database") from None
        self._client: MongoClient[Document] | None = None
        self._held: dict[str, Written] = {}
        self._wishes: dict[str, Forgotten] = {}
        self._lifted: dict[str, int] = {}

    def __str__(self) -> str:
        """As errors name it: without its user."""
        hosts = self._url.partition("://")[2].rpartition("@")[2].partition("/")[0]
        return f"MongoDB at {hosts.partition('?')[0]}"

    @property
    def _database(self) -> Database[Document]:
        assert self._client is not None, "MongoDB is used before it was opened"
        return self._client.get_default_database(DATABASE)

    def open(self, log: str) -> Mapping[Place, int]:
        """Connect, see to the indexes, and claim the database for this log."""
        self.close()
        self._client = connection(self._url)
        try:
            with self._answers():
                self._claim(log)
                self._database.messages.create_index([("tenant", 1), ("customer_id", 1)])
                self._keep_for(self._kept_seconds)
            return self.places()
        except BaseException:
            self.close()
            raise

    def _claim(self, log: str) -> None:
        try:
            self._database.log.insert_one({"_id": "log", "log": log})
        except DuplicateKeyError:
            claimed = self._database.log.find_one({"_id": "log"})
            if claimed is None or claimed["log"] != log:
                raise EngineError(
                    f"{self}: holds the messages of another log; give an empty database"
                ) from None

    def _keep_for(self, seconds: int) -> None:
        try:
            self._database.messages.create_index("at", name=_TTL, expireAfterSeconds=seconds)
        except PyMongoError as error:
            if getattr(error, "code", None) not in _OTHER_OPTIONS:
                raise
            index = {"name": _TTL, "expireAfterSeconds": seconds}
            self._database.command({"collMod": "messages", "index": index})

    def places(self) -> Mapping[Place, int]:
        """The offset up to which every message is there."""
        with self._answers():
            return _places(self._database)

    def add(self, stream: str, values: list[bytes]) -> None:
        """Hold the last telling of each message, and who is to be forgotten since when."""
        assert stream == STREAM
        for value in values:
            line = _decode(value)
            if isinstance(line, Forgotten):
                who = person(line.tenant, line.customer_id)
                before = self._wishes.get(who)
                if before is None or line.position >= before.position:
                    self._wishes[who] = line
                continue
            key = key_of(line)
            said = self._held.get(key)
            if said is None or line.position >= said.position:
                self._held[key] = line
            if line.is_opt_in:
                who = person(line.tenant, line.customer_id)
                self._lifted[who] = max(line.position, self._lifted.get(who, -1))

    def held(self) -> int:
        """Messages and wishes."""
        return len(self._held) + len(self._wishes)

    def take(self) -> tuple[list[Written], list[Forgotten], dict[str, int]]:
        """Messages, wishes, and who has opted in again, last at which position."""
        taken = [*self._held.values()], [*self._wishes.values()], self._lifted
        self._held, self._wishes, self._lifted = {}, {}, {}
        return taken

    def write(
        self,
        taken: tuple[list[Written], list[Forgotten], dict[str, int]],
        reached: Mapping[Place, int],
    ) -> None:
        """Wishes before messages, so that none of them slips through; when all is there, places."""
        messages, wishes, lifted = taken
        with self._answers():
            whose = [(wish, self._ids(wish, messages)) for wish in wishes]
            self._note(whose, lifted)
            self._put(messages)
            gone = [DeleteMany(_before(wish.tenant, ids, wish.position)) for wish, ids in whose]
            if gone:
                self._database.messages.bulk_write(gone)
            places = [
                UpdateOne({"_id": str(place)}, {"$max": {"next": at}}, upsert=True)
                for place, at in reached.items()
            ]
            if places:
                self._database.progress.bulk_write(places)

    def _ids(self, wish: Forgotten, messages: Sequence[Written]) -> set[str]:
        """The customer's, and those of names under which it wrote before its phone was told."""
        asked = {"tenant": wish.tenant, "customer_id": wish.customer_id}
        linked = [
            each.alias_id
            for each in messages
            if (each.tenant, each.customer_id) == (wish.tenant, wish.customer_id)
        ]
        linked += self._database.messages.distinct("alias_id", asked)
        return {wish.customer_id} | {each for each in linked if each is not None}

    def _note(self, whose: Sequence[tuple[Forgotten, set[str]]], lifted: Mapping[str, int]) -> None:
        """Whom to forget, under each id; then who is back."""
        noted = [note for wish, ids in whose for note in _notes(wish.tenant, ids, wish.position)]
        noted += [UpdateOne({"_id": who}, {"$max": {"lifted": at}}) for who, at in lifted.items()]
        if noted:
            self._database.forgotten.bulk_write(noted)

    def _put(self, messages: Sequence[Written]) -> None:
        whose = {person(each.tenant, each.customer_id) for each in messages}
        found = self._database.forgotten.find({"_id": {"$in": sorted(whose)}}) if whose else ()
        wishes = {each["_id"]: each for each in found}
        puts = [
            ReplaceOne(
                {"_id": key_of(each), "position": {"$lte": each.position}},
                document(each),
                upsert=True,
            )
            for each in messages
            if may_be_kept(each.position, wishes.get(person(each.tenant, each.customer_id)))
        ]
        for start in range(0, len(puts), AT_ONCE):
            try:
                self._database.messages.bulk_write(puts[start : start + AT_ONCE], ordered=False)
            except BulkWriteError as refusal:
                # A later telling is there: the filter misses it, and its id cannot be made anew.
                if any(each["code"] != _DUPLICATE for each in refusal.details["writeErrors"]):
                    raise

    def close(self) -> None:
        """Let go of MongoDB and of what is held."""
        self.take()
        if self._client is not None:
            self._client.close()
            self._client = None

    def _answers(self) -> AbstractContextManager[None]:
        return answers(str(self))


class TracesInMongo:
    """Messages: the flow itself deletes them; of an id that was merged before, this does."""

    name = "mongo"
    streams: tuple[str, ...] = (STREAM,)

    def __init__(self, url: str) -> None:
        self._name = str(MessagesInMongo(url))
        self._client = connection(url)
        self._database = self._client.get_default_database(DATABASE)

    def open(self) -> None:
        """Whether it answers."""
        self.places()

    def places(self) -> Mapping[Place, int]:
        """As the flow has noted them."""
        with answers(self._name):
            return _places(self._database)

    def count(self, tenant: str, ids: Sequence[str]) -> int:
        """Messages."""
        asked = _of(tenant, ids)
        with answers(self._name):
            return self._database.messages.count_documents(asked)

    def erase(self, tenant: str, ids: Sequence[str], position: int) -> None:
        """The wish under each id, then what is of before it."""
        with answers(self._name):
            self._database.forgotten.bulk_write(_notes(tenant, ids, position))
            self._database.messages.delete_many(_before(tenant, ids, position))

    def close(self) -> None:
        """Let go of MongoDB."""
        self._client.close()


def _places(database: Database[Document]) -> Mapping[Place, int]:
    return {place_of(each["_id"]): each["next"] for each in database.progress.find()}


def _of(tenant: str, ids: Iterable[str]) -> Document:
    return {"tenant": tenant, "customer_id": {"$in": sorted(ids)}}


def _before(tenant: str, ids: Iterable[str], position: int) -> Document:
    return _of(tenant, ids) | {"position": {"$lt": position}}


def _notes(tenant: str, ids: Iterable[str], position: int) -> list[UpdateOne]:
    """The wish to be forgotten, under each id."""
    latest = {"$max": {"position": position}}
    return [UpdateOne({"_id": person(tenant, who)}, latest, upsert=True) for who in sorted(ids)]


@contextmanager
def answers(name: str) -> Iterator[None]:
    """What MongoDB refuses inside is an ``EngineError``; none repeats what was written."""
    try:
        yield
    except BulkWriteError as refusal:
        codes = sorted({each["code"] for each in refusal.details["writeErrors"]})
        raise EngineError(f"{name}: refuses rows: code {codes}") from None
    except PyMongoError as error:
        code = getattr(error, "code", None)
        told = type(error).__name__ if code is None else f"{type(error).__name__} ({code})"
        raise EngineError(f"{name}: {told}") from None
