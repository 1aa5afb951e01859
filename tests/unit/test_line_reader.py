"""Lines out of files: counted, hashed, cut and skipped the same whatever the blocks are."""

from __future__ import annotations

import gzip
from contextlib import closing
from pathlib import Path

import pytest

from sources.files import (
    InputChanged,
    InputDamaged,
    InputUnreadable,
    LineReader,
    Mark,
    goes_on_after,
    total_bytes,
)

LINES = [b'{"n":%d,"pad":"%s"}' % (n, b"x" * (n * 7 % 50)) for n in range(40)]


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def all_lines(reader: LineReader) -> list[bytes]:
    lines: list[bytes] = []
    with closing(reader):
        while some := reader.read():
            lines += some
    return lines


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    first, second = b"\n".join(LINES[:15]) + b"\n", b"\n".join(LINES[15:])
    return [written(tmp_path, "a.ndjson", first), written(tmp_path, "b.ndjson.gz", second)]


@pytest.mark.parametrize("block_bytes", [5, 64, 1 << 20])
def test_blocks_of_any_size_give_the_same_lines_and_the_same_mark(
    paths: list[Path], block_bytes: int
) -> None:
    reader, whole = LineReader(paths, block_bytes), LineReader(paths)
    assert all_lines(reader) == LINES
    all_lines(whole)
    assert reader.mark() == whole.mark()
    assert reader.mark().position == 40


@pytest.mark.parametrize("block_bytes", [16, 1 << 20])
@pytest.mark.parametrize("position", [0, 1, 14, 15, 16, 39, 40])
def test_skipping_leads_to_the_same_place_as_reading(
    paths: list[Path], position: int, block_bytes: int
) -> None:
    skipped, read = LineReader(paths, block_bytes), LineReader(paths)
    skipped.skip_to(position)
    lines: list[bytes] = []
    while read.position < position:
        lines += read.read(until=position)
    assert lines == LINES[:position]
    read.close()
    assert skipped.mark() == read.mark()
    assert all_lines(skipped) == LINES[position:]


def test_an_input_that_ends_before_the_position_has_changed(paths: list[Path]) -> None:
    with pytest.raises(InputChanged, match="ends at line 40; an earlier run read 41"):
        goes_on_after(paths, Mark(41, "any"))


def test_a_mark_knows_whether_lines_follow_it_and_whether_they_changed(paths: list[Path]) -> None:
    reader = LineReader(paths)
    reader.skip_to(20)
    middle = reader.mark()
    reader.skip_to(40)
    reader.close()
    assert goes_on_after(paths, middle)
    assert not goes_on_after(paths, reader.mark())
    with pytest.raises(InputChanged, match="the first 20 lines have changed"):
        goes_on_after(paths, Mark(20, "another"))


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"\n", [b""]),
        (b"a\n\nb\n", [b"a", b"", b"b"]),
        (b"a\nb", [b"a", b"b"]),
        (b"a\n  ", [b"a"]),
        (b"a\r\nb\r\n", [b"a\r", b"b\r"]),
        (b"\xef\xbb\xbfa\n", [b"a"]),
        (b"\xef\xbb\xbf", []),
    ],
)
def test_the_ends_of_files_are_read_as_people_write_them(
    tmp_path: Path, content: bytes, lines: list[bytes]
) -> None:
    files = [written(tmp_path, "x.ndjson", content), written(tmp_path, "y.ndjson", b"end\n")]
    assert all_lines(LineReader(files)) == [*lines, b"end"]


def test_a_gzip_file_is_known_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(gzip.compress(b"a\n"))
    assert all_lines(LineReader([tmp_path / "log"])) == [b"a"]


def test_a_gzip_file_cut_short_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "log.gz").write_bytes(gzip.compress(b"".join(LINES))[:-12])
    with pytest.raises(InputDamaged, match=r"log\.gz: damaged or cut short"):
        all_lines(LineReader([tmp_path / "log.gz"]))


def test_a_file_that_is_not_there_or_a_folder_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(InputUnreadable, match="nowhere: cannot be read: No such file"):
        total_bytes([tmp_path / "nowhere"])
    with pytest.raises(InputUnreadable, match="cannot be read: Is a directory"):
        all_lines(LineReader([tmp_path]))
