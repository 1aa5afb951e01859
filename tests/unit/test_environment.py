"""Every variable of the environment, and every way to get one wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.environment import EnvironmentMistake, parse_environment, variables_of


def mistake(**variables: str) -> str:
    with pytest.raises(EnvironmentMistake) as caught:
        parse_environment(variables)
    return str(caught.value)


def test_an_empty_environment_has_the_shipped_defaults() -> None:
    environment = parse_environment({})
    assert (environment.lanes, environment.ops_port, environment.log) == (16, 9108, "console")
    assert environment.kafka is None
    assert environment.id_key is None
    assert environment.countries == frozenset()
    assert environment.offline_id_key == b"demo"


def test_every_variable_is_read() -> None:
    environment = parse_environment(
        {
            "FLOWSELL_KAFKA": "a:9092,b:9092",
            "FLOWSELL_CLICKHOUSE": "chdb:/data",
            "FLOWSELL_POSTGRES": "postgresql://db/flowsell",
            "FLOWSELL_VALKEY": "valkey://cache",
            "FLOWSELL_MONGO": "mongodb://docs",
            "FLOWSELL_STATE": "s3://bucket/state",
            "FLOWSELL_INSTANCE": "flow-1",
            "FLOWSELL_LANES": "64",
            "FLOWSELL_OPS_PORT": "0",
            "FLOWSELL_ID_KEY": "ключ",
            "FLOWSELL_COUNTRIES": "RU, kz",
            "FLOWSELL_LOG": "json",
            "PATH": "/bin",
        }
    )
    assert environment.kafka == "a:9092,b:9092"
    assert environment.clickhouse == "chdb:/data"
    assert environment.postgres == "postgresql://db/flowsell"
    assert environment.valkey == "valkey://cache"
    assert environment.mongo == "mongodb://docs"
    assert environment.state == "s3://bucket/state"
    assert environment.instance == "flow-1"
    assert environment.lanes == 64
    assert environment.ops_port == 0
    assert environment.id_key == "ключ".encode()
    assert environment.countries == frozenset({"RU", "KZ"})
    assert environment.log == "json"


def test_a_librdkafka_property_is_spelled_with_dots() -> None:
    environment = parse_environment(
        {
            "FLOWSELL_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "FLOWSELL_KAFKA_SASL_USERNAME": "flow",
            "FLOWSELL_KAFKA_LOG_LEVEL": "3",
        }
    )
    assert environment.kafka_properties == {
        "security.protocol": "SASL_SSL",
        "sasl.username": "flow",
        "log_level": "3",
    }


def test_a_property_that_names_a_file_itself_stays_a_path() -> None:
    name = "FLOWSELL_KAFKA_SASL_OAUTHBEARER_ASSERTION_PRIVATE_KEY_FILE"
    environment = parse_environment({name: "/nowhere/key.pem"})
    assert environment.kafka_properties == {
        "sasl.oauthbearer.assertion.private.key.file": "/nowhere/key.pem"
    }


def test_the_bootstrap_servers_have_one_name_only() -> None:
    said = mistake(FLOWSELL_KAFKA_BOOTSTRAP_SERVERS="a:9092")
    assert said == "FLOWSELL_KAFKA_BOOTSTRAP_SERVERS: set FLOWSELL_KAFKA instead"


@pytest.mark.parametrize("name", ["FLOWSELL_ID_KEY", "FLOWSELL_KAFKA_SASL_PASSWORD"])
def test_a_file_gives_the_value_without_its_last_newline(name: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret \n")
    environment = parse_environment({f"{name}_FILE": str(secret)})
    assert environment.id_key == b"s3cret " or environment.kafka_properties == {
        "sasl.password": "s3cret "
    }


def test_a_value_and_a_file_for_it_exclude_each_other(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a")
    said = mistake(FLOWSELL_ID_KEY="b", FLOWSELL_ID_KEY_FILE=str(tmp_path / "key"))
    assert said == "FLOWSELL_ID_KEY_FILE: FLOWSELL_ID_KEY is set as well; keep one of them"


def test_a_file_that_cannot_be_read_is_named() -> None:
    said = mistake(FLOWSELL_STATE_FILE="/nowhere/at/all")
    assert said == (
        "FLOWSELL_STATE_FILE: cannot read the file /nowhere/at/all: No such file or directory"
    )


def test_an_empty_value_is_a_variable_that_is_not_set() -> None:
    assert parse_environment({"FLOWSELL_ID_KEY": "", "FLOWSELL_LANES": ""}).id_key is None


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("FLOWSELL_LAENS", "FLOWSELL_LANES"),
        ("FLOWSELL_KAFKAA", "FLOWSELL_KAFKA"),
        ("FLOWSELL_IDKEY_FILE", "FLOWSELL_ID_KEY"),
        ("FLOWSELL_CLICK_HOUSE", "FLOWSELL_CLICKHOUSE"),
    ],
)
def test_an_unknown_name_is_an_error_with_the_nearest_known_one(name: str, near: str) -> None:
    assert mistake(**{name: "x"}) == f"{name}: unknown variable; did you mean {near}?"


def test_a_name_like_no_other_lists_those_that_are_known() -> None:
    said = mistake(FLOWSELL_XYZZY="1")
    assert "FLOWSELL_POSTGRES" in said
    assert "FLOWSELL_LANES" in said


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("FLOWSELL_LANES", "many", "not a whole number"),
        ("FLOWSELL_LANES", "0", "not between 1 and 4096"),
        ("FLOWSELL_OPS_PORT", "70000", "not between 0 and 65535"),
        ("FLOWSELL_LOG", "xml", "neither console nor json"),
        ("FLOWSELL_COUNTRIES", "Russia", "not a list of two-letter country codes"),
    ],
)
def test_a_value_that_cannot_be_names_its_variable(name: str, value: str, why: str) -> None:
    assert mistake(**{name: value}).startswith(f"{name}: {why}")


def test_no_secret_shows_in_the_repr() -> None:
    environment = parse_environment(
        {
            "FLOWSELL_ID_KEY": "hush-1",
            "FLOWSELL_POSTGRES": "postgresql://u:hush-2@db/x",
            "FLOWSELL_KAFKA_SASL_PASSWORD": "hush-3",
            "FLOWSELL_VALKEY": "valkey://:hush-4@cache",
            "FLOWSELL_MONGO": "mongodb://u:hush-5@docs",
            "FLOWSELL_CLICKHOUSE": "https://u:hush-6@olap",
            "FLOWSELL_STATE": "s3://key:hush-7@bucket",
        }
    )
    assert "hush" not in repr(environment)
    assert "sasl.password" in repr(environment)


def test_processes_of_one_host_differ_in_their_instance_and_ops_port_alone() -> None:
    variables = {
        "PATH": "/bin",
        "FLOWSELL_KAFKA": "kafka:9092",
        "FLOWSELL_INSTANCE": "host-a",
        "FLOWSELL_OPS_PORT_FILE": "/run/port",
    }
    environment = parse_environment({"FLOWSELL_INSTANCE": "host-a", "FLOWSELL_OPS_PORT": "9000"})
    assert variables_of(environment, 2, variables) == {
        "PATH": "/bin",
        "FLOWSELL_KAFKA": "kafka:9092",
        "FLOWSELL_INSTANCE": "host-a-2",
        "FLOWSELL_OPS_PORT": "9002",
    }


def test_an_ops_port_of_zero_stays_zero_in_every_process() -> None:
    environment = parse_environment({"FLOWSELL_INSTANCE": "host-a", "FLOWSELL_OPS_PORT": "0"})
    assert variables_of(environment, 2, {})["FLOWSELL_OPS_PORT"] == "0"
