"""Save and restore lanes: base and delta files with checksums under a URI, told by manifests.

Takes: a URI of ``pyarrow.fs`` (a folder, ``file://``, ``s3://``, ``gs://``)
Delivery: a manifest appears whole or not at all, and only after the files that it names
Replays: a restore takes the newest manifest at or below the committed position; what is missing
         or damaged is an error that says so, never an empty state

Layout: ``lane-0003/manifest-<position>.json``, ``base-…`` and ``delta-<position>-<sum>.arrows``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa
import xxhash
from pyarrow import fs

from state.archive import pack, unpack
from state.lane import LaneState
from state.pointer import difference

_BASES_KEPT = 2
_DELTAS_PER_BASE = 20


class StateError(Exception):
    """Stored state cannot be trusted; says which lane, which file, and what to do."""


class _File(msgspec.Struct, frozen=True):
    name: str
    size: int
    sum: str


class Manifest(msgspec.Struct, frozen=True):
    """What a lane was at a position, and the files that hold it."""

    lane: int
    position: int
    clock_ms: int
    cleaned_ms: int
    digest: str
    fingerprint: dict[str, object]
    base: _File
    deltas: list[_File]


class _Sealed(msgspec.Struct, frozen=True):
    sum: str
    manifest: msgspec.Raw


class Saved(NamedTuple):
    """What a save wrote."""

    position: int
    size: int
    is_base: bool


class SnapshotStore:
    """The snapshots of all lanes of a deployment under one URI.

    ``fingerprint`` names what the state depends on; ``pointer.difference`` judges another one.
    """

    def __init__(self, uri: str, fingerprint: Mapping[str, object]) -> None:
        self._fingerprint = dict(fingerprint)
        self._newest: dict[int, Manifest] = {}
        self._files, self._root = _filesystem(uri)

    def save(self, state: LaneState) -> Saved:
        """Writes the rows that changed since the last save (all of them now and then)."""
        folder = self._folder(state.lane)
        self._files.create_dir(folder, recursive=True)
        last = self._newest.get(state.lane)
        is_base = last is None or _wants_base(last)
        packed = pack(state.tables, everything=is_base)
        written = self._write(folder, "base" if is_base else "delta", state.position, packed)
        manifest = Manifest(
            lane=state.lane,
            position=state.position,
            clock_ms=state.clock_ms,
            cleaned_ms=state.cleaned_ms,
            digest=f"{state.digest:016x}",
            fingerprint=self._fingerprint,
            base=written if last is None or is_base else last.base,
            deltas=[] if last is None or is_base else [*last.deltas, written],
        )
        self._publish(folder, manifest)
        self._newest[state.lane] = manifest
        for table in state.tables.values():
            table.changed[:] = False
        if is_base:
            self._forget_old(folder)
        return Saved(state.position, len(packed), is_base)

    def restore(self, lane: int, id_key: bytes, at_most: int) -> LaneState:
        """The lane at the newest snapshot at or below a position; empty if there never was one.

        Raises ``StateError`` where the manifest, a file, or the fingerprint is not what it was.
        """
        state = LaneState(lane, id_key)
        self._newest.pop(lane, None)
        positions = [at for at in self._positions(lane) if at <= at_most]
        if not positions:
            return state
        manifest = self._read_manifest(lane, max(positions))
        differs = difference(manifest.fingerprint, self._fingerprint, manifest.position == at_most)
        if differs:
            raise StateError(f"lane {lane}: the state cannot be used: {differs}")
        for file in (manifest.base, *manifest.deltas):
            unpack(state.tables, self._read(manifest, file))
        state.position = manifest.position
        state.clock_ms = manifest.clock_ms
        state.cleaned_ms = manifest.cleaned_ms
        state.digest = int(manifest.digest, 16)
        state.rederive()
        for table in state.tables.values():
            table.changed[:] = False
        self._newest[lane] = manifest
        return state

    def _folder(self, lane: int) -> str:
        return f"{self._root}/lane-{lane:04d}"

    def _positions(self, lane: int) -> list[int]:
        """Positions of all manifests, ascending."""
        selector = fs.FileSelector(self._folder(lane), allow_not_found=True)
        names = [info.base_name for info in self._files.get_file_info(selector)]
        return sorted(
            int(name.removeprefix("manifest-").removesuffix(".json"))
            for name in names
            if name.startswith("manifest-") and name.endswith(".json")
        )

    def _write(self, folder: str, kind: str, position: int, packed: bytes) -> _File:
        total = xxhash.xxh3_128_hexdigest(packed)
        name = f"{kind}-{position:020d}-{total[:8]}.arrows"
        self._put(f"{folder}/{name}", packed)
        return _File(name, len(packed), total)

    def _publish(self, folder: str, manifest: Manifest) -> None:
        body = msgspec.json.encode(manifest)
        sealed = _Sealed(xxhash.xxh3_128_hexdigest(body), msgspec.Raw(body))
        self._put(f"{folder}/{_manifest_name(manifest.position)}", msgspec.json.encode(sealed))

    def _put(self, path: str, content: bytes) -> None:
        """Object stores put atomically; a file system needs the rename."""
        part = f"{path}.part" if isinstance(self._files, fs.LocalFileSystem) else path
        with self._files.open_output_stream(part) as stream:
            stream.write(content)
        if part != path:
            self._files.move(part, path)

    def _read_manifest(self, lane: int, position: int) -> Manifest:
        path = f"{self._folder(lane)}/{_manifest_name(position)}"
        try:
            with self._files.open_input_stream(path) as stream:
                sealed = msgspec.json.decode(stream.read(), type=_Sealed)
            if xxhash.xxh3_128_hexdigest(bytes(sealed.manifest)) != sealed.sum:
                raise StateError(_damaged(lane, path, "its checksum is wrong"))
            return msgspec.json.decode(sealed.manifest, type=Manifest)
        except (OSError, msgspec.MsgspecError) as error:
            raise StateError(_damaged(lane, path, "it cannot be read")) from error

    def _read(self, manifest: Manifest, file: _File) -> bytes:
        folder = self._folder(manifest.lane)
        path = f"{folder}/{file.name}"
        advice = f"{folder}/{_manifest_name(manifest.position)}"
        try:
            with self._files.open_input_stream(path) as stream:
                packed: bytes = stream.read()
        except FileNotFoundError as error:
            raise StateError(_damaged(manifest.lane, path, "it is missing", advice)) from error
        except (OSError, pa.ArrowException) as error:
            raise StateError(_damaged(manifest.lane, path, "it cannot be read", advice)) from error
        if len(packed) != file.size or xxhash.xxh3_128_hexdigest(packed) != file.sum:
            raise StateError(_damaged(manifest.lane, path, "its checksum is wrong", advice))
        return packed

    def _forget_old(self, folder: str) -> None:
        """Keeps the newest bases with their deltas and manifests; older files go."""
        lane = int(folder[-4:])
        kept: set[str] = set()
        bases: list[str] = []
        for position in reversed(self._positions(lane)):
            manifest = self._read_manifest(lane, position)
            if manifest.base.name not in bases:
                bases.append(manifest.base.name)
            if len(bases) > _BASES_KEPT:
                break
            kept.add(_manifest_name(position))
            kept.update(file.name for file in (manifest.base, *manifest.deltas))
        for info in self._files.get_file_info(fs.FileSelector(folder)):
            if info.base_name not in kept:
                self._files.delete_file(info.path)


def _filesystem(uri: str) -> tuple[fs.FileSystem, str]:
    if "://" in uri:
        files, root = fs.FileSystem.from_uri(uri)
        return files, root.rstrip("/")
    return fs.LocalFileSystem(), str(Path(uri).absolute())


def _wants_base(last: Manifest) -> bool:
    """When the deltas have grown to the size of their base, or are many."""
    total = sum(file.size for file in last.deltas)
    return len(last.deltas) >= _DELTAS_PER_BASE or total > last.base.size


def _manifest_name(position: int) -> str:
    return f"manifest-{position:020d}.json"


def _damaged(lane: int, path: str, what: str, manifest: str | None = None) -> str:
    return (
        f"lane {lane}: cannot trust {path}: {what}; remove {manifest or path} to start from the "
        "snapshot before it, with a longer replay"
    )
