"""Compressed files: how they are read, and which are rejected before they do harm."""

from __future__ import annotations

import lzma
import os
import struct
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.fetch.csv_file import unzipped_size, verify
from cfpb_etl.fetch.errors import UnreadableFileError
from cfpb_etl.fetch.unpack import streams
from cfpb_etl.fetch.unpack.containers import open_unpacked
from support.containers import BYTES, COMPRESSIONS, LONG, every_compression, text_in

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a file is written, alone in its folder. The name says nothing of its kind."""
    folder = tmp_path / "files"
    folder.mkdir()
    return folder / "complaints"


@every_compression
@pytest.mark.parametrize("content", [BYTES, LONG], ids=["short", "long"])
def test_a_compressed_csv(path: Path, name: str, content: bytes) -> None:
    """The text is the one that was compressed, whatever the file is called."""
    path.write_bytes(COMPRESSIONS[name](content))

    assert text_in(path) == content.decode()
    assert unzipped_size(path) == len(content)
    verify(path)
    with open_unpacked(path) as unpacked:
        assert unpacked.container == name


@every_compression
def test_streams_that_follow_each_other(path: Path, name: str) -> None:
    """Compressed files can be joined, and tapes add zero bytes."""
    compress = COMPRESSIONS[name]
    path.write_bytes(compress(b"a\n") + compress(b"") + compress(LONG) + compress(b"z") + bytes(8))

    assert text_in(path) == f"a\n{LONG.decode()}z"


@every_compression
@pytest.mark.parametrize("block", range(1, 12))
def test_streams_that_begin_anywhere_in_a_block(
    path: Path, name: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first bytes of a stream may be read in several pieces."""
    monkeypatch.setattr(streams, "_PACKED_BLOCK", block)
    path.write_bytes(COMPRESSIONS[name](b"a\n") + bytes(4) + COMPRESSIONS[name](b"b\n"))

    assert text_in(path) == "a\nb\n"


@every_compression
@pytest.mark.parametrize("rest", [b"x", b"\0\0garbage", BYTES * 2_000])
def test_other_bytes_after_the_end(path: Path, name: str, rest: bytes) -> None:
    """They may be a damaged stream, so the file is refused."""
    path.write_bytes(COMPRESSIONS[name](BYTES) + rest)

    detail = f"its {name} is followed by other bytes, so the file is damaged"
    with pytest.raises(UnreadableFileError) as caught:
        verify(path)
    assert caught.value.detail == detail


@every_compression
def test_another_compression_after_the_end(path: Path, name: str) -> None:
    """It is not what was compressed."""
    others = [other for other in COMPRESSIONS if other != name]
    for other in others:
        path.write_bytes(COMPRESSIONS[name](BYTES) + COMPRESSIONS[other](BYTES))
        with pytest.raises(UnreadableFileError, match="is followed by other bytes"):
            verify(path)


@every_compression
def test_a_truncated_compressed_file(path: Path, name: str) -> None:
    """A file that ends early is named as that wherever it ends."""
    content = COMPRESSIONS[name](os.urandom(3_000).hex().encode())
    for kept in (12, 20, len(content) // 2, len(content) - 9, len(content) - 1):
        path.write_bytes(content[:kept])
        with pytest.raises(UnreadableFileError) as caught:
            verify(path)
        assert caught.value.detail == f"its {name} ends too early, so the file is not complete"


@pytest.mark.parametrize("name", ["gzip", "bzip2", "xz", "zlib"])
def test_a_damaged_compressed_file(path: Path, name: str) -> None:
    """A wrong byte in the middle is found at the latest by the checksum."""
    content = bytearray(COMPRESSIONS[name](os.urandom(100_000).hex().encode()))
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)

    with pytest.raises(UnreadableFileError, match=f"its {name} is damaged"):
        verify(path)


@every_compression
def test_a_compressed_bomb(path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What unpacks to more than 250 times its size is refused, and needs little memory."""
    monkeypatch.setattr(streams, "HARMLESS", 0)
    path.write_bytes(COMPRESSIONS[name](b"0,0\n" * 250_000) * 60)
    limit = path.stat().st_size * 250

    def read_all() -> None:
        with open_unpacked(path) as unpacked:
            while unpacked.csv.read(2**16):
                pass

    tracemalloc.start()
    try:
        with pytest.raises(UnreadableFileError) as caught:
            read_all()
        assert tracemalloc.get_traced_memory()[1] < 10**7
    finally:
        tracemalloc.stop()
    assert caught.value.detail == (f"its {name} unpacks to more than the allowed {limit:,} bytes")


def test_xz_that_needs_much_memory(path: Path) -> None:
    """A file declares how much memory it needs, and 1 GB is too much."""
    header = lzma.compress(b"", check=lzma.CHECK_CRC32)[:12]
    # The header of a block: its size, flags, the filter LZMA2, and 36 for a dictionary of 1 GB.
    block = struct.pack("<BBBBB", 2, 0, 0x21, 1, 36) + bytes(3)
    path.write_bytes(header + block + struct.pack("<I", zlib.crc32(block)) + bytes(100))

    with pytest.raises(
        UnreadableFileError, match="its xz needs more than 134,217,728 bytes of memory"
    ):
        verify(path)


@every_compression
def test_the_size_of_a_long_file_is_estimated(
    path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The beginning shows the ratio of the sizes."""
    monkeypatch.setattr("cfpb_etl.fetch.csv_file._SAMPLE", 2**20)
    noise = os.urandom(1_500_000).hex().encode()
    path.write_bytes(COMPRESSIONS[name](noise))

    assert 0.5 < unzipped_size(path) / len(noise) < 2


@every_compression
def test_a_small_file_may_have_any_ratio(path: Path, name: str) -> None:
    """A few megabytes are harmless, also if all lines are the same."""
    path.write_bytes(COMPRESSIONS[name](b"0,0\n" * 2_000_000))

    verify(path)
