"""What openapi.json says is what is answered."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator

import pytest
import requests
import toys
from by_hand import ByHand
from serving_process import BOUND_S, serving
from toys import Toy

import edgeai_runtime.server

FILE = Path(edgeai_runtime.server.__file__).with_name("openapi.json")
PATHS = json.loads(FILE.read_bytes())["paths"]
TOKEN = "0123456789abcdef-of-the-line"
CASES = "10"  # that are drawn for each operation, besides those at the edges of what its schema allows


@pytest.fixture(scope="module")
def url(tmp_path_factory: Any) -> Iterator[str]:
    models = {
        "adder": Toy(toys.add_one(), labels=toys.LABELS),
        "reader": Toy(toys.reader(), toys.READER, toys.LABELS),
    }
    with serving(toys.write_generation(tmp_path_factory.mktemp("generation"), models)) as process:
        yield process.url


def test_the_runtime_serves_its_openapi_file(url: str) -> None:
    response = requests.get(f"{url}/openapi.json", timeout=BOUND_S)
    assert (response.status_code, response.content) == (200, FILE.read_bytes())


@pytest.mark.parametrize("path", PATHS)
def test_every_route_in_it_is_there(url: str, path: str) -> None:
    named = path.format(model="adder", version="1.0.0", alarm="disk")
    response = requests.options(url + named, timeout=BOUND_S)
    assert response.status_code == 405
    told = {method.upper() for method in PATHS[path] if method != "parameters"}
    assert set(response.headers["Allow"].split(", ")) - {"HEAD"} == told


def test_head_is_answered_as_get_without_a_body(url: str) -> None:
    host, port = url[len("http://") :].split(":")
    with socket.create_connection((host, int(port)), timeout=BOUND_S) as client:
        client.sendall(
            b"HEAD /v2/models HTTP/1.1\r\n\r\nHEAD /v2/nothing HTTP/1.1\r\nConnection: close\r\n\r\n"
        )
        received = b"".join(iter(lambda: client.recv(1 << 16), b""))
    first, second, rest = received.split(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200 OK")
    assert b"Content-Length: %d" % len(requests.get(f"{url}/v2/models", timeout=BOUND_S).content) in first
    assert second.startswith(b"HTTP/1.1 404 ")
    assert rest == b""


def test_answers_are_what_it_says_whatever_is_asked(url: str, tmp_path: Path) -> None:
    told = schemathesis(url, tmp_path)
    assert told.returncode == 0, told.stdout + told.stderr
    assert requests.get(f"{url}/v2/health/ready", timeout=BOUND_S).ok


def test_and_so_they_are_where_only_a_token_lets_in(tmp_path: Path) -> None:
    """Bare files, which are loaded and unloaded while it asks."""
    (tmp_path / "adder.onnx").write_bytes(toys.add_one())
    (tmp_path / "tokens").write_text(f"{TOKEN}\n")
    (tmp_path / "tokens").chmod(0o600)
    settings = tmp_path / "settings.toml"
    settings.write_text(f'schema = 1\n[serve]\ntokens = "{tmp_path / "tokens"}"\n')
    by_hand = ByHand(tmp_path, "adder.onnx", "--config", str(settings))
    url, header = f"http://127.0.0.1:{by_hand.port}", {"Authorization": f"Bearer {TOKEN}"}
    try:
        told = schemathesis(
            url,
            tmp_path,
            *("--header", f"Authorization: Bearer {TOKEN}"),
            *("--include-path-regex", "/v2/(repository|alarms)"),
        )
        assert told.returncode == 0, told.stdout + told.stderr
        assert requests.post(f"{url}/v2/repository/models/adder/load", timeout=BOUND_S).status_code == 401
        load = requests.post(f"{url}/v2/repository/models/adder/load", headers=header, timeout=BOUND_S)
        assert load.status_code == 200, load.text
    finally:
        by_hand.close()


def schemathesis(url: str, directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """What it says of the server, whose file it reads there."""
    pytest.importorskip("schemathesis")
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json", *options),
        *("--phases", "coverage,fuzzing", "--max-examples", CASES, "--generation-deterministic"),
        # A request that fits the schema may still name an input that the model has not.
        *("--checks", "all", "--exclude-checks", "positive_data_acceptance", "--warnings", "off"),
        "--no-color",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.run(
        command,
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=5 * BOUND_S,
        check=False,
    )
