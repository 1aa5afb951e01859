"""A salon's past as its tables, with the mapping and the settings for it.

Takes: a folder; nothing of the machine
Out:   ``visits.csv`` and ``customers.csv``, two rows of them bad, ``past.toml``, ``tenants.toml``
"""

from __future__ import annotations

import csv
import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from flows.backfill import judge, read_mapping
from flows.backfill_report import Report
from flows.cli import run
from flows.environment import Environment
from operators.pack import Plan

AT = "2026-01-01T09:00:00Z"
TODAY = date(2026, 1, 1)
VISITS, CUSTOMERS = 3_000, 350
SETTINGS = """
[tenants.salon]
preset = "beauty_nails_brows"
timezone = "Asia/Almaty"
country = "KZ"
currency = "KZT"
scoring = { monetary = [9000000, 3000000] }
consent_default = "allow"
triggers = [
  { id = "entered", kind = "segment_entered", segments = ["333", "322", "111", "211"], channels = ["sms"], template = "a" },
  { id = "lapsed", kind = "winback", after_days = 30, channels = ["sms"], template = "b" },
  { id = "thanks", kind = "after_visit", after = "1h", channels = ["sms"], template = "c" },
  { id = "missed", kind = "no_show", after = "1h", channels = ["sms"], template = "d" },
  { id = "soon", kind = "reminder", before = "24h", channels = ["sms"], template = "e" },
]
"""  # noqa: E501 - a table in a line, as TOML wants it
MAPPING = """
tenant = "salon"
country = "KZ"
currency = "KZT"

[visits]
file = "visits.csv"
separator = ";"
times = ["%d.%m.%Y %H:%M"]
decimal = ","
status = { "пришел" = "attended", "нет" = "no_show", "ждем" = "booked" }

[visits.columns]
id = "Номер"
phone = "Телефон"
starts_at = "Дата"
amount = "Сумма"
status = "Статус"

[customers]
file = "customers.csv"
columns = { phone = "Phone", name = "Name", birthday = "Born" }
"""


def writings(number: int) -> list[str]:
    digits = f"701{number:07}"
    return [f"+7{digits}", f"8{digits}", f"8 ({digits[:3]}) {digits[3:6]}-{digits[6:]}"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A salon's tables, its mapping and its settings; two rows are bad."""
    folder = tmp_path_factory.mktemp("tables")
    chance = random.Random(6)
    with (folder / "visits.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerow(["Номер", "Дата", "Телефон", "Сумма", "Статус"])
        for number in range(VISITS):
            who = int(chance.random() ** 1.5 * (CUSTOMERS - 50))  # fifty never came
            day = TODAY + timedelta(days=-int(chance.expovariate(1 / 120)))
            status = chance.choices(["пришел", "нет", "ждем"], [8, 1, 1])[0]
            paid = f"{chance.randrange(2_000, 30_000):,}".replace(",", " ") + ",50"
            phone = chance.choice(writings(who))
            rows.writerow([number, f"{day:%d.%m.%Y} 08:{number % 60:02}", phone, paid, status])
        rows.writerow([VISITS, "01.01.2026 08:00", "8701", "1,00", "пришел"])
        rows.writerow([VISITS + 1, "31.02.2025 08:00", "+77010000001", "1,00", "пришел"])
    with (folder / "customers.csv").open("w", encoding="utf-8", newline="") as file:
        cards = csv.writer(file)
        cards.writerow(["Phone", "Name", "Born"])
        for who in range(CUSTOMERS):
            cards.writerow([writings(who)[0], f"Мария {who}", "1990-01-02"])
    (folder / "past.toml").write_text(MAPPING, encoding="utf-8")
    (folder / "tenants.toml").write_text(SETTINGS, encoding="utf-8")
    return folder


@pytest.fixture
def own(tables: Path, tmp_path: Path) -> Path:
    """A mapping of one's own over the same tables."""
    for name in ("visits.csv", "customers.csv", "past.toml"):
        (tmp_path / name).symlink_to(tables / name)
    return tmp_path


def backfill(mapping: Path, *options: str) -> int:
    return run(["backfill", str(mapping), "--at", AT, *options])


def plan_of(mapping: Path) -> Plan:
    now = datetime(2026, 1, 1, 9, tzinfo=UTC)
    return judge(read_mapping(mapping), mapping.parent, Environment(), now, Report())
