"""The collection as a wheel: it installs into `site-packages/ansible_collections`, where Ansible looks.

Equal files give equal bytes. What belongs to the collection is what Galaxy's FILES.json lists, which an
installed collection brings; for a checkout `ansible-galaxy collection build` makes it.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Callable, Dict, Mapping

from edgeai_runtime.durable import write_atomic
from edgeai_runtime.errors import InputError

# Written anew here: the one names the digests of all files, the other the digest of the first.
LISTS = ("FILES.json", "MANIFEST.json")


def build_collection_wheel(collection: Path, cache: Path, progress: Callable[[str], None]) -> Path:
    """The wheel of the collection in the directory `collection`, installed or a checkout.

    For a checkout it takes ansible-core beside this Python. Raises InputError.
    """
    progress("packing the collection")
    if (collection / "FILES.json").is_file():
        files = _read_installed(collection)
    elif (collection / "galaxy.yml").is_file():
        files = _read_built(collection)
    else:
        raise InputError(
            f"{collection}: there is no collection here, which a controller needs; "
            "name the runtime directory of the collection."
        )
    about = _list_anew(files)["collection_info"]
    namespace, name, version = (str(about[key]) for key in ("namespace", "name", "version"))
    within = f"ansible_collections/{namespace}/{name}"
    wheel = _Wheel(f"{namespace}_{name}", version.replace("-", "_"))
    data = wheel.pack({f"{within}/{path}": content for path, content in files.items()})
    kept = cache / hashlib.sha256(data).hexdigest() / wheel.filename
    if not kept.is_file():
        write_atomic(kept, data)
    return kept


def _read_installed(collection: Path) -> Dict[str, bytes]:
    """Every file by its path; what somebody put there besides is none of the collection's."""
    listed = json.loads((collection / "FILES.json").read_bytes())["files"]
    paths = [entry["name"] for entry in listed if entry["ftype"] == "file"]
    try:
        return {path: (collection / path).read_bytes() for path in (*paths, *LISTS)}
    except OSError as error:
        raise InputError(
            f"{error.filename}: this file of the collection cannot be read ({error.strerror}); "
            "install the collection again."
        ) from None


def _read_built(collection: Path) -> Dict[str, bytes]:
    with tempfile.TemporaryDirectory(prefix="collection-") as directory:
        command = [sys.executable, "-m", "ansible", "galaxy", "collection", "build", str(collection)]
        command += ["--output-path", directory]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = " ".join(done.stderr.split()) or "no reason given"
            raise InputError(
                f"{collection}: the collection could not be built ({said}); install ansible-core beside "
                "the runtime and try again."
            )
        (tarball,) = Path(directory).glob("*.tar.gz")
        with tarfile.open(tarball) as archive:
            found = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
            return {path: file.read() for path, file in found.items() if file is not None}


def _list_anew(files: Dict[str, bytes]) -> Dict[str, Any]:
    """Let both lists say what there is, whatever its order on a disk; returns MANIFEST.json."""
    listed, manifest = (json.loads(files[name]) for name in LISTS)
    listed["files"].sort(key=lambda entry: entry["name"])
    for entry in listed["files"]:
        if entry["ftype"] == "file":
            entry["chksum_sha256"] = hashlib.sha256(files[entry["name"]]).hexdigest()
    files[LISTS[0]] = _to_json(listed)
    manifest["file_manifest_file"]["chksum_sha256"] = hashlib.sha256(files[LISTS[0]]).hexdigest()
    files[LISTS[1]] = _to_json(manifest)
    found: Dict[str, Any] = manifest
    return found


def _to_json(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"


class _Wheel:
    """A wheel of pure Python (https://packaging.python.org/specifications/binary-distribution-format/)."""

    def __init__(self, name: str, version: str) -> None:
        self.filename = f"{name}-{version}-py3-none-any.whl"
        self._info = f"{name}-{version}.dist-info"
        self._metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"

    def pack(self, files: Mapping[str, bytes]) -> bytes:
        """Its bytes; the time of every file is where zip's calendar starts."""
        tags = "Wheel-Version: 1.0\nGenerator: edgeai\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        content = dict(sorted(files.items()))
        content[f"{self._info}/METADATA"] = self._metadata.encode()
        content[f"{self._info}/WHEEL"] = tags.encode()
        record = [f"{path},{_record_hash(data)},{len(data)}\n" for path, data in content.items()]
        content[f"{self._info}/RECORD"] = "".join([*record, f"{self._info}/RECORD,,\n"]).encode()
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for path, data in content.items():
                entry = zipfile.ZipInfo(path)
                entry.external_attr = 0o100644 << 16
                archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
        return buffer.getvalue()


def _record_hash(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
    return f"sha256={digest.decode()}"
