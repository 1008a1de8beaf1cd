"""Tests of the words that a person types: wrong commands, help, and what never imports Prefect."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cfpb_etl import __version__
from cfpb_etl.cli import main

if TYPE_CHECKING:
    from pathlib import Path

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
    (["--source", "nowhere"], "--source", '"api", "sample"'),
    (["--product", "A•B•C"], "--product 'A•B•C'", "Product•Sub-product"),
    (["--search", ""], "--search ''", "1 to 200 characters"),
    (["--company", "x" * 201], "--company", "1 to 200 characters"),
    (["--graph", "flow.pdf"], "--graph 'flow.pdf'", ".svg or .png"),
    (["--graph", "missing/flow.svg"], "--graph", "folder that does not exist"),
    (["--graph", "flow.svg", "--no-graph"], "--no-graph", "--graph"),
    (["--graph", "./x.svg", "--database", "x.svg"], "--graph", "same file as the database"),
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
    "program", [["-m", "cfpb_etl.flow"], ["-c", "from cfpb_etl.cli import main; main()"]]
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
