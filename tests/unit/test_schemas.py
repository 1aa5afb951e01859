"""The exported schemas say what the code does, and the outputs keep the contract's shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from schemas import outputs
from schemas.aggregates import UpliftMonthly
from schemas.export import ASYNCAPI, documents, encoded, export
from schemas.outputs import OUTPUTS
from schemas.record import REASONS
from schemas.topics import TOPICS
from schemas.triggers import KINDS
from tests.unit.test_settings import CONTRACT, NEEDED, trigger

COMMITTED = Path(__file__).parents[2] / "schemas" / "json"

ID = "0123456789abcdef0123456789abcdef"
AT = "2026-11-20T07:00:00Z"

SAMPLES: dict[str, Any] = {
    "command": outputs.Command(
        command_id=ID,
        tenant="t0042",
        customer_id=ID,
        phone="+77011234567",
        aliases={},
        name=None,
        trigger="soon",
        kind="reminder",
        category="utility",
        channels=["whatsapp"],
        template="soon_ru",
        params={"discount": 10, "list": [1, None]},
        locale="ru",
        timezone="Asia/Almaty",
        branch=None,
        visit=outputs.Visit(["1"], AT, "2026-11-20T12:00:00", ["haircut"], ["Анна"]),
        segment="312",
        rfm=outputs.Rfm(None, 0, 0, None),
        scheme=outputs.SCHEME,
        thresholds_version="53740876e902",
        due_at=AT,
        expires_at=AT,
        created_at=AT,
        occasion="visit:generic::v-1@2026-11-20T07:00Z",
        withdrawn=False,
    ),
    "decision": outputs.Decision(ID, ID, "t", ID, "soon", "refused", "stale", AT, 7),
    "segment_change": outputs.SegmentChange("t", ID, "000", "312", "visit", AT, 7),
    "profile": outputs.Profile(
        tenant="t",
        customer_id=ID,
        phone=None,
        name=None,
        aliases={"telegram": "1"},
        segment="000",
        r=None,
        f=None,
        m=None,
        recency_days=None,
        frequency=0,
        monetary_minor=0,
        currency=None,
        last_visit_at=None,
        next_booking_at=None,
        birthday=None,
        consent={"marketing": outputs.Consent(value=True, at=AT, source="client")},
        as_of=AT,
        position=0,
    ),
    "tombstone": outputs.Tombstone("t", ID, ID, False, AT, 7),
    "dead_letter": outputs.DeadLetterLine(
        None, "e30=", outputs.DeadLetterErrors(None, None, 7, "decode", "json", "cut")
    ),
}

FIELDS = {
    "command": "command_id, tenant, customer_id, phone, aliases, name, trigger, kind, category, "
    "channels, template, params, locale, timezone, branch, visit, segment, rfm, scheme, "
    "thresholds_version, due_at, expires_at, created_at, occasion, withdrawn",
    "decision": "decision_id, command_id, tenant, customer_id, trigger, outcome, reason, at, "
    "position",
    "segment_change": "tenant, customer_id, from, to, cause, at, position",
    "profile": "tenant, customer_id, phone, name, aliases, segment, r, f, m, recency_days, "
    "frequency, monetary_minor, currency, last_visit_at, next_booking_at, birthday, consent, "
    "as_of, position",
}

RECORDS = [
    (
        '{"kind":"webhook","tenant":"t","provider":"yclients","branch":"358944",'
        '"received_at":"2026-11-22T10:00:00.123Z","body":{}}'
    ),
    (
        '{"kind":"webhook","tenant":"t","provider":"generic","received_at":"2026-11-22T10:00:00Z",'
        '"body":"not json","appended_at":"2026-11-22T10:00:01Z"}'
    ),
    (
        '{"kind":"receipt","tenant":"t","received_at":"2026-11-22T10:00:00Z","command_id":"c",'
        '"message_id":"wamid.1","channel":"whatsapp","status":"accepted"}'
    ),
    '{"kind":"settings","tenant":"t","received_at":"2026-11-22T10:00:00Z","settings":{}}',
    (
        '{"kind":"history","tenant":"t","received_at":"2026-11-22T10:00:00Z","visits":[],'
        '"customers":[]}'
    ),
    '{"kind":"forget","tenant":"t","received_at":"2026-11-22T10:00:00Z","customer_id":"c"}',
    '{"kind":"heartbeat","received_at":"2026-11-22T10:00:00Z"}',
]

GENERIC: list[Any] = [
    {
        "type": "visit",
        "id": "v-1",
        "version": 3,
        "status": "attended",
        "phone": "+77011234567",
        "client": "crm-77",
        "branch": "b1",
        "starts_at": "2026-11-20T12:00:00+05:00",
        "ends_at": "2026-11-20T13:00:00+05:00",
        "amount_minor": 350000,
        "currency": "KZT",
        "services": ["haircut"],
        "staff": "Анна",
    },
    {
        "type": "client",
        "id": "crm-77",
        "version": 2,
        "phone": "+77011234567",
        "name": "Мария",
        "birthday": "1990-02-28",
        "locale": "ru",
        "consent": {"marketing": True},
        "aliases": {"whatsapp_bsuid": "KZ.123"},
    },
    {
        "type": "message_status",
        "message_id": "m-1",
        "command_id": "c",
        "phone": "+77011234567",
        "channel": "sms",
        "status": "delivered",
        "at": "2026-11-20T12:00:05Z",
    },
    {
        "type": "message_in",
        "message_id": "m-2",
        "phone": "+77011234567",
        "channel": "whatsapp",
        "text": "СТОП",
        "at": "2026-11-20T12:01:00Z",
    },
]


def committed(name: str) -> Any:
    return json.loads((COMMITTED / name).read_text(encoding="utf-8"))


def validate(value: Any, name: str) -> None:
    jsonschema.Draft202012Validator(committed(f"{name}.json")).validate(value)


@pytest.mark.parametrize("name", documents())
def test_the_committed_schema_is_what_the_code_says(name: str) -> None:
    text = (COMMITTED / name).read_text(encoding="utf-8")
    assert text == encoded(documents()[name]), "run `make schemas`"


def test_nothing_else_lies_beside_the_exported_schemas(tmp_path: Path) -> None:
    written = export(tmp_path / "new" / "folder")
    assert sorted(path.name for path in written) == sorted(documents())
    assert sorted(path.name for path in COMMITTED.iterdir()) == sorted(documents())


@pytest.mark.parametrize("name", [name for name in documents() if name != ASYNCAPI])
def test_every_schema_is_one(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(committed(name))


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_encoded_output_follows_its_schema(name: str) -> None:
    validate(json.loads(msgspec.json.encode(SAMPLES[name])), name)


@pytest.mark.parametrize("name", OUTPUTS)
def test_no_field_of_an_output_may_be_left_out(name: str) -> None:
    full = json.loads(msgspec.json.encode(SAMPLES[name]))
    for field in full:
        with pytest.raises(jsonschema.ValidationError):
            validate({key: value for key, value in full.items() if key != field}, name)


@pytest.mark.parametrize("name", FIELDS)
def test_an_output_has_the_contracts_fields_in_the_contracts_order(name: str) -> None:
    fields = list(json.loads(msgspec.json.encode(SAMPLES[name])))
    assert ", ".join(fields) == FIELDS[name]


def test_the_parts_of_a_command_keep_their_order() -> None:
    command = json.loads(msgspec.json.encode(SAMPLES["command"]))
    assert list(command["visit"]) == ["ids", "starts_at", "local_start", "services", "staff"]
    assert list(command["rfm"]) == ["recency_days", "frequency", "monetary_minor", "currency"]


def test_closed_sets_are_the_same_everywhere() -> None:
    command = committed("command.json")["properties"]
    assert sorted(command["kind"]["enum"]) == sorted(KINDS)
    dead = committed("dead_letter.json")["$defs"]["DeadLetterErrors"]["properties"]
    assert sorted(dead["reason"]["enum"]) == sorted(REASONS)


def test_a_sum_of_squares_is_written_and_read_whole_however_long_it_is() -> None:
    for squares in (0, 2**63, 2**64, 2**64 + 1, 10**40 + 7):
        row = UpliftMonthly("t", "2026-03", "winback", "treated", 9, 3, 70, squares, 7)
        line = msgspec.json.encode(row)
        assert b'"revenue_squared":%d,' % squares in line
        assert msgspec.json.decode(line, type=UpliftMonthly) == row
        assert json.loads(line)["revenue_squared"] == squares
        validate(json.loads(line), "uplift_monthly")


@pytest.mark.parametrize("line", RECORDS)
def test_the_records_of_the_contract_follow_the_schema(line: str) -> None:
    validate(json.loads(line), "record")


@pytest.mark.parametrize("body", GENERIC, ids=lambda body: body["type"])
def test_the_generic_bodies_of_the_contract_follow_the_schema(body: Any) -> None:
    validate(body, "generic")
    with pytest.raises(jsonschema.ValidationError):
        validate({**body, "type": "visitor"}, "generic")


def test_the_settings_of_the_contract_follow_the_schema() -> None:
    validate(CONTRACT, "settings")
    validate({}, "settings")


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_knows_what_each_kind_of_trigger_needs(kind: str) -> None:
    validate({"triggers": [trigger(kind)]}, "settings")
    for key in NEEDED[kind]:
        if kind != "rebook":  # one of two keys: told by the error alone
            with pytest.raises(jsonschema.ValidationError):
                validate({"triggers": [trigger(kind, **{key: ...})]}, "settings")


def test_the_asyncapi_document_names_every_topic_and_lacks_no_reference() -> None:
    document = committed(ASYNCAPI)
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert addresses == {topic.name for topic in TOPICS.values()}

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [found for value in node.values() for found in references(value)]
        if isinstance(node, list):
            return [found for value in node for found in references(value)]
        return []

    found = references(document)
    assert len(found) > len(TOPICS)
    for reference in found:
        if reference.startswith("#/"):
            target = document
            for step in reference[2:].split("/"):
                target = target[step]
        else:
            assert (COMMITTED / reference).is_file()


def test_topics_keep_what_the_contract_says() -> None:
    day = 86_400_000
    kept = {topic.name: topic.config.get("retention.ms") for topic in TOPICS.values()}
    assert kept["flowsell.records.v1"] == kept["flowsell.records.v1.dlq"] == str(14 * day)
    assert kept["flowsell.commands.v1"] == str(7 * day)
    # For ever, and what was before the last value of a key, which may name somebody, for a day.
    compacted = {"cleanup.policy": "compact", "max.compaction.lag.ms": str(day)}
    assert TOPICS["profiles"].config == compacted
    assert TOPICS["records"].config["message.timestamp.type"] == "LogAppendTime"
    assert TOPICS["records"].config["max.message.bytes"] == str(16 * 1024 * 1024)
    assert TOPICS["dead_letters"].config["max.message.bytes"] == str(16 * 1024 * 1024)
