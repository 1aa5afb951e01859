"""Run the flows that follow the engagement flow as processes of their own, on a real Kafka.

Takes: an ``Engagement`` with its topics; where the engines are
Out:   processes; how far the group has told that it is
"""

from __future__ import annotations

import sys
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from schemas.topics import TOPICS
from sources.answers import answered
from tests.kafka_flow import QUIET, Engagement, FlowProcess


class Following:
    """One such flow: ``warehouse`` or ``profiles``."""

    def __init__(
        self, engagement: Engagement, name: str, streams: tuple[str, ...], **variables: str
    ) -> None:
        self.engagement = engagement
        self.name = name
        self.topics = [TOPICS[stream].name for stream in streams]
        self.variables = variables

    def start(self, *options: str) -> FlowProcess:
        """A process of it."""
        engagement = self.engagement
        process = FlowProcess(
            [str(Path(sys.executable).with_name("flowsell")), "run", self.name, *options],
            engagement.environment | self.variables | {"FLOWSELL_INSTANCE": f"{self.name}-0"},
            engagement.folder / f"{self.name}.log",
        )
        engagement.processes.append(process)
        return process

    def lag(self) -> int:
        """What ordinary tools show: messages and markers behind the group's positions."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.engagement.kafka.bootstrap,
                **QUIET,
                "group.id": f"flowsell.{self.name}",
            }
        )
        places = [
            TopicPartition(topic, partition)
            for topic in self.topics
            for partition in range(self.engagement.lanes)
        ]
        found = answered(lambda: consumer.committed(places, timeout=30))
        lag = 0
        for one in found:
            _, end = consumer.get_watermark_offsets(TopicPartition(one.topic, one.partition), 10)
            lag += end - max(one.offset, 0)
        consumer.close()
        return lag

    def is_settled(self) -> bool:
        """Whether everything that is in the topics has been written, and told."""
        return self.lag() == 0
