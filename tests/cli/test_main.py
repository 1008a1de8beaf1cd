"""Tests of the words that a person types: wrong commands, help, and what never imports Prefect."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cfpb_etl import __version__
from cfpb_etl.cli.main import main
from cfpb_etl.errors import ExitCode
from cfpb_etl.fetch.archive import ARCHIVE_URL, Archive
from cfpb_etl.fetch.bulk_file import BULK_URL, BulkFile
from cfpb_etl.fetch.search_api import SearchApi
from cfpb_etl.model.query import Query

WRONG_COMMANDS = [
    (["--state", "ZZ"], "--state 'ZZ'", "CA CO CT"),
    (["--state", "CA", "TX"], "'TX'", "repeated for each value"),
    (["--no-grap"], "--no-grap", "Did you mean --no-graph? See"),
    (["--since", "2026-13-01"], "--since '2026-13-01'", "YYYY-MM-DD"),
    (["--until", "2026-W40-1"], "--until '2026-W40-1'", "YYYY-MM-DD"),
    (["--since", "2026-10-02", "--until", "2026-10-01"], "--since", "after --until 2026-10-01"),
    (["--limit", "-1"], "--limit -1", "from 1"),
    (["--limit", "0"], "--limit 0", "from 1"),
    (["--limit", "many"], "--limit", "int"),
    (["--database", "missing/x.db"], "--database 'missing/x.db'", "folder that does not exist"),
    (["--database", "."], "--database '.'", "is a folder"),
    (["--database", "x" * 300], "--database 'xxx", "not the path of a file"),
    (["--database", "\udcff.db"], "--database", "not the path of a file"),
    (["--api-url", "ftp://example.org/"], "--api-url", "https:// or http://"),
    (["--api-url", "http://"], "--api-url", "https:// or http://"),
    (["--api-url", "http://[::1/"], "--api-url", "https:// or http://"),
    (["--source", "sample", "--api-url", "http://127.0.0.1/"], "--api-url", "--source sample"),
    (["--source", "nowhere"], "--source", '"api", "bulk", "archive", "sample"'),
    (["--product", "A•B•C"], "--product 'A•B•C'", "Product•Sub-product"),
    (["--search", ""], "--search ''", "1 to 200 characters"),
    (["--company", "x" * 201], "--company", "1 to 200 characters"),
    (["--graph", "flow.pdf"], "--graph 'flow.pdf'", ".svg or .png"),
    (["--graph", "missing/flow.svg"], "--graph", "folder that does not exist"),
    (["--graph", "flow.svg", "--no-graph"], "--no-graph", "--graph"),
    (["--graph", "./x.svg", "--database", "x.svg"], "--graph", "same file as the database"),
    (["--update"], "--update", "a database, and complaints.db does not exist"),
    (["--update", "--source", "sample"], "--update", "sample.db does not exist"),
    (["--update", "--database", "x.db"], "--update", "x.db does not exist"),
    (["--update", "--state", "CA"], "--update", "no filter, date or --limit"),
    (["--update", "--since", "2026-10-01"], "--update", "no filter, date or --limit"),
    (["--update", "--limit", "5"], "--update", "no filter, date or --limit"),
    (["--lookback", "30"], "--lookback", "with --update only"),
    (["--lookback", "30", "--since", "2026-10-01"], "--lookback", "with --update only"),
    (["--update", "--lookback", "many"], "--lookback", "int"),
    (["--restart"], "--restart", "read anew"),
    (["--restart", "--state", "CA", "--limit", "5"], "--restart", "read anew"),
    (["--source", "bulk", "--limit", "5"], "--limit", "--source bulk, which brings all"),
    (["--source", "bulk", "--limit", "0"], "--limit", "--source bulk"),
    (["--source", "archive", "--limit", "5"], "--limit", "--source archive, which brings all"),
    (["--source", "bulk", "--update"], "--update", "--source bulk"),
    (["--source", "archive", "--update"], "--update", "--source archive"),
    (["--source", "bulk", "--lookback", "5"], "--lookback", "--source bulk"),
    (["--source", "bulk", "--since", "2026-10-01"], "--since", "--source bulk"),
    (["--source", "archive", "--until", "2026-10-01"], "--until", "--source archive"),
    (["--source", "bulk", "--state", "CA"], "--state", "--source bulk"),
    (["--source", "archive", "--product", "Mortgage"], "--product", "--source archive"),
    (["--source", "bulk", "--issue", "Fees"], "--issue", "--source bulk"),
    (["--source", "archive", "--company", "ACME"], "--company", "--source archive"),
    (["--source", "bulk", "--search", "fee"], "--search", "--source bulk"),
    (["--source", "bulk", "--api-url", "http://127.0.0.1/"], "--api-url", "--source bulk"),
    (["--source", "archive", "--allow-withdrawals"], "--allow-withdrawals", "--source bulk only"),
    (["--allow-withdrawals"], "--allow-withdrawals", "--source bulk only"),
    (["--file", "http://127.0.0.1/x.zip"], "--file", "--source bulk or archive"),
    (["--source", "sample", "--file", "x.zip"], "--file", "--source bulk or archive"),
    (["--source", "bulk", "--file", "x.zip"], "--file 'x.zip'", "does not exist"),
    (["--source", "archive", "--file", "x.zip"], "--file 'x.zip'", "does not exist"),
    (["--source", "bulk", "--file", "missing/x.zip"], "--file", "folder that does not exist"),
    (["--source", "bulk", "--file", "."], "--file '.'", "is a folder"),
    (["--source", "bulk", "--file", ""], "--file '.'", "is a folder"),
    (["--source", "bulk", "--file", "x" * 300], "--file 'xxx", "not the path of a file"),
    (["--source", "bulk", "--file", "ftp://127.0.0.1/x.zip"], "--file", "https:// or http://"),
    (["--source", "bulk", "--file", "file:///x.zip"], "--file", "https:// or http://"),
    (["--source", "archive", "--file", "http://"], "--file", "https:// or http://"),
    (["--source", "archive", "--file", "http://[::1/x.zip"], "--file", "https:// or http://"),
    (["--source", "bulk", "--file", "http://me:it@127.0.0.1/"], "--file", "without a password"),
    (["--source", "bulk", *2 * ["--file", "http://127.0.0.1/x.zip"]], "--file", "given once"),
    (["--source", "bulk", "--file", "x.zip", "y.zip"], "'y.zip'", "repeated for each value"),
    (
        ["--source", "archive", *("--file", "http://a.org/x.zip", "--file", "http://a.org/page/")],
        "--file 'http://a.org/page/'",
        "is a page; give it alone",
    ),
    (["--no-such-option"], "--no-such-option", "--help"),
    (["graph", "flow.jpg"], "PICTURE 'flow.jpg'", ".svg or .png"),
]


@pytest.mark.parametrize(
    ("arguments", "named", "allowed"),
    WRONG_COMMANDS,
    ids=[" ".join(c[0])[:40] for c in WRONG_COMMANDS],
)
def test_a_wrong_command_is_one_clear_line(
    arguments: list[str],
    named: str,
    allowed: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A wrong command says which option and what is allowed, exits 2 and makes nothing."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit) as end:
        main(arguments)

    out, err = capsys.readouterr()
    assert end.value.code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert named in err
    assert allowed in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("days", ["0", "-1", "36501"])
def test_a_lookback_is_a_number_of_days(
    days: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An update looks back at least a day and at most a century; the database is not touched."""
    path.touch()

    with pytest.raises(SystemExit, match="2"):
        main(["--update", "--lookback", days, "--database", str(path), "--no-graph"])

    assert f"--lookback {days} is not valid; give a number of days from 1 to 36,500" in (
        capsys.readouterr().err
    )
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ([], {"limit": 1_000}),
        (["--limit", "5"], {"limit": 5}),
        (["--since", "2026-10-01"], {"query": Query(since="2026-10-01")}),
        (["--state", "ca", "--limit", "5"], {"query": Query(state=("CA",)), "limit": 5}),
        (["--search", "fee", "--restart"], {"query": Query(search="fee")}),
        (["--update"], {"lookback": 60}),
        (["--update", "--restart"], {"lookback": 60}),
        (["--update", "--lookback", "7"], {"lookback": 7}),
        (["--source", "sample"], {"limit": 1_000, "kind": "sample", "rate_limit": None}),
        (
            ["--update", "--source", "sample"],
            {"lookback": 60, "kind": "sample", "rate_limit": None},
        ),
    ],
    ids=lambda case: " ".join(case) or "nothing" if isinstance(case, list) else "",
)
def test_words_become_what_is_asked(
    arguments: list[str], asked: dict[str, Any], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not typed has its default: the newest 1,000, all of a filter, 60 days of an update.

    Only the run itself is left out here; test_end_to_end.py has it.
    """
    path.touch()
    runs: list[tuple[Any, ...]] = []

    def run(*started: Any, **how: Any) -> ExitCode:
        runs.append((*started, how))
        return ExitCode.DONE

    monkeypatch.setattr("cfpb_etl.cli.run.run", run)
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    monkeypatch.delenv("CFPB_ETL_API_URL", raising=False)

    with pytest.raises(SystemExit, match="0"):
        main([*arguments, "--database", str(path), "--no-graph"])

    how = {"restart": "--restart" in arguments, "notify": None, "verbose": False}
    assert runs == [(SearchApi(**asked), path, None, how)]


def runs_of(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> list[SearchApi | BulkFile | Archive]:
    """Return which sources these words would run."""
    sources: list[SearchApi | BulkFile | Archive] = []

    def run(source: SearchApi | BulkFile | Archive, *_: Any, **__: Any) -> ExitCode:
        sources.append(source)
        return ExitCode.DONE

    monkeypatch.setattr("cfpb_etl.cli.run.run", run)
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    with pytest.raises(SystemExit, match="0"):
        main([*arguments, "--no-graph"])
    return sources


DATABASE = Path("complaints.db")
A_ZIP, A_PAGE = "https://cfpb.example/x.ZIP?y=1", "HTTPS://cfpb.example/archive/"
FILES: list[tuple[list[str], BulkFile | Archive]] = [
    (["--source", "bulk"], BulkFile(BULK_URL, DATABASE)),
    (["--source", "bulk", "--restart"], BulkFile(BULK_URL, DATABASE)),
    (["--source", "bulk", "--database", "y.db"], BulkFile(BULK_URL, Path("y.db"))),
    (
        ["--source", "bulk", "--allow-withdrawals"],
        BulkFile(BULK_URL, DATABASE, allow_withdrawals=True),
    ),
    (["--source", "bulk", "--file", A_ZIP], BulkFile(A_ZIP, DATABASE)),
    (["--source", "bulk", "--file", A_PAGE], BulkFile(A_PAGE, DATABASE)),
    (["--source", "bulk", "--file", "here.csv"], BulkFile("here.csv", DATABASE)),
    (["--source", "archive"], Archive((), DATABASE, ARCHIVE_URL)),
    (["--source", "archive", "--file", A_PAGE], Archive((), DATABASE, A_PAGE)),
    (["--source", "archive", "--file", A_ZIP], Archive((A_ZIP,), DATABASE)),
    (
        ["--source", "archive", "--file", "here.csv", "--file", A_ZIP],
        Archive(("here.csv", A_ZIP), DATABASE),
    ),
]


@pytest.mark.parametrize(
    ("arguments", "asked"), FILES, ids=[" ".join(arguments) for arguments, _ in FILES]
)
def test_words_become_files(
    arguments: list[str],
    asked: BulkFile | Archive,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CFPB's own unless told; for the archive, an address that is no file is that of its page."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CFPB_ETL_API_URL", "http://127.0.0.1/")  # is not for files
    Path("here.csv").touch()

    assert runs_of(arguments, monkeypatch) == [asked]


@pytest.mark.parametrize("source", ["bulk", "archive"])
@pytest.mark.parametrize("file", ["complaints.db", "./complaints.db", "link.db"])
def test_the_database_is_no_file_to_load(
    source: str,
    file: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By whatever path it is named."""
    monkeypatch.chdir(tmp_path)
    DATABASE.touch()
    Path("link.db").symlink_to(DATABASE)

    with pytest.raises(SystemExit, match="2"):
        main(["--source", source, "--file", file])

    assert "--file is the same file as the database" in capsys.readouterr().err
    assert DATABASE.read_bytes() == b""


def test_the_address_may_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """CFPB_ETL_API_URL stands for --api-url, and is held to the same."""
    monkeypatch.setenv("CFPB_ETL_API_URL", "gopher://example.org/")

    with pytest.raises(SystemExit, match="2"):
        main([])

    assert "gopher://example.org/" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", ["--help", "--version", "--state=ZZ"])
@pytest.mark.parametrize(
    "program", [["-m", "cfpb_etl.flow"], ["-c", "from cfpb_etl.cli.main import main; main()"]]
)
def test_help_version_and_wrong_commands_do_not_import_prefect(
    arguments: str, program: list[str]
) -> None:
    """What needs no Prefect does not wait for its import."""
    traced = subprocess.run(
        [sys.executable, "-X", "importtime", *program, arguments],
        capture_output=True,
        text=True,
        check=False,
    )

    assert traced.returncode == (2 if "ZZ" in arguments else 0)
    assert "cyclopts" in traced.stderr
    assert "prefect" not in traced.stderr.replace("prefect_server", "")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """--version is the package's."""
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])

    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["stauts"], "'stauts' is no command. Did you mean status? See cfpb-etl --help."),
        (["nonsense"], "'nonsense' belongs to no option"),
        (["--limit", "5", "graph"], "'graph' belongs to no option"),
        (["status", "x"], "'x' belongs to no option"),
        (["status", "x"], "See cfpb-etl status --help."),
        (["status"], "load something into it first, or give --database sample.db."),
        (["report"], "'complaints.db' does not exist"),
        (["report", "x.pdf", "--database", "sample.db"], "PAGE 'x.pdf' must end in .html"),
        (["browse"], "'complaints.db' does not exist"),
        (["status", "--database", "."], "'.' is a folder"),
        (["status", "--database", "/dev/null"], "'/dev/null' is not a file"),
    ],
)
def test_help_where_it_is_needed(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A wrong command leads to the right one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sample.db").touch()

    with pytest.raises(SystemExit, match="2"):
        main(arguments)

    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("out", "code", "said"),
    [("| true", 0, ""), ("> /dev/full", 1, "failed: What it says could not be written: No space")],
)
def test_nobody_reads_what_it_prints(tmp_path: Path, out: str, code: int, said: str) -> None:
    """That a pipe is closed is no failure, that a disk is full is one; neither has a traceback."""
    command = f"{sys.executable} -m cfpb_etl.flow graph {tmp_path / 'flow.svg'} {out}"
    done = subprocess.run(
        ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == code
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == bool(said)


def test_graph_draws_without_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`graph` draws the three tasks, runs nothing, and says where the picture is."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit, match="0"):
        main(["graph"])

    assert capsys.readouterr().out == "complaints-flow.svg\n"
    picture = (tmp_path / "complaints-flow.svg").read_text("utf-8")
    for name in ("get_complaint_data", "parse_complaint_data", "store_complaints"):
        assert f">{name}<" in picture
    assert [path.name for path in tmp_path.iterdir()] == ["complaints-flow.svg"]


def test_a_picture_that_cannot_be_drawn_fails_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`graph` has nothing else to do, so here a picture that fails is a failure."""
    monkeypatch.setattr("sysconfig.get_path", lambda _name: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SystemExit, match="1"):
        main(["graph", str(tmp_path / "flow.png")])

    assert capsys.readouterr().err.startswith("failed: ")
