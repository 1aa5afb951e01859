"""``flowsell demo``: figures that add up, a report that fits, nobody's phone or name in it."""

from __future__ import annotations

import io
import json
import shlex
from collections import Counter
from contextlib import redirect_stdout
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from flows.cli import run
from flows.figures import figures, read_tables
from flows.report import Run, going_on, returns, show
from flows.stories import Story, choose, completeness, masked, tell
from flows.texts import TEXTS
from flows.uplift_statistics import UpliftRow, uplifts
from flows.views import Views, read_views
from schemas.batch import STREAMS
from schemas.segments import SEGMENTS
from sinks.clickhouse_target import Embedded

NAMES = {f"t{number:04d}": (f"Business {number}", "KZT") for number in range(1, 5)}
ARMS = [
    UpliftRow("", "2026-03", "second_visit", "treated", 12_000, 6_600, 0, 0),
    UpliftRow("", "2026-03", "second_visit", "holdout", 1_000, 350, 0, 0),
    UpliftRow("", "2026-03", "winback", "treated", 500, 100, 0, 0),
    UpliftRow("", "2026-03", "winback", "holdout", 9, 1, 0, 0),
]
SIZES = ["--tenants", "4", "--customers", "250", "--days", "120", "--seed", "3"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a demo, and what it printed."""
    out, printed = tmp_path_factory.mktemp("demo") / "out", io.BytesIO()
    with redirect_stdout(io.TextIOWrapper(printed, write_through=True)) as stdout:
        assert run(["demo", *SIZES, "--out", str(out), "--json"]) == 0
        stdout.flush()
        return out, printed.getvalue().decode()


@pytest.fixture
def folder(demo: tuple[Path, str]) -> Path:
    return demo[0]


def rows(folder: Path, stream: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{stream}.ndjson").read_bytes().splitlines()]


def test_it_ends_with_a_customer_whose_path_can_be_explained(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = told(folder).chosen
    words = {"tenant": chosen.tenant, "customer": chosen.customer_id}
    for locale in TEXTS:
        text = io.StringIO()
        log = folder / "records.ndjson"
        ends = {"folder": folder, "log": log, "seed": 8, "query": "SELECT 1"} | words
        Console(file=text, width=400).print(going_on(TEXTS[locale], ends))
        (line,) = [each for each in text.getvalue().splitlines() if "flowsell explain" in each]
        arguments = shlex.split(line[line.index("explain") :])
        assert run([*arguments, "--no-progress"]) == 0
        shown = capsys.readouterr().out
        assert masked(chosen.phone) in shown
        assert chosen.phone[-7:] not in shown
        assert "winback" in shown


def told(folder: Path) -> Story:
    tables = read_tables(folder)
    story = tell(choose(tables), tables, folder / "records.ndjson")
    assert story is not None
    return story


def drawn(folder: Path, locale: str, width: int) -> str:
    """The report as a pipe gets it."""
    tables, story = read_tables(folder), told(folder)
    text = io.StringIO()
    show(
        Console(file=text, width=width, highlight=False),
        TEXTS[locale],
        Run(12_345, 4, datetime(2026, 1, 5), datetime(2026, 5, 4), 1.5, 2.25, 98_765, NAMES, 20.0),
        figures(tables),
        {"json": 7, "clock": 1},
        story,
        read_views(Embedded(folder / "clickhouse")),
        {"folder": folder, "log": folder / "records.ndjson", "seed": 8, "query": "SELECT 1"},
    )
    return text.getvalue()


def test_the_json_adds_up(demo: tuple[Path, str]) -> None:
    out, printed = demo
    (line,) = printed.splitlines()
    told = json.loads(line)
    assert told["clickhouse"] == str(out / "clickhouse")
    last = {row["customer_id"]: row for row in rows(out, "profiles")}
    known = [row for row in last.values() if "segment" in row]
    assert told["customers"] + told["leads"] == len(known) == sum(told["segments"].values())
    assert told["leads"] == sum(row["segment"] == "000" for row in known)
    assert told["segment_changes"] == len(rows(out, "segments"))
    assert sum(row["sent"] for row in told["commands"]) == sum(
        not row["withdrawn"] for row in rows(out, "commands")
    )
    assert sum(told["dead_letters"].values()) == len(rows(out, "dead_letters"))
    assert told["records"] == len((out / "records.ndjson").read_bytes().splitlines())
    assert told["story"]["customer_id"] in last


def test_the_funnel_tells_what_became_of_every_command(folder: Path) -> None:
    views = read_views(Embedded(folder / "clickhouse"))
    assert views is not None
    sent = Counter(row["trigger"] for row in rows(folder, "decisions") if row["outcome"] == "sent")
    unreachable = Counter(
        row["trigger"] for row in rows(folder, "decisions") if row["reason"] == "undeliverable"
    )
    told = Counter[str]()
    for each in views.funnel:
        commanded, accepted, *_, read, _, returned = each.reached
        told[each.trigger] += commanded
        assert commanded >= accepted >= read > 0
        assert returned <= commanded
        assert (returned == 0) == each.trigger.startswith("reminder")
    assert all(sent[each] <= told[each] <= sent[each] + unreachable[each] for each in told)
    assert set(told) == set(sent)


def test_the_uplift_is_of_months_whose_returns_are_in(folder: Path) -> None:
    """The log of 120 days ends on 4 May: a contact of April may still bring somebody back."""
    views = read_views(Embedded(folder / "clickhouse"))
    assert views is not None
    assert views.months == ["2026-01", "2026-02", "2026-03"]
    assert {each.trigger for each in views.uplift} >= {"second_visit", "winback"}
    in_time = [row for row in rows(folder, "decisions") if row["at"] < "2026-04-02"]
    contacts = [row for row in in_time if row["outcome"] in ("sent", "holdout")]
    asked = sum(each.treated.customers + each.holdout.customers for each in views.uplift)
    assert 0 < asked <= len(contacts)


def test_an_uplift_is_shown_with_its_interval_or_as_too_small() -> None:
    views = Views("", date(2026, 5, 1), [], [], "t", [], [], ["2026-03", "2026-04"], uplifts(ARMS))
    for locale, words in (("en", ("too few", "more come")), ("ru", ("мало", "чаще"))):
        text = io.StringIO()
        shown = returns(TEXTS[locale], views, 20.0)
        Console(file=text, width=80, highlight=False).print(shown)
        told = text.getvalue()
        assert all(word in told for word in words)
        assert "+20.0 (+16.9 … +23.0)" in told
        assert "2026-03 – 2026-04" in told
        assert max(map(cell_len, told.splitlines())) <= 80
        assert "…  " not in told


def test_the_same_seed_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert run(["demo", *SIZES, "--out", str(again), "--no-progress", "--json"]) == 0
    for name in ("records", *STREAMS, "dead_letters"):
        assert (again / f"{name}.ndjson").read_bytes() == (folder / f"{name}.ndjson").read_bytes()


def test_a_demo_takes_the_folder_of_a_demo_and_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--records", "500", "--days", "10", "--no-progress", "--json"]
    for _ in range(2):
        assert run(["demo", *SIZES, *few, "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "records.ndjson").write_text("precious")
    assert run(["demo", *SIZES, *few, "--out", str(tmp_path / "mine")]) == 2
    assert "not empty, and no demo made it" in capsys.readouterr().err
    assert (tmp_path / "mine" / "records.ndjson").read_text() == "precious"


@pytest.mark.parametrize("locale", ["en", "ru"])
@pytest.mark.parametrize("width", [80, 100])
def test_the_report_fits_and_names_every_segment(folder: Path, locale: str, width: int) -> None:
    report = drawn(folder, locale, width)
    lines = [line for line in report.splitlines() if str(folder)[:12] not in line]
    assert max(map(cell_len, lines)) <= width
    squeezed = "".join(report.replace("│", " ").split())
    for code in SEGMENTS:
        if code:
            first_word = TEXTS[locale].segment(code).split()[0]
            assert first_word in squeezed
            assert str(code) in squeezed
    assert "{" not in report


def test_the_report_is_in_russian_from_end_to_end(folder: Path) -> None:
    english = ("ustomers", " visit", "segment ", "dead", "Moves", "Next", "comes", "books")
    report = drawn(folder, "ru", 100)
    assert not [word for word in english if word in report]


def test_no_phone_and_no_full_name_is_in_the_report(folder: Path) -> None:
    report = drawn(folder, "en", 100)
    for row in rows(folder, "profiles"):
        assert not row.get("phone") or row["phone"][1:] not in report
        assert not row.get("name") or row["name"] not in report


def test_a_whole_story_is_told_from_the_booking_to_the_return(folder: Path) -> None:
    story = told(folder)
    assert story.chosen.why == "won_back"
    seen = [moment.what for moment in story.moments]
    assert {"booked", "attended", "segment", "command", "read"} <= set(seen)
    times = [moment.at_ms for moment in story.moments]
    assert times == sorted(times)
    changes = [moment.facts for moment in story.moments if moment.what == "segment"]
    for before, after in pairwise(changes):
        assert before["to"] == after["from"]
    assert any(each["from"][0] in "12" and each["to"][0] == "3" for each in changes)
    marketing = [moment.at_ms for moment in story.moments if moment.facts.get("marketing")]
    came = [moment.at_ms for moment in story.moments if moment.what == "attended"]
    assert any(0 < b - a <= 15 * 86_400_000 for a in marketing for b in came)


def test_a_story_is_the_more_complete_the_more_of_it_there_is() -> None:
    def change(before: str, after: str, cause: str, day: int) -> dict[str, Any]:
        at = f"2026-03-{day:02d}T10:00:00Z"
        return {"from": before, "to": after, "cause": cause, "at": at}

    def command(kind: str, day: int) -> dict[str, Any]:
        category = "utility" if kind == "reminder" else "marketing"
        at = f"2026-03-{day:02d}T10:00:00Z"
        return {"kind": kind, "category": category, "created_at": at}

    moved = [change("000", "322", "visit", 1), change("322", "222", "time", 10)]
    lapsed = [*moved, change("222", "122", "time", 15)]
    back = change("222", "322", "visit", 20)
    call = command("segment_entered", 16)
    stories = [
        ([], []),
        (moved, []),
        ([*moved, back], [call]),
        ([*lapsed, change("122", "322", "visit", 20)], [call]),
        ([*lapsed, change("122", "322", "visit", 20)], [command("reminder", 1), call]),
    ]
    worth = [completeness(*each) for each in stories]
    assert worth == sorted(set(worth))


def test_clickhouse_shows_the_customers_that_the_profiles_tell(folder: Path) -> None:
    views = read_views(Embedded(folder / "clickhouse"))
    assert views is not None
    assert len(views.days) == 5
    assert 1 <= len(views.visits) <= 7
    assert all(day.visits >= day.walk_ins for day in views.visits)
    told_of = {code: counts[-1] for code, counts in views.segments}
    found = figures(read_tables(folder)).by_segment
    # the profiles are as of the log's end, hours after the last midnight
    assert sum(told_of.values()) == pytest.approx(sum(found[code] for code in told_of), rel=0.1)


@pytest.mark.parametrize(
    ("phone", "shown"), [("+77015554567", "+7 *** ** 67"), ("+998901234509", "+998 *** ** 09")]
)
def test_a_phone_keeps_its_country_and_two_digits(phone: str, shown: str) -> None:
    assert masked(phone) == shown
