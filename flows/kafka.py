"""Reach Kafka as the environment says, and make its topics what the contracts say.

In:    ``Environment``; librdkafka's own messages
Out:   client properties; ``TopicsReport``; ``EngineError`` where Kafka is not there
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from flows.environment import Environment, EnvironmentMistake
from schemas.engines import EngineError
from schemas.topics import TOPICS
from state.snapshots import StateError

REACH_SECONDS = 10.0
LOOK_SECONDS = 0.05
QUIET_SECONDS = 30.0
"""How often the same message of a client is repeated in the log."""

_ONLY_FATAL = 2
_SECRET_WORDS = ("password", "secret", "pem", "key", "token", "assertion", "config", "userinfo")
_RECORDS = TOPICS["records"]
_WANTED = {topic.name: topic.config for topic in TOPICS.values()}

T = TypeVar("T")


def client_properties(environment: Environment) -> dict[str, Any]:
    """Properties of every client: where Kafka is, and what the deployment adds."""
    if environment.kafka is None:
        raise EnvironmentMistake("FLOWSELL_KAFKA: not set; it names the bootstrap servers")
    properties = {
        "log_level": _ONLY_FATAL,  # errors come through error_cb, once
        "error_cb": quietly(structlog.get_logger("kafka"), time.monotonic),
        **environment.kafka_properties,
        "bootstrap.servers": environment.kafka,
    }
    if environment.kafka_properties:
        _check(properties, environment.kafka_properties)
    return properties


def _check(properties: Mapping[str, Any], given: Mapping[str, str]) -> None:
    """Raise what the client library has against a property; no secret of it is repeated."""
    try:
        AdminClient(dict(properties))
    except KafkaException as refusal:
        why = without_secrets(refusal.args[0].str(), given)
        raise EnvironmentMistake(f"FLOWSELL_KAFKA_<PROPERTY>: {why}") from None


def without_secrets(text: str, properties: Mapping[str, str]) -> str:
    """The text with the values of secret properties struck out."""
    for name, value in properties.items():
        if value and any(word in name for word in _SECRET_WORDS):
            text = text.replace(value, "***")
    return text


def quietly(log: Any, clock: Callable[[], float]) -> Callable[[KafkaError], None]:
    """Log a client's errors, each kind at most every half minute."""
    told: dict[str, float] = {}

    def tell(error: KafkaError) -> None:
        now = clock()
        if now - told.get(error.name(), -QUIET_SECONDS) >= QUIET_SECONDS:
            told[error.name()] = now
            log.warning("kafka", error=error.name(), message=error.str())

    return tell


@dataclass
class TopicsReport:
    """What ``create`` did, topic by topic."""

    created: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    changed: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    """By topic and setting: the value it had, the value it has now."""
    other_lanes: dict[str, int] = field(default_factory=dict)
    """Topics that exist with another number of partitions."""


class Topics:
    """The engine's topics on one cluster."""

    def __init__(self, properties: Mapping[str, Any]) -> None:
        self._heard: list[str] = []
        self._admin = AdminClient(dict(properties) | {"error_cb": self._hear})
        self._servers = properties["bootstrap.servers"]

    def create(self, lanes: int, replication: int = -1) -> TopicsReport:
        """Create what is missing, set what differs; a lane count is never changed.

        Returns once the brokers show it: they follow the controller a little later.
        """
        there = self._partitions()
        missing = [topic for topic in TOPICS.values() if topic.name not in there]
        new = [NewTopic(topic.name, lanes, replication, config=topic.config) for topic in missing]
        made = self._admin.create_topics(new) if new else {}
        created = [name for name, future in made.items() if self._done(name, future)]
        old = [topic.name for topic in TOPICS.values() if topic.name not in created]
        self._wait(lambda: self._partitions().keys() >= _WANTED.keys())
        changed = self._configure(old)
        self._wait(self._is_as_wanted)
        partitions = self._partitions()
        return TopicsReport(
            created=created,
            unchanged=[name for name in old if name not in changed],
            changed=changed,
            other_lanes={name: partitions[name] for name in old if partitions[name] != lanes},
        )

    def check(self, lanes: int) -> None:
        """Raise what keeps a flow from starting on these topics."""
        partitions = self._partitions()
        for topic in TOPICS.values():
            if topic.name not in partitions:
                raise EngineError(
                    f"Kafka has no topic {topic.name}; `flowsell topics create` makes it"
                )
        if partitions[_RECORDS.name] != lanes:
            raise StateError(other_lanes(partitions[_RECORDS.name], lanes))

    def log(self) -> str:
        """The log's own name: positions of two logs cannot be compared.

        It is another one on another cluster, and when the records topic was made anew.
        """
        cluster = self._answered(lambda: self._admin.list_topics(timeout=REACH_SECONDS)).cluster_id
        names = TopicCollection([_RECORDS.name])
        described = self._answered(
            lambda: self._admin.describe_topics(names)[_RECORDS.name].result(REACH_SECONDS)
        )
        return f"kafka {cluster} {described.topic_id}"

    def _partitions(self) -> dict[str, int]:
        metadata = self._answered(lambda: self._admin.list_topics(timeout=REACH_SECONDS))
        return {name: len(topic.partitions) for name, topic in metadata.topics.items()}

    def _configure(self, names: list[str]) -> dict[str, dict[str, tuple[str, str]]]:
        changed = self._answered(lambda: self._differing(names))
        alter = [
            _setting(name, {key: new for key, (_, new) in differing.items()})
            for name, differing in changed.items()
        ]
        for resource, future in (
            self._admin.incremental_alter_configs(alter) if alter else {}
        ).items():
            self._done(resource.name, future)
        return changed

    def _differing(self, names: list[str]) -> dict[str, dict[str, tuple[str, str]]]:
        """By topic and setting: the value it has, the value that is wanted."""
        if not names:
            return {}
        asked = self._admin.describe_configs(
            [ConfigResource(ResourceType.TOPIC, name) for name in names]
        )
        found: dict[str, dict[str, tuple[str, str]]] = {}
        for resource, future in asked.items():
            has = future.result(REACH_SECONDS)
            differing = {
                key: (has[key].value, value)
                for key, value in _WANTED[resource.name].items()
                if has[key].value != value
            }
            if differing:
                found[resource.name] = differing
        return found

    def _is_as_wanted(self) -> bool:
        try:
            return not self._differing([*_WANTED])
        except KafkaException as failure:
            if failure.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return False  # one broker shows it, another does not yet
            raise

    def _wait(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + REACH_SECONDS
        while not self._answered(is_so):
            if time.monotonic() > deadline:
                raise EngineError(
                    f"Kafka at {self._servers} took the topics and does not show them; "
                    "`flowsell topics create` can be run again"
                )
            time.sleep(LOOK_SECONDS)

    def _done(self, name: str, future: Any) -> bool:
        """Whether it was this request that did it."""
        try:
            future.result(REACH_SECONDS)
        except KafkaException as failure:
            # Made meanwhile, by the first try of a request that was sent twice or by another hand.
            if failure.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise EngineError(f"Kafka refuses topic {name}: {failure.args[0].str()}") from None
            return False
        return True

    def _answered(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except KafkaException as failure:
            self._admin.poll(0)  # lets the client say what it has met on the way
            why = (self._heard or [failure.args[0].str()])[-1]
            raise EngineError(f"Kafka cannot be reached at {self._servers}: {why}") from None

    def _hear(self, error: KafkaError) -> None:
        """A refused certificate or password says more than the call that waited for it."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._heard.append(error.str())


def other_lanes(found: int, lanes: int) -> str:
    """What to say about a records topic with another number of lanes than was asked for."""
    return (
        f"topic {_RECORDS.name} has {found} lanes, FLOWSELL_LANES says {lanes}; "
        "the number of lanes is fixed for ever when the topic is made"
    )


def _setting(name: str, values: Mapping[str, str]) -> ConfigResource:
    return ConfigResource(
        ResourceType.TOPIC,
        name,
        incremental_configs=[
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in values.items()
        ],
    )
