"""Files of lanes under a URI: put there whole or not at all, read only with the right checksum.

Takes: a URI of ``pyarrow.fs`` (a folder, ``file://``, ``s3://``, ``gs://``)
Layout: ``lane-0003/manifest-<position>.json``, ``base-…``, ``delta-…`` and, of merged deltas,
        ``run-<position>-<sum>.arrows``

A manifest names the files that hold a lane at its position; ``after`` is what it goes on from.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import pyarrow as pa
import xxhash
from pyarrow import fs

FORMAT = 1
"""Of manifests and files; a newer one is refused, an older one is read."""

_LANE, _PART = "lane-", ".part"
_PIECE_BYTES = 1 << 20

T = TypeVar("T")


class Untrusted(Exception):
    """A file that is missing, damaged or not for this release, and the remedy if it has its own."""

    def __init__(self, path: str, what: str, remedy: str = "") -> None:
        super().__init__(f"cannot trust {path}: {what}")
        self.path = path
        self.remedy = remedy


class NoPlace(Exception):
    """A URI that leads nowhere; says so without repeating it, for it may hold a secret."""


class File(msgspec.Struct, frozen=True):
    """A file of a manifest's own folder, by name, bytes and XXH3 (128 bits, hex)."""

    name: str
    size: int
    sum: str

    @property
    def position(self) -> int:
        """The position at which the lane was as the file tells it."""
        return position_of(self.name)


class Mark(msgspec.Struct, frozen=True):
    """A position of a lane, with the digest of its outputs up to there."""

    position: int
    digest: str


class Manifest(msgspec.Struct, frozen=True):
    """What a lane was at a position, and the files that hold it."""

    lane: int
    position: int
    clock_ms: int
    cleaned_ms: int
    digest: str
    fingerprint: dict[str, object]
    base: File
    deltas: list[File]
    after: Mark | None = None
    format: int = FORMAT

    @property
    def files(self) -> list[File]:
        """All files, in the order in which they are read."""
        return [self.base, *self.deltas]

    @property
    def mark(self) -> Mark:
        """Where it stands."""
        return Mark(self.position, self.digest)


class _Formed(msgspec.Struct):
    format: int = 1


class _Sealed(msgspec.Struct, frozen=True):
    sum: str
    manifest: msgspec.Raw


class Entry(NamedTuple):
    """A file as a listing tells it; ``at`` is the second in which it was written."""

    name: str
    size: int
    at: float


class Shelf:
    """The lanes' folders under one URI; ``name`` is what may be said of it. Raises ``NoPlace``."""

    def __init__(self, uri: str) -> None:
        try:
            self._files, self._root = _filesystem(uri)
        except ValueError:
            raise NoPlace(
                "the place of snapshots is neither a folder nor a URI of a file system that is "
                "known here (file://, s3://, gs://)"
            ) from None
        scheme, is_uri, _ = uri.partition("://")
        self.name = f"{scheme}://{self._root}" if is_uri and scheme != "file" else self._root

    def lanes(self) -> list[int]:
        """Lanes that have a folder, ascending."""
        names = [info.base_name for info in self._infos(self._root)]
        return sorted(
            int(name.removeprefix(_LANE))
            for name in names
            if name.startswith(_LANE) and name.removeprefix(_LANE).isdigit()
        )

    def entries(self, lane: int) -> list[Entry]:
        """The files of a lane's folder, by name."""
        infos = self._infos(self._folder(lane))
        return sorted(
            Entry(info.base_name, info.size or 0, (info.mtime_ns or 0) / 1e9)
            for info in infos
            if info.type == fs.FileType.File
        )

    def positions(self, lane: int) -> list[int]:
        """Positions of all manifests, ascending."""
        names = [entry.name for entry in self.entries(lane)]
        return sorted(position_of(name) for name in names if is_manifest(name))

    def path(self, lane: int, name: str) -> str:
        """Where a lane's file is."""
        return f"{self._folder(lane)}/{name}"

    def put(self, lane: int, kind: str, position: int, packed: pa.Buffer) -> File:
        """Keeps a base, a delta or a run."""
        total = checksum(packed)
        file = File(f"{kind}-{position:020d}-{total[:8]}.arrows", len(packed), total)
        self.put_file(lane, file.name, packed)
        return file

    def publish(self, manifest: Manifest) -> None:
        """Makes a manifest count, whose files are all there."""
        self.put_file(manifest.lane, manifest_name(manifest.position), _sealed(manifest))

    def put_file(self, lane: int, name: str, content: pa.Buffer) -> None:
        """Keeps a file of a lane, whole or not at all."""
        self._files.create_dir(self._folder(lane), recursive=True)
        self._put(self.path(lane, name), content)

    def manifest(self, lane: int, position: int) -> Manifest:
        """The manifest at a position; raises ``Untrusted``."""
        path = self.path(lane, manifest_name(position))
        return _decoded(path, _unsealed(path, self._get(path)), Manifest)

    def holds(self, lane: int, file: File) -> bool:
        """Whether a file is there, whatever is in it."""
        info = self._files.get_file_info(self.path(lane, file.name))
        return bool(info.type == fs.FileType.File)

    def read(self, lane: int, file: File) -> pa.Buffer:
        """A file that is what its manifest says; raises ``Untrusted``."""
        path = self.path(lane, file.name)
        content = self._get(path)
        if len(content) != file.size:
            raise Untrusted(path, f"it has {len(content)} bytes instead of {file.size}")
        if checksum(content) != file.sum:
            raise Untrusted(path, "its checksum is wrong")
        return content

    def put_note(self, name: str, note: object) -> None:
        """Keeps a sealed note beside the lanes' folders."""
        self._files.create_dir(self._root, recursive=True)
        self._put(f"{self._root}/{name}", _sealed(note))

    def note(self, name: str, kind: type[T]) -> T | None:
        """A note read back; None if there is none; raises ``Untrusted``."""
        path = f"{self._root}/{name}"
        try:
            return _decoded(path, _unsealed(path, self._get(path)), kind)
        except Untrusted as why:
            if isinstance(why.__cause__, FileNotFoundError):
                return None
            raise

    def remove(self, lane: int, name: str) -> None:
        """Removes a file; another process may have been quicker."""
        try:
            self._files.delete_file(self.path(lane, name))
        except FileNotFoundError:
            return

    def _folder(self, lane: int) -> str:
        return f"{self._root}/{_LANE}{lane:04d}"

    def _infos(self, folder: str) -> Sequence[fs.FileInfo]:
        infos: Sequence[fs.FileInfo] = self._files.get_file_info(
            fs.FileSelector(folder, allow_not_found=True)
        )
        return infos

    def _get(self, path: str) -> pa.Buffer:
        try:
            with self._files.open_input_stream(path) as stream:
                return stream.read_buffer()
        except FileNotFoundError as error:
            raise Untrusted(path, "it is missing") from error
        except pa.ArrowException as error:
            raise Untrusted(path, "it cannot be read") from error

    def _put(self, path: str, content: pa.Buffer) -> None:
        """Object stores put atomically; a file system needs the rename."""
        part = f"{path}{_PART}" if isinstance(self._files, fs.LocalFileSystem) else path
        try:
            with self._files.open_output_stream(part) as stream:
                stream.write(content)
            if part != path:
                self._files.move(part, path)
        except OSError:
            if part != path:
                with suppress(OSError):  # a disk that is full needs the room
                    self._files.delete_file(part)
            raise


def checksum(content: pa.Buffer) -> str:
    """XXH3 of 128 bits, in hex; in pieces, so that no other thread waits for a large file."""
    total, whole = xxhash.xxh3_128(), memoryview(content)
    for start in range(0, len(whole), _PIECE_BYTES):
        total.update(whole[start : start + _PIECE_BYTES])
    return total.hexdigest()


def manifest_name(position: int) -> str:
    """The file name of the manifest at a position."""
    return f"manifest-{position:020d}.json"


def is_manifest(name: str) -> bool:
    """Whether a file of a lane's folder is a manifest, and a whole one."""
    return name.startswith("manifest-") and name.endswith(".json")


def is_base(name: str) -> bool:
    """Whether a file of a lane's folder is a base, whole or half-written."""
    return name.startswith("base-")


def is_run(name: str) -> bool:
    """Whether a file of a lane's folder is of merged deltas, whole or half-written."""
    return name.startswith("run-")


def position_of(name: str) -> int:
    """The position in the name of a lane's file, whole or half-written; -1 without one."""
    digits = name.partition("-")[2][:20]
    return int(digits) if digits.isdigit() else -1


def _sealed(note: object) -> bytes:
    body = msgspec.json.encode(note)
    return msgspec.json.encode(_Sealed(checksum(body), msgspec.Raw(body)))


def _unsealed(path: str, content: pa.Buffer) -> bytes:
    try:
        sealed = msgspec.json.decode(content, type=_Sealed)
    except msgspec.MsgspecError:
        raise Untrusted(path, "it is no sealed JSON") from None
    if checksum(sealed.manifest) != sealed.sum:
        raise Untrusted(path, "its checksum is wrong")
    return bytes(sealed.manifest)


def _decoded(path: str, body: bytes, kind: type[T]) -> T:
    """The format is judged before anything else is looked at: a newer one may have other fields."""
    try:
        form = msgspec.json.decode(body, type=_Formed).format
        if form > FORMAT:
            raise Untrusted(
                path,
                f"its format is {form}, this release reads up to {FORMAT}",
                "start the release that wrote it, or a newer one",
            )
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError:
        raise Untrusted(path, f"it is no {kind.__name__.lower()}") from None


def _filesystem(uri: str) -> tuple[fs.FileSystem, str]:
    if "://" in uri:
        files, root = fs.FileSystem.from_uri(uri)
        return files, root.rstrip("/")
    return fs.LocalFileSystem(), str(Path(uri).absolute())
