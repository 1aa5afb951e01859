"""The README and docs/ say what is so: files, tests, commands, tables and the example."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree as ET

import click
import msgspec
import numpy as np
import pytest

from flows.cli import EXIT_CODES, group, run
from flows.environment import KAFKA_PREFIX, PREFIX, Environment
from flows.metrics import FAMILIES
from operators.decode import decode
from schemas.batch import Chunk
from schemas.mistakes import SettingsError
from schemas.presets import PRESETS
from schemas.record import REASONS, RECORD_KINDS
from schemas.segments import SEGMENTS, code_text
from schemas.settings import DEFAULT_SETTINGS, parse_tenants_file
from schemas.settings_body import SettingsBody
from schemas.topics import TOPICS
from schemas.triggers import SHIPPED, AnyTriggerBody, TriggerBody
from schemas.webhooks.generic import BODY_KINDS

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCS = (README, *sorted((ROOT / "docs").glob("*.md")))
TEXTS = {path: path.read_text(encoding="utf-8") for path in DOCS}

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
TEST = re.compile(r"(tests/[\w/]+\.py)(?:::(test_\w+))?")
VARIABLE = re.compile(r"FLOWSELL_[A-Z_]*[A-Z]")
NOTHING = ""

every_document = pytest.mark.parametrize("document", DOCS, ids=lambda path: path.name)


def blocks(document: Path, language: str) -> list[str]:
    """The contents of its code blocks in a language."""
    return [text for name, text in FENCE.findall(TEXTS[document]) if name == language]


def spans(document: Path) -> list[str]:
    """What stands in backticks outside of code blocks."""
    return SPAN.findall(FENCE.sub("", TEXTS[document]))


def table(document: Path, head: str) -> list[list[str]]:
    """The cells of the rows of the first table whose header line begins so, without backticks."""
    lines = iter(TEXTS[document].splitlines())
    found = next((line for line in lines if line.startswith(head)), None)
    assert found is not None, f"{document.name} has no table {head}"
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().replace("`", "") for cell in line.strip("|").split("|")])
    return rows


def said(document: Path) -> Iterator[list[str]]:
    """Every command line, in blocks of ``sh`` and in backticks, as words."""
    lines = [line for block in blocks(document, "sh") for line in block.splitlines()]
    for line in [*lines, *spans(document)]:
        if line.startswith(("flowsell ", "make ")):
            yield shlex.split(line)


def parse(words: list[str]) -> None:
    """Parses a command line to its end without running it; raises what a shell would be told."""
    command: click.Command = group
    context = click.Context(group, info_name="flowsell")
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
        context = click.Context(command, info_name=name, parent=context)
    command.make_context(context.info_name, words, parent=context.parent)


@every_document
def test_every_link_leads_to_a_file(document: Path) -> None:
    found = [link for link in LINK.findall(TEXTS[document]) if "://" not in link]
    for link in found:
        assert not link.startswith("/"), f"{link} is not relative"
        assert (document.parent / link).exists(), link


def test_every_document_can_be_reached_from_the_readme() -> None:
    linked = {(README.parent / link).resolve() for link in LINK.findall(TEXTS[README])}
    assert {path for path in DOCS if path != README} <= linked


@every_document
def test_every_path_of_the_project_that_is_named_exists(document: Path) -> None:
    own = {path.name for path in ROOT.iterdir()}
    for span in spans(document):
        path = span.partition("::")[0]
        if re.fullmatch(r"[\w./-]+/[\w./-]*", path) and path.split("/")[0] in own:
            assert (ROOT / path).exists(), path


@every_document
def test_every_test_that_is_named_exists(document: Path) -> None:
    for path, name in TEST.findall(TEXTS[document]):
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert not name or name in names, f"{path}::{name}"


def test_every_guarantee_names_the_test_that_proves_it() -> None:
    rows = table(README, "| Guarantee |")
    assert len(rows) > 10
    for guarantee, _, proof in rows:
        assert all(name for _, name in TEST.findall(proof)), guarantee
        assert TEST.search(proof), guarantee


@every_document
def test_every_make_target_exists_and_passes_on_arguments_that_parse(document: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    runs = {"demo": ["demo"], "bench": ["bench", "fold"]}
    for words in said(document):
        if words[0] != "make":
            continue
        target, given = words[1], dict(word.split("=", 1) for word in words[2:])
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
        for name, value in given.items():
            assert f"$({name})" in makefile or f"$(if $({name})" in makefile, name
            if target in runs:
                parse([*runs[target], *shlex.split(value)])


@every_document
def test_every_command_parses(document: Path) -> None:
    for words in said(document):
        if words[0] == "flowsell":
            parse(words[1:])


def test_a_command_that_is_wrong_would_be_noticed() -> None:
    for wrong in (["relpay", "x"], ["replay", "x", "--ouch", "y"], ["topics", "destroy"]):
        with pytest.raises(click.UsageError):
            parse(wrong)


def test_the_example_gives_the_profile_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log, profile = blocks(README, "json")
    (command,) = [words for words in said(README) if words[1] == "replay"]
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    Path("log.ndjson").write_text(log, encoding="utf-8")
    assert run([*command[1:], "--no-progress"]) == 0, capsys.readouterr().err
    profiles = Path("out/profiles.ndjson").read_text(encoding="utf-8").splitlines()
    assert profiles[-1] == profile.strip()
    changes = [
        json.loads(line)
        for line in Path("out/segments.ndjson").read_text(encoding="utf-8").splitlines()
    ]
    assert [(change["from"], change["to"]) for change in changes] == [
        ("000", "311"),
        ("311", "312"),
    ]
    (sent,) = Path("out/commands.ndjson").read_text(encoding="utf-8").splitlines()
    assert json.loads(sent)["due_at"] == "2026-04-19T10:30:00Z"
    assert Path("out/dead_letters.ndjson").read_bytes() == b""


def test_the_backfill_that_is_shown_reports_what_is_shown_and_makes_segments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (table,), (mapping,) = blocks(README, "csv"), blocks(README, "toml")
    (command,) = [words for words in said(README) if words[1:2] == ["backfill"]]
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    Path("visits.csv").write_text(table, encoding="utf-8")
    Path(command[2]).write_text(mapping, encoding="utf-8")
    assert run([*command[1:], "--at", "2026-04-01T00:00:00Z"]) == 0, capsys.readouterr().err
    told = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    told[-1] = re.sub(r"[\d.]+ s\.$", "… s.", told[-1])
    assert "\n".join(told) + "\n" in blocks(README, "")
    assert run(["replay", "past.ndjson", "--out", "out", "--no-progress"]) == 0
    changes = Path("out/segments.ndjson").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["cause"] for line in changes] == ["history"] * len(changes)
    assert json.loads(changes[-1])["to"] == "322"
    assert Path("out/decisions.ndjson").read_bytes() == b""


def test_the_path_that_is_shown_is_that_of_the_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (shown,) = [text for text in blocks(README, "") if text.startswith("╭─ +7 *** ** 67")]
    (command,) = [words for words in said(README) if words[1:2] == ["explain"]]
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    Path("log.ndjson").write_text(blocks(README, "json")[0], encoding="utf-8")
    assert run([*command[1:], "--no-progress"]) == 0, capsys.readouterr().err
    told = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert told == shown.splitlines()


@every_document
def test_every_record_that_is_shown_can_be_used(document: Path) -> None:
    lines = "".join(blocks(document, "json")).encode().splitlines()
    values = [line for line in lines if line.startswith(b'{"kind"')]
    chunk = Chunk(-1, np.arange(len(values)), None, values, None)
    for batch in decode(chunk, 1):
        assert [letter.message for letter in batch.dead_letters] == []


def test_the_environment_table_is_what_the_code_reads() -> None:
    shipped = Environment()
    rows = []
    for name in Environment.__dataclass_fields__:
        variable = (
            f"{KAFKA_PREFIX}<PROPERTY>" if name == "kafka_properties" else PREFIX + name.upper()
        )
        rows.append([variable, str(getattr(shipped, name) or NOTHING).replace("{}", NOTHING)])
    assert [row[:2] for row in table(README, "| Variable |")] == rows


@every_document
def test_every_variable_that_is_named_is_known(document: Path) -> None:
    known = {PREFIX + name.upper() for name in Environment.__dataclass_fields__}
    for name in VARIABLE.findall(TEXTS[document]):
        assert name.removesuffix("_FILE") in known or name.startswith(f"{PREFIX}KAFKA"), name


def test_the_metrics_are_those_of_the_code() -> None:
    rows = [[f.exposed, f.kind, ", ".join(f.labels), f.about] for f in FAMILIES]
    told = table(ROOT / "docs" / "operations.md", "| Metric |")
    assert told == [[cell.replace("`", "") for cell in row] for row in rows]


def test_every_metric_in_an_alert_is_one_of_ours() -> None:
    names = {family.exposed for family in FAMILIES}
    shown = re.findall(r"flowsell_\w+", TEXTS[ROOT / "docs" / "operations.md"])
    assert {re.sub(r"_bucket$", "", name) for name in shown} == names


def test_the_exit_codes_are_those_of_the_command_line() -> None:
    assert [int(row[0]) for row in table(README, "| Exit code |")] == sorted(
        set(EXIT_CODES.values())
    )


def test_the_picture_shows_operators_and_topics_that_exist() -> None:
    shown: dict[str, list[str]] = {"operator": [], "topic": []}
    for element in ET.parse(ROOT / "docs" / "path.svg").iter():
        if element.get("class") in shown:
            shown[str(element.get("class"))].append(str(element.text))
    assert shown["operator"]
    for name in shown["operator"]:
        assert (ROOT / "operators" / f"{name}.py").exists(), name
    outputs = [topic.name for topic in TOPICS.values() if topic.stream != "records"]
    assert shown["topic"] == outputs


def test_the_segments_are_those_of_the_code() -> None:
    rows = [[code_text(segment.code), *segment[1:]] for segment in SEGMENTS.values()]
    assert table(ROOT / "docs" / "segments.md", "| Code |") == rows
    assert len(rows) == 28


def test_the_presets_are_those_of_the_code() -> None:
    rows = [
        [name, str(preset.window_days), "{} / {}".format(*preset.recency_days),
         "{} / {}".format(*preset.frequency)]
        for name, preset in PRESETS.items()
    ]  # fmt: skip
    assert table(ROOT / "docs" / "settings.md", "| Preset |") == rows


def test_the_settings_are_those_of_the_code() -> None:
    keys = [field.encode_name for field in msgspec.structs.fields(SettingsBody)]
    rows = table(ROOT / "docs" / "settings.md", "| Key |")
    assert [row[0] for row in rows] == keys
    written = {row[0]: row[1] for row in rows if row[0] != "scoring"}
    assert written == {key: shipped(key) for key in keys if key != "scoring"}


def shipped(key: str) -> str:
    """A setting's default as the table writes it."""
    told: dict[str, Callable[[Any], str]] = {
        "quiet_hours": window,
        "quiet_utility": window,
        "caps": lambda caps: ", ".join(
            f"{cap.max} in {cap.per_days} day{'s' if cap.per_days > 1 else ''}" for cap in caps
        ),
        "watched": lambda watched: "yes" if watched else "no",
    }
    name = "banned_channels" if key == "channel_policy" else key
    value = getattr(DEFAULT_SETTINGS, name)
    return told[key](value) if key in told else str(value or NOTHING)


def window(minutes: tuple[int, int]) -> str:
    return "–".join(f"{minute // 60:02}:{minute % 60:02}" for minute in minutes)


def test_the_triggers_are_those_of_the_code() -> None:
    shared = {field.encode_name for field in msgspec.structs.fields(TriggerBody)}
    required = {
        field.encode_name for field in msgspec.structs.fields(TriggerBody) if field.required
    }
    rows = []
    own = {}
    for body in get_args(AnyTriggerBody):
        fields = msgspec.structs.fields(body)
        names = [
            field.encode_name
            for field in fields
            if field.encode_name not in shared
            or (field.required and field.encode_name not in required)
        ]
        own[body.__struct_config__.tag] = ", ".join(names)
    for kind, has in SHIPPED.items():
        lasting = "until the start" if has.ttl_ms is None else f"{has.ttl_ms // 3_600_000}h"
        rows.append(
            [kind, own[kind], has.category, str(has.priority), lasting, str(has.cooldown_days)]
        )
    assert [row[:6] for row in table(ROOT / "docs" / "settings.md", "| Kind |")] == rows


def test_the_settings_file_that_is_shown_is_one_and_its_mistake_reads_as_told() -> None:
    document = ROOT / "docs" / "settings.md"
    (shown,) = blocks(document, "toml")
    tenants = parse_tenants_file("tenants.toml", shown.encode())
    assert [trigger.kind for trigger in tenants["salon"].triggers] == [
        "reminder",
        "segment_entered",
    ]
    with pytest.raises(SettingsError) as mistake:
        parse_tenants_file("tenants.toml", shown.replace('"24h"', '"1 day"').encode())
    assert f"`{mistake.value}`" in TEXTS[document]


def test_the_records_are_those_of_the_code() -> None:
    rows = table(ROOT / "docs" / "records.md", "| `kind` |")
    kinds = {str(kind.__struct_config__.tag): kind for kind in RECORD_KINDS}
    assert {row[0] for row in rows} == set(kinds)
    for name, fields, _ in rows:
        told = set(re.findall(r"\b[a-z_]+\b", re.sub(r"\([^)]*\)", "", fields))) - {"none"}
        owns = {field.encode_name for field in msgspec.structs.fields(kinds[name])}
        assert told == owns - {"received_at", "appended_at"}, name


@pytest.mark.parametrize("kind", BODY_KINDS, ids=lambda kind: str(kind.__struct_config__.tag))
def test_the_fields_of_a_body_are_those_of_the_code(kind: Any) -> None:
    document = ROOT / "docs" / "records.md"
    part = TEXTS[document].partition(f"### `{kind.__struct_config__.tag}`\n")[2].split("\n##")[0]
    rows = re.findall(r"^\| `(\w+)` \| (required)?", part, re.MULTILINE)
    fields = msgspec.structs.fields(kind)
    assert [name for name, _ in rows] == [field.encode_name for field in fields]
    required = {name for name, told in rows if told} - {"starts_at"}
    assert required == {field.encode_name for field in fields if field.required}


def test_the_reasons_of_dead_letters_are_those_of_the_code() -> None:
    rows = table(ROOT / "docs" / "records.md", "| Reason |")
    assert [row[0] for row in rows] == list(REASONS)


def test_the_outputs_are_those_of_the_code() -> None:
    rows = table(ROOT / "docs" / "records.md", "| File of")
    outputs = [topic for topic in TOPICS.values() if topic.stream != "records"]
    assert [row[:2] for row in rows] == [[topic.file, topic.name] for topic in outputs]
