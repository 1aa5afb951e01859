"""Copy the newest snapshot of every lane to another URI, and put such a copy in place again.

Takes: two ``Shelf``s; what is read is judged by its checksum before it is written
Delivery: a savepoint is there once its listing is, which is written last; a restore publishes
          manifests after all files, and only then removes those that are newer
Replays: either may be begun again after a crash

Layout: the lanes' folders with their files, and ``savepoint.json`` with all manifests in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from state.pointer import difference
from state.shelf import FORMAT, Manifest, Shelf, Untrusted, manifest_name
from state.snapshots import StateError
from state.trust import AS_IT_WAS, FROM_A_COPY, Step

LISTING = "savepoint.json"


class Listing(msgspec.Struct, frozen=True):
    """What a savepoint holds; ``made_at`` is RFC 3339."""

    made_at: str
    lanes: list[Manifest]
    format: int = FORMAT

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return size_of(self.lanes)


def size_of(manifests: Sequence[Manifest]) -> int:
    """Bytes of all files that manifests name."""
    return sum(file.size for manifest in manifests for file in manifest.files)


def newest(shelf: Shelf) -> list[Manifest]:
    """The last snapshot of every lane that has one; raises ``StateError``."""
    found = []
    for lane in shelf.lanes():
        if positions := shelf.positions(lane):
            try:
                found.append(shelf.manifest(lane, positions[-1]))
            except Untrusted as why:
                raise StateError(f"lane {lane}: {why}; `flowsell state verify` says more") from why
    return found


def refusal_to_make(target: Shelf) -> str:
    """Why no savepoint is made there; empty if one may be."""
    if _listing(target) is not None:
        return f"{target.name} holds a savepoint already"
    if any(target.positions(lane) for lane in target.lanes()):
        return f"{target.name} holds the state of a deployment"
    return ""


def make(
    source: Shelf, target: Shelf, manifests: Sequence[Manifest], made_at: str, step: Step
) -> Listing:
    """Copies the manifests' files, then writes the listing; raises ``StateError``."""
    _copy(source, target, manifests, step, "`flowsell state verify` says more")
    listing = Listing(made_at, [*manifests])
    target.put_note(LISTING, listing)
    return listing


def read(shelf: Shelf) -> Listing:
    """The listing of a savepoint; raises ``StateError``."""
    listing = _listing(shelf)
    if listing is None:
        raise StateError(f"{shelf.name} holds no savepoint: it has no {LISTING}")
    return listing


def is_savepoint(shelf: Shelf) -> bool:
    """Whether a listing is there."""
    return _listing(shelf) is not None


def foreign(listing: Listing, own: Mapping[str, object]) -> str:
    """Why a deployment with this fingerprint cannot go on from a savepoint; empty if it can."""
    for manifest in listing.lanes:
        if differs := difference(manifest.fingerprint, own, is_drained=True):
            return f"lane {manifest.lane}: {differs}; {AS_IT_WAS}"
    return ""


def newer(listing: Listing, target: Shelf) -> dict[int, list[int]]:
    """By lane, positions of snapshots in place that the savepoint does not lead to."""
    kept = {manifest.lane: manifest for manifest in listing.lanes}
    found: dict[int, list[int]] = {}
    for lane in target.lanes():
        own = kept.get(lane)
        for position in target.positions(lane):
            if own is None or position > own.position or _differs(target, own, position):
                found.setdefault(lane, []).append(position)
    return found


def restore(
    source: Shelf,
    target: Shelf,
    listing: Listing,
    discarded: Mapping[int, Sequence[int]],
    step: Step,
) -> None:
    """Puts a savepoint in place, without the snapshots that are discarded; ``StateError``."""
    _copy(source, target, listing.lanes, step, FROM_A_COPY)
    for manifest in listing.lanes:
        target.publish(manifest)
    kept = {(manifest.lane, manifest.position) for manifest in listing.lanes}
    for lane, positions in discarded.items():
        for position in sorted(positions, reverse=True):
            if (lane, position) not in kept:
                target.remove(lane, manifest_name(position))


def _copy(
    source: Shelf, target: Shelf, manifests: Sequence[Manifest], step: Step, remedy: str
) -> None:
    for manifest in manifests:
        for file in manifest.files:
            try:
                content = source.read(manifest.lane, file)
            except Untrusted as why:
                raise StateError(f"lane {manifest.lane}: {why}; {remedy}") from why
            target.put_file(manifest.lane, file.name, content)
            step(file.size)


def _differs(target: Shelf, own: Manifest, position: int) -> bool:
    if position != own.position:
        return False
    try:
        return target.manifest(own.lane, position).digest != own.digest
    except Untrusted:
        return True


def _listing(shelf: Shelf) -> Listing | None:
    try:
        return shelf.note(LISTING, Listing)
    except Untrusted as why:
        raise StateError(f"{why}; {why.remedy or FROM_A_COPY}") from why
