"""Small releases, wheels and bundles for the tests of everything that takes them."""

from __future__ import annotations

import hashlib
import json
import zipfile
from datetime import datetime, timedelta, timezone
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence

from edgeai_runtime.environments.lock import Lock, Wheel
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import file_sha256, read_source
from edgeai_runtime.settings import Device

RELEASE_TOML = """\
schema = 1
name = "label-reader"
version = "{version}"
description = "Reads labels"
[model]
source = "model.onnx"
labels = "labels.txt"
[pipeline]
pre = [{{ op = "decode" }}, {{ op = "layout", color = "BGR", order = "NCHW" }}]
post = [{{ op = "ctc_text" }}]
[sets]
calibration = "calibration.jsonl"
selection = "selection.jsonl"
golden = "golden.jsonl"
[gates]
exact_match = 0.95
[recipes.raspberry_pi]
engine = "onnxruntime"
quantize = "static"
"""


PNG = b"\x89PNG\r\n\x1a\n"  # what every one begins with


def write_release(directory: Path, version: str = "1.0.0", model: bytes = b"a model") -> Path:
    """An author's directory: 3 calibration, 2 selection and 2 golden samples that only begin as images do."""
    directory.mkdir(parents=True)
    (directory / "release.toml").write_text(RELEASE_TOML.format(version=version))
    (directory / "model.onnx").write_bytes(model)
    (directory / "labels.txt").write_text("A\nB\n", encoding="utf-8")
    for name, count in (("calibration", 3), ("selection", 2), ("golden", 2)):
        (directory / name).mkdir()
        lines = []
        for number in range(count):
            (directory / name / f"{number}.png").write_bytes(PNG + f"{name} {number}".encode())
            line = {"file": f"{name}/{number}.png"}
            lines.append(line if name == "calibration" else {**line, "expect": "AB"})
        (directory / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return directory


def write_wheel(
    directory: Path,
    name: str,
    files: Mapping[str, str],
    version: str = "1.0",
    scripts: str = "",
    needs: str = "",
) -> Path:
    """A pure wheel with `files` (path -> content) and console `scripts` ("edgeai = package:main").

    It `needs` another package, in the words of a requirement.
    """
    directory.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + (f"Requires-Dist: {needs}\n" if needs else ""),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if scripts:
        content[f"{info}/entry_points.txt"] = f"[console_scripts]\n{scripts}\n"
    content[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*content, f"{info}/RECORD"])
    path = directory / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, text in content.items():
            archive.writestr(inner, text)
    return path


def write_collection(directory: Path, files: Mapping[str, str], version: str = "1.0.0") -> Path:
    """An installed collection edgeai.fleet of these `files`, as ansible-galaxy leaves it."""
    entries = [{"name": name, "ftype": "file", "chksum_sha256": "", "format": 1} for name in files]
    folders = {str(Path(name).parent) for name in files}
    listed = {"files": [{"name": name, "ftype": "dir", "format": 1} for name in folders] + entries}
    about = {"namespace": "edgeai", "name": "fleet", "version": version}
    manifest = {"collection_info": about, "file_manifest_file": {"name": "FILES.json"}, "format": 1}
    lists = {"FILES.json": json.dumps(listed), "MANIFEST.json": json.dumps(manifest)}
    for name, text in {**files, **lists}.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return directory


def write_installer_wheel(directory: Path) -> Path:
    """The `installer` beside these tests, packed as a wheel again: the real one without a network."""
    spec = find_spec("installer")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    files = {
        str(Path("installer") / path.relative_to(package)): path.read_text(encoding="utf-8")
        for path in sorted(package.rglob("*.py"))
    }
    return write_wheel(directory, "installer", files, version_of("installer"))


def describe(path: Path) -> Wheel:
    return Wheel(path.name, file_sha256(path), path.stat().st_size)


def make_lock(installer: Path, wheels: Iterable[Path], **fields: str) -> Lock:
    """A lock that any device fits unless `fields` say otherwise."""
    anything = {"name": "any", "python": ">=3.8", "architecture": "", "glibc": "", "accelerator": ""}
    described = tuple(sorted((describe(path) for path in wheels), key=lambda wheel: wheel.filename))
    return Lock(installer=describe(installer), wheels=described, **{**anything, **fields})


def pack(
    output: Path,
    keys_dir: Path,
    releases: Sequence[Path] = (),
    locks: Sequence[Lock] = (),
    wheels: Sequence[Path] = (),
    expires: timedelta = timedelta(days=1),
    ago: timedelta = timedelta(),
    conversions: Optional[Path] = None,
) -> Path:
    """Sign a bundle of what is given, some time `ago`, without the collecting of `bundle.build`."""
    from edgeai_runtime.bundle.conversions import read_conversions
    from edgeai_runtime.bundle.layout import place, sweep
    from edgeai_runtime.bundle.revocation import read_revoked
    from edgeai_runtime.bundle.signing import sign
    from edgeai_runtime.bundle.trust_root import open_keys

    contents: Dict[str, bytes] = {f"locks/{lock.name}.json": lock.to_json() for lock in locks}
    blobs = {file_sha256(path): path for path in wheels}
    versions: Dict[str, List[str]] = {}
    models: List[str] = []
    for directory in releases:
        release, files = read_source(directory)
        contents[f"releases/{release.name}/{release.version}.json"] = release.to_json()
        versions.setdefault(release.name, []).append(release.version)
        blobs.update(files)
        models.append(release.model.sha256)
    shared, files = read_conversions(conversions, models, print)
    contents.update(shared)
    blobs.update(files)
    about = {"schema": 1, "targets": [k.name for k in locks if k.name != "supervisor"], "releases": versions}
    contents["bundle.json"] = json.dumps(about).encode()
    revoked = read_revoked(keys_dir)
    if revoked:
        contents["revoked.json"] = json.dumps(revoked).encode()
    now = datetime.now(timezone.utc).replace(microsecond=0) - ago
    keys = open_keys(keys_dir, output)
    place(output, contents, blobs)
    sign(output / "metadata", keys, contents, now, now + expires)
    sweep(output, contents, blobs)
    return output


def provision(root: Path, bundle: Path) -> Paths:
    """A device below `root` that trusts the bundle's root."""
    paths = Paths(root)
    paths.etc.mkdir(parents=True)
    paths.root_json.write_bytes((bundle / "metadata" / "1.root.json").read_bytes())
    return paths


def at(depot_url: str, device_class: str = "raspberry_pi") -> Device:
    """The settings of a device whose depot is there."""
    return Device("pi", device_class, "line-1", depot_url, "127.0.0.1:9001")


def snapshot(paths: Paths) -> Dict[str, Any]:
    """Every file of a device with its content's digest; half-fetched files and the lock do not count."""
    found = {}
    for path in sorted(paths.root.rglob("*")):
        if path.is_file() and path != paths.lock and path.parent != paths.store / "partial":
            found[str(path.relative_to(paths.root))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def pip_hash(path: Path) -> str:
    """A line of a requirements file that allows this wheel alone."""
    name, version = path.name.split("-")[:2]
    return f"{name}=={version} --hash=sha256:{file_sha256(path)}\n"
