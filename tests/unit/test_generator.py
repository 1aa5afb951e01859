"""The generator: the same life for the same seed, in log order, with real sizes."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import orjson
import pytest

from benchmarks.workload import Load, Town, live, warmup
from flows.cli import run
from flows.generate import kind_of, tenant_of
from flows.living import living
from operators.decode import decode
from schemas.batch import Batch, Chunk, DeadLetter
from schemas.settings import parse_settings
from sources.bodies import naive, utc
from sources.business import businesses, shares
from sources.generator import Faults, World, generate
from sources.life import HOUSE_VISITS

Record = dict[str, Any]


def chunk_of(lines: list[bytes], lanes: int) -> tuple[list[Batch], list[DeadLetter]]:
    """The lines decoded as a file's, and what could not be used."""
    chunk = Chunk(-1, np.arange(len(lines), dtype=np.int64), None, lines)
    batches = decode(chunk, lanes)
    return batches, [letter for batch in batches for letter in batch.dead_letters]


@pytest.fixture(scope="module")
def log() -> list[bytes]:
    return list(living(World(tenants=9, customers=1_800, days=40, seed=5, effect=10.0), b"demo"))


@pytest.fixture(scope="module")
def records(log: list[bytes]) -> list[Record]:
    return [orjson.loads(line) for line in log]


def bodies(log: list[bytes], provider: bytes, mark: bytes) -> list[bytes]:
    """The bodies of a provider's webhooks that hold ``mark``, as bytes."""
    head = b'"provider":"%b"' % provider
    return [
        line[line.index(b'"body":') + 7 : -1] for line in log if head in line[:90] and mark in line
    ]


def test_the_same_seed_gives_the_same_bytes_in_another_process() -> None:
    code = (
        "from hashlib import blake2b; from sources.generator import World;"
        "from flows.living import living;"
        "lines = living(World(3, 200, 20, 9, True, effect=10), b'demo');"
        "print(blake2b(b'\\n'.join(lines)).hexdigest())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_another_seed_gives_another_log() -> None:
    one, other = (list(generate(3, 200, 10, seed)) for seed in (1, 2))
    assert one[3:] != other[3:]


def test_a_limit_on_records_only_cuts_the_log() -> None:
    assert list(generate(3, 200, 10, 1, records=100)) == list(generate(3, 200, 10, 1))[:100]


@pytest.mark.parametrize("faults", [False, Faults(poison=0.0)])
def test_records_come_in_the_order_of_their_append_time(faults: bool | Faults) -> None:
    lines = living(World(4, 400, 20, 3, faults), b"demo")
    times = [orjson.loads(line)["appended_at"] for line in lines]
    assert times == sorted(times)
    assert times[0].startswith("2026-01-05T00:00:00")
    assert times[-1] == "2026-01-24T23:59:59.999Z"


def test_every_record_is_received_before_it_is_appended(records: list[Record]) -> None:
    assert all(record["received_at"] <= record["appended_at"] for record in records)


def test_settings_come_first_and_are_without_a_mistake(records: list[Record]) -> None:
    first = records[:9]
    assert [record["tenant"] for record in first] == [f"t{i:04d}" for i in range(1, 10)]
    settings = [parse_settings(record["settings"], record["tenant"]) for record in first]
    kinds = {trigger.kind for each in settings for trigger in each.triggers}
    assert kinds == {"reminder", "segment_entered"}
    assert all(record["kind"] != "settings" for record in records[9:])


def test_tenants_cover_presets_zones_currencies_and_providers() -> None:
    made = businesses(12, 1)
    settings = [parse_settings(each.settings, each.tenant) for each in made]
    assert len({each.preset for each in settings}) == 6
    zones = {each.timezone for each in settings}
    assert {"Asia/Almaty", "Europe/Moscow", "Europe/Berlin", "America/New_York"} <= zones
    assert {"RUB", "KZT", "EUR", "USD"} <= {each.currency for each in settings}
    assert {each.provider for each in made} == {"yclients", "altegio", "generic", "iiko"}
    assert {each.messenger for each in made} == {"whatsapp", "wazzup", "greenapi"}
    assert sum(each.country in ("RU", "KZ") for each in settings) > 8
    assert any(each.branches for each in settings)


def test_customers_are_spread_over_all_tenants() -> None:
    counts = shares(businesses(9, 1), 10_000, 1)
    assert sum(counts) == 10_000
    assert min(counts) > 0


def test_one_business_may_have_its_share_of_the_traffic() -> None:
    counts = shares(businesses(9, 1), 10_000, 1, largest=0.3)
    assert sum(counts) == 10_000
    assert counts[0] > max(counts[1:])


def test_the_mix_is_that_of_the_load_model(log: list[bytes]) -> None:
    (batches, _) = chunk_of(log, 1)
    told = sum(len(each.statuses.message) for each in batches)
    of_crm = {f"webhook {each}" for each in ("yclients", "altegio", "generic", "iiko")}
    crm = sum(kind_of(line) in of_crm and b'"message_status"' not in line for line in log)
    visits = len(
        {key for each in batches for key in zip(each.visits.scope, each.visits.id, strict=True)}
    )
    assert crm / (crm + told) == pytest.approx(175 / 505, abs=0.04)
    assert crm / visits == pytest.approx(7, abs=0.9)


def test_bodies_have_the_sizes_of_real_ones(log: list[bytes]) -> None:
    for provider in (b"yclients", b"altegio"):
        booked = bodies(log, provider, b'"resource":"record"')
        sizes = [len(body) for body in booked if b'"client":null' not in body]
        assert min(sizes) >= 2_000
        assert max(sizes) <= 2_560
        assert 2_100 < sum(sizes) / len(sizes) < 2_500
        cards = [len(body) for body in bodies(log, provider, b'"resource":"client"')]
        assert 700 < sum(cards) / len(cards) < 900
        paid = [len(body) for body in bodies(log, provider, b'"resource":"finances_operation"')]
        assert 850 < sum(paid) / len(paid) < 1_100
    told = [len(body) for body in bodies(log, b"whatsapp", b'"statuses":')]
    assert 450 < sum(told) / len(told) < 600


def test_life_has_everything_that_the_engine_must_cope_with(records: list[Record]) -> None:
    seen: Counter[str] = Counter()
    for record in records:
        seen[record["kind"]] += 1
        seen[f"of {record.get('provider')}"] += 1
        if "body" not in record:
            seen[f"receipt {record.get('status')}"] += 1
            continue
        body = record["body"]
        text = orjson.dumps(body).decode()
        if isinstance(body, dict):
            seen[f"type {body.get('type')} {body.get('status')}"] += 1
            seen[f"resource {body.get('resource')}"] += 1
            inside = body.get("data")
            if isinstance(inside, dict) and "comer" in inside:
                seen[f"{body['status']} {inside['attendance']}"] += 1
                seen["walk-in"] += inside["client"] is None
                seen["no phone yet"] += bool(inside["client"]) and inside["client"]["phone"] == ""
        seen["refund"] += '"finances_operation"' in text and '"amount":-' in text
        seen["money without a visit"] += '"visit_id":0' in text and '"finances_operation"' in text
        seen["incoming"] += '"messages":[' in text
        seen["hidden phone"] += '"from_user_id"' in text and '"from":' not in text
        seen["phone learnt"] += '"from_user_id"' in text and '"from":' in text
        seen["failed"] += '"errors":[' in text
        seen["several statuses"] += text.count('"recipient_id"') > 1
        seen["table closed"] += '"Closed"' in text
        seen["table of nobody"] += '"Closed"' in text and '"customer":null' in text
    expected = (
        "webhook", "settings", "receipt", "heartbeat", "history", "of yclients", "of altegio",
        "of generic", "of iiko", "of whatsapp", "of wazzup", "of greenapi", "receipt accepted",
        "receipt failed", "type visit attended", "type visit no_show", "type visit cancelled",
        "type client None", "type message_status delivered", "resource goods_operations_sale",
        "resource schedule", "create 0", "update 0", "update 1", "update 2", "update -1",
        "delete 0", "walk-in", "no phone yet", "incoming", "hidden phone", "phone learnt",
        "failed", "several statuses", "refund", "money without a visit", "table closed",
        "table of nobody",
    )  # fmt: skip
    assert not [name for name in expected if not seen[name]]


def test_people_change_phones_share_them_and_visit_several_branches(
    records: list[Record],
) -> None:
    phones: dict[tuple[str, int], set[str]] = {}
    cards: dict[tuple[str, str], set[int]] = {}
    for record in records:
        body = record.get("body")
        if isinstance(body, dict) and body.get("resource") == "client":
            tenant, card = record["tenant"], body["resource_id"]
            phones.setdefault((tenant, card), set()).add(body["data"]["phone"])
            cards.setdefault((tenant, body["data"]["phone"]), set()).add(card)
    assert any(len(each - {""}) > 1 for each in phones.values())
    assert any(len(each) > 1 for (_, phone), each in cards.items() if phone)


def test_an_open_day_enters_dozens_under_one_number() -> None:
    lines = generate(5, 1_200, 40, 2)
    visits: Counter[tuple[str, str]] = Counter()
    for line in lines:
        if b'"resource":"record"' in line and b'"name":"Guest"' in line:
            data = orjson.loads(line)["body"]["data"]
            visits[data["date"][:10], data["client"]["phone"]] += data["attendance"] == 1
    assert max(visits.values()) >= HOUSE_VISITS


def test_an_honest_log_holds_no_dead_letter(log: list[bytes]) -> None:
    (batches, dead) = chunk_of(log, 4)
    assert not dead
    assert sum(len(batch.visits.id) for batch in batches) > 1_000


def test_times_are_written_as_the_calendar_has_them() -> None:
    for text in ("2024-02-29T23:59:58.007", "2026-03-01T00:00:00.000", "1999-12-31T12:34:56.789"):
        moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
        ms = round(moment.timestamp() * 1000)
        assert utc(ms).decode() == f"{text}Z"
        assert naive(ms).decode() == moment.strftime("%Y-%m-%d %H:%M:%S")


def test_kind_and_tenant_are_told_from_the_start_of_a_line(log: list[bytes]) -> None:
    for line in log[:2_000]:
        record = orjson.loads(line)
        provider = record.get("provider")
        assert kind_of(line) == (f"webhook {provider}" if provider else record["kind"])
        assert (tenant_of(line) or b"").decode() == record.get("tenant", "")


def test_the_command_writes_the_generators_lines(tmp_path: Any, capsys: Any) -> None:
    plain, packed = tmp_path / "log.ndjson", tmp_path / "log.ndjson.gz"
    options = ["generate", "--tenants", "2", "--customers", "60", "--days", "5", "--no-progress"]
    assert run([*options, "--out", str(plain), "--start", "2026-03-01", "--json"]) == 0
    world = World(2, 60, 5, 1, start=date(2026, 3, 1), effect=10.0)
    expected = list(living(world, b"demo"))
    assert plain.read_bytes().splitlines() == expected
    assert orjson.loads(capsys.readouterr().out.splitlines()[-1])["records"] == len(expected)
    assert run([*options, "--out", str(packed)]) == 0
    again = tmp_path / "again.ndjson.gz"
    assert run([*options, "--out", str(again)]) == 0
    assert packed.read_bytes() == again.read_bytes()


def test_the_commands_mistakes_are_one_line_each(tmp_path: Any, capsys: Any) -> None:
    missing = str(tmp_path / "missing" / "log.ndjson")
    assert run(["generate", "--records", "1", "--no-progress", "--out", missing]) == 2
    assert run(["generate", "--kafka", "localhost:1", "--out", "x"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_the_benchmarks_load_is_seeded_and_has_the_mix_of_the_model() -> None:
    load = Load(records=4_000, customers=1_000, seed=3, lanes=4, runs=2)
    town = Town(load)
    chunks = live(town, 1)
    values = [value for chunk in chunks for value in chunk.values]
    again = [value for chunk in live(Town(load), 1) for value in chunk.values]
    assert values == again
    assert len(values) == pytest.approx(4_000, rel=0.02)
    crm = sum(b'"provider":"yclients"' in value for value in values)
    assert crm / len(values) == pytest.approx(175 / 505, abs=0.01)
    warm = [value for chunk in warmup(town) for value in chunk.values]
    assert len(warm) == 8 + 3 * 1_000 + 2 * 2 * load.visits + load.lanes
    for chunk in (*warmup(town), *chunks):
        assert not any(batch.dead_letters for batch in decode(chunk, load.lanes))
        assert chunk.appended_ms is not None
        assert (chunk.appended_ms[:-1] <= chunk.appended_ms[1:]).all()
