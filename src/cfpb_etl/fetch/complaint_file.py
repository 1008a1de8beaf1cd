"""A complaint file as a part of a load: a download, or a file on the disk."""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import unquote, urlsplit
from zlib import crc32

from humanize import naturalsize

from cfpb_etl.fetch.csv_file import unzipped_size, verify
from cfpb_etl.fetch.disk_space import ensure_space
from cfpb_etl.fetch.errors import (
    CutFileError,
    DamagedDownloadError,
    NotACsvError,
    UnreadableFileError,
)
from cfpb_etl.fetch.http.addresses import is_named, is_url, reference_to
from cfpb_etl.fetch.http.download import discard, fetch_file
from cfpb_etl.fetch.unpack.containers import written_on
from cfpb_etl.model.age import Evidence
from cfpb_etl.model.dates import latest_plausible_day
from cfpb_etl.model.events import Progress, emit
from cfpb_etl.model.file import CsvFile, DateOrder, FileVersion, ReadOptions
from cfpb_etl.model.part import PartInfo, RawPart
from cfpb_etl.plain_text import shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cfpb_etl.model.part import Part
    from cfpb_etl.model.source import Watermark

_UNZIPPED_RATIO = 16  # estimated ratio of a CSV to its zip, used until the zip is downloaded
# CFPB's name for an export. A browser adds a number to the name of a second export.
_EXPORT_NAME = re.compile(r"complaints-(\d{4}-\d\d-\d\d)_\d\d_\d\d\b", re.ASCII)
_DOWNLOAD = "-download-"  # separates the database's name from the file's name
_MAX_NAME = 100  # characters of a file's name; file systems allow 255 bytes


@dataclass(frozen=True, kw_only=True)
class FileSource:
    """A source of whole files, which are fetched one after the other.

    Attributes:
        as_of: The day of the files' data, `YYYY-MM-DD`; None to decide by the complaints and by the
            dates of the files.
        date_order: The order of day and month in the files' dates; None to decide by the dates.
        allow_rejected: How many rows may be invalid, as in `ReadOptions`.
        last_ended: The day on which the last load into the database ended; None if none has ended.
        stored_until: The latest day that the data of the stored loads can have; None if nothing is
            stored.
    """

    as_of: str | None = None
    date_order: DateOrder | None = None
    allow_rejected: float | None = None
    last_ended: str | None = None
    stored_until: str | None = None

    part_noun: ClassVar[str] = "file"
    max_concurrency: ClassVar[int] = 1
    limit: ClassVar[int | None] = None
    is_update: ClassVar[bool] = False
    updates_load_id: ClassVar[int | None] = None

    def parts(self) -> Sequence[Part]:
        """Return the files; a subclass has some."""
        return ()

    def rate_limit_use(self) -> str:
        """Return "", because file servers have no rate limit."""
        return ""

    def for_other_processes(self, counted_at: str) -> None:
        """Return None: another process may be on a computer without the database's folder."""

    def split(self, raw: RawPart, in_flight: int) -> Sequence[Part]:  # noqa: ARG002
        """Return the parts that follow a fetched part."""
        return raw.next_parts

    def resumed(self, watermark: Watermark, **fields: Any) -> Self:  # noqa: ANN401 - a subclass's own
        """Return this source with these fields and with what the database has."""
        return replace(
            self,
            last_ended=watermark.last_ended,
            stored_until=watermark.stored_until,
            **fields,
        )


@dataclass(frozen=True)
class FilePart:
    """A file, which is read as a whole.

    Attributes:
        address: The file's path or URL. A URL with a query is a reference, as `keep` returns it.
        as_of: The last day of the archive, `YYYY-MM-DD`; None if the file is not from the archive,
            or if it is not known which files the archive has.
        archived_by: The day by which the archive was complete; None if the file is not from the
            archive.
    """

    address: str
    as_of: str | None = None
    archived_by: str | None = None

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
        if is_named(self.address):
            return self.address
        path = unquote(urlsplit(self.address).path) if self.is_remote else self.address
        name = shortened(Path(path).name, _MAX_NAME)
        return "".join(each if each.isprintable() else "?" for each in name)

    @property
    def is_remote(self) -> bool:
        """Say whether the file must be downloaded."""
        return is_url(self.address) or is_named(self.address)

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
    source: FileSource,
    part: FilePart,
    database: Path,
    stored: FileVersion | None,
    info: Mapping[str, Any],
) -> RawPart:
    """Download a file into the database's folder, or check a file that is already on the disk.

    Args:
        source: The source of the file.
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
    info_of = partial(
        PartInfo, part=part, rows=None, matching=None, expected=None, age=None, **info
    )
    path, version, on_stored = Path(part.address), FileVersion(), None
    # Only the first file of a load can be stored without a log.
    is_first = source.stored_until is None and part in source.parts()[:1]
    if part.is_remote:
        path = _download_path(part, database)
        # If the user says now how old the file is, a stored version must be read again.
        known = stored if source.as_of is None else None
        if known is not None and is_named(part.address):
            # The address behind env:NAME may have changed, and then its old time shows nothing.
            known = FileVersion(known.etag) if known.etag else None
        downloaded = _download(part, path, database, known, is_first=is_first)
        if downloaded is None:
            return RawPart(
                None, info_of(name=f"{part.name}, unchanged", version=stored, is_unchanged=True)
            )
        version, on_stored = downloaded, partial(discard, path)
    size = unzipped_size(path)
    ensure_space(database, size, is_first=is_first)
    evidence = evidence_of(part, version, path, source.as_of)
    fetched = info_of(
        name=f"{part.name}, {naturalsize(size)} of complaints",
        evidence=evidence,
        today=latest_plausible_day(source.last_ended, version.server_day),
        origin="download" if part.is_remote else "file",
        seconds=time.monotonic() - started,
        version=version,
    )
    options = ReadOptions(fetched.today, source.date_order, source.allow_rejected)
    # The stored data do not matter if the age of the file is known before it is read.
    stored_until = source.stored_until if evidence.stated is None else None
    content = CsvFile(path, None if fetched.fills_gaps_only else database, options, stored_until)
    return RawPart(content, fetched, on_stored=on_stored)


def evidence_of(
    part: FilePart, version: FileVersion, path: Path, as_of: str | None = None
) -> Evidence:
    """Return what shows the age of a file, apart from its complaints.

    Args:
        part: The file.
        version: The file's version, as its server sent it; empty for a file on the disk.
        path: The file's path on the disk.
        as_of: The day of the data by `--as-of`; None if the user gave no day.
    """
    changed = datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
    exported = _EXPORT_NAME.match(part.name)
    words, packed = written_on(path) or ("", None)
    bounds = (
        (version.day, "Last-Modified"),
        (packed, words),
        (None if part.is_remote else changed, "time of the file"),
        (part.archived_by, "end of the archive"),
    )
    return Evidence(
        as_of=as_of,
        archived_until=part.as_of,
        not_after=tuple((day, words) for day, words in bounds if day is not None),
        exported_on=exported and exported[1],
    )


def downloads_beside(database: Path) -> list[Path]:
    """Return the downloaded files, also incomplete ones, whose complaints are not stored yet."""
    return [*database.parent.glob(f"{escape(database.name)}{_DOWNLOAD}*.json")]


def _download(
    part: FilePart, path: Path, database: Path, stored: FileVersion | None, *, is_first: bool
) -> FileVersion | None:
    def verify_part(path: Path) -> None:
        try:
            verify(path)
        except NotACsvError as error:
            raise NotACsvError(Path(part.name), error.detail, error.advice) from error
        except UnreadableFileError as error:
            is_cut = isinstance(error, CutFileError)
            raise DamagedDownloadError(
                path=Path(part.name), detail=error.detail, is_cut=is_cut
            ) from error

    address = reference_to(part.address)
    return fetch_file(
        address,
        path,
        stored,
        ensure_space=partial(_ensure_space, database, address, is_first=is_first),
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


def _ensure_space(
    database: Path, address: str, length: int, missing: int, *, is_first: bool = False
) -> None:
    """Raise an error if the disk is too full for a file of this length and its complaints."""
    is_plain = urlsplit(address).path.lower().endswith(".csv")
    csv = length * (1 if is_plain else _UNZIPPED_RATIO)
    ensure_space(database, csv, missing, is_first=is_first)


def _emit_progress(done: int, total: int | None) -> None:
    of_total = f" of {naturalsize(total)}" if total else ""
    share = done / total if total else None
    emit(Progress("Downloading", f"{naturalsize(done)}{of_total}", share, done, "bytes"))
