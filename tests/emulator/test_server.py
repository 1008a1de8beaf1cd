"""Serving from a thread, and from the command line."""

import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests

from cfpb_etl.emulator import Emulator, made_complaints, serve


@pytest.fixture
def emulator() -> Emulator:
    """Return a small one."""
    return Emulator(made_complaints(50))


def test_the_url_is_that_of_the_search_with_its_real_path(emulator: Emulator) -> None:
    """On a free port of the loopback interface."""
    with serve(emulator) as url:
        assert url.startswith("http://127.0.0.1:")
        assert url.endswith("/data-research/consumer-complaints/search/api/v1/")
        assert requests.get(url, timeout=10).status_code == 200
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=10)


def test_it_may_be_served_again_and_twice(emulator: Emulator) -> None:
    """Each time on another port."""
    with serve(emulator) as one, serve(emulator) as other:
        assert one != other
        assert requests.get(one, timeout=10).json() == requests.get(other, timeout=10).json()
    with serve(emulator) as again:
        assert requests.get(again, timeout=10).status_code == 200


def test_a_port_can_be_chosen_and_may_be_taken(emulator: Emulator) -> None:
    """A taken one is an OSError at once."""
    with serve(emulator) as url:
        port = int(url.split(":")[2].split("/")[0])
        with pytest.raises(OSError, match="in use"), serve(emulator, port=port):
            pass
    with serve(emulator, port=port) as same:
        assert same == url


def test_it_ends_promptly_with_connections_open(emulator: Emulator) -> None:
    """One that is kept alive, one that has said nothing yet."""
    with requests.Session() as session, socket.socket() as silent:
        with serve(emulator) as url:
            assert session.get(url, timeout=10).status_code == 200
            silent.connect(("127.0.0.1", int(url.split(":")[2].split("/")[0])))
            began = time.perf_counter()
        assert time.perf_counter() - began < 0.2


def test_small_answers_are_not_delayed(emulator: Emulator) -> None:
    """Nagle's algorithm would hold each back for 40 ms."""
    with serve(emulator) as url, requests.Session() as session:
        began = time.perf_counter()
        for _ in range(20):
            session.get(url, params={"size": "1"}, timeout=10)
        assert time.perf_counter() - began < 20 * 0.03


def test_no_thread_stays_and_no_signal_handler_changes(emulator: Emulator) -> None:
    """Ctrl-C stays with the main thread."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    threads = set(threading.enumerate())
    with serve(emulator) as url:
        requests.get(url, timeout=10)
        assert len(threading.enumerate()) == len(threads) + 1
        assert handlers == [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    assert set(threading.enumerate()) == threads


def test_it_goes_on_when_the_main_thread_is_interrupted(emulator: Emulator) -> None:
    """A KeyboardInterrupt that is caught inside does not stop it."""
    with serve(emulator) as url:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert requests.get(url, timeout=10).status_code == 200


def test_nothing_is_written_to_the_screen(
    emulator: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not even of a request that fails."""
    with serve(emulator) as url:
        requests.get(url, params={"size": "x"}, timeout=10)
    assert capfd.readouterr() == ("", "")


def started(*arguments: str) -> subprocess.Popen[str]:
    """Start the emulator as a user would."""
    return subprocess.Popen(
        [sys.executable, "-m", "cfpb_etl.emulator", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        # Ctrl-C as a terminal sends it, also where the tests run in the background.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )


@pytest.mark.parametrize(("options", "keys"), [((), 15), (("--era", "2024"), 16)])
def test_the_command_serves_until_ctrl_c(options: tuple[str, ...], keys: int) -> None:
    """It prints where, and ends without a word."""
    with started("--port", "0", "--rows", "1200", *options) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = next(word for word in line.split() if word.startswith("http"))
        found = requests.get(url, params={"size": "1"}, timeout=10).json()["hits"]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)

    assert line.startswith("1,200 complaints at http://127.0.0.1:")
    assert found["total"]["value"] == 1200
    assert len(found["hits"][0]["_source"]) == keys
    assert (process.returncode, out, err) == (0, "", "")


def test_the_command_names_a_file_that_is_no_recording(tmp_path: Path) -> None:
    """In one line."""
    path = tmp_path / "page.json"
    path.write_text("<html></html>", encoding="utf-8")

    with started("--recording", str(path)) as process:
        _, err = process.communicate(timeout=10)

    assert process.returncode == 1
    assert err.startswith(f"{path} is not a recorded response of the search API")
    assert err.count("\n") == 1


def test_the_command_says_that_a_port_is_taken(emulator: Emulator) -> None:
    """Without a traceback."""
    with serve(emulator) as url:
        port = url.split(":")[2].split("/")[0]
        with started("--rows", "5", "--port", port) as process:
            _, err = process.communicate(timeout=10)

    assert process.returncode == 1
    assert err.startswith(f"Cannot listen on port {port}: Address already in use")
    assert err.count("\n") == 1
