"""A device on the bench: a real keeper, real serving processes, and what a test asks of them."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

import psutil
import pytest
from toy import DEVICE, build_environment, picture, toy_model, toy_release

from edgeai_runtime.convert.convert import convert_release
from edgeai_runtime.errors import KeeperError
from edgeai_runtime.generations.keeper_client import KeeperClient
from edgeai_runtime.generations.rollback import rollback
from edgeai_runtime.generations.trial import trial
from edgeai_runtime.generations.verdicts import confirm
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Recipe, Release

PATIENCE_S = 60.0
ENVIRONMENT = "e" * 64
FP32 = Recipe(quantize="none")


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """Poll until `condition` is true; what it returned. Fails with `what` after 60 s."""
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    pytest.fail(f"waited {PATIENCE_S:g} s for: {what}")


class Bench:
    """One device on the bench: `start()` its keeper, then try, ask, confirm."""

    def __init__(self, root: Path) -> None:
        self.paths = Paths(root)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.http = f"127.0.0.1:{probe.getsockname()[1]}"
        self.log = root / "keeper.log"
        self._keeper: Optional[subprocess.Popen[bytes]] = None

    def start(self) -> None:
        command = [sys.executable, "-m", "edgeai_keeper", "--root", str(self.paths.root), "--http", self.http]
        with open(self.log, "ab") as log:
            self._keeper = subprocess.Popen(command, stderr=log)
        wait_for(self._settled, "the keeper to serve what is confirmed")

    def _settled(self) -> bool:
        with contextlib.suppress(KeeperError):
            return self.status()["phase"] in ("idle", "confirmed")
        return False

    def stop(self) -> None:
        if self._keeper is not None:
            children = psutil.Process(self._keeper.pid).children(recursive=True)
            self._keeper.kill()
            self._keeper.wait()
            for child in children:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()

    def status(self) -> Dict[str, Any]:
        return KeeperClient(self.paths).status()

    def release(self, version: str, **options: Any) -> Release:
        """A fetched release; each version is a file of its own that reads the same."""
        seed = sum(ord(character) for character in version)
        given = {"recipe": FP32, "model": toy_model(seed=seed), **options}
        return toy_release(self.paths, version, **given)

    def trial(self, release: Optional[Release] = None, **options: Any) -> Any:
        return trial(self.paths, DEVICE, release=release, **options)

    def put_live(self, release: Release) -> int:
        """Try and confirm a release; its generation."""
        self.trial(release)
        return confirm(self.paths).generation

    def roll_back(self, version: str) -> None:
        rollback(self.paths, DEVICE, "label-reader", version)

    def ask(self, text: str, model: str = "label-reader") -> tuple[int, Dict[str, Any]]:
        connection = http.client.HTTPConnection(self.http, timeout=30)
        headers = {"Content-Type": "image/png", "Connection": "close"}
        with contextlib.closing(connection):
            connection.request("POST", f"/v2/models/{model}/infer", picture(text), headers)
            response = connection.getresponse()
            answer: Dict[str, Any] = json.loads(response.read())
            return response.status, answer

    def served(self, model: str = "label-reader") -> Optional[str]:
        """The version that answers for this model now."""
        status, answer = self.ask("AB", model)
        return str(answer["model_version"]) if status == 200 else None

    def wait_served(self, version: str, model: str = "label-reader") -> None:
        """Until this version answers: the process before may take a last connection while it drains."""
        wait_for(lambda: self.served(model) == version, f"{model} {version} to answer")

    def wait_confirmed(self, generation: int) -> None:
        """Until the device is back at this generation, confirmed and serving."""
        wait_for(
            lambda: self.status()["phase"] == "confirmed" and self.status()["generation"] == generation,
            f"generation {generation} to serve, confirmed",
        )

    def generations(self) -> List[str]:
        return sorted(directory.name for directory in self.paths.generations.iterdir())

    def journal(self) -> List[Dict[str, Any]]:
        return [json.loads(line) for line in self.paths.journal.read_text().splitlines()]


@contextlib.contextmanager
def running(bench: Bench) -> Iterator[Bench]:
    """Its keeper runs meanwhile."""
    bench.start()
    try:
        yield bench
    finally:
        bench.stop()


def make_device(root: Path) -> None:
    """One that serves label-reader 1.0.0, confirmed, in generation 2; its keeper does not run. 1.1.0 is
    converted."""
    with running(provisioned(root)) as bench:
        bench.trial(environment=ENVIRONMENT)
        confirm(bench.paths)
        bench.put_live(bench.release("1.0.0"))
        convert_release(bench.paths, DEVICE, bench.release("1.1.0"), False, lambda sentence: None)


def provisioned(root: Path) -> Bench:
    """With an environment, and no generation."""
    bench = Bench(root)
    build_environment(bench.paths, ENVIRONMENT)
    return bench


def device_like(template: Path, root: Path) -> Bench:
    """A copy of a device whose keeper does not run."""
    shutil.copytree(template, root, symlinks=True, ignore=shutil.ignore_patterns("*.sock"))
    return Bench(root)
