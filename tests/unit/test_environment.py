"""How the runtime comes onto a device that has nothing but Python."""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from pathlib import Path
from typing import Any, Dict, Tuple

import pytest

LOCK = 64 * "f"


@pytest.fixture
def depot(tmp_path: Path) -> Tuple[str, Dict[str, Any]]:
    """A depot with a wheel whose `edgeai_runtime` answers with the arguments it got."""
    wheel = tmp_path / "wheel.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("edgeai_runtime/__init__.py", "")
        archive.writestr(
            "edgeai_runtime/__main__.py",
            "import json, sys\n"
            "told = {} if 'use' in sys.argv else {'environment': 'e', 'path': sys.argv}\n"
            "actions = [' '.join(sys.argv[4:])]\n"
            "print(json.dumps({'ok': True, 'changed': False, 'actions': actions, **told}))\n",
        )
    data = wheel.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    blob = tmp_path / "depot/blobs/sha256" / digest[:2] / digest
    blob.parent.mkdir(parents=True)
    blob.write_bytes(data)
    about = {"filename": "edgeai_runtime-1.0-py3-none-any.whl", "sha256": digest, "size": len(data)}
    return f"file://{tmp_path}/depot", about


@pytest.fixture
def build(run_module: Any, depot: Any, tmp_path: Path) -> Any:
    def run(check: bool = False, **arguments: Any) -> Any:
        url, wheel = depot
        wanted = {
            "depot_url": url,
            "wheel": wheel,
            "lock_sha256": LOCK,
            "python": sys.executable,
            **arguments,
        }
        return run_module("environment", check=check, root=str(tmp_path / "d"), **wanted)

    return run


def test_the_wheel_is_fetched_and_builds_the_environment_itself(
    build: Any, depot: Any, tmp_path: Path
) -> None:
    result = build()
    asked = f"--python {sys.executable} --depot {depot[0]} --rate-limit 0.0"
    assert result["changed"] is True
    assert result["path"][1:4] == ["--root", str(tmp_path / "d"), "--json"]
    assert result["actions"] == [
        "fetched edgeai_runtime-1.0-py3-none-any.whl",
        f"environment build --lock-sha256 {LOCK} {asked}",
        f"environment use --lock-sha256 {LOCK}",
    ]


def test_the_same_again_fetches_nothing(build: Any) -> None:
    build()
    result = build(depot_url="http://127.0.0.1:9")
    assert result["changed"] is False


def test_a_wheel_that_runs_is_never_overwritten(build: Any, depot: Any) -> None:
    bootstrap = Path(build()["bootstrap"])
    assert bootstrap.parent.name == depot[1]["sha256"][:16]


def test_a_wheel_that_was_damaged_is_fetched_again(build: Any) -> None:
    bootstrap = Path(build()["bootstrap"])
    bootstrap.write_bytes(b"damaged")
    assert build()["actions"][0] == "fetched edgeai_runtime-1.0-py3-none-any.whl"


def test_another_wheel_than_was_signed_is_not_kept(build: Any, depot: Any, tmp_path: Path) -> None:
    other = {**depot[1], "sha256": hashlib.sha256(b"other").hexdigest()}
    blob = tmp_path / "depot/blobs/sha256" / other["sha256"][:2] / other["sha256"]
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(b"not the other")
    result = build(wheel=other)
    assert result["kind"] == "untrusted"
    assert "remove this file from the depot and copy the bundle there again" in result["msg"]
    assert not (tmp_path / "d").exists()


def test_a_depot_that_is_not_there_is_told_in_one_sentence(build: Any) -> None:
    result = build(depot_url="http://127.0.0.1:9")
    assert result["kind"] == "transfer"
    assert "check that the depot runs" in result["msg"]


def test_what_the_depot_does_not_deliver_comes_from_a_mirror(build: Any, depot: Any) -> None:
    result = build(depot_url="http://127.0.0.1:9", depot_mirrors=[depot[0]], depot_rate_limit=2.5)
    asked = f"--depot http://127.0.0.1:9 --depot {depot[0]} --rate-limit 2.5"
    assert result["actions"][0] == "fetched edgeai_runtime-1.0-py3-none-any.whl"
    assert result["actions"][1].endswith(asked)


def test_check_mode_on_a_bare_device_predicts_and_fetches_nothing(build: Any, tmp_path: Path) -> None:
    result = build(check=True)
    assert result["changed"] is True
    assert result["actions"][1] == f"would build the environment {LOCK[:12]}"
    assert not (tmp_path / "d").exists()


def test_check_mode_with_the_wheel_lets_it_predict(build: Any) -> None:
    build()
    assert build(check=True)["path"][-1] == "--check"


def test_without_a_lock_the_wheel_alone_is_brought(build: Any) -> None:
    result = build(lock_sha256=None)
    assert Path(result["bootstrap"]).is_file()
    assert "environment" not in result
    json.dumps(result)
