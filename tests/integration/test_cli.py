"""What every command owes a shell: quick help, one line for an error, an exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from flows.cli import COMMANDS, EXIT_CODES, exit_code, run


def flowsell(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = Path(sys.executable).with_name("flowsell")
    return subprocess.run(
        [script, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_help_names_every_command_and_imports_none() -> None:
    code = (
        "import sys; from flows.cli import run; run(['--help']); "
        "heavy = {'bytewax', 'numpy', 'polars', 'pyarrow', 'confluent_kafka', 'phonenumbers'}; "
        "sys.exit(len(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    for name in COMMANDS:
        assert f"  {name} " in done.stdout


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_of_the_table_is_there_and_has_help(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    module, _, attribute = COMMANDS[name][0].partition(":")
    assert isinstance(getattr(import_module(module), attribute), click.Command)
    assert run([name, "--help"]) == 0
    assert f"flowsell {name}" in capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(EXIT_CODES))
def test_every_error_of_the_table_exists_and_has_its_code(name: str) -> None:
    module, _, kind = name.rpartition(".")
    error = getattr(import_module(module), kind)
    assert issubclass(error, Exception)
    assert exit_code(error.__new__(error)) == EXIT_CODES[name]


def test_a_bug_has_no_exit_code_of_the_table() -> None:
    assert exit_code(ValueError("a bug")) is None


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["frobnicate"], "No such command 'frobnicate'. (see flowsell --help)"),
        (["replay", "x.ndjson"], "Missing option '--out'. (see flowsell replay --help)"),
        (["replay", "--out", "x"], "Missing argument 'FILE…'. (see flowsell replay --help)"),
        (["demo", "--days", "0"], "Invalid value for '--days': "),
        (["demo", "--records", "1000001"], "Invalid value for '--records': "),
    ],
)
def test_a_mistake_in_the_arguments_is_one_line_and_exit_code_2(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"flowsell: {line}")
    assert captured.err.count("\n") == 1


def test_a_mistake_in_the_environment_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLOWSELL_LANS", "4")
    (tmp_path / "log.ndjson").write_text("")
    assert run(["replay", str(tmp_path / "log.ndjson"), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == (
        "flowsell: FLOWSELL_LANS: unknown variable; did you mean FLOWSELL_LANES?\n"
    )


def test_the_script_hands_its_exit_code_to_the_shell(tmp_path: Path) -> None:
    done = flowsell("replay", str(tmp_path / "none.ndjson"), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"flowsell: {tmp_path}/none.ndjson: cannot be read: No such file or directory\n"
    )
    assert flowsell().returncode == 2
    assert flowsell("--version").stdout.startswith("flowsell, version ")


def test_an_empty_file_is_a_log_without_records(tmp_path: Path) -> None:
    (tmp_path / "log.ndjson").write_text("")
    done = flowsell(
        "replay", str(tmp_path / "log.ndjson"), "--out", str(tmp_path / "out"), "--json"
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["records"] == 0
    assert done.stderr == ""


def test_a_place_that_cannot_be_written_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (log := tmp_path / "log.ndjson").write_text("")
    (new := tmp_path / "new.toml").write_text("[tenants.t]")
    into = str(log / "x")  # a file is no folder
    looks = ["preview", str(log), "--settings", str(new), "--out", into]
    for arguments in (["schemas", "export", into], looks):
        assert run(arguments) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"flowsell: cannot write {into}: ")
        assert said.count("\n") == 1


def test_schemas_are_exported(tmp_path: Path) -> None:
    assert run(["schemas", "export", str(tmp_path / "json")]) == 0
    names = {path.name for path in (tmp_path / "json").iterdir()}
    assert {"command.json", "asyncapi.json"} <= names
