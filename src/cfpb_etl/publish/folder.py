"""The manifest of an exported folder: what the folder contains, and that this program wrote it."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING

import msgspec

from cfpb_etl.publish.errors import ForeignTargetError
from cfpb_etl.read.tables import tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cfpb_etl.read.selection import Selection

MANIFEST = "manifest.json"
_FORMAT = "cfpb-etl export 1"


class _Manifest(msgspec.Struct):
    """What a later export needs of a manifest."""

    format: str = ""
    files: dict[str, dict[str, int]] = {}


def write_manifest(
    folder: Path,
    selection: Selection,
    files: dict[str, dict[str, int]],
    origin: dict[str, str],
    notes: tuple[str, ...],
) -> None:
    """Describe a finished folder in its manifest.

    Args:
        folder: The folder.
        selection: What was exported.
        files: The number of rows of each file, by table and by path in the folder.
        origin: Where the rows come from.
        notes: What the reader must know.
    """
    manifest = {
        "format": _FORMAT,
        **origin,
        "filters": {name: value for name, value in asdict(selection.query).items() if value},
        "narratives": selection.narratives,
        "tables": {
            table: {
                "rows": sum(files[table].values()),
                "description": tables()[table].description,
                "columns": {each.name: each.description for each in selection.columns_of(table)},
            }
            for table in selection.tables
        },
        "files": {
            name: {"rows": rows, "bytes": (folder / name).stat().st_size}
            for table in files
            for name, rows in files[table].items()
        },
        "notes": notes,
    }
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (folder / MANIFEST).write_bytes(text + b"\n")


def refuse_foreign_folder(folder: Path) -> None:
    """Refuse a folder that is not an export, or that has anything else in it.

    Raises:
        ForeignTargetError: If a new export may not take the place of the folder.
        OSError: If the folder cannot be read.
    """
    if (detail := _what_is_foreign(folder)) is not None:
        raise ForeignTargetError(target=str(folder), detail=detail)


def _what_is_foreign(folder: Path) -> str | None:
    if not folder.is_dir():
        return "is not a folder" if folder.exists() else None
    found = dict(_found(folder))
    if found.get(MANIFEST) is None:
        first = next(iter(found), None)
        return first and f"has no {MANIFEST} of an export, but contains {first!r}"
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=_Manifest)
    except msgspec.DecodeError:
        manifest = _Manifest()
    if manifest.format != _FORMAT:
        return f"has a {MANIFEST} that this version of cfpb-etl has not written"
    del found[MANIFEST]
    own_folders = {str(each) for name in manifest.files for each in PurePosixPath(name).parents}
    for name, size in found.items():
        if name in own_folders and S_ISDIR((folder / name).lstat().st_mode):
            continue
        if name not in manifest.files:
            return f"contains {name!r}, which is not part of the export"
        if size != manifest.files[name].get("bytes"):
            return f"contains {name!r}, which has changed since the export"
    return None


def _found(folder: Path) -> Iterator[tuple[str, int | None]]:
    """Yield the path of everything in a folder: a file with its size, another thing with None.

    A folder that contains something is left out.
    """

    def stop(error: OSError) -> None:
        raise error

    for parent, folders, files in os.walk(folder, onerror=stop):
        here = Path(parent)
        for path in sorted(here / name for name in [*folders, *files]):
            stat = path.lstat()
            if S_ISREG(stat.st_mode):
                yield path.relative_to(folder).as_posix(), stat.st_size
            elif not S_ISDIR(stat.st_mode) or not any(path.iterdir()):
                yield path.relative_to(folder).as_posix(), None
