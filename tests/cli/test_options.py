"""The options of a load: what they become, and which are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydantic  # noqa: F401 - cyclopts then checks the values of all these tests with it
import pytest

from cfpb_etl.cli.main import main
from cfpb_etl.errors import ExitCode
from cfpb_etl.fetch.archive import ARCHIVE_URL, Archive
from cfpb_etl.fetch.bulk_file import BULK_URL, BulkFile
from cfpb_etl.fetch.http.addresses import keep
from cfpb_etl.fetch.search_api import SearchApi
from cfpb_etl.model.query import Query
from support.program import run_program

if TYPE_CHECKING:
    from cfpb_etl.fetch.sources import AnySource
    from cfpb_etl.parameters.load_parameters import LoadParameters

SAMPLE, BULK, ARCHIVE = ["--source", "sample"], ["--source", "bulk"], ["--source", "archive"]
NOT_BULK, NOT_ARCHIVE = "--source api or sample, not bulk", "--source api or sample, not archive"
A_URL = "http://127.0.0.1/x.zip"

WRONG_COMMANDS = [
    (["--state", "ZZ"], "--state 'ZZ'", "CA CO CT"),
    (["--state", "CA", "TX"], "Unexpected 'TX'.", "repeat the option"),
    (["--no-grap"], "--no-grap", "Did you mean --no-graph? See"),
    (["--since", "2026-13-01"], "--since '2026-13-01'", "YYYY-MM-DD"),
    (["--until", "2026-W40-1"], "--until '2026-W40-1'", "YYYY-MM-DD"),
    (["--since", "2026-10-02", "--until", "2026-10-01"], "--since", "after --until 2026-10-01"),
    (["--limit", "-1"], "--limit -1", "from 1"),
    (["--limit", "0"], "--limit 0", "from 1"),
    (["--limit", "many"], "--limit", "into int"),
    (["--limit"], "--limit", "requires an argument"),
    (["--database", "missing/x.db"], "--database 'missing/x.db'", "folder that does not exist"),
    (["--database", "."], "--database '.'", "is a folder"),
    (["--database", "x" * 300], "--database 'xxx", "not the path of a file"),
    (["--database", "\udcff.db"], "--database", "not the path of a file"),
    (["--api-url", "ftp://example.org/"], "--api-url", "http:// or https://"),
    (["--api-url", "http://"], "--api-url", "http:// or https://"),
    (["--api-url", "http://[::1/"], "--api-url", "http:// or https://"),
    ([*SAMPLE, "--api-url", "http://127.0.0.1/"], "--api-url", "--source api, not sample"),
    (["--source", "nowhere"], "--source", '"api", "bulk", "archive", "sample"'),
    (["--product", "A•B•C"], "--product 'A•B•C'", "Product•Sub-product"),
    (["--search", ""], "--search ''", "1 to 200 characters"),
    (["--company", "x" * 201], "--company", "1 to 200 characters"),
    (["--graph", "flow.pdf"], "--graph 'flow.pdf'", ".svg or .png"),
    (["--graph", "missing/flow.svg"], "--graph", "folder that does not exist"),
    (["--graph", "flow.svg", "--no-graph"], "--no-graph", "specified multiple times"),
    (["--graph", "./x.svg", "--database", "x.svg"], "--graph", "same file as the database"),
    (
        ["--notify", "https://hooks.example/T0"],
        "--notify must be the TYPE/NAME",
        "`prefect block ls`",
    ),
    (["--update"], "--update", "a database, and complaints.db does not exist"),
    (["--update", *SAMPLE], "--update", "sample.db does not exist"),
    (["--update", "--database", "x.db"], "--update", "x.db does not exist"),
    (["--update", "--state", "CA"], "--update", "no filter, date or --limit"),
    (["--update", "--since", "2026-10-01"], "--update", "no filter, date or --limit"),
    (["--update", "--limit", "5"], "--update", "no filter, date or --limit"),
    (["--lookback", "30"], "--lookback", "only with --update"),
    (["--lookback", "30", "--since", "2026-10-01"], "--lookback", "only with --update"),
    (["--update", "--lookback", "many"], "--lookback", "into int"),
    (["--restart"], "--restart", "always starts over"),
    (["--restart", "--state", "CA", "--limit", "5"], "--restart", "always starts over"),
    ([*BULK, "--limit", "5"], "--limit", NOT_BULK),
    ([*ARCHIVE, "--limit", "5"], "--limit", NOT_ARCHIVE),
    ([*BULK, "--update"], "--update", NOT_BULK),
    ([*ARCHIVE, "--update"], "--update", NOT_ARCHIVE),
    ([*BULK, "--lookback", "5"], "--lookback", NOT_BULK),
    ([*BULK, "--since", "2026-10-01"], "--since", NOT_BULK),
    ([*ARCHIVE, "--until", "2026-10-01"], "--until", NOT_ARCHIVE),
    ([*BULK, "--state", "CA"], "--state", NOT_BULK),
    ([*ARCHIVE, "--product", "Mortgage"], "--product", NOT_ARCHIVE),
    ([*BULK, "--issue", "Fees"], "--issue", NOT_BULK),
    ([*ARCHIVE, "--company", "ACME"], "--company", NOT_ARCHIVE),
    ([*BULK, "--search", "fee"], "--search", NOT_BULK),
    ([*BULK, "--api-url", "http://127.0.0.1/"], "--api-url", "--source api, not bulk"),
    ([*ARCHIVE, "--allow-withdrawals"], "--allow-withdrawals", "--source bulk, not archive"),
    (["--allow-withdrawals"], "--allow-withdrawals", "--source bulk, not api"),
    (["--file", A_URL], "--file", "--source bulk or archive, not api"),
    ([*SAMPLE, "--file", A_URL], "--file", "--source bulk or archive, not sample"),
    ([*BULK, "--file", "x.zip"], "--file 'x.zip'", "does not exist"),
    ([*ARCHIVE, "--file", "x.zip"], "--file 'x.zip'", "does not exist"),
    ([*BULK, "--file", "missing/x.zip"], "--file", "folder that does not exist"),
    ([*BULK, "--file", "."], "--file '.'", "is a folder"),
    ([*BULK, "--file", ""], "--file '.'", "is a folder"),
    ([*BULK, "--file", "x" * 300], "--file 'xxx", "not the path of a file"),
    ([*BULK, "--file", "ftp://127.0.0.1/x.zip"], "--file", "http:// or https://"),
    ([*BULK, "--file", "file:///x.zip"], "--file", "http:// or https://"),
    ([*ARCHIVE, "--file", "http://"], "--file", "http:// or https://"),
    ([*ARCHIVE, "--file", "http://[::1/x.zip"], "--file", "http:// or https://"),
    ([*BULK, "--file", "http://me:it@127.0.0.1/"], "--file", "must not contain a user name"),
    ([*BULK, "--file", A_URL, "--file", A_URL], "--file", "only once"),
    ([*BULK, "--file", A_URL, "y.zip"], "Unexpected 'y.zip'", "repeat the option"),
    (
        [*ARCHIVE, "--file", A_URL, "--file", "http://a.org/page/"],
        "--file 'http://a.org/page/'",
        "is a page; give no other --file",
    ),
    (["--no-such-option"], "--no-such-option", "--help"),
    (["graph", "flow.jpg"], "PICTURE 'flow.jpg'", ".svg or .png"),
]


@pytest.mark.parametrize(
    ("arguments", "option", "reason"),
    WRONG_COMMANDS,
    ids=[" ".join(c[0])[:40] for c in WRONG_COMMANDS],
)
def test_a_wrong_command_is_one_clear_line(
    arguments: list[str],
    option: str,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The line names the option and what is allowed; the exit code is 2, and no file is made."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit) as end:
        main(arguments)

    out, err = capsys.readouterr()
    assert end.value.code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("wrong command: ")
    assert option in err
    assert reason in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [case[0] for case in WRONG_COMMANDS],
    ids=[" ".join(c[0])[:40] for c in WRONG_COMMANDS],
)
def test_a_wrong_command_is_the_same_line_without_pydantic(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Cyclopts checks values with pydantic if it is imported; the program does that later."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(arguments)

    assert run_program(*arguments).stderr == capsys.readouterr().err


@pytest.mark.parametrize("days", ["0", "-1", "36501"])
def test_a_lookback_is_a_number_of_days(
    days: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is from a day to a century; the database is not changed."""
    path.touch()

    with pytest.raises(SystemExit, match="2"):
        main(["--update", "--lookback", days, "--database", str(path), "--no-graph"])

    allowed = "up to 36,500" if days == "36501" else "from 1"
    assert f"--lookback {days} is not valid; give a number {allowed}" in capsys.readouterr().err
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ([], {"limit": 1_000}),
        (["--limit", "5"], {"limit": 5}),
        (["--since", "2026-10-01"], {"query": Query(since="2026-10-01")}),
        (["--state", "ca", "--limit", "5"], {"query": Query(state=("CA",)), "limit": 5}),
        (["--search", "fee", "--restart"], {"query": Query(search="fee")}),
        (["--update"], {"lookback": 60}),
        (["--update", "--restart"], {"lookback": 60}),
        (["--update", "--lookback", "7"], {"lookback": 7}),
        (SAMPLE, {"limit": 1_000, "kind": "sample", "rate_limit": None}),
        (["--update", *SAMPLE], {"lookback": 60, "kind": "sample", "rate_limit": None}),
    ],
    ids=lambda case: " ".join(case) or "nothing" if isinstance(case, list) else "",
)
def test_options_become_a_source(
    arguments: list[str], fields: dict[str, Any], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default: the newest 1,000, all matches of a filter, 60 days of an update."""
    path.touch()
    monkeypatch.delenv("CFPB_ETL_API_URL", raising=False)

    ((source, options),) = runs_of([*arguments, "--database", str(path)], monkeypatch)

    assert source == SearchApi(**fields)
    assert (options.database_path, options.picture) == (path, None)
    assert options.restart == ("--restart" in arguments)
    assert options.notify is None


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no server of Prefect: these tests start no run that would use it."""
    server_process = "cfpb_etl.orchestration.prefect_server.server_process"
    monkeypatch.setattr(f"{server_process}.start_early", lambda: None)


def runs_of(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> list[tuple[AnySource, LoadParameters]]:
    """Return the runs that a command would start; tests/runs/ has real ones."""
    runs: list[tuple[AnySource, LoadParameters]] = []

    def run(source: AnySource, options: LoadParameters, *, verbose: bool) -> ExitCode:
        assert not verbose
        runs.append((source, options))
        return ExitCode.DONE

    monkeypatch.setattr("cfpb_etl.cli.run.run", run)
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    with pytest.raises(SystemExit, match="0"):
        main([*arguments, "--no-graph"])
    return runs


@pytest.mark.parametrize(
    ("arguments", "database", "picture"),
    [
        ([], "complaints.db", "complaints-flow.svg"),
        (SAMPLE, "sample.db", "complaints-flow.svg"),
        ([*SAMPLE, "--database", "x.db"], "x.db", "complaints-flow.svg"),
        (["--graph", "x.png"], "complaints.db", "x.png"),
    ],
)
def test_default_paths(
    arguments: list[str],
    database: str,
    picture: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sample has a database of its own, so that it never mixes with real complaints."""
    monkeypatch.chdir(tmp_path)
    started: list[LoadParameters] = []
    monkeypatch.setattr(
        "cfpb_etl.cli.run.run", lambda _source, options, **_verbose: started.append(options)
    )
    monkeypatch.setenv("DO_NOT_TRACK", "1")

    with pytest.raises(SystemExit, match="0"):
        main(arguments)

    assert (started[0].database_path, started[0].picture) == (Path(database), Path(picture))


DATABASE = Path("complaints.db")
A_ZIP, A_PAGE = "https://cfpb.example/x.ZIP?y=1", "HTTPS://cfpb.example/archive/"
KEPT = keep(A_ZIP)
FILES: list[tuple[list[str], BulkFile | Archive]] = [
    (BULK, BulkFile(BULK_URL, DATABASE)),
    ([*BULK, "--restart"], BulkFile(BULK_URL, DATABASE)),
    ([*BULK, "--database", "y.db"], BulkFile(BULK_URL, Path("y.db"))),
    (
        [*BULK, "--allow-withdrawals"],
        BulkFile(BULK_URL, DATABASE, allow_withdrawals=True),
    ),
    ([*BULK, "--file", A_ZIP], BulkFile(KEPT, DATABASE)),
    ([*BULK, "--file", A_PAGE], BulkFile(A_PAGE, DATABASE)),
    ([*BULK, "--file", "here.csv"], BulkFile("here.csv", DATABASE)),
    (ARCHIVE, Archive((), DATABASE, ARCHIVE_URL)),
    ([*ARCHIVE, "--file", A_PAGE], Archive((), DATABASE, A_PAGE)),
    ([*ARCHIVE, "--file", A_ZIP], Archive((KEPT,), DATABASE)),
    (
        [*ARCHIVE, "--file", "here.csv", "--file", A_ZIP],
        Archive(("here.csv", KEPT), DATABASE),
    ),
]


@pytest.mark.parametrize(
    ("arguments", "expected"), FILES, ids=[" ".join(arguments) for arguments, _ in FILES]
)
def test_options_become_files(
    arguments: list[str],
    expected: BulkFile | Archive,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The default is CFPB's file; with archive, a URL of no .zip or .csv is that of its page."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CFPB_ETL_API_URL", "http://127.0.0.1/")  # files have another address
    Path("here.csv").touch()

    assert [source for source, _ in runs_of(arguments, monkeypatch)] == [expected]


@pytest.mark.parametrize("source", ["bulk", "archive"])
@pytest.mark.parametrize("file", ["complaints.db", "./complaints.db", "link.db"])
def test_the_database_cannot_be_loaded_into_itself(
    source: str,
    file: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Other paths of the same file are recognised."""
    monkeypatch.chdir(tmp_path)
    DATABASE.touch()
    Path("link.db").symlink_to(DATABASE)

    with pytest.raises(SystemExit, match="2"):
        main(["--source", source, "--file", file])

    assert "--file is the same file as the database" in capsys.readouterr().err
    assert DATABASE.read_bytes() == b""


def test_the_address_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """CFPB_ETL_API_URL replaces the default, and --api-url replaces both."""
    monkeypatch.setenv("CFPB_ETL_API_URL", "http://127.0.0.1:1/")

    for arguments, url in [
        ([], "http://127.0.0.1:1/"),
        (["--api-url", "http://127.0.0.1:2/"], "http://127.0.0.1:2/"),
    ]:
        ((source, _),) = runs_of(arguments, monkeypatch)
        assert isinstance(source, SearchApi)
        assert source.url == url


@pytest.mark.parametrize("command", [[], ["status"]])
def test_the_address_of_the_environment_is_checked(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is checked as --api-url is, by each command that uses it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "complaints.db").touch()
    monkeypatch.setenv("CFPB_ETL_API_URL", "gopher://example.org/")

    with pytest.raises(SystemExit, match="2"):
        main(command)

    assert "CFPB_ETL_API_URL must be an http" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["complaints.db", "complaints-flow.svg"])
def test_default_paths_are_checked(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder in the place of a default file is a wrong command, before anything is started."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()

    with pytest.raises(SystemExit, match="2"):
        main([])

    assert f"{name!r} is a folder" in capsys.readouterr().err
