"""Give these tests a real Kafka."""

from tests.kafka_flow import engagement
from tests.kafka_server import kafka

__all__ = ["engagement", "kafka"]
