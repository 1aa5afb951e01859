"""``flowsell topics create`` on a real Kafka."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from schemas.topics import TOPICS
from tests.kafka_flow import LANES, RECORDS, Engagement

FLOWSELL = str(Path(sys.executable).with_name("flowsell"))


def create(engagement: Engagement, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FLOWSELL, "topics", "create", *arguments],
        env=engagement.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_topic_gets_its_lanes_its_retention_and_its_limits(engagement: Engagement) -> None:
    engagement.delete_topics()
    done = create(engagement)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("created") == len(TOPICS)
    assert set(engagement.ends()) == set(range(LANES))
    for topic in TOPICS.values():
        found = engagement.setting(topic.name)
        assert {key: found[key] for key in topic.config} == topic.config
    assert engagement.setting(RECORDS)["message.timestamp.type"] == "LogAppendTime"
    assert engagement.setting(RECORDS)["max.message.bytes"] == str(16 << 20)
    assert engagement.setting(RECORDS)["retention.ms"] == str(14 * 86_400_000)


def test_creating_topics_again_changes_nothing(engagement: Engagement) -> None:
    before = {name: engagement.setting(name) for name in (t.name for t in TOPICS.values())}
    done = create(engagement)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("as it should be") == len(TOPICS)
    assert before == {name: engagement.setting(name) for name in before}


def test_a_topic_with_other_settings_is_set_right_and_told(engagement: Engagement) -> None:
    engagement.delete_topics()
    engagement.create_bare(RECORDS, LANES)
    done = create(engagement)
    assert done.returncode == 0, done.stderr
    assert f"{RECORDS}: message.timestamp.type was CreateTime, is LogAppendTime" in done.stdout
    assert engagement.setting(RECORDS)["message.timestamp.type"] == "LogAppendTime"


def test_another_number_of_lanes_is_told_and_left_as_it_is(engagement: Engagement) -> None:
    done = create(engagement, "--lanes", str(LANES + 1))
    assert done.returncode == 5
    assert f"has {LANES} lanes" in done.stderr
    assert done.stderr.count("\n") == 1
    assert set(engagement.ends()) == set(range(LANES))
