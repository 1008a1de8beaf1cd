"""A complaint file as a part of a load: a download, or a file on the disk."""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote, urlsplit
from zlib import crc32

from humanize import naturalsize

from cfpb_etl.fetch.csv_file import is_zip, unzipped_size, verify, zipped_on
from cfpb_etl.fetch.disk_space import ensure_space
from cfpb_etl.fetch.errors import DamagedDownloadError, UnreadableFileError
from cfpb_etl.fetch.http.download import discard, fetch_file
from cfpb_etl.model.dates import latest_plausible_day
from cfpb_etl.model.events import Progress, emit
from cfpb_etl.model.part import Age, CsvFile, FileVersion, PartInfo, RawPart, ReadOptions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cfpb_etl.model.part import Part

_UNZIPPED_RATIO = 16  # estimated ratio of a CSV to its zip, used until the zip is downloaded
_DOWNLOAD = "-download-"  # separates the database's name from the file's name
_MAX_NAME = 100  # characters of a download's name; file systems allow 255 bytes


def is_url(place: str) -> bool:
    """Say whether a file is given by an http or https URL, not by a path."""
    return place.lower().startswith(("http://", "https://"))


class FileSource:
    """A source of whole files, which are fetched one after the other."""

    part_noun: ClassVar[str] = "file"
    max_concurrency: ClassVar[int] = 1
    limit: ClassVar[int | None] = None
    is_update: ClassVar[bool] = False
    updates_load_id: ClassVar[int | None] = None

    def rate_limit_use(self) -> str:
        """Return "", because file servers have no rate limit."""
        return ""

    def split(self, raw: RawPart, in_flight: int) -> Sequence[Part]:  # noqa: ARG002
        """Return the parts that follow a fetched part."""
        return raw.next_parts


@dataclass(frozen=True)
class FilePart:
    """A file, which is read as a whole.

    Attributes:
        address: The file's path or URL.
        as_of: The day of the file's data, `YYYY-MM-DD`; None if the source does not show this day.
    """

    address: str
    as_of: str | None = None

    def __str__(self) -> str:
        return self.name

    @classmethod
    def at(cls, place: str) -> FilePart:
        """Return the file for a URL or a path. A path becomes absolute."""
        part = cls(place)
        return part if part.is_remote else cls(str(Path(place).absolute()))

    @property
    def name(self) -> str:
        """Return the file's name without its folder and without control characters."""
        path = unquote(urlsplit(self.address).path) if self.is_remote else self.address
        return "".join(each if each.isprintable() else "?" for each in Path(path).name)

    @property
    def is_remote(self) -> bool:
        """Say whether the file must be downloaded."""
        return is_url(self.address)

    @property
    def key(self) -> str:
        """Return the file's address, because each file is a window."""
        return self.address

    def to_json(self) -> str:
        """Return the file as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> FilePart:
        """Return the file from the JSON that `to_json` wrote."""
        return cls(**json.loads(text))

    def first(self) -> FilePart:
        """Return this file, because a file has no pages."""
        return self


def fetch_complaint_file(
    part: FilePart, database: Path, stored: FileVersion | None, info: Mapping[str, Any]
) -> RawPart:
    """Download a file into the database's folder, or check a file that is already on the disk.

    Args:
        part: The file.
        database: The SQLite file for the complaints.
        stored: The stored version of the file, which need not be downloaded again; None if no
            version is stored.
        info: More fields for `PartInfo`.

    Raises:
        ServerError: If the download fails; each subclass is one kind of failure.
        FileError: If the file cannot be used, or the disk is too full.
    """
    started = time.monotonic()
    info_of = partial(PartInfo, part=part, rows=None, matching=None, expected=None, **info)
    path, version, on_stored = Path(part.address), FileVersion(), None
    if part.is_remote:
        path = _download_path(part, database)
        downloaded = _download(part, path, database, stored)
        if downloaded is None:
            name, age = f"{part.name}, unchanged", age_of(part, stored)
            return RawPart(None, info_of(name=name, age=age, version=stored, is_unchanged=True))
        version, on_stored = downloaded, partial(discard, path)
    size = unzipped_size(path)
    ensure_space(database, size)
    age = age_of(part, version, path)
    as_of = f" as of {age.as_of}" if age else ""
    fetched = info_of(
        name=f"{part.name}, {naturalsize(size)} of complaints{as_of}",
        age=age,
        seconds=time.monotonic() - started,
        version=version,
    )
    options = ReadOptions(latest_plausible_day())
    content = CsvFile(path, None if fetched.fills_gaps_only else database, options)
    return RawPart(content, fetched, on_stored=on_stored)


def age_of(
    part: FilePart, version: FileVersion | None = None, path: Path | None = None
) -> Age | None:
    """Return how old a file's data are; None for a plain CSV, because only its rows show the age.

    The modification time of a plain CSV proves nothing, because the file may have been copied. A
    zip contains the time at which CFPB wrote the CSV. A day in the future counts as today.

    Args:
        part: The file.
        version: The file's version, as its server sent it; None for a file on the disk.
        path: The file's path on the disk; None if the path is not needed.
    """
    today = datetime.now(UTC).date().isoformat()
    if part.as_of is not None:
        return Age(part.as_of, "the archive's last month")
    if version is not None and version.day is not None:
        return Age(version.day, "Last-Modified")
    if path is None:
        return Age(today, "today")
    if not is_zip(path):
        return None
    day = zipped_on(path)
    return Age(today, "today") if day is None else Age(min(day, today), "date in the zip")


def downloads_beside(database: Path) -> list[Path]:
    """Return the downloaded files, also incomplete ones, whose complaints are not stored yet."""
    return [*database.parent.glob(f"{escape(database.name)}{_DOWNLOAD}*.json")]


def _download(
    part: FilePart, path: Path, database: Path, stored: FileVersion | None
) -> FileVersion | None:
    def verify_part(path: Path) -> None:
        try:
            verify(path)
        except UnreadableFileError as error:
            raise DamagedDownloadError(path=Path(part.name), detail=error.detail) from error

    return fetch_file(
        part.address,
        path,
        stored,
        ensure_space=partial(_ensure_space, database, part),
        verify=verify_part,
        on_progress=_emit_progress,
    )


def _download_path(part: FilePart, database: Path) -> Path:
    """Return the path for the download of a file.

    The path contains a checksum of the URL, because two URLs can end in the same name. The next
    file may be downloaded while the previous file is being stored.
    """
    name = re.sub(r"[^\w.-]", "_", part.name, flags=re.ASCII)[-_MAX_NAME:]
    address = f"{crc32(part.address.encode()):08x}"
    return database.with_name(f"{database.name}{_DOWNLOAD}{address}-{name}")


def _ensure_space(database: Path, part: FilePart, length: int, missing: int) -> None:
    """Raise an error if the disk is too full for a file of this length and its complaints."""
    is_plain = part.name.lower().endswith(".csv")
    ensure_space(database, length * (1 if is_plain else _UNZIPPED_RATIO), missing)


def _emit_progress(done: int, total: int | None) -> None:
    of_total = f" of {naturalsize(total)}" if total else ""
    share = done / total if total else None
    emit(Progress("Downloading", f"{naturalsize(done)}{of_total}", share))
