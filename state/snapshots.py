"""Save and restore lanes: base and delta files with checksums under a URI, told by manifests.

Takes: a ``Shelf``'s URI (a folder, ``file://``, ``s3://``, ``gs://``)
Delivery: a manifest appears whole or not at all, and only after the files that it names
Replays: a restore takes the newest manifest at or below the committed position; what is missing
         or damaged is an error that says so, never an empty state

``take`` copies what has changed, and is all that a lane waits for; ``write`` and ``merge`` touch no
table and may each run on a thread of its own. What is merged goes into the next manifest: a base of
all files of its chain, or a run of its newest deltas, for a large base is not worth writing anew
for a little. The last two bases stay, with what was saved since.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from state import archive
from state.archive import Share, UnknownLayout
from state.lane import LaneState
from state.pointer import difference
from state.shelf import (
    File,
    Manifest,
    Shelf,
    Untrusted,
    is_base,
    is_manifest,
    is_run,
    manifest_name,
    position_of,
)
from state.tenants import EVERYWHERE

_BASES_KEPT = 2
_OUTGROWN = 1.0
"""What was saved since a base is at most so many times as large, or all is merged anew."""
_DELTAS_PER_MERGE = 20
_RUNS_PER_BASE = 12
_SMALL_BYTES = 32 << 20
"""A base up to this size is merged anew instead of a run: that takes a tenth of a second."""


class StateError(Exception):
    """Stored state cannot be trusted; says which lane, which file, and what to do."""


class Saved(NamedTuple):
    """What a save wrote."""

    position: int
    size: int
    is_base: bool


class Taken(NamedTuple):
    """A lane at a position: its scalars, and copies of what has to be written."""

    lane: int
    position: int
    clock_ms: int
    cleaned_ms: int
    digest: int
    shares: list[Share]
    is_base: bool


class _Merged(NamedTuple):
    """A file that stands for some files of the lane's chain, which follow each other."""

    file: File
    instead: list[File]


class SnapshotStore:
    """The snapshots of all lanes of a deployment under one URI.

    ``fingerprint`` names what the state depends on; ``pointer.difference`` judges another one.
    """

    def __init__(self, uri: str, fingerprint: Mapping[str, object]) -> None:
        self._fingerprint = dict(fingerprint)
        self._shelf = Shelf(uri)
        self._begun: set[int] = set()
        self._newest: dict[int, Manifest] = {}
        self._merged: dict[int, _Merged] = {}

    def save(self, state: LaneState) -> Saved:
        """Takes, writes and, now and then, merges."""
        saved = self.write(self.take(state))
        if self.wants_merge(state.lane):
            self.merge(state.lane)
        return saved

    def take(self, state: LaneState) -> Taken:
        """Copies the rows that changed since the last time (all of them the first time)."""
        is_base = state.lane not in self._begun
        shares = archive.take(state.tables, everything=is_base)
        for table in state.tables.values():
            table.changed[: table.rows] = False
        self._begun.add(state.lane)
        return Taken(
            lane=state.lane,
            position=state.position,
            clock_ms=state.clock_ms,
            cleaned_ms=state.cleaned_ms,
            digest=state.digest,
            shares=shares,
            is_base=is_base,
        )

    def write(self, taken: Taken) -> Saved:
        """Writes what was taken, and the manifest that makes it count; in the order of taking."""
        try:
            return self._write(taken)
        except BaseException:
            self._begun.discard(taken.lane)  # what was taken is lost: the next one takes everything
            raise

    def wants_merge(self, lane: int) -> bool:
        """When the deltas have grown to the size of their base, or are many."""
        last = self._newest.get(lane)
        return last is not None and lane not in self._merged and bool(_mergeable(last))

    def merge(self, lane: int, is_wanted: Callable[[], bool] = lambda: True) -> None:
        """Merges files of the lane's chain into one for the next manifest: a run, or a base.

        Where one of them is not what it was, the next save writes everything; raises ``StateError``
        to say so.
        """
        last = self._newest.get(lane)
        if last is None:
            return
        chosen = _mergeable(last) or last.files
        is_base = chosen[0] == last.base
        try:
            files = [self._shelf.read(lane, file) for file in chosen]
            tables = LaneState(lane, b"").tables
            merged = archive.merge(tables, files, is_wanted, everything=is_base)
        except (Untrusted, UnknownLayout) as why:
            self._begun.discard(lane)
            raise StateError(f"lane {lane}: {why}; the next snapshot is a base of its own") from why
        if merged is not None and lane in self._begun:
            kind = "base" if is_base else "run"
            file = self._shelf.put(lane, kind, last.position, merged)
            self._merged[lane] = _Merged(file, chosen)

    def restore(
        self, lane: int, id_key: bytes, at_most: int, countries: frozenset[str] = EVERYWHERE
    ) -> LaneState:
        """The lane at the newest snapshot at or below a position; empty if there never was one.

        Raises ``StateError`` where the manifest, a file, or the fingerprint is not what it was.
        """
        state = LaneState(lane, id_key, countries)
        self._begun.discard(lane)
        self._newest.pop(lane, None)
        self._merged.pop(lane, None)
        positions = [at for at in self._shelf.positions(lane) if at <= at_most]
        if not positions:
            return state
        try:
            manifest = self._shelf.manifest(lane, max(positions))
            differs = difference(manifest.fingerprint, self._fingerprint, max(positions) == at_most)
            if differs:
                raise StateError(f"lane {lane}: the state cannot be used: {differs}")
            load(self._shelf, manifest, state)
        except Untrusted as why:
            raise StateError(
                f"lane {lane}: {why}; {why.remedy or remedy(self._shelf, lane, why)}"
            ) from why
        for table in state.tables.values():
            table.changed[:] = False
        self._begun.add(lane)
        self._newest[lane] = manifest
        return state

    def _write(self, taken: Taken) -> Saved:
        lane, position = taken.lane, taken.position
        packed = archive.encode(taken.shares)
        written = self._shelf.put(lane, "base" if taken.is_base else "delta", position, packed)
        last = self._newest.get(lane)
        if taken.is_base or last is None:
            chain = [written]
            self._merged.pop(lane, None)
        else:
            chain = [*_chain(last, self._merged_of(lane)), written]
        manifest = Manifest(
            lane=lane,
            position=position,
            clock_ms=taken.clock_ms,
            cleaned_ms=taken.cleaned_ms,
            digest=f"{taken.digest:016x}",
            fingerprint=self._fingerprint,
            base=chain[0],
            deltas=chain[1:],
            after=None if last is None else last.mark,
        )
        self._shelf.publish(manifest)
        self._newest[lane] = manifest
        if last is not None and last.base != manifest.base:
            self._forget_old(lane)
        return Saved(position, len(packed), taken.is_base)

    def _merged_of(self, lane: int) -> _Merged | None:
        """The merged file that waits to be used, unless it was taken for a left-over meanwhile."""
        merged = self._merged.pop(lane, None)
        return merged if merged is not None and self._shelf.holds(lane, merged.file) else None

    def _forget_old(self, lane: int) -> None:
        """Keeps the newest bases, what was saved since, and the manifests that stand on them.

        Judged by the positions in the names: what another process has just written stays. A base
        before the newest that no manifest names is of a merge that was cut off.
        """
        manifests = _readable(self._shelf, lane)
        bases = sorted({manifest.base.position for manifest in manifests}, reverse=True)
        if len(bases) < _BASES_KEPT:
            return
        oldest = bases[_BASES_KEPT - 1]
        standing = {m.position for m in manifests if m.base.position >= oldest}
        unread = set(self._shelf.positions(lane)) - {m.position for m in manifests}
        named = {file.name for manifest in manifests for file in manifest.files}

        def is_left(name: str) -> bool:
            at = position_of(name)
            if is_manifest(name):
                return at not in standing | unread
            return is_base(name) and at < bases[0] and name not in named and not unread

        old = [
            entry.name
            for entry in self._shelf.entries(lane)
            if position_of(entry.name) < oldest or is_left(entry.name)
        ]
        # A manifest goes before the files that it names.
        for name in sorted(old, key=lambda name: not is_manifest(name)):
            self._shelf.remove(lane, name)


def load(shelf: Shelf, manifest: Manifest, state: LaneState) -> None:
    """Fills a fresh state from a manifest's files; raises ``Untrusted``."""
    for file in manifest.files:
        try:
            archive.unpack(state.tables, shelf.read(manifest.lane, file))
        except UnknownLayout as why:
            raise unknown(shelf, manifest.lane, file, why) from why
    state.position = manifest.position
    state.clock_ms = manifest.clock_ms
    state.cleaned_ms = manifest.cleaned_ms
    state.digest = int(manifest.digest, 16)
    state.rederive()


def unknown(shelf: Shelf, lane: int, file: File, why: UnknownLayout) -> Untrusted:
    """A file whose layout is not this release's."""
    return Untrusted(
        shelf.path(lane, file.name),
        f"{why}; another release wrote it",
        "start that release, or restore a savepoint of this one",
    )


def remedy(shelf: Shelf, lane: int, why: Untrusted) -> str:
    """What to remove so that the lane starts from before what cannot be trusted."""
    readable = {manifest.position: manifest for manifest in _readable(shelf, lane)}
    sound, spoilt = -1, []
    for position in shelf.positions(lane):
        path = shelf.path(lane, manifest_name(position))
        manifest = readable.get(position)
        named = [shelf.path(lane, file.name) for file in manifest.files] if manifest else []
        if manifest is None or why.path in (path, *named):
            spoilt.append(path)
        else:
            sound = position
    if sound >= 0:
        return f"remove {' '.join(spoilt)} to start from position {sound}, with a longer replay"
    return (
        f"remove {' '.join(spoilt)} to fold the lane's log from its beginning, or restore a "
        "savepoint where that is gone"
    )


def _mergeable(last: Manifest) -> list[File]:
    """Which files of a chain are worth merging: all of them, the newest deltas, or none."""
    runs = [file for file in last.deltas if is_run(file.name)]
    fresh = last.deltas[len(runs) :]  # no delta is older than a run
    is_many = len(fresh) >= _DELTAS_PER_MERGE
    is_cheap = last.base.size <= _SMALL_BYTES or len(runs) >= _RUNS_PER_BASE
    is_outgrown = sum(file.size for file in last.deltas) > _OUTGROWN * last.base.size
    if is_outgrown or (is_many and is_cheap):
        return last.files
    return fresh if is_many else []


def _chain(last: Manifest, merged: _Merged | None) -> Sequence[File]:
    """The files that hold what the last manifest holds, with the merged one for what it is of."""
    files = last.files
    if merged is None or merged.instead[0] not in files:
        return files
    start = files.index(merged.instead[0])
    end = start + len(merged.instead)
    if files[start:end] != merged.instead:
        return files
    return [*files[:start], merged.file, *files[end:]]


def _readable(shelf: Shelf, lane: int) -> list[Manifest]:
    manifests = []
    for position in shelf.positions(lane):
        try:
            manifests.append(shelf.manifest(lane, position))
        except Untrusted:
            continue  # ``restore`` and ``verify`` tell of it
    return manifests
