"""The device that loses its power: two bundles for it, its keeper, and what it is asked."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence

import psutil

sys.path.append(str(Path(__file__).resolve().parents[1] / "integration"))

from small_fleet import REPO, free_port
from toy_releases import picture, words, write_release

PYTHON = str(Path(sys.executable).resolve())  # a bare one, as a device's
TARGET = "{}-cp{}{}-cpu".format(os.uname().machine, *sys.version_info[:2])
OLD, NEW = "1.0.0", "1.1.0"
WORD = words(5)[0]  # of the golden set
BOOT_LIMIT_S = 60.0
VARIABLES = {"ORT_DISABLE_TELEMETRY": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1"}


class Bundle(NamedTuple):
    """A bundle's directory, the digest of its lock and its runtime's wheel."""

    directory: str
    lock: str
    wheel: str

    @property
    def url(self) -> str:
        return f"file://{self.directory}"


def make_bundles(base: Path) -> List[Bundle]:
    """The bundle of runtime and model 1.0, and that of 1.1, in which both differ."""
    releases = base / "releases"
    releases.mkdir()
    later = base / "runtime"
    unwanted = shutil.ignore_patterns("tests", "*.egg-info", "__pycache__")
    shutil.copytree(REPO / "runtime", later, ignore=unwanted)
    for package in ("edgeai_runtime", "edgeai_keeper"):  # a command and a keeper that differ
        with open(later / "src" / package / "__init__.py", "a") as file:
            file.write("\n# A later one.\n")
    old = [write_release(releases, OLD)]
    first = _build(base / "bundle-1.0", base, REPO / "runtime", old)
    shutil.copytree(first.directory, base / "bundle-1.1")
    return [first, _build(base / "bundle-1.1", base, later, [*old, write_release(releases, NEW)])]


def _build(directory: Path, base: Path, runtime: Path, releases: List[Path]) -> Bundle:
    build = ["bundle", "build", "--target", TARGET, "--output", str(directory), "--runtime", str(runtime)]
    build += ["--keys", str(base / "keys"), "--cache", str(Path("~/.cache/edgeai").expanduser())]
    _edgeai(*build, *(word for release in releases for word in ("--release", str(release))))
    root_json = str(directory / "metadata/1.root.json")
    shown = _edgeai("bundle", "show", "--depot", f"file://{directory}", "--root-json", root_json)
    wheel = shown["runtime_wheel"]
    named = base / f"wheel-of-{directory.name}" / wheel["filename"]
    named.parent.mkdir()
    shutil.copyfile(directory / "blobs/sha256" / wheel["sha256"][:2] / wheel["sha256"], named)
    return Bundle(str(directory), shown["locks"][TARGET]["sha256"], str(named))


def _edgeai(*words: str) -> Dict[str, Any]:
    command = [sys.executable, "-m", "edgeai_runtime", "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return dict(json.loads(done.stdout.splitlines()[-1]))


class Device:
    """A device below `root`; what its processes say goes to `log`."""

    def __init__(self, root: Path, log: Path) -> None:
        self.root, self.log = root, log
        self.http = f"127.0.0.1:{free_port()}"
        self.edgeai = [str(root / "opt/edgeai/bin/edgeai"), "--json"]
        keeper = str(root / "opt/edgeai/bin/keeper")
        self.keeper = [PYTHON, keeper, "--root", str(root), "--http", self.http]

    def follow(self, bundle: Bundle) -> None:
        """Write what provisioning writes: whom to trust, where the depot is."""
        etc = self.root / "etc/edgeai"
        etc.mkdir(parents=True, exist_ok=True)
        (self.root / "var/lib/edgeai").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(bundle.directory) / "metadata/1.root.json", etc / "root.json")
        (etc / "device.toml").write_text(
            f'schema = 1\nname = "pc"\nclass = "industrial_pc"\nline = "line-1"\n'
            f'[depot]\nurl = "{bundle.url}"\n[serve]\nhttp = "{self.http}"\n'
        )

    def out_of_the_wheel(self, *words: str) -> List[str]:
        return [PYTHON, "-m", "edgeai_runtime", "--root", str(self.root), "--json", *words]

    def run(self, command: Sequence[str], variables: Dict[str, str]) -> str:
        """Run a command; empty where it ended well, else what it said."""
        environment = {**os.environ, **variables}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        return "" if done.returncode == 0 else (done.stdout + done.stderr).strip()[-600:]

    @contextlib.contextmanager
    def powered(self) -> Iterator[None]:
        """The keeper runs; at the end it and all its children are killed."""
        with open(self.log, "ab") as log:
            keeper = subprocess.Popen(self.keeper, stderr=log, env={**os.environ, **VARIABLES})
        try:
            yield
        finally:
            children = psutil.Process(keeper.pid).children(recursive=True)
            keeper.kill()
            keeper.wait()
            for child in children:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
            psutil.wait_procs(children, timeout=20)

    def wait_answer(self) -> str:
        """The version that answers a golden request rightly, as soon as one does; raises TimeoutError."""
        give_up = time.monotonic() + BOOT_LIMIT_S
        said = ""
        while time.monotonic() < give_up:
            try:
                answer = self.ask()
            except (OSError, http.client.HTTPException) as error:
                said = repr(error)
            else:
                if answer["text"] == WORD:
                    return str(answer["model_version"])
                said = str(answer)
            time.sleep(0.05)
        raise TimeoutError(f"no right answer within {BOOT_LIMIT_S:g} s, last: {said[:300]}")

    def ask(self) -> Dict[str, Any]:
        connection = http.client.HTTPConnection(self.http, timeout=10)
        try:
            connection.request(
                "POST", "/v2/models/reader/infer", picture(WORD), {"Content-Type": "image/png"}
            )
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        texts = {output["name"]: output["data"] for output in answer.get("outputs", [])}
        return {**answer, "text": texts.get("text", [None])[0]}
