"""A device's directories and settings, and taking all of it off again."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

OURS = ["etc/edgeai", "opt/edgeai", "run/edgeai", "var/lib/edgeai"]


@pytest.fixture
def present(run_module: Any, tmp_path: Path) -> Any:
    def run(check: bool = False, **arguments: Any) -> Any:
        return run_module("device", check=check, root=str(tmp_path / "d"), **arguments)

    return run


def there(root: Path) -> list[str]:
    return [name for name in OURS if (root / name).is_dir()]


def test_directories_and_settings_are_put_in_place_once(present: Any, tmp_path: Path) -> None:
    result = present(files={"device.toml": "schema = 1\n"})
    assert result["changed"] is True
    assert result["files"] == ["device.toml"]
    assert result["actions"] == [
        "made etc/edgeai, opt/edgeai, opt/edgeai/bin, opt/edgeai/bootstrap, run/edgeai, var/lib/edgeai",
        "wrote device.toml",
    ]
    assert there(tmp_path / "d") == OURS
    written = tmp_path / "d/etc/edgeai/device.toml"
    assert written.read_text() == "schema = 1\n"
    assert written.stat().st_mode & 0o777 == 0o644
    again = present(files={"device.toml": "schema = 1\n"})
    assert (again["changed"], again["files"]) == (False, [])


def test_only_what_differs_is_written(present: Any) -> None:
    present(files={"a": "1", "b": "2"})
    assert present(files={"a": "1", "b": "3"})["files"] == ["b"]


def test_a_setting_without_content_is_taken_away(present: Any, tmp_path: Path) -> None:
    present(files={"a": "1", "ca.pem": "x"})
    predicted = present(check=True, files={"a": "1", "ca.pem": ""})
    assert predicted["files"] == ["ca.pem"]
    assert (tmp_path / "d/etc/edgeai/ca.pem").exists()
    assert present(files={"a": "1", "ca.pem": ""})["files"] == ["ca.pem"]
    assert not (tmp_path / "d/etc/edgeai/ca.pem").exists()
    assert present(files={"a": "1", "ca.pem": ""})["changed"] is False


def test_a_secret_is_for_its_owner_alone_and_never_shown(present: Any, tmp_path: Path) -> None:
    result = present(files={"a": "1"}, secrets={"tokens": "0123456789abcdef"})
    assert result["files"] == ["a", "tokens"]
    assert "0123456789abcdef" not in str(result)
    written = tmp_path / "d/etc/edgeai/tokens"
    assert (written.read_text(), written.stat().st_mode & 0o777) == ("0123456789abcdef", 0o600)
    assert present(files={"a": "1"}, secrets={"tokens": "0123456789abcdef"})["changed"] is False
    written.chmod(0o644)
    assert present(check=True, secrets={"tokens": "0123456789abcdef"})["files"] == ["tokens"]
    assert present(secrets={"tokens": "0123456789abcdef"})["files"] == ["tokens"]
    assert written.stat().st_mode & 0o777 == 0o600
    assert present(secrets={"tokens": ""})["files"] == ["tokens"]
    assert not written.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="a file is given away by root alone")
def test_a_secret_belongs_to_whoever_runs_the_service(present: Any, tmp_path: Path) -> None:
    present(owner="nobody", files={"a": "1"}, secrets={"tokens": "x"})
    etc = tmp_path / "d/etc/edgeai"
    assert pwd.getpwuid((etc / "tokens").stat().st_uid).pw_name == "nobody"
    assert (etc / "a").stat().st_uid == 0
    assert present(owner="nobody", files={"a": "1"}, secrets={"tokens": "x"})["changed"] is False


def test_check_mode_makes_nothing(present: Any, tmp_path: Path) -> None:
    result = present(check=True, files={"a": "1"})
    assert result["changed"] is True
    assert result["actions"][1] == "would write a"
    assert not (tmp_path / "d").exists()


def test_an_owner_nobody_knows_is_refused(present: Any) -> None:
    result = present(owner="nobody-of-that-name")
    assert "make the user first" in result["msg"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives directories away")
def test_directories_belong_to_the_owner_and_settings_do_not(present: Any, tmp_path: Path) -> None:
    present(owner="nobody")
    owners = {name: (tmp_path / "d" / name).owner() for name in OURS}
    theirs = ("run/edgeai", "var/lib/edgeai")
    assert owners == {name: "nobody" if name in theirs else "root" for name in OURS}
    assert present(owner="nobody")["changed"] is False


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives directories away")
def test_the_owner_adds_to_opt_and_cannot_change_what_is_started_from_there(
    present: Any, tmp_path: Path
) -> None:
    present(owner="nobody")
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_mode & 0o777 == 0o700:
            directory.chmod(0o711)  # pytest's, for whom nobody is nobody

    def as_nobody(command: str) -> int:
        started = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "sh", "-c", command]
        done = subprocess.run(started, cwd=tmp_path / "d/opt/edgeai", stderr=subprocess.DEVNULL, check=False)
        return done.returncode

    assert as_nobody("mkdir envs && touch a && mv a current && mv current envs/") == 0
    for command in ("mv bin away", "touch bin/edgeai", "rmdir bin", "mv bootstrap away", "touch bootstrap/a"):
        assert as_nobody(command) != 0, command
    assert present(owner="nobody")["changed"] is False


def test_absent_leaves_nothing_and_is_said_once(present: Any, tmp_path: Path) -> None:
    present(files={"a": "1"})
    result = present(state="absent")
    assert result["changed"] is True
    assert not (tmp_path / "d").exists()
    assert present(state="absent")["changed"] is False


def test_absent_deletes_nothing_of_anybody_else(present: Any, tmp_path: Path) -> None:
    present()
    theirs = tmp_path / "d/var/lib/other/file"
    theirs.parent.mkdir()
    theirs.write_text("theirs")
    present(state="absent")
    assert theirs.read_text() == "theirs"
    assert there(tmp_path / "d") == []
    assert not (tmp_path / "d/opt").exists()


def test_absent_in_check_mode_says_what_would_go(present: Any, tmp_path: Path) -> None:
    present()
    result = present(check=True, state="absent")
    assert result["actions"] == ["would remove opt/edgeai, var/lib/edgeai, etc/edgeai, run/edgeai"]
    assert there(tmp_path / "d") == OURS


def test_absent_follows_a_directory_that_lies_elsewhere(present: Any, tmp_path: Path) -> None:
    elsewhere = tmp_path / "big-disk"
    (elsewhere / "store").mkdir(parents=True)
    (tmp_path / "d/opt").mkdir(parents=True)
    (tmp_path / "d/opt/edgeai").symlink_to(elsewhere)
    present(state="absent")
    assert not elsewhere.exists()
    assert not (tmp_path / "d").exists()


def start_service(root: Path, stays: bool = False) -> subprocess.Popen[bytes]:
    """A process that names this root's configuration as supervisord does, with its pid file."""
    handler = "signal.SIG_IGN" if stays else "lambda *_: sys.exit()"
    code = (
        f"import signal, sys; signal.signal(signal.SIGTERM, {handler}); print(1, flush=True); signal.pause()"
    )
    # Where SIG_IGN only ends pause(), go on.
    code = code.replace("signal.pause()", "\nwhile True: signal.pause()")
    command = [sys.executable, "-c", code, str(root / "etc/edgeai/supervisord.conf")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    (root / "run/edgeai/supervisord.pid").write_text(f"{process.pid}\n")
    return process


def test_absent_stops_the_service_first(present: Any, tmp_path: Path) -> None:
    present()
    with start_service(tmp_path / "d") as process:
        result = present(state="absent")
        assert result["actions"][0] == "stopped the services"
        assert process.wait(timeout=10) == 0


def test_absent_deletes_nothing_while_a_service_stays(present: Any, tmp_path: Path) -> None:
    present()
    with start_service(tmp_path / "d", stays=True) as process:
        result = present(state="absent", stop_timeout_s=0.2)
        process.kill()
    assert "did not end within 0.2 s" in result["msg"]
    assert there(tmp_path / "d") == OURS


def test_a_stale_pid_file_ends_nobody_else(present: Any, tmp_path: Path) -> None:
    present()
    (tmp_path / "d/run/edgeai/supervisord.pid").write_text(f"{os.getpid()}\n")
    assert present(state="absent")["actions"][0].startswith("removed")
