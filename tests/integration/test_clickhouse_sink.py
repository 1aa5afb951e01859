"""The contract of a sink, kept by the warehouse on a real, embedded ClickHouse."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from schemas.engines import EngineError
from sinks.clickhouse import Warehouse
from sinks.clickhouse_engine import PINNED, ClickHouse
from sinks.clickhouse_rows import TABLES
from sinks.clickhouse_target import Embedded, Server, target_of
from tests.clickhouse import ROWS, embedded, everything, folded, now, said, warehouse

__all__ = ["embedded"]

every_table = pytest.mark.parametrize("table", ROWS)

HOLDER = """
import sys
from pathlib import Path
from tests.clickhouse import folded, said, warehouse
with warehouse(Path(sys.argv[1])) as made:
    outputs = folded(*[said("visits_daily", n, tenant=f"t{n}") for n in range(50_000)]).outputs
    print("writing", flush=True)
    made.write([outputs])
    print("there", flush=True)
    sys.stdin.read()
"""


def write(made: Warehouse, *rows: Any) -> None:
    """As a replay does it: a chunk's outputs, inserted when it returns."""
    made.write([folded(*rows).outputs])


def test_it_writes_a_batch_of_every_table(embedded: Warehouse) -> None:
    write(embedded, *[said(table, 7) for table in ROWS])
    assert everything(embedded.engine) == {table: [row] for table, row in ROWS.items()}


@every_table
def test_the_same_batch_twice_is_once(embedded: Warehouse, table: str) -> None:
    write(embedded, said(table, 7))
    write(embedded, said(table, 7))
    assert now(embedded.engine, table) == [ROWS[table]]


STALE: dict[str, dict[str, Any]] = {
    "segment_changes": {"cause": "merge"},
    "customer_segments": {"segment": "333", "monetary_minor": 1},
    "visits_daily": {"visits": 1},
    "segment_daily": {"customers": 1},
    "segment_flow_daily": {"customers": 1},
    "webhooks_minutely": {"records": 1},
    "message_funnel_daily": {"read": 6, "revenue_minor": -1},
    "uplift_monthly": {"returned": 4, "revenue_squared": 10**40},
    "decisions": {"outcome": "sent", "reason": None},
}


@every_table
@pytest.mark.parametrize("merged", [False, True])
def test_a_stale_write_loses(embedded: Warehouse, table: str, merged: bool) -> None:
    write(embedded, said(table, 7))
    write(embedded, said(table, 6, **STALE[table]))
    if merged:
        embedded.engine.command(f"OPTIMIZE TABLE flowsell.{table} FINAL")
    assert now(embedded.engine, table) == [ROWS[table]]
    write(embedded, said(table, 8, **STALE[table]))
    assert now(embedded.engine, table) == [ROWS[table] | STALE[table]]


def test_of_two_writes_at_one_position_the_later_holds(embedded: Warehouse) -> None:
    write(embedded, said("visits_daily", 7), said("visits_daily", 7, visits=4))
    assert now(embedded.engine, "visits_daily")[0]["visits"] == 4
    write(embedded, said("visits_daily", 7, visits=5))
    assert now(embedded.engine, "visits_daily")[0]["visits"] == 5


def test_a_customer_that_is_no_more_is_in_the_table_and_not_in_the_view(
    embedded: Warehouse,
) -> None:
    write(embedded, said("customer_segments", 7))
    gone = dict.fromkeys(("r", "f", "m", "recency_days", "last_visit_at"))
    zero = {"segment": "", "frequency": 0, "monetary_minor": 0}
    write(embedded, said("customer_segments", 8, **gone, **zero))
    assert now(embedded.engine, "customer_segments") == []
    assert embedded.engine.rows("SELECT count() FROM flowsell.customer_segments FINAL") == [(1,)]


def test_a_lead_has_no_digits_and_no_last_visit(embedded: Warehouse) -> None:
    lead = dict.fromkeys(("r", "f", "m", "recency_days", "last_visit_at"))
    write(embedded, said("customer_segments", 7, segment="000", **lead))
    assert now(embedded.engine, "customer_segments") == [
        ROWS["customer_segments"] | lead | {"segment": "000"}
    ]


def test_the_squares_of_any_money_are_there_to_the_last_digit(embedded: Warehouse) -> None:
    squares = [0, 2**63, 2**64 + 1, (2**63 - 1) ** 2 * 5_000_000, 2**255 - 1]
    rows = [said("uplift_monthly", n, tenant=f"t{n}", revenue_squared=square)
            for n, square in enumerate(squares)]  # fmt: skip
    write(embedded, *rows)
    found = now(embedded.engine, "uplift_monthly")
    assert [row["revenue_squared"] for row in found] == squares


def test_the_funnel_is_told_in_shares_of_what_was_commanded(embedded: Warehouse) -> None:
    nothing = dict.fromkeys(("commanded", "accepted", "sent", "delivered", "read", "replied"), 0)
    none = nothing | {"failed": 0, "returned": 0, "revenue_minor": 0}
    write(
        embedded,
        said("message_funnel_daily", 7, commanded=8, accepted=8, read=2),
        said("message_funnel_daily", 7, channel="sms", **none),
    )
    query = "SELECT channel, accepted_rate, read_rate FROM flowsell.message_funnel_rates ORDER BY 1"
    assert embedded.engine.rows(query) == [("sms", None, None), ("whatsapp", 1.0, 0.25)]


def test_the_arms_of_a_trigger_stand_side_by_side(embedded: Warehouse) -> None:
    arms = [
        ("2026-03", "treated", 60, 30),
        ("2026-04", "treated", 40, 30),
        ("2026-04", "holdout", 10, 4),
    ]
    write(
        embedded,
        *[
            said("uplift_monthly", 7, month=month, variant=variant, customers=n, returned=back,
                 revenue_minor=n * 5)
            for month, variant, n, back in arms
        ],
        said("uplift_monthly", 7, trigger="alone", variant="treated"),
    )  # fmt: skip
    found = embedded.engine.rows(
        "SELECT trigger, treated, held_out, treated_rate, holdout_rate, rate_difference, "
        "revenue_difference_minor FROM flowsell.uplift_by_trigger ORDER BY 1"
    )
    assert found == [
        ("alone", 9, 0, pytest.approx(1 / 3), None, None, None),
        ("winback", 100, 10, 0.6, 0.4, pytest.approx(0.2), 0.0),
    ]


def test_the_columns_are_those_that_the_contracts_name(embedded: Warehouse) -> None:
    for table, row in ROWS.items():
        there = embedded.engine.rows(
            "SELECT name FROM system.columns WHERE database = 'flowsell' AND table = {name:String}"
            " ORDER BY position",
            name=table,
        )
        assert [name for (name,) in there] == [*row, "position"] == [*TABLES[table]]


def test_every_pinned_setting_is_in_force(embedded: Warehouse) -> None:
    for name, value in PINNED.items():
        found = embedded.engine.rows(
            "SELECT value FROM system.settings WHERE name = {name:String}", name=name
        )
        assert found == [(str(value),)]


def test_imported_history_of_two_hundred_months_goes_in_at_once(embedded: Warehouse) -> None:
    days = [
        f"{year}-{month:02}-01T00:00:00Z" for year in range(2005, 2023) for month in range(1, 13)
    ]
    write(embedded, *[said("segment_changes", n, at=day) for n, day in enumerate(days)])
    assert len(now(embedded.engine, "segment_changes")) == len(days) > 200


def test_it_raises_and_keeps_the_rows_when_the_engine_refuses_them(embedded: Warehouse) -> None:
    embedded.engine.command("RENAME TABLE flowsell.visits_daily TO flowsell.away")
    with pytest.raises(EngineError, match="visits_daily"):
        write(embedded, said("visits_daily", 7), said("segment_daily", 7))
    embedded.engine.command("RENAME TABLE flowsell.away TO flowsell.visits_daily")
    embedded.flush()
    assert now(embedded.engine, "visits_daily") == [ROWS["visits_daily"]]
    assert now(embedded.engine, "segment_daily") == [ROWS["segment_daily"]]


def test_an_engine_that_is_down_is_one_clear_line_without_the_password() -> None:
    down = Warehouse(target_of("http://flow:hush@127.0.0.1:1"))
    with pytest.raises(EngineError) as caught:
        down.open()
    assert str(caught.value).startswith("ClickHouse at 127.0.0.1:1: cannot be reached: ")
    assert "hush" not in str(caught.value)
    assert "hush" not in repr(down.engine.target)


def hold(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_folder_takes_one_process_at_a_time_and_keeps_what_it_was_given(tmp_path: Path) -> None:
    first = hold(tmp_path)
    assert first.stdout is not None
    assert [first.stdout.readline() for _ in range(2)] == [b"writing\n", b"there\n"]
    with pytest.raises(EngineError) as caught, warehouse(tmp_path):
        pass
    assert str(caught.value) == (
        f"{tmp_path}: is open in another process; an embedded ClickHouse takes one at a time"
    )
    _, errors = first.communicate(b"")
    assert (first.returncode, errors) == (0, b"")
    with warehouse(tmp_path) as made:
        assert made.engine.rows("SELECT count() FROM flowsell.visits_daily") == [(50_000,)]


@pytest.mark.parametrize("seconds", [0.02, 0.05, 0.08, 0.12])
def test_a_kill_amid_an_insert_leaves_it_whole_or_not_there(tmp_path: Path, seconds: float) -> None:
    with warehouse(tmp_path):
        pass
    process = hold(tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with warehouse(tmp_path) as made:
        assert made.engine.rows("SELECT count() FROM flowsell.visits_daily") in (
            [(0,)],
            [(50_000,)],
        )
        write(made, *[said("visits_daily", n, tenant=f"t{n}") for n in range(50_000)])
        assert made.engine.rows("SELECT count() FROM flowsell.visits_daily_now") == [(50_000,)]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(EngineError, match=r"holds holiday\.jpg, so it is no embedded ClickHouse"):
        ClickHouse(Embedded(tmp_path)).open()


def test_a_database_takes_the_rows_of_one_log_only(embedded: Warehouse) -> None:
    name = embedded.claim("log-1")
    assert embedded.claim("log-1") == name
    with pytest.raises(EngineError, match="holds the rows of another log"):
        embedded.claim("log-2")


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("chdb:/var/lib/x", Embedded(Path("/var/lib/x"))),
        ("chdb:here", Embedded(Path("here"))),
        ("http://olap", Server("olap", 8123)),
        ("https://u:p%40ss@olap/flowsell", Server("olap", 8443, "u", "p@ss", is_secure=True)),
        ("http://u@olap:9000/", Server("olap", 9000, "u")),
    ],
)
def test_a_target_is_a_folder_or_a_server(text: str, target: object) -> None:
    assert target_of(text) == target


@pytest.mark.parametrize(
    "text",
    ["chdb:", "chdb:///data", "olap:8123", "clickhouse://olap", "http://", "http://olap:x",
     "http://u:hush@olap/other", "https://olap?password=hush"],
)  # fmt: skip
def test_a_target_that_is_neither_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"chdb|flowsell") as caught:
        target_of(text)
    assert "hush" not in str(caught.value)
    assert "olap" not in str(caught.value)
