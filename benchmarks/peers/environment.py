"""Make what a peer runs in, from its pinned versions; once, and again when they change.

Takes:    PyPI for environments, Maven Central for the Java peers
Delivery: folders under ``.environments``, which git ignores; ``PeerUnavailableError`` with the
          reason where something cannot be had
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from benchmarks.engines import versions_of_stores
from benchmarks.peers.catalogue import Peer

_HERE = Path(__file__).resolve().parent
_ENVIRONMENTS = _HERE / ".environments"
_SHARED = {"flink_sql": "pyflink"}
"""Peers that live in another one's environment."""


class PeerUnavailableError(Exception):
    """A peer cannot run here; says why."""


def program(peer: Peer, say: Callable[[str], None]) -> list[str]:
    """The command that runs the peer, after whatever must be installed for it."""
    module = f"benchmarks.peers.{peer.name}.{'refresh' if peer.kind == 'batch' else 'flow'}"
    match peer.origin:
        case "flowsell":
            return [str(Path(sys.executable).with_name("flowsell")), "run", "engagement"]
        case "lock":
            return [sys.executable, "-m", module]
        case "requirements":
            return [str(_python(_SHARED.get(peer.name, peer.name), say)), "-m", module]
        case "maven":
            return ["java", *_JAVA, "-cp", f"{_built(peer.name, say)}/*", "flowsell.peers.Main"]


def version_of(peer: Peer) -> str:
    """As it is pinned."""
    folder = _HERE / _SHARED.get(peer.name, peer.name)
    if peer.name == "postgres":
        return versions_of_stores()["postgres"]
    if peer.origin == "requirements":
        pins, pattern = folder / "requirements.txt", rf"^{peer.package}(?:\[.*\])?==(\S+)"
    elif peer.origin == "maven":
        pins = folder / "pom.xml"
        pattern = rf"<artifactId>{peer.package}</artifactId>\s*<version>([^<]*)<"
    else:
        return metadata.version(peer.package)
    found = re.search(pattern, pins.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else ""


_JAVA = ("-Xmx1g", "-XX:+UseSerialGC")


def _python(name: str, say: Callable[[str], None]) -> Path:
    folder, wanted = _ENVIRONMENTS / name, _HERE / name / "requirements.txt"
    python = folder / "bin" / "python"

    def make() -> None:
        uv = str(Path(sys.executable).with_name("uv"))
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
        _run(
            [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(python), str(wanted)]
        )

    jars = _HERE / name / "pom.xml"
    _once(name, folder, wanted.read_bytes(), make, say)
    if jars.exists():
        _built(name, say)
    return python


def _built(name: str, say: Callable[[str], None]) -> Path:
    """The folder of the jars that a ``pom.xml`` names, with what it compiles."""
    folder, project = _ENVIRONMENTS / f"{name}-jars", _HERE / name

    def make() -> None:
        sources = [str(path) for path in sorted(project.glob("*.java"))]
        pom = str(project / "pom.xml")
        maven = ["mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies"]
        _run([*maven, f"-DoutputDirectory={folder}", "-DincludeScope=runtime"])
        if sources:
            classes = folder / "classes"
            _run(["javac", "-cp", f"{folder}/*", "-d", str(classes), *sources])
            _run(["jar", "--create", "--file", str(folder / "peer.jar"), "-C", str(classes), "."])

    told = [path.read_bytes() for path in sorted([*project.glob("*.java"), project / "pom.xml"])]
    _once(f"{name}-jars", folder, b"".join(told), make, say)
    return folder


def _once(
    name: str, folder: Path, wanted: bytes, make: Callable[[], None], say: Callable[[str], None]
) -> None:
    stamp, mark = folder / ".made-from", hashlib.sha256(wanted).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="ascii") == mark:
        return
    say(f"{name}: installing")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    make()
    stamp.write_text(mark, encoding="ascii")


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise PeerUnavailableError(f"{command[0]} is not installed") from None
    if done.returncode != 0:
        lines = (done.stderr + done.stdout).strip().splitlines() or ["no output"]
        told = next((line for line in lines if "rror" in line), lines[0])
        raise PeerUnavailableError(f"{Path(command[0]).name}: {told[:300]}")
