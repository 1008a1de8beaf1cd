"""An exported folder is replaced only if all that it contains is of the export."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from cfpb_etl import __version__
from cfpb_etl.publish.errors import ForeignTargetError
from cfpb_etl.publish.export import export_complaints
from support.exports import rows_in_target
from support.loads import load_file
from support.parts import JUNE, complaint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE = "complaint/year_received=2024/part-0.parquet"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small database and its export."""
    folder = tmp_path_factory.mktemp("exported")
    load_file(folder / "complaints.db", complaint(1, date_received="2024-01-01"), complaint(2))
    export_complaints(str(folder / "out"), database=folder / "complaints.db")
    return folder


@pytest.fixture
def target(exported: Path, tmp_path: Path) -> Path:
    """Return a copy of the exported folder, beside a copy of its database."""
    shutil.copytree(exported, tmp_path, dirs_exist_ok=True)
    return tmp_path / "out"


def test_the_files(target: Path) -> None:
    """There is a file for each year, for each other table, and a manifest."""
    files = {str(each.relative_to(target)) for each in target.rglob("*") if each.is_file()}
    assert files == {
        FILE,
        "complaint/year_received=__HIVE_DEFAULT_PARTITION__/part-0.parquet",
        "complaint_change/part-0.parquet",
        "load/part-0.parquet",
        "product_today/part-0.parquet",
        "manifest.json",
    }


def test_the_manifest(path: Path, target: Path) -> None:
    """It says where the rows come from, what was asked for, and what each file has."""
    stats = export_complaints(
        str(target),
        database=path,
        table=("complaint", "load"),
        narratives=False,
        since="2024-01-01",
    )
    manifest = json.loads((target / "manifest.json").read_text())

    assert manifest["source"].startswith("Consumer Financial Protection Bureau")
    assert (manifest["license"], manifest["as_of"], manifest["newest_load"]) == ("CC0", JUNE, "1")
    assert (manifest["made_up"], manifest["cfpb_etl_version"]) == ("false", __version__)
    assert (manifest["filters"], manifest["narratives"]) == ({"since": "2024-01-01"}, False)
    assert {name: table["rows"] for name, table in manifest["tables"].items()} == {
        "complaint": 1,
        "load": 1,
    }
    assert manifest["tables"]["load"]["columns"]["load_id"] == "number of the load"
    assert "complaint_what_happened" not in manifest["tables"]["complaint"]["columns"]
    assert manifest["files"][FILE] == {"rows": 1, "bytes": (target / FILE).stat().st_size}
    assert manifest["notes"] == [*stats.notes]
    assert stats.bytes == sum(each.stat().st_size for each in target.rglob("*") if each.is_file())


def test_the_next_export(path: Path, target: Path) -> None:
    """It replaces the folder, also one without some of its files, or with other tables."""
    (target / FILE).unlink()
    load_file(path, complaint(3, date_received="2025-01-01"))
    for tables in ((), ("load",), ("complaint",)):
        stats = export_complaints(str(target), database=path, table=tables)
        for table, count in stats.tables.items():
            assert len(rows_in_target(target, table)) == count


def state_of(folder: Path) -> dict[Path, tuple[int, ...]]:
    """Return what shows a change of anything in a folder."""
    stats = {each: each.lstat() for each in (folder, *folder.rglob("*"))}
    return {each: (s.st_ino, s.st_size, s.st_mtime_ns, s.st_mode) for each, s in stats.items()}


def replace_by_link(folder: Path) -> None:
    """Move a folder away, and leave a link to it."""
    folder.symlink_to(folder.rename(folder.parent.parent / "elsewhere"))


def foreign_manifest(text: str) -> Callable[[Path], object]:
    """Return a function that writes a manifest."""
    return lambda folder: (folder / "manifest.json").write_text(text)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda folder: (folder / "notes.txt").touch(), "contains 'notes.txt'"),
        (lambda folder: (folder / "complaint" / ".x").touch(), "contains 'complaint/.x'"),
        (lambda folder: (folder / "more").mkdir(), "contains 'more'"),
        (lambda folder: (folder / "link").symlink_to(folder), "contains 'link'"),
        (lambda folder: (folder / FILE).write_text("mine"), f"contains '{FILE}', which has chan"),
        (lambda folder: (folder / "manifest.json").unlink(), "has no manifest.json of an export"),
        (foreign_manifest(""), "has a manifest.json that this version"),
        (lambda folder: replace_by_link(folder / "load"), "contains 'load', which is not part"),
        (foreign_manifest("[]"), "has a manifest.json that this version"),
        (foreign_manifest('{"name": "My app"}'), "has a manifest.json that this version"),
        (foreign_manifest('{"format": "cfpb-etl export 2"}'), "has a manifest.json that this"),
        (foreign_manifest('{"format": "cfpb-etl export 1", "files": []}'), "has a manifest.json"),
        (foreign_manifest('{"format": "cfpb-etl export 1"}'), "which is not part of the export"),
    ],
)
def test_a_folder_with_anything_else(
    path: Path, target: Path, change: Callable[[Path], object], named: str
) -> None:
    """It is refused, the first foreign thing is named, and nothing is changed."""
    change(target)
    before = state_of(target)

    with pytest.raises(ForeignTargetError) as raised:
        export_complaints(str(target), database=path)

    assert named in str(raised.value)
    assert state_of(target) == before


def test_a_link_in_place_of_a_file(path: Path, target: Path) -> None:
    """It is refused, also if what it leads to has the same size."""
    elsewhere = (target / FILE).rename(target.parent / "elsewhere")
    (target / FILE).symlink_to(elsewhere)

    with pytest.raises(ForeignTargetError, match="has changed since the export"):
        export_complaints(str(target), database=path)


def test_a_folder_of_somebody(path: Path, tmp_path: Path) -> None:
    """The folder that contains the database is refused; an empty one is used."""
    load_file(path, complaint(1))
    with pytest.raises(ForeignTargetError, match=r"but contains 'complaints\.db'"):
        export_complaints(str(tmp_path), database=path)

    (tmp_path / "empty").mkdir()
    export_complaints(str(tmp_path / "empty"), database=path)
    assert len(rows_in_target(tmp_path / "empty")) == 1


def test_a_file_of_somebody(path: Path, tmp_path: Path) -> None:
    """A file in the place of the folder is refused."""
    load_file(path, complaint(1))
    (tmp_path / "out").write_text("mine")

    with pytest.raises(ForeignTargetError, match="is not a folder"):
        export_complaints(str(tmp_path / "out"), database=path)
