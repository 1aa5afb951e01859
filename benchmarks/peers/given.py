"""What the harness tells a peer: where the log is, where the changes go, where state may be kept.

Takes: PEER_BOOTSTRAP, PEER_RECORDS, PEER_SEGMENTS, PEER_LANES, PEER_STATE, PEER_POSTGRES
Out:   ``Given``
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Given:
    """One deployment."""

    bootstrap: str
    records: str
    """Topic of the log, keyed by tenant, of ``lanes`` partitions."""
    segments: str
    """Topic of the changes, keyed by ``tenant|phone``."""
    lanes: int
    state: Path
    """A folder that outlives the process."""
    postgres: str
    """Where the harness has started one for the peer; else empty."""

    def environment(self) -> dict[str, str]:
        """The variables that say so."""
        return {
            "PEER_BOOTSTRAP": self.bootstrap,
            "PEER_RECORDS": self.records,
            "PEER_SEGMENTS": self.segments,
            "PEER_LANES": str(self.lanes),
            "PEER_STATE": str(self.state),
            "PEER_POSTGRES": self.postgres,
        }


def given() -> Given:
    """What this process was told."""
    told = os.environ
    return Given(
        bootstrap=told["PEER_BOOTSTRAP"],
        records=told["PEER_RECORDS"],
        segments=told["PEER_SEGMENTS"],
        lanes=int(told["PEER_LANES"]),
        state=Path(told["PEER_STATE"]),
        postgres=told["PEER_POSTGRES"],
    )
