"""A file of complaints as a part to load: brought here, its room and its age looked after."""

from __future__ import annotations

import json
import logging
import re
import shutil
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from zlib import crc32

from cfpb_etl.fetch.csv_file import is_zip, opened, unzipped_size, verify, zipped_on
from cfpb_etl.fetch.errors import DamagedDownloadError, NotEnoughSpaceError, UnreadableFileError
from cfpb_etl.fetch.http.download import discard, fetch_file
from cfpb_etl.model.complaint import Complaint
from cfpb_etl.model.part import FileVersion, ParsedContent, PartInfo, RawPart, ReadStats
from cfpb_etl.parse.csv_process import read_file
from cfpb_etl.parse.csv_rows import newest_day

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMES_LARGER = 16  # than its zip is the CSV, until the zip is here and tells
_DOWNLOAD = "-download-"  # between the names of the database and of the file
_LONGEST_NAME = 100  # characters of a download's name; a file system's own limit is 255 bytes
_GIGABYTE = 10**9

log = logging.getLogger(__name__)


def is_address(place: str) -> bool:
    """Say whether a file is at an http address, rather than at a path."""
    return place.lower().startswith(("http://", "https://"))


@dataclass(frozen=True)
class FilePart:
    """A file to read, whole.

    Attributes:
        address: Where it is: a path, or an http address.
        as_of: The day of its data, `YYYY-MM-DD`, where its source knows; None if it tells itself.
    """

    address: str
    as_of: str | None = None

    def __str__(self) -> str:
        return self.name

    @classmethod
    def at(cls, place: str) -> FilePart:
        """Return the file at an address or a path, which is made absolute for the record."""
        part = cls(place)
        return part if part.is_remote else cls(str(Path(place).absolute()))

    @property
    def name(self) -> str:
        """Return the file's own name, fit to be shown."""
        path = unquote(urlsplit(self.address).path) if self.is_remote else self.address
        return "".join(each if each.isprintable() else "?" for each in Path(path).name)

    @property
    def is_remote(self) -> bool:
        """Say whether it has to be downloaded."""
        return is_address(self.address)

    @property
    def key(self) -> str:
        """Return what its progress is known by."""
        return self.address

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, progress: str) -> FilePart:
        """Return the file that `to_json` told of."""
        return cls(**json.loads(progress))

    def first(self) -> FilePart:
        """Return this: a file has no pages."""
        return self


def read_nothing(_content: object, _name: str) -> ParsedContent:
    """Return no complaints: of a part that brings none."""
    return ParsedContent([], Complaint._fields, frozenset(), ReadStats())


def fetch_complaint_file(
    part: FilePart, database: Path, known: FileVersion | None, info: Mapping[str, Any]
) -> RawPart:
    """Bring a file here, beside the database, or find it where it is.

    Args:
        part: The file.
        database: The SQLite file that its complaints are for.
        known: The version of it that the database holds, and that is not wanted again.
        info: What its source knows of it, by the names of `PartInfo`.

    Raises:
        ServerError: One of its subclasses, for every way in which a download can fail.
        FileError: One of its subclasses, if the file cannot be used or there is no room for it.
    """
    began = time.monotonic()
    if part.is_remote:
        path = _download_of(part, database)
        came = fetch_file(
            part.address,
            path,
            known,
            ensure_room=partial(_ensure_room, database, part),
            verify=partial(_verify, part),
            tell=_tell,
        )
        if came is None:
            return _known(part, known, info)
        version, stored = came.version, partial(discard, path)
    else:
        path, version, stored = Path(part.address), FileVersion(), None
    size = unzipped_size(path)
    _ensure_room_for(database, 0, size)
    as_of = part.as_of or version.day or _day_of(path)
    name = f"{part.name}, {_bytes(size)} of complaints as of {as_of}"
    every = PartInfo(
        part=part,
        name=name,
        rows=None,
        matching=None,
        expected=None,
        as_of=as_of,
        seconds=time.monotonic() - began,
        version=version,
        **info,
    )
    read = read_file if every.fills_gaps_only else partial(read_file, database=database)
    return RawPart(path, read, every, stored=stored)


def downloads_beside(database: Path) -> list[Path]:
    """Return the files that lie beside a database, whole or in part, and are not stored yet."""
    return [*database.parent.glob(f"{escape(database.name)}{_DOWNLOAD}*.json")]


def _verify(part: FilePart, path: Path) -> None:
    try:
        verify(path)
    except UnreadableFileError as error:
        raise DamagedDownloadError(Path(part.name), error.detail) from error


def _known(part: FilePart, known: FileVersion | None, info: Mapping[str, Any]) -> RawPart:
    as_of = part.as_of or (known and known.day) or _today()
    name = f"{part.name}, unchanged"
    every = PartInfo(part, name, None, None, None, as_of, version=known, is_known=True, **info)
    return RawPart(None, read_nothing, every)


def _download_of(part: FilePart, database: Path) -> Path:
    """Return where a file is downloaded to, for files of one name another place for each address.

    While one is stored, the next one comes.
    """
    name = re.sub(r"[^\w.-]", "_", part.name, flags=re.ASCII)[-_LONGEST_NAME:]
    address = f"{crc32(part.address.encode()):08x}"
    return database.with_name(f"{database.name}{_DOWNLOAD}{address}-{name}")


def _ensure_room(database: Path, part: FilePart, length: int, to_come: int) -> None:
    """Raise an error if the disk cannot hold a file of this length, and what it will add."""
    is_plain = part.name.lower().endswith(".csv")
    _ensure_room_for(database, to_come, length * (1 if is_plain else _TIMES_LARGER))


def _ensure_room_for(database: Path, to_come: int, unzipped: int) -> None:
    """Raise an error if the disk cannot hold what is to come of a file, and what it adds.

    The database grows to about the size of the CSV, and its log, which holds a load until it is
    whole, by as much again.
    """
    has = database.stat().st_size if database.exists() else 0
    needed = to_come + 2 * max(0, unzipped - has)
    free = shutil.disk_usage(database.absolute().parent).free
    if needed > free:
        raise NotEnoughSpaceError(database, needed, free)


def _day_of(path: Path) -> str:
    """Return the day of a local file's data, as far as it tells; never one to come.

    A zip remembers when CFPB wrote what is in it. A plain file may have been copied since, so that
    the newest complaint in it is the better witness.
    """
    if is_zip(path):
        day = zipped_on(path)
    else:
        with opened(path) as (lines, _, _):
            day = newest_day(lines, path)
    return min(day or _today(), _today())


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _tell(done: int, total: int | None) -> None:
    of_all = f" of {_bytes(total)}" if total else ""
    log.info(
        "Downloading", extra={"so_far": f"{_bytes(done)}{of_all}", "share": total and done / total}
    )


def _bytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count < _GIGABYTE else f"{count / 1e9:,.2f} GB"
