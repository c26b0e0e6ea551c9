"""Environments come from a lock and a depot: whole or not at all, with nothing but a bare Python."""

from __future__ import annotations

import json
import os
import platform
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, List, NamedTuple

import pytest

sys.path.append(str(Path(__file__).parents[1] / "bundle"))

from making import make_lock, snapshot, write_installer_wheel, write_wheel

import edgeai_runtime
from edgeai_runtime.environments import BuildResult, build, build_from_depot
from edgeai_runtime.environments.lock import Lock
from edgeai_runtime.errors import BuildError, InputError, StorageError, TransferError, TrustError
from edgeai_runtime.paths import Paths
from edgeai_runtime.trust import space
from edgeai_runtime.trust.depots import Depots
from edgeai_runtime.trust.store import blob_name, blob_path

VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
RUNTIME = {
    "edgeai_runtime/__init__.py": "",
    "edgeai_runtime/cli.py": "import sys\ndef main():\n    print(' '.join(sys.argv[1:]))\n",
}


@pytest.fixture(scope="session")
def installer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_installer_wheel(tmp_path_factory.mktemp("installer"))


class Place(NamedTuple):
    """A depot's directory, a device and what to put on the depot."""

    depot: Path
    device: Paths
    installer: Path

    def offer(self, wheels: List[Path], **fields: str) -> Lock:
        """Put a lock of these wheels on the depot."""
        lock = make_lock(self.installer, wheels, **fields)
        for wheel, path in [(lock.installer, self.installer), *zip(lock.wheels, sorted(wheels))]:
            self.put(wheel.sha256, path.read_bytes())
        self.put(lock.digest, lock.to_json())
        return lock

    def put(self, sha256: str, data: bytes) -> None:
        path = self.depot / blob_name(sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def build(self, lock: Lock, python: str = sys.executable, **options: Any) -> BuildResult:
        return build_from_depot(self.device, lock.digest, Depots([f"file://{self.depot}"]), python, **options)

    def refused(self, lock: Lock, kind: Any, **options: Any) -> str:
        """The sentence a build is refused with; no environment and no command may be left."""
        with pytest.raises(kind) as caught:
            self.build(lock, **options)
        assert "\n" not in caught.value.message
        assert not self.device.environment(lock.digest).exists()
        assert not self.device.bin.exists()
        return str(caught.value.message)


@pytest.fixture
def place(tmp_path: Path, installer: Path) -> Place:
    return Place(tmp_path / "depot", Paths(tmp_path / "device"), installer)


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    return write_wheel(
        tmp_path / "wheels", "edgeai_runtime", RUNTIME, scripts="edgeai = edgeai_runtime.cli:main"
    )


@pytest.fixture
def greeting(tmp_path: Path) -> Path:
    return write_wheel(tmp_path / "wheels", "greeting", {"greeting.py": "WORD = 'hello'\n"})


def said(command: List[str], **variables: str) -> str:
    environment = {**os.environ, **variables}
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def test_an_environment_holds_its_wheels_and_nothing_else(place: Place, greeting: Path) -> None:
    lock = place.offer([greeting])
    told: List[str] = []
    result = place.build(lock, progress=told.append)
    environment = place.device.environment(lock.digest)
    assert (result.changed, result.path) == (True, str(environment))
    program = "import greeting, importlib.util as u; print(greeting.WORD, u.find_spec('installer'))"
    assert said([str(environment / "bin" / "python"), "-c", program]) == "hello None\n"
    assert (environment / "lock.json").read_bytes() == lock.to_json()
    assert (environment / ".complete").read_text() == f"{lock.digest}\n"
    assert told == [
        "2 of 2 files of the environment any",
        "installing 1 wheels",
    ]
    assert json.loads(place.device.journal.read_text())["event"] == "environment"


def test_the_same_again_changes_nothing_and_needs_no_depot(place: Place, runtime: Path) -> None:
    lock = place.offer([runtime])
    place.build(lock)
    shutil.rmtree(place.depot)
    before = snapshot(place.device)
    again = place.build(lock)
    assert (again.changed, again.actions) == (False, [])
    assert snapshot(place.device) == before


def test_a_check_predicts_and_changes_nothing(place: Place, runtime: Path) -> None:
    lock = place.offer([runtime])
    forecast = place.build(lock, check=True)
    assert forecast.changed
    assert not place.device.root.exists()
    place.build(lock)
    assert not place.build(lock, check=True).changed


def test_a_half_built_environment_is_built_anew(place: Place, greeting: Path) -> None:
    lock = place.offer([greeting])
    environment = place.device.environment(lock.digest)
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").write_text("cut off")
    (environment / "lock.json").write_bytes(lock.to_json())
    assert place.build(lock).changed
    assert not (environment / "bin" / "python").read_bytes().startswith(b"cut")
    assert (environment / ".complete").exists()


def test_a_tampered_wheel_is_refused(place: Place, greeting: Path) -> None:
    lock = place.offer([greeting])
    place.put(lock.wheels[0].sha256, bytes(lock.wheels[0].size))
    assert "the content is not what was signed" in place.refused(lock, TrustError)


def test_a_wheel_that_was_damaged_in_the_store_is_fetched_again(place: Place, greeting: Path) -> None:
    lock = place.offer([greeting])
    place.build(lock)
    shutil.rmtree(place.device.environment(lock.digest))
    blob = blob_path(place.device, lock.wheels[0].sha256)
    blob.write_bytes(bytes(lock.wheels[0].size))
    place.build(lock)
    assert blob.read_bytes() == greeting.read_bytes()


def test_what_the_depot_lacks_comes_from_its_mirror(place: Place, greeting: Path, tmp_path: Path) -> None:
    lock = place.offer([greeting])
    shutil.copytree(place.depot, tmp_path / "mirror")
    (place.depot / blob_name(lock.wheels[0].sha256)).unlink()
    depots = Depots([f"file://{place.depot}", f"file://{tmp_path / 'mirror'}"])
    assert build_from_depot(place.device, lock.digest, depots, sys.executable).changed


def test_no_wheel_is_fetched_where_there_is_no_room_to_install_it(
    place: Place, greeting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = place.offer([greeting])
    fetched, installed = lock.installer.size + lock.wheels[0].size, build.UNPACKED * lock.wheels[0].size
    free = fetched + installed - 1
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    message = place.refused(lock, StorageError)
    assert ": the environment any needs " in message
    assert message.endswith(" MB are free; make room, then run the command again.")
    assert not place.device.store.exists()
    free += 1
    assert place.build(lock).changed


def test_what_a_wheel_lists_is_on_record(place: Place, runtime: Path) -> None:
    """As the specification asks: every file with its digest, scripts included, and who installed it."""
    lock = place.offer([runtime])
    place.build(lock)
    packages = next(place.device.environment(lock.digest).glob("lib/python3*/site-packages"))
    info = packages / "edgeai_runtime-1.0.dist-info"
    recorded = dict(line.split(",")[:2] for line in (info / "RECORD").read_text().splitlines())
    assert recorded["edgeai_runtime/cli.py"].startswith("sha256=")
    assert "../../../bin/edgeai" in recorded
    assert (info / "INSTALLER").read_text() == "edgeai\n"


def test_a_truncated_wheel_is_refused(place: Place, greeting: Path) -> None:
    lock = place.offer([greeting])
    place.put(lock.wheels[0].sha256, greeting.read_bytes()[:100])
    assert f"has 100 bytes, signed are {lock.wheels[0].size}" in place.refused(lock, TrustError)


def test_a_tampered_lock_is_refused(place: Place, greeting: Path) -> None:
    lock = place.offer([greeting])
    place.put(lock.digest, lock.to_json().replace(b"greeting", b"greating"))
    assert "this has other content than was signed" in place.refused(lock, TrustError)


def test_a_lock_the_depot_lacks_is_named(place: Place, greeting: Path) -> None:
    lock = make_lock(place.installer, [greeting])
    assert "the depot does not have this file" in place.refused(lock, TransferError)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"name": "x86_64-cp37-cpu", "python": "3.7"}, "the lock x86_64-cp37-cpu is for 3.7"),
        ({"python": ">=3.99"}, "the lock any is for >=3.99"),
        ({"architecture": "riscv64"}, f"This device is {platform.machine()}, the lock any is for riscv64"),
        ({"glibc": "9.1"}, "the lock any needs at least 9.1"),
    ],
)
def test_a_lock_of_another_target_is_refused(
    place: Place, greeting: Path, fields: Dict[str, str], sentence: str
) -> None:
    assert sentence in place.refused(place.offer([greeting], **fields), BuildError)


def test_a_lock_of_this_very_target_fits(place: Place, greeting: Path) -> None:
    lock = place.offer([greeting], python=VERSION, architecture=platform.machine(), glibc="2.17")
    assert place.build(lock).changed


def test_a_python_that_is_not_there_is_named(place: Place, greeting: Path) -> None:
    message = place.refused(place.offer([greeting]), BuildError, python="/no/such/python3")
    assert message.startswith("/no/such/python3: cannot be started (No such file or directory)")


def test_a_python_without_venv_is_named(place: Place, greeting: Path, tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -c "import venv_is_packed_apart"\n')
    python.chmod(0o755)
    message = place.refused(place.offer([greeting]), BuildError, python=str(python))
    assert f"{python} could not import the module venv (ModuleNotFoundError" in message


def test_a_wheel_that_does_not_install_leaves_nothing(place: Place, tmp_path: Path) -> None:
    broken = tmp_path / "broken-1.0-py3-none-any.whl"
    with zipfile.ZipFile(broken, "w") as archive:
        archive.writestr("broken.py", "")
    message = place.refused(place.offer([broken]), BuildError)
    assert "could not install the wheels (" in message


def add_entry(wheel: Path, name: str, content: bytes, kind: int = stat.S_IFREG) -> Path:
    """The same wheel with one more entry, packed as small as it gets."""
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (kind | 0o644) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(entry, content)
    return wheel


@pytest.mark.parametrize("name", ["../../../x.py", "greeting/../../../../../x.py", "{outside}/x.py"])
def test_a_wheel_that_leads_out_of_the_environment_is_refused(
    place: Place, greeting: Path, tmp_path: Path, name: str
) -> None:
    name = name.format(outside=tmp_path)
    message = place.refused(place.offer([add_entry(greeting, name, b"")]), BuildError)
    assert f"(ValueError: {greeting.name}: {name!r} leads out of the environment);" in message
    assert list(tmp_path.rglob("x.py")) == []


def test_a_command_that_leads_out_of_the_environment_is_refused(place: Place, tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path / "wheels", "greeting", {}, scripts="../../x.py = greeting:main")
    message = place.refused(place.offer([wheel]), BuildError)
    assert f"{wheel.name}: its command '../../x.py' leads out of the environment" in message
    assert list(tmp_path.rglob("x.py")) == []


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR])
def test_a_wheel_of_more_than_files_is_refused(place: Place, greeting: Path, kind: int) -> None:
    message = place.refused(place.offer([add_entry(greeting, "x.py", b"/etc/passwd", kind)]), BuildError)
    assert f"{greeting.name}: 'x.py' is neither a file nor a directory" in message


@pytest.mark.parametrize("name", ["greeting-1.0.data", "greeting-1.0.database/x.py"])
def test_a_wheel_that_would_never_be_installed_is_refused(place: Place, greeting: Path, name: str) -> None:
    message = place.refused(place.offer([add_entry(greeting, name, b"")]), BuildError)
    assert f"{greeting.name}: {name!r} is in the way of greeting-1.0.data" in message


def test_a_wheel_that_would_fill_the_disk_is_refused(place: Place, greeting: Path) -> None:
    message = place.refused(place.offer([add_entry(greeting, "x.py", bytes(50_000_000))]), BuildError)
    assert f"{greeting.name}: it would unpack to 500" in message


def test_a_wheels_headers_stay_in_the_environment(place: Place, greeting: Path) -> None:
    """Python's own are the system's, whose directory it names instead."""
    lock = place.offer([add_entry(greeting, "greeting-1.0.data/headers/greeting.h", b"")])
    place.build(lock)
    assert (place.device.environment(lock.digest) / "include/greeting.h").exists()


def test_a_wheel_that_does_not_run_here_leaves_nothing(place: Place, tmp_path: Path) -> None:
    numpy = write_wheel(tmp_path, "numpy", {"numpy.py": "raise ImportError('libm.so.9 is missing')\n"})
    message = place.refused(place.offer([numpy]), BuildError)
    assert "could not import what was installed (ImportError: libm.so.9 is missing)" in message


def test_what_is_used_is_compiled_while_it_may_be_written(
    place: Place, runtime: Path, tmp_path: Path
) -> None:
    numpy = write_wheel(tmp_path / "wheels", "numpy", {"numpy/__init__.py": "", "numpy/unused.py": ""})
    lock = place.offer([runtime, numpy])
    place.build(lock)
    packages = next(place.device.environment(lock.digest).glob("lib/python3*/site-packages"))
    compiled = {path.name.split(".")[0] for path in (packages / "numpy" / "__pycache__").iterdir()}
    assert compiled == {"__init__"}
    compiled = {path.name.split(".")[0] for path in (packages / "edgeai_runtime" / "__pycache__").iterdir()}
    assert compiled == {"__init__", "cli"}


@pytest.fixture
def jetson_python(tmp_path: Path) -> str:
    """An interpreter whose system packages are `tensorrt` and another, as JetPack installs them."""
    packages = tmp_path / "usr/lib/python3/dist-packages"
    for name in ("tensorrt", "graphsurgeon"):
        (packages / name).mkdir(parents=True)
        (packages / name / "__init__.py").write_text("")
    (packages / "tensorrt-10.3.0.dist-info").mkdir()
    (packages / "tensorrt-10.3.0.dist-info/METADATA").write_text("Name: tensorrt\nVersion: 10.3.0\n")
    python = tmp_path / "usr/bin/python3"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nPYTHONPATH={packages} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return str(python)


FOUND = """
import importlib.metadata, importlib.util
def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
found = [importlib.util.find_spec(name) is not None for name in ("tensorrt", "graphsurgeon")]
print(version("tensorrt"), *found)
"""


def test_of_the_systems_packages_only_tensorrt_is_let_in(
    place: Place, greeting: Path, jetson_python: str
) -> None:
    lock = place.offer([greeting], name="aarch64-cp310-jetson", accelerator="jetson")
    python = place.build(lock, python=jetson_python).path + "/bin/python"
    assert said([python, "-I", "-c", FOUND]) == "10.3.0 True False\n"


@pytest.mark.parametrize("accelerator", ["cpu", ""])
def test_an_environment_for_the_processor_lets_nothing_in(
    place: Place, greeting: Path, jetson_python: str, accelerator: str
) -> None:
    python = place.build(place.offer([greeting], accelerator=accelerator), python=jetson_python).path
    assert said([python + "/bin/python", "-I", "-c", FOUND]) == "None False False\n"


def test_a_system_without_tensorrt_is_no_obstacle(place: Place, greeting: Path) -> None:
    python = place.build(place.offer([greeting], accelerator="jetson")).path
    assert said([python + "/bin/python", "-I", "-c", FOUND]) == "None False False\n"


@pytest.mark.parametrize("data", [b"not json", b"[]\n", b'{"schema": 1}\n'])
def test_what_is_no_lock_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^depot, lock x: "):
        Lock.from_json(data, "depot, lock x")


def test_a_wheel_may_not_lead_out_of_its_directory(place: Place, greeting: Path) -> None:
    data = make_lock(place.installer, [greeting]).to_json().replace(b"greeting-1.0", b"../greeting")
    with pytest.raises(InputError, match=r"'\.\./greeting-py3-none-any.whl' is no wheel's file name"):
        Lock.from_json(data, "lock")


def test_a_bare_python_builds_it_out_of_the_runtime_wheel(
    place: Place, runtime: Path, tmp_path: Path
) -> None:
    wheel = tmp_path / "edgeai_runtime-0-py3-none-any.whl"
    package = Path(edgeai_runtime.__file__).parent
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in package.parent.rglob("*.py"):  # edgeai_keeper as well
            archive.write(path, str(path.relative_to(package.parent)))
    lock = place.offer([runtime])
    # -S: without site-packages, as on a device to which nothing was ever installed.
    command = [sys.executable, "-S", "-m", "edgeai_runtime", "--root", str(place.device.root), "--json"]
    command += ["environment"]
    named = ["--lock-sha256", lock.digest]
    build = [*command, "build", *named, "--depot", f"file://{place.depot}", "--python", sys.executable]
    answer = json.loads(said(build, PYTHONPATH=str(wheel)))
    said([*command, "use", *named], PYTHONPATH=str(wheel))
    assert (answer["ok"], answer["changed"], answer["environment"]) == (True, True, lock.digest)
    assert said([str(place.device.bin / "edgeai"), "x"]) == f"--root {place.device.root} x\n"
