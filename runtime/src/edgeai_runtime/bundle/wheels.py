"""Wheels of a target, fetched by pip with hashes and kept in the workstation's cache.

A lock that was collected once is not asked for again: the cache remembers which files it named.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable, Dict, List, Sequence, Tuple

from edgeai_runtime.bundle.collection_wheel import build_collection_wheel
from edgeai_runtime.bundle.own_wheels import check_requirements, merge
from edgeai_runtime.bundle.runtime_wheel import build_runtime_wheel
from edgeai_runtime.bundle.targets import Target
from edgeai_runtime.bundle.wheel_name import WheelName
from edgeai_runtime.durable import write_atomic
from edgeai_runtime.environments.lock import Lock, Wheel
from edgeai_runtime.errors import TransferError
from edgeai_runtime.release import file_sha256

Progress = Callable[[str], None]


class WheelCache:
    """The workstation's downloads below `directory`; `files` says where each wheel lies, by sha256."""

    def __init__(self, directory: Path, progress: Progress) -> None:
        self.directory = directory
        self.progress = progress
        self.files: Dict[str, Path] = {}

    def lock(self, target: Target, made: Sequence[Wheel], locks: Path, own: Sequence[Path] = ()) -> Lock:
        """The lock of `target`, with the wheels that were `made` here among the others, and the user's `own`.

        Raises InputError for a wheel of the user that needs what is not there, TransferError.
        """
        installer = self._collect(locks / "installer.txt", [])[0]
        wheels = self._collect(target.requirements, target.pip_options())
        wheels = merge(wheels, [self._wheel(path) for path in own])
        check_requirements(own, wheels, target)
        return Lock(
            name=target.name,
            python=target.python,
            architecture=target.architecture,
            glibc=_glibc(wheels),
            accelerator=target.accelerator,
            installer=installer,
            wheels=_sorted([*wheels, *made]),
        )

    def supervisor_lock(self, locks: Path) -> Lock:
        """What keeps the keeper alive where there is no systemd: pure Python, for any target."""
        installer = self._collect(locks / "installer.txt", [])[0]
        wheels = self._collect(locks / "supervisor.txt", [])
        return Lock("supervisor", ">=3.8", "", "", "", installer, _sorted(wheels))

    def runtime_wheel(self, runtime_dir: Path) -> Wheel:
        """The wheel of the runtime in `runtime_dir`."""
        return self._wheel(build_runtime_wheel(runtime_dir, self.directory / "runtime", self.progress))

    def collection_wheel(self, collection: Path) -> Wheel:
        """The wheel of the collection in the directory `collection`."""
        return self._wheel(build_collection_wheel(collection, self.directory / "collection", self.progress))

    def _collect(self, requirements: Path, options: Sequence[str]) -> List[Wheel]:
        """The wheels that `requirements` (with hashes) names, downloaded where they are not cached."""
        # Two targets may have equal requirements and still need different wheels.
        asked = json.dumps([requirements.read_text(encoding="utf-8"), *options])
        record = self.directory / "locks" / f"{hashlib.sha256(asked.encode()).hexdigest()}.json"
        if record.is_file():
            known: Dict[str, str] = json.loads(record.read_bytes())
            paths = [self.directory / "wheels" / name for name in known]
            if all(path.is_file() and file_sha256(path) == known[path.name] for path in paths):
                return [self._wheel(path) for path in paths]
        wheels = [self._wheel(path) for path in self._download(requirements, options)]
        write_atomic(record, json.dumps({wheel.filename: wheel.sha256 for wheel in wheels}).encode())
        return wheels

    def _download(self, requirements: Path, options: Sequence[str]) -> List[Path]:
        text = requirements.read_text(encoding="utf-8")
        count = len(re.findall(r"^[A-Za-z0-9._-]+==", text, re.MULTILINE))
        wheels = self.directory / "wheels"
        wheels.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="download-", dir=str(self.directory)) as directory:
            command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps"]
            command += ["--only-binary", ":all:", "--require-hashes", "--progress-bar", "off", *options]
            command += ["--dest", directory, "--requirement", str(requirements)]
            lines = []
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            ) as pip:
                assert pip.stdout is not None  # it was asked for
                collected = 0
                for line in pip.stdout:
                    lines.append(line.strip())
                    if line.startswith(("Collecting ", "Processing ")):
                        collected += 1
                        self.progress(f"{collected} of {count} wheels for {requirements.stem}")
            if pip.returncode:
                errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
                raise TransferError(
                    f"{requirements.name}: the wheels could not be fetched ({errors[-1]}); check the "
                    "connection to the package index, or make the locks anew with `make locks`."
                )
            moved = []
            for path in sorted(Path(directory).glob("*.whl")):
                moved.append(path.replace(wheels / path.name))
        return moved

    def _wheel(self, path: Path) -> Wheel:
        wheel = Wheel(path.name, file_sha256(path), path.stat().st_size)
        self.files[wheel.sha256] = path
        return wheel


def _glibc(wheels: Sequence[Wheel]) -> str:
    """The least glibc that all wheels run with, as far as their names say."""
    needed = [WheelName.parse(wheel.filename).glibc or (0, 0) for wheel in wheels]
    major, minor = max(needed, default=(0, 0))
    return f"{major}.{minor}" if major else ""


def _sorted(wheels: Sequence[Wheel]) -> Tuple[Wheel, ...]:
    return tuple(sorted(wheels, key=lambda wheel: wheel.filename))
