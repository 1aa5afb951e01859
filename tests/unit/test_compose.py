"""docker-compose.yml: pinned images, health checks, and the broker that the tests run on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from benchmarks.engines import versions_of_stores
from flows.environment import parse_environment

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


FLOWS = ["engagement", "warehouse", "profiles"]


def test_the_engines_and_the_flows_are_there() -> None:
    engines = {"kafka", "clickhouse", "postgres", "valkey"}
    assert engines | {"topics", "migrate", "settings", *FLOWS} == set(SERVICES)
    assert all(SERVICES[name]["command"] == ["run", name] for name in FLOWS)


@pytest.mark.parametrize("name", ["kafka", "clickhouse", "postgres", "valkey"])
def test_an_engine_is_pinned_and_has_a_health_check(name: str) -> None:
    image, _, tag = SERVICES[name]["image"].partition(":")
    assert image
    assert re.fullmatch(r"\d+(\.\d+){1,3}", tag), "a whole version, never latest"
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", ["kafka", "clickhouse", "postgres", "valkey"])
def test_an_engine_is_reached_from_this_machine_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


def test_compose_runs_the_broker_that_the_tests_run_on() -> None:
    pom = ET.parse(ROOT / "tests" / "pom.xml")
    space = {"m": "http://maven.apache.org/POM/4.0.0"}
    version = pom.findtext(".//m:dependency[m:groupId='org.apache.kafka']/m:version", None, space)
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{version}"


def test_compose_runs_the_stores_that_the_tests_run_on() -> None:
    tag = SERVICES["postgres"]["image"].partition(":")[2]
    assert tag == versions_of_stores()["postgres"]
    assert SERVICES["valkey"]["image"].partition(":")[2] == versions_of_stores()["valkey"]


def test_every_named_volume_is_declared_and_used() -> None:
    mounted = {
        volume.partition(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
    }
    assert mounted == set(COMPOSE["volumes"])


def test_the_flow_starts_after_its_topics_and_needs_the_id_key() -> None:
    flow = SERVICES["engagement"]
    assert flow["depends_on"]["topics"]["condition"] == "service_completed_successfully"
    assert flow["environment"]["FLOWSELL_ID_KEY"].startswith("${FLOWSELL_ID_KEY:?")
    ours = ["topics", "migrate", "settings", *FLOWS]
    assert len({SERVICES[name]["image"] for name in ours}) == 1


@pytest.mark.parametrize("name", ["warehouse", "profiles", "settings"])
def test_what_follows_starts_after_its_tables(name: str) -> None:
    assert SERVICES[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert "FLOWSELL_ID_KEY" not in SERVICES[name]["environment"]


@pytest.mark.parametrize("name", ["topics", "settings", *FLOWS])
def test_the_flow_understands_its_environment(name: str) -> None:
    given = {
        key: re.sub(r"\$\{\w+:[-?]([^}]*)\}", r"\1", str(value))
        for key, value in SERVICES[name]["environment"].items()
    }
    environment = parse_environment(given)
    assert environment.kafka == "kafka:9092"
    assert environment.lanes == 16
