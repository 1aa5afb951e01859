"""Read every manifest and file of a lane, and say what of it cannot be trusted.

In:    a ``Shelf``, or the manifests of a savepoint on it; the fingerprint under which it will start
Out:   ``LaneReport``; each ``Finding`` names a file, what is wrong with it, and the remedy
State: none; nothing is changed
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from state import archive
from state.archive import UnknownLayout
from state.lane import LaneState
from state.pointer import difference
from state.shelf import File, Manifest, Shelf, Untrusted, manifest_name
from state.snapshots import remedy, unknown

Step = Callable[[int], None]
"""Is told of the bytes that were read."""

FROM_A_COPY = "take another copy of the savepoint"
AS_IT_WAS = "start under the FLOWSELL_ID_KEY and FLOWSELL_LANES that it was written under"


class Finding(NamedTuple):
    """What cannot be trusted, and what to do about it."""

    what: str
    remedy: str


class LaneReport(NamedTuple):
    """A lane as its files tell it; ``newest`` is the last snapshot that can be trusted."""

    lane: int
    newest: Manifest | None
    written_at: float
    """Seconds since the epoch, of the last snapshot's manifest; 0 where there is none."""
    snapshots: int
    bases: int
    size: int
    """Bytes of all files, whether or not a manifest names them."""
    findings: list[Finding]


def verify(shelf: Shelf, lane: int, own: Mapping[str, object], step: Step) -> LaneReport:
    """Reads all snapshots of a lane of a running deployment's state."""
    findings: list[Finding] = []
    manifests: dict[int, Manifest] = {}
    for position in shelf.positions(lane):
        try:
            manifests[position] = shelf.manifest(lane, position)
        except Untrusted as why:
            findings.append(Finding(str(why), why.remedy or remedy(shelf, lane, why)))
    spoilt = set()
    for damage in _unreadable(shelf, lane, [*manifests.values()], step):
        spoilt.add(damage.path)
        findings.append(Finding(str(damage), damage.remedy or remedy(shelf, lane, damage)))
    for position in manifests:
        misplaced = _misplaced(shelf, lane, position, manifests, own)
        if misplaced is not None:
            spoilt.add(misplaced.path)
            wanted = misplaced.remedy or remedy(shelf, lane, misplaced)
            findings.append(Finding(str(misplaced), wanted))
    sound = [
        manifest
        for position, manifest in manifests.items()
        if not spoilt & _paths(shelf, lane, position, manifest)
    ]
    entries = {entry.name: entry for entry in shelf.entries(lane)}
    last = entries.get(manifest_name(max(manifests))) if manifests else None
    return LaneReport(
        lane=lane,
        newest=max(sound, key=lambda manifest: manifest.position, default=None),
        written_at=last.at if last else 0.0,
        snapshots=len(manifests),
        bases=len({manifest.base.name for manifest in manifests.values()}),
        size=sum(entry.size for entry in entries.values()),
        findings=findings,
    )


def verify_kept(
    shelf: Shelf, manifest: Manifest, own: Mapping[str, object], step: Step
) -> LaneReport:
    """Reads one lane of a savepoint, whose listing has the manifest."""
    lane = manifest.lane
    findings = [
        Finding(str(why), why.remedy or FROM_A_COPY)
        for why in _unreadable(shelf, lane, [manifest], step)
    ]
    if differs := difference(manifest.fingerprint, own, is_drained=True):
        findings.append(Finding(differs, AS_IT_WAS))
    entries = shelf.entries(lane)
    return LaneReport(
        lane=lane,
        newest=None if findings else manifest,
        written_at=max((entry.at for entry in entries), default=0.0),
        snapshots=1,
        bases=1,
        size=sum(entry.size for entry in entries),
        findings=findings,
    )


def _unreadable(
    shelf: Shelf, lane: int, manifests: Sequence[Manifest], step: Step
) -> list[Untrusted]:
    """What is wrong with the files that the manifests name; each is read once."""
    tables = LaneState(lane, b"").tables
    found = []
    for file in sorted({file for manifest in manifests for file in manifest.files}, key=_name):
        try:
            archive.check(tables, shelf.read(lane, file))
        except Untrusted as why:
            found.append(why)
        except UnknownLayout as why:
            found.append(unknown(shelf, lane, file, why))
        except pa.ArrowException:
            found.append(Untrusted(shelf.path(lane, file.name), "it cannot be read"))
        step(file.size)
    return found


def _name(file: File) -> str:
    return file.name


def _misplaced(
    shelf: Shelf,
    lane: int,
    position: int,
    manifests: Mapping[int, Manifest],
    own: Mapping[str, object],
) -> Untrusted | None:
    """Why a readable manifest does not belong where it is; None if it does."""
    manifest = manifests[position]
    path = shelf.path(lane, manifest_name(position))
    if (manifest.lane, manifest.position) != (lane, position):
        return Untrusted(path, f"it is of lane {manifest.lane} at position {manifest.position}")
    if differs := difference(manifest.fingerprint, own, is_drained=True):
        return Untrusted(path, differs, AS_IT_WAS)
    before = manifests.get(manifest.after.position) if manifest.after else None
    if before is not None and before.mark != manifest.after:
        return Untrusted(
            path,
            f"it goes on from other outputs than the snapshot at {before.position} has: two "
            "histories are mixed",
        )
    return None


def _paths(shelf: Shelf, lane: int, position: int, manifest: Manifest) -> set[str]:
    names = [manifest_name(position), *(file.name for file in manifest.files)]
    return {shelf.path(lane, name) for name in names}
