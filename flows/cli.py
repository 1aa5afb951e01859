"""The command ``flowsell``: its groups, and what each error means to a shell.

Takes: arguments
Out:   one clear line on stderr for an error, and an exit code: 2 usage or settings, 3 an engine is
       unreachable, 4 bad input beyond the limit, 5 state cannot be trusted

Commands are imported when they are called, so ``flowsell --help`` answers at once.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from traceback import format_exception
from types import TracebackType
from typing import Any

import click

COMMANDS = {
    "demo": ("flows.demo:command", "Synthetic tenants, folded here and now: see what it does."),
    "replay": ("flows.replay:command", "Fold .ndjson files into .ndjson files."),
    "generate": ("flows.generate:command", "Write plausible life of synthetic tenants."),
    "run": ("flows.run:command", "Run a flow over Kafka until it is told to stop."),
    "profiles": ("flows.profiles:command", "Who every customer is, in PostgreSQL and Valkey."),
    "topics": ("flows.topics:command", "Make the topics."),
    "dlq": ("flows.dlq:command", "Look at dead letters, and send them through again."),
    "migrate": (
        "flows.migrate:command",
        "Create and change the tables of ClickHouse and PostgreSQL.",
    ),
    "backfill": ("flows.backfill:command", "Bring a business's past from its own tables."),
    "preview": ("flows.preview:command", "What other settings would have sent, and would send."),
    "explain": ("flows.explain:command", "A customer's whole path, and why each message came."),
    "state": ("flows.state:command", "Verify, keep and put back the snapshots of lanes."),
    "forget": ("flows.forget:command", "Forget a customer everywhere, and prove it."),
    "uplift": ("flows.uplift:command", "Did they come back because of it?"),
    "settings": ("flows.settings:command", "Check, publish and show tenants' settings."),
    "schemas": ("flows.cli:schemas", "JSON Schemas of everything that travels."),
    "bench": ("benchmarks.cli:command", "Measure on this machine."),
}
"""Name → where the command lives, and its line in the help."""

EXIT_CODES = {
    "flows.environment.EnvironmentMistake": 2,
    "schemas.mistakes.SettingsError": 2,
    "sources.files.InputUnreadable": 2,
    "sources.files.InputChanged": 2,
    "sinks.files.OutputUnusable": 2,
    "state.shelf.NoPlace": 2,
    "sources.files.InputDamaged": 4,
    "flows.backfill.TooManyBadRows": 4,
    "flows.limit.TooManyDead": 4,
    "schemas.engines.EngineError": 3,
    "state.snapshots.StateError": 5,
}
"""By the error's module and name, so that nothing is imported to look one up."""

INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group that knows its commands' names and help without importing them."""

    def list_commands(self, context: click.Context) -> list[str]:
        """In the order of the table."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import the command that is called."""
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        found = getattr(import_module(module), attribute)
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table's lines, importing nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("flowsell-stream"), prog_name="flowsell")
def group() -> None:
    """Webhooks in; RFM segments and message commands out, exactly once."""


@click.group()
def schemas() -> None:
    """JSON Schemas of everything that travels."""


@schemas.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
def export(folder: Path) -> None:
    """Write every schema into DIR."""
    from schemas.export import export as write

    try:
        write(folder)
    except OSError as error:
        raise click.UsageError(f"cannot write {folder}: {error.strerror}") from None


def exit_code(error: BaseException) -> int | None:
    """The code of an error that is the caller's to mend; None for one that is a bug."""
    for kind in type(error).__mro__:
        code = EXIT_CODES.get(f"{kind.__module__}.{kind.__qualname__}")
        if code is not None:
            return code
    return None


def say(text: str) -> None:
    """One line on stderr, whatever the text holds."""
    click.echo(f"flowsell: {' '.join(text.split())}", err=True)


def run(arguments: list[str]) -> int:
    """Run the command line; returns the exit code. A bug keeps its traceback."""
    try:
        result: Any = group.main(arguments, prog_name="flowsell", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "flowsell"
        say(f"{error.format_message()} (see {command} --help)")
        return 2
    except click.ClickException as error:
        say(error.format_message())
        return 2
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        return INTERRUPTED
    except Exception as error:
        code = exit_code(error)
        if code is None:
            raise
        say(str(error))
        return code
    return result if isinstance(result, int) else 0


def tell_bug(kind: type[BaseException], bug: BaseException, trace: TracebackType | None) -> None:
    """A traceback on stderr; a bug's message may repeat what it fell over."""
    from flows.logging import struck

    click.echo(struck("".join(format_exception(kind, bug, trace))), err=True, nl=False)


def main() -> None:
    """The console script."""
    sys.excepthook = tell_bug
    sys.exit(run(sys.argv[1:]))
