"""A real Apache Kafka node (KRaft, one process) on free ports, as a child of this process.

Takes:    Java 17 or newer and, once, Maven Central (``tests/pom.xml`` names the version)
Delivery: ``KafkaServer`` starts in about three seconds, may be stopped, killed and started again
          on the same ports and files; it dies with the process that started it
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parent.parent / "tests"
CACHE = TESTS / ".kafka"
STARTUP_SECONDS = 60.0
COPY = "dependency:copy-dependencies"
JAVA = ("java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_EARLIER = Path(__file__).with_name("EarlierKafka.java")
LOG_LEVEL = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"

PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={folder}/log
num.network.threads=2
num.io.threads=4
auto.create.topics.enable=false
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
offsets.topic.num.partitions=1
offsets.topic.replication.factor={copies}
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={enough}
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={enough}
min.insync.replicas={enough}
"""


class KafkaUnavailableError(Exception):
    """Kafka cannot run here; the message says what is missing."""


def libraries() -> Path:
    """The folder with the broker's jars, fetched once; processes that want it together wait."""
    if shutil.which("java") is None:
        raise KafkaUnavailableError("no `java` on the path (17 or newer is needed)")
    pom = TESTS / "pom.xml"
    if not pom.exists():
        raise KafkaUnavailableError("only a checkout of the source can fetch Apache Kafka")
    folder = CACHE / hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder
        if shutil.which("mvn") is None:
            raise KafkaUnavailableError("no `mvn` on the path to fetch Apache Kafka with")
        partial = CACHE / "partial"
        shutil.rmtree(partial, ignore_errors=True)
        fetched = subprocess.run(
            ["mvn", "-q", "-B", "-f", pom, COPY, f"-DoutputDirectory={partial}"],  # noqa: S607  # any mvn will do
            capture_output=True,
            text=True,
            check=False,
        )
        if fetched.returncode != 0:
            last = (fetched.stdout.strip().splitlines() or ["no output"])[0]
            raise KafkaUnavailableError(f"Maven could not fetch Apache Kafka: {last}")
        partial.rename(folder)
    return folder


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def die_with_parent() -> None:
    """Runs in a child before its program: the kernel ends it when its parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Node(NamedTuple):
    """The ports of one member of a cluster."""

    broker: int
    controller: int


def cluster_id() -> str:
    """A new one, as Kafka writes them."""
    return base64.urlsafe_b64encode(b"f" + uuid.uuid4().bytes[1:]).decode().rstrip("=")


class KafkaServer:
    """One broker and controller in one JVM: alone, or the n-th of the nodes of a cluster.

    ``more`` properties win over the usual ones.
    """

    def __init__(
        self,
        folder: Path,
        nodes: Sequence[Node] = (),
        number: int = 0,
        cluster: str = "",
        more: str = "",
        scram: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        *own, secured = free_ports(3)
        nodes = nodes or [Node(*own)]
        self.copies = len(nodes)
        self._jars = f"{libraries()}/*"
        self._broker = nodes[number].broker
        self.bootstrap = ",".join(f"127.0.0.1:{node.broker}" for node in nodes)
        self.secured = f"localhost:{secured}"
        """Where ``more`` may listen with TLS."""
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        voters = [f"{n}@127.0.0.1:{node.controller}" for n, node in enumerate(nodes, 1)]
        self._properties = folder / "server.properties"
        self._properties.write_text(
            (PROPERTIES + more).format(
                node=number + 1,
                voters=",".join(voters),
                broker=self._broker,
                controller=nodes[number].controller,
                secured=secured,
                copies=self.copies,
                enough=self.copies // 2 + 1,
                folder=folder,
            )
        )
        cluster = cluster or cluster_id()
        users = [word for user in scram for word in ("--add-scram", user)]
        format_log = self._java("kafka.tools.StorageTool", "format", "-t", cluster, *users, "-c")
        if format_log.wait(STARTUP_SECONDS) != 0:
            raise KafkaUnavailableError(f"no log was formatted; see {folder / 'kafka.log'}")

    def _java(self, main: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / "kafka.log").open("ab") as log:
            return subprocess.Popen(
                [*JAVA, LOG_LEVEL, "-cp", self._jars, main, *arguments, self._properties],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - no other thread runs Python yet
                env={**os.environ, "LC_ALL": "C.UTF-8"},
            )

    @property
    def pid(self) -> int | None:
        """Of the broker's process, while it runs."""
        return self._process.pid if self._process else None

    def start(self, late_ms: int = 0) -> None:
        """Return once the broker answers on its port; its clock may be late."""
        self.launch(late_ms)
        self.wait_answering()

    def launch(self, late_ms: int = 0) -> None:
        """Start; a node of a cluster answers only when most of them have started."""
        late = (str(_EARLIER), str(late_ms))
        self._process = self._java(*(late if late_ms else ("kafka.Kafka",)))

    def wait_answering(self) -> None:
        """Until the broker answers on its port."""
        assert self._process is not None
        deadline = time.monotonic() + STARTUP_SECONDS * self.copies
        while time.monotonic() < deadline and self._process.poll() is None:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self._broker)),
            ):
                return
            time.sleep(0.05)
        self.kill()
        raise KafkaUnavailableError(f"Apache Kafka did not start; see {self.folder / 'kafka.log'}")

    def stop(self) -> None:
        """Shut down in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End as a power cut would, as far as this process is concerned."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
