"""A device on a small disk that serves label-reader 1.0.0, and a depot that has 1.1.0."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple

sys.path.extend(
    str(Path(__file__).parents[1] / beside) for beside in ("bundle", "convert", "generations", "updates")
)

from bench import ENVIRONMENT, Bench, wait_for
from making import make_lock, write_installer_wheel, write_wheel
from toy import build_environment

from edgeai_runtime import cli
from edgeai_runtime.environments.lock import Lock
from edgeai_runtime.release import file_sha256
from edgeai_runtime.trust.store import blob_name, stored_blobs

DEVICE_TOML = """\
schema = 1
name = "pi"
class = "raspberry_pi"
line = "line-1"
[depot]
url = "file://{bundle}"
[serve]
http = "{http}"
"""


class Said(NamedTuple):
    """How a command ended: its exit status and its JSON."""

    status: int
    answer: Dict[str, Any]

    @property
    def error(self) -> str:
        return str(self.answer["error"]["message"])


class Factory:
    """`bench` is the device; `edgeai()` types a command on it."""

    def __init__(self, bench: Bench, bundle: Path, capsys: Any) -> None:
        self.bench, self.paths, self.bundle, self._capsys = bench, bench.paths, bundle, capsys

    def edgeai(self, *words: str) -> Said:
        """Run a command as its user does; whatever it raises but its one sentence fails the test."""
        self._capsys.readouterr()
        status = cli.main(["--root", str(self.paths.root), "--json", *words])
        return Said(status, json.loads(self._capsys.readouterr().out.splitlines()[-1]))

    def must(self, *words: str) -> Dict[str, Any]:
        said = self.edgeai(*words)
        assert said.status == 0, said.answer
        return said.answer

    def answers(self) -> str:
        """The version that answers, rightly."""
        status, answer = self.bench.ask("ABBA")
        assert status == 200, answer
        assert [out["data"] for out in answer["outputs"] if out["name"] == "text"] == [["ABBA"]]
        return str(answer["model_version"])

    def wait(self, condition: Callable[[Dict[str, Any]], Any], what: str) -> Dict[str, Any]:
        """The keeper's status once it is so."""

        def met() -> Dict[str, Any]:
            status = self.bench.status()
            return status if condition(status) else {}

        return dict(wait_for(met, what))

    def half_done(self) -> List[str]:
        """What a command that failed must not leave."""
        paths = self.paths
        left = [str(path) for path in paths.root.rglob("*.new")]
        left += [str(path) for path in paths.conversions.glob(".*")]
        left += [str(path) for path in paths.generations.iterdir() if not (path / "manifest.json").is_file()]
        left += [str(path) for path in paths.envs.iterdir() if not (path / ".complete").is_file()]
        left += [str(path) for path in paths.store.iterdir() if path.name not in ("sha256", "partial")]
        blobs = [path for path in stored_blobs(paths) if path.parent.name != "partial"]
        left += [str(path) for path in blobs if file_sha256(path) != path.name]
        for line in paths.journal.read_text().splitlines():
            json.loads(line)
        return left


def put_lock(bundle: Path, place: Path) -> Lock:
    """Put an environment on the depot."""
    installer = write_installer_wheel(place)
    files = {f"many/small_{number}.py": f"NUMBER = {number}\n" for number in range(120)}
    wheels = [
        write_wheel(place, "many", files),
        write_wheel(place, "greeting", {"greeting.py": "WORD = 'hello'\n"}),
    ]
    lock = make_lock(installer, wheels)
    for path in (installer, *wheels):
        _put(bundle, file_sha256(path), path.read_bytes())
    _put(bundle, lock.digest, lock.to_json())
    return lock


def _put(bundle: Path, sha256: str, data: bytes) -> None:
    path = bundle / blob_name(sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


__all__ = ["DEVICE_TOML", "ENVIRONMENT", "Bench", "Factory", "build_environment", "put_lock"]
