"""Tests of serving from a thread."""

import signal
import socket
import threading
import time

import pytest
import requests

from cfpb_etl.emulator import Emulator, generate_complaints, serve


@pytest.fixture
def emulator() -> Emulator:
    """Return a small emulator."""
    return Emulator(generate_complaints(50))


def test_url_has_the_real_path_of_the_search(emulator: Emulator) -> None:
    """The port is a free one of the loopback interface."""
    with serve(emulator) as url:
        assert url.startswith("http://127.0.0.1:")
        assert url.endswith("/data-research/consumer-complaints/search/api/v1/")
        assert requests.get(url, timeout=10).status_code == 200
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=10)


def test_emulator_can_be_served_twice_and_again(emulator: Emulator) -> None:
    """Each server has another port."""
    with serve(emulator) as one, serve(emulator) as other:
        assert one != other
        assert requests.get(one, timeout=10).json() == requests.get(other, timeout=10).json()
    with serve(emulator) as again:
        assert requests.get(again, timeout=10).status_code == 200


def test_port_can_be_chosen(emulator: Emulator) -> None:
    """A port in use raises an OSError."""
    with serve(emulator) as url:
        port = int(url.split(":")[2].split("/")[0])
        with pytest.raises(OSError, match="in use"), serve(emulator, port=port):
            pass
    with serve(emulator, port=port) as same:
        assert same == url


def test_server_stops_at_once_with_open_connections(emulator: Emulator) -> None:
    """One connection is kept alive, another has sent no request."""
    with requests.Session() as session, socket.socket() as silent:
        with serve(emulator) as url:
            assert session.get(url, timeout=10).status_code == 200
            silent.connect(("127.0.0.1", int(url.split(":")[2].split("/")[0])))
            started = time.perf_counter()
        assert time.perf_counter() - started < 0.2


def test_small_responses_are_not_delayed(emulator: Emulator) -> None:
    """Nagle's algorithm would delay each for 40 ms."""
    with serve(emulator) as url, requests.Session() as session:
        started = time.perf_counter()
        for _ in range(20):
            session.get(url, params={"size": "1"}, timeout=10)
        assert time.perf_counter() - started < 20 * 0.03


def test_server_leaves_no_thread_and_no_signal_handler(emulator: Emulator) -> None:
    """Ctrl-C interrupts the main thread."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    threads = set(threading.enumerate())
    with serve(emulator) as url:
        requests.get(url, timeout=10)
        assert len(threading.enumerate()) == len(threads) + 1
        assert handlers == [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    assert set(threading.enumerate()) == threads


def test_server_continues_after_ctrl_c(emulator: Emulator) -> None:
    """A KeyboardInterrupt that is caught inside the block does not stop it."""
    with serve(emulator) as url:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert requests.get(url, timeout=10).status_code == 200


def test_server_prints_nothing(emulator: Emulator, capfd: pytest.CaptureFixture[str]) -> None:
    """Not even a failed request is printed."""
    with serve(emulator) as url:
        requests.get(url, params={"size": "x"}, timeout=10)
    assert capfd.readouterr() == ("", "")
