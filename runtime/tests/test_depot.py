"""The embedded depot: whole files and ranges, nothing else."""

from __future__ import annotations

import http.client
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Dict, Iterator, Optional, Tuple

import pytest

from edgeai_runtime.depot import make_server
from edgeai_runtime.errors import InputError

CONTENT = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Tuple[str, int]]:
    bundle = tmp_path / "bundle"
    (bundle / "blobs").mkdir(parents=True)
    (bundle / "blobs" / "file").write_bytes(CONTENT)
    (bundle / "blobs" / ".beside").write_bytes(b"half-written")
    (bundle / "empty").touch()
    (tmp_path / "secret").write_text("outside")
    (bundle / "way-out").symlink_to(tmp_path / "secret")
    with make_server(bundle, "127.0.0.1:0") as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[0], server.server_address[1]
        server.shutdown()
        thread.join()


def ask(
    depot: Tuple[str, int], path: str, headers: Optional[Dict[str, str]] = None, method: str = "GET"
) -> Tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection(*depot, timeout=10)
    connection.request(method, path, headers=headers or {})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body, answer.headers


def test_a_file_comes_whole(depot: Tuple[str, int]) -> None:
    status, body, headers = ask(depot, "/blobs/file")
    assert (status, body) == (200, CONTENT)
    assert headers["Accept-Ranges"] == "bytes"


def test_an_empty_file_comes_too(depot: Tuple[str, int]) -> None:
    assert ask(depot, "/empty")[:2] == (200, b"")


def test_head_says_the_size_and_sends_nothing(depot: Tuple[str, int]) -> None:
    status, body, headers = ask(depot, "/blobs/file", method="HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", str(len(CONTENT)))


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1000-1999", 1000, 2000),
        ("bytes=1048000-", 1048000, len(CONTENT)),
        ("bytes=-16", len(CONTENT) - 16, len(CONTENT)),
        ("bytes=1048000-99999999", 1048000, len(CONTENT)),
    ],
)
def test_a_range_comes_alone(depot: Tuple[str, int], asked: str, start: int, end: int) -> None:
    status, body, headers = ask(depot, "/blobs/file", {"Range": asked})
    assert (status, body) == (206, CONTENT[start:end])
    assert headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(CONTENT)}"


@pytest.mark.parametrize("asked", [f"bytes={len(CONTENT)}-", "bytes=9999999-", "bytes=-0"])
def test_a_range_beyond_the_end_is_refused_with_the_size(depot: Tuple[str, int], asked: str) -> None:
    status, body, headers = ask(depot, "/blobs/file", {"Range": asked})
    assert (status, body, headers["Content-Range"]) == (416, b"", f"bytes */{len(CONTENT)}")


@pytest.mark.parametrize("asked", ["bytes=0-1,4-5", "lines=1-2", "bytes=-", "bytes=" + "9" * 5000 + "-"])
def test_any_other_range_is_ignored(depot: Tuple[str, int], asked: str) -> None:
    assert ask(depot, "/blobs/file", {"Range": asked})[:2] == (200, CONTENT)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/blobs",
        "/blobs/",
        "/nothing",
        "/../secret",
        "/blobs/../../secret",
        "/%2e%2e/secret",
        "/way-out",
        "//etc/passwd",
        "/blobs/.beside",
        "/blobs/file%00",
        "/" + "a" * 5000,
    ],
)
def test_directories_hidden_files_and_paths_outside_do_not_exist(depot: Tuple[str, int], path: str) -> None:
    assert ask(depot, path)[:2] == (404, b"")


def test_one_connection_serves_many_requests(depot: Tuple[str, int]) -> None:
    connection = http.client.HTTPConnection(*depot, timeout=10)
    connection.connect()
    first = connection.sock
    for path, status in (("/blobs/file", 200), ("/nothing", 404), ("/empty", 200)):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status
    assert connection.sock is first
    connection.close()


def test_a_client_that_hangs_up_is_no_event(
    depot: Tuple[str, int], capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection(depot, timeout=10) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by reset
        client.sendall(b"GET /blobs/file HTTP/1.1\r\nHost: depot\r\n\r\n")
        client.recv(100)
    assert ask(depot, "/blobs/file")[:2] == (200, CONTENT)
    assert capfd.readouterr().err == ""


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no bundle directory to serve"):
        make_server(tmp_path / "missing", "127.0.0.1:0")


def test_an_address_in_use_is_named(depot: Tuple[str, int], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"127.0.0.1:{depot[1]}: cannot listen there"):
        make_server(tmp_path, f"127.0.0.1:{depot[1]}")


def test_a_socket_from_systemd_is_served(tmp_path: Path) -> None:
    """In a process of its own, whose fourth descriptor is the socket: as sd_listen_fds(3) has it."""
    (tmp_path / "file").write_bytes(CONTENT)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        program = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid()); "
            "os.execv(sys.executable, [sys.executable, '-m', 'edgeai_runtime', 'depot', *sys.argv[2:]])"
        )
        arguments = [str(listener.fileno()), "--directory", str(tmp_path), "--http", "192.0.2.1:1"]
        process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments], pass_fds=[listener.fileno()], close_fds=True
        )
        try:
            status, body, _headers = ask(listener.getsockname(), "/file")
        finally:
            process.kill()
            process.wait()
    assert (status, body) == (200, CONTENT)
