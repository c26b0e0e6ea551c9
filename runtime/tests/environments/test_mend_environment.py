"""An environment that the disk spoilt is mended in place, file by file, while it may be in use."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest

sys.path.append(str(Path(__file__).parents[1] / "bundle"))

from making import make_lock, snapshot, write_installer_wheel, write_wheel

from edgeai_runtime.environments import BuildResult, build_from_depot
from edgeai_runtime.environments.lock import Lock
from edgeai_runtime.errors import DamagedError
from edgeai_runtime.paths import Paths
from edgeai_runtime.trust.depots import Depots
from edgeai_runtime.trust.store import blob_name
from edgeai_runtime.verify import verify


class Built:
    """A device with an environment of two wheels, and the depot it came from."""

    def __init__(self, place: Path) -> None:
        self.depot, self.paths = place / "depot", Paths(place / "device")
        installer = write_installer_wheel(place)
        code = {"edgeai_runtime/__init__.py": "", "edgeai_runtime/cli.py": "def main():\n    print('well')\n"}
        wheels = [
            write_wheel(place, "edgeai_runtime", code, scripts="edgeai = edgeai_runtime.cli:main"),
            write_wheel(place, "greeting", {"greeting.py": "WORD = 'hello'\n"}),
        ]
        self.lock: Lock = make_lock(installer, wheels)
        described = zip((self.lock.installer, *self.lock.wheels), (installer, *wheels))
        for sha256, data in [
            *((wheel.sha256, path.read_bytes()) for wheel, path in described),
            (self.lock.digest, self.lock.to_json()),
        ]:
            path = self.depot / blob_name(sha256)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        self.environment = self.paths.environment(self.lock.digest)
        self.build()

    def build(self, check: bool = False) -> BuildResult:
        return build_from_depot(
            self.paths, self.lock.digest, Depots([f"file://{self.depot}"]), sys.executable, check=check
        )

    def find(self, pattern: str) -> Path:
        (path,) = self.environment.glob(pattern)
        return path

    def works(self) -> bool:
        """Whether its command runs and both wheels are there."""
        program = "import greeting, subprocess, sys; sys.exit(subprocess.call([sys.argv[1]]))"
        command = [str(self.environment / "bin/python"), "-c", program, str(self.environment / "bin/edgeai")]
        try:
            return subprocess.run(command, check=False, capture_output=True).returncode == 0
        except OSError:
            return False


@pytest.fixture
def built(tmp_path: Path) -> Built:
    return Built(tmp_path)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("damage", [flip, Path.unlink, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize(
    "pattern",
    [
        "lib/python3*/site-packages/greeting.py",
        "lib/python3*/site-packages/greeting-1.0.dist-info/RECORD",
        "lib/python3*/site-packages/edgeai_runtime/__pycache__/cli.*.pyc",
        "bin/edgeai",
        "pyvenv.cfg",
        "lock.json",
    ],
)
def test_a_damaged_file_is_named_and_mended(
    built: Built, pattern: str, damage: Callable[[Path], None]
) -> None:
    path = built.find(pattern)
    name = str(path.relative_to(built.environment))
    damage(path)
    with pytest.raises(DamagedError) as found:
        verify(built.paths, lambda sentence: None)
    assert found.value.details == {"damaged": [str(path)]}
    assert built.build(check=True).actions == [
        f"would mend {name} of the environment {built.lock.digest[:12]}"
    ]
    mended = built.build()
    assert mended.actions == [f"mended {name} of the environment any {built.lock.digest[:12]}"]
    assert built.works()
    assert verify(built.paths, lambda sentence: None).environments == 1
    shutil.rmtree(built.depot)
    before = snapshot(built.paths)
    assert not built.build().changed
    assert snapshot(built.paths) == before


def test_a_lost_python_is_linked_again(built: Built) -> None:
    for link in built.environment.glob("bin/python*"):
        link.unlink()
    assert not built.works()
    assert built.build().changed
    assert built.works()


def test_sha256sum_says_the_same(built: Built) -> None:
    check = ["sha256sum", "--check", "--quiet", ".files"]
    assert subprocess.run(check, cwd=built.environment, check=False).returncode == 0
    flip(built.find("lib/python3*/site-packages/greeting.py"))
    said = subprocess.run(check, cwd=built.environment, check=False, capture_output=True, text=True)
    assert said.stdout.endswith("site-packages/greeting.py: FAILED\n")


def test_what_cannot_be_mended_is_as_it_was(built: Built) -> None:
    damaged = built.find("lib/python3*/site-packages/greeting.py")
    damaged.unlink()
    shutil.rmtree(built.paths.store)
    shutil.rmtree(built.depot / "blobs/sha256" / built.lock.wheels[1].sha256[:2])
    before = snapshot(built.paths)
    with pytest.raises(Exception, match="the depot does not have this file"):
        built.build()
    after = {name: sha256 for name, sha256 in snapshot(built.paths).items() if "/store/" not in name}
    assert after == before
