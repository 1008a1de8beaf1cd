"""The rows of a file, from a process of its own that reads it while they are stored.

One processor unzips and parses, the other inserts. A thread would not do: it and the one that
inserts took 16 s for a million rows that two processes store in 8, waiting for Python's lock.

The process writes frames to its standard output: a letter, four bytes of length, and the content.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

import msgspec
from pyroaring import BitMap64

from cfpb_etl.complaint import Complaint
from cfpb_etl.complaint_csv import ComplaintRows
from cfpb_etl.errors import CfpbEtlError, ReaderDiedError, TooManyRejectedError
from cfpb_etl.source import Content, Reading
from cfpb_etl.zipped_csv import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_REJECTED = 1 / 1000  # of a file's rows
_PIPE = 2**20  # bytes that may be on their way: some seven frames, so that nobody waits for one
_ROWS, _END, _ERROR = b"R", b"E", b"X"


def read_file(path: Path, _name: str) -> Content:
    """Check a file's header, and return its complaints as a stream that is read once.

    Raises:
        FileError: One of its subclasses, if it is no file of complaints; when it shows only while
            the complaints are handed out, then.
    """
    with opened(path) as (lines, _, _):
        header = ComplaintRows(lines, path).header
    reading = Reading()
    return Content(
        chain.from_iterable(_streamed(path, reading)),
        frozenset(header.places),
        header.unknown,
        reading,
    )


def _streamed(path: Path, reading: Reading) -> Iterator[list[Complaint]]:
    """Yield a file's complaints, some hundred at a time; `reading` is filled in meanwhile."""
    decode = msgspec.msgpack.Decoder(tuple[float, int, list[Complaint]]).decode
    with tempfile.TemporaryFile() as said, _reader(path, said) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            while (came := _next_frame(process.stdout))[0] == _ROWS:
                reading.share, reading.repeated, complaints = decode(came[1])
                yield complaints
            code = process.wait()  # after anything else it ends by itself
        finally:
            process.kill()  # where it has not ended, nobody wants the rest
        letter, frame = came
        if letter == _ERROR:
            raise pickle.loads(frame)  # noqa: S301 - our own process's
        if letter != _END:
            raise ReaderDiedError(path, code, _last_line(said))
        _fill(reading, frame)
        _refuse_where_too_many_are_rejected(path, reading)


def _reader(path: Path, said: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - this very module
        # -P: what lies in the folder that we are called in is nothing to import.
        [sys.executable, "-P", "-m", __name__, str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=said,
        bufsize=0,
        # Ctrl-C in the terminal is for this process, which ends that one in its own time.
        start_new_session=True,
    )


def _next_frame(pipe: IO[bytes]) -> tuple[bytes, bytearray]:
    """Return a frame's letter and content; no letter where the stream has ended."""
    head = _read(pipe, 5)
    if len(head) < 5:  # noqa: PLR2004 - a letter and a length
        return b"", head
    length = int.from_bytes(head[1:], "big")
    frame = _read(pipe, length)
    return (bytes(head[:1]) if len(frame) == length else b""), frame


def _read(pipe: IO[bytes], length: int) -> bytearray:
    """Read so many bytes, or what there is up to the end: a pipe hands out what it has."""
    content = bytearray(length)
    at = 0
    with memoryview(content) as view:
        while at < length and (count := pipe.readinto(view[at:])):  # type: ignore[attr-defined]
            at += count
    del content[at:]
    return content


def _fill(reading: Reading, frame: bytearray) -> None:
    counts, ids = msgspec.msgpack.decode(frame)
    for name, count in counts.items():
        setattr(reading, name, count)
    reading.ids = BitMap64.deserialize(ids)


def _refuse_where_too_many_are_rejected(path: Path, reading: Reading) -> None:
    rows = reading.rows + reading.rejected
    if reading.rejected > MOST_REJECTED * rows:
        raise TooManyRejectedError(path, reading.rejected, rows, tuple(reading.remarks))


def _last_line(said: IO[bytes]) -> str:
    said.seek(0)
    return (said.read().decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]


# --- the process ----------------------------------------------------------------------------


def _write_frames(path: Path, pipe: BinaryIO) -> None:
    def write(letter: bytes, content: bytes) -> None:
        pipe.write(letter + len(content).to_bytes(4, "big"))
        pipe.write(content)

    encode = msgspec.msgpack.Encoder().encode
    try:
        with opened(path) as (lines, file, size):
            rows = ComplaintRows(lines, path)
            for complaints in rows:
                progress = file.tell() / size, rows.reading.repeated
                write(_ROWS, encode((*progress, complaints)))
        counts = {name: value for name, value in vars(rows.reading).items() if name != "ids"}
        write(_END, encode((counts | {"share": 1.0}, rows.ids.serialize())))
    except CfpbEtlError as error:
        write(_ERROR, pickle.dumps(error))


if __name__ == "__main__":
    import gc

    gc.disable()  # it looked for cycles in every batch of rows, where there are none
    with suppress(ImportError, AttributeError, OSError):  # not every system can, or lets everybody
        import fcntl

        fcntl.fcntl(sys.stdout, fcntl.F_SETPIPE_SZ, _PIPE)
    with suppress(BrokenPipeError):
        _write_frames(Path(sys.argv[1]), sys.stdout.buffer)
        sys.stdout.flush()
