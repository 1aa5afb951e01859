"""Where ClickHouse is: embedded in a folder, or a server behind a URL.

In:    ``chdb:<folder>``, or ``http://user:password@host:8123`` (``https`` as well)
Out:   ``Embedded`` or ``Server``; a ``ValueError`` never repeats the text, it may hold a password
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

DATABASE = "flowsell"
EMBEDDED = "chdb:"

_PORTS = {"http": 8123, "https": 8443}
_SHAPE = "neither chdb:<folder> nor http(s)://user:password@host:port"


@dataclass(frozen=True)
class Embedded:
    """chDB: an engine inside this process, with its data in a folder."""

    folder: Path

    def __str__(self) -> str:
        """As errors name it."""
        return f"embedded ClickHouse in {self.folder}"


@dataclass(frozen=True)
class Server:
    """A ClickHouse server, reached over HTTP."""

    host: str
    port: int
    user: str = "default"
    password: str = field(default="", repr=False)
    is_secure: bool = False

    def __str__(self) -> str:
        """As errors name it: without its user."""
        return f"ClickHouse at {self.host}:{self.port}"


Target = Embedded | Server


def target_of(text: str) -> Target:
    """What FLOWSELL_CLICKHOUSE says."""
    if text.startswith(EMBEDDED):
        folder = text.removeprefix(EMBEDDED)
        if not folder or folder.startswith("//"):
            raise ValueError("chdb: needs a folder, as in chdb:/var/lib/flowsell/clickhouse")
        return Embedded(Path(folder))
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(_SHAPE) from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(_SHAPE)
    if parts.path.strip("/") not in ("", DATABASE) or parts.query or parts.fragment:
        raise ValueError(f"the database is always {DATABASE}: nothing stands behind the port")
    return Server(
        parts.hostname,
        port or _PORTS[parts.scheme],
        unquote(parts.username or "default"),
        unquote(parts.password or ""),
        parts.scheme == "https",
    )
