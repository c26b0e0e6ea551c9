"""The author's directory: release.toml and the files it names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

from edgeai_runtime.errors import InputError
from edgeai_runtime.release.checks import check_parts
from edgeai_runtime.release.contents import Content
from edgeai_runtime.release.digest import file_sha256
from edgeai_runtime.release.expect import read_expected
from edgeai_runtime.release.manifest import Release
from edgeai_runtime.release.parts import Blob, Sample, Sets
from edgeai_runtime.release.tables import described
from edgeai_runtime.release.tensors import split_model
from edgeai_runtime.release.values import check_schema
from edgeai_runtime.strict import check_keys, typed


def read_source(directory: Path) -> Tuple[Release, Dict[str, Content]]:
    """Read an author's directory: the release and where the content of each of its blobs lies, by sha256.

    Raises InputError naming the file and the key, nearest known key, or missing file at fault.
    """
    from edgeai_runtime.settings import load_toml  # needs tomli below 3.11: not in a bootstrap

    origin = str(directory / "release.toml")
    table = load_toml(directory / "release.toml")
    check_keys(
        table,
        ["schema", "name", "version", "description", "model", "pipeline", "sets", "gates", "recipes"],
        ["serving"],
        origin=origin,
    )
    check_schema(table, origin)
    model = typed(table, "model", dict, origin)
    check_keys(model, ["source"], ["labels"], origin=f"{origin}, [model]")
    sets = typed(table, "sets", dict, origin)
    check_keys(sets, ["selection", "golden"], ["calibration"], origin=f"{origin}, [sets]")
    source = _Source(directory)
    model_file = source.content(typed(model, "source", str, f"{origin}, [model]"), f"{origin}, [model]")
    split = split_model(model_file, f"{origin}, [model]")
    release = Release(
        model=split.graph,
        tensors=split.tensors,
        labels=source.labels(model, f"{origin}, [model]"),
        sets=Sets(
            calibration=source.samples(sets, "calibration", f"{origin}, [sets]"),
            selection=source.samples(sets, "selection", f"{origin}, [sets]"),
            golden=source.samples(sets, "golden", f"{origin}, [sets]"),
        ),
        **described(table, origin),
    )
    names = {digest: str(path.relative_to(directory)) for digest, path in source.files.items()}
    check_parts(release, names, origin)
    return release, {**source.files, **split.contents}


class _Source:
    """The files of an author's directory; `files` collects what was read (sha256 -> file)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.files: Dict[str, Path] = {}

    def path(self, name: str, origin: str) -> Path:
        path = self.directory / name
        inside = self.directory.resolve() in path.resolve().parents
        if not inside:
            raise InputError(f"{origin}: {name} lies outside the release's directory; copy it into it.")
        if not path.is_file():
            raise InputError(f"{origin}: the file {name} is missing; add it or correct its name.")
        return path

    def content(self, name: str, origin: str) -> Path:
        """The path of a file that must not be empty."""
        path = self.path(name, origin)
        if path.stat().st_size == 0:
            raise InputError(f"{origin}: the file {name} is empty; write its content.")
        return path

    def blob(self, name: str, origin: str) -> Blob:
        path = self.content(name, origin)
        blob = Blob(file_sha256(path), path.stat().st_size)
        self.files[blob.sha256] = path
        return blob

    def labels(self, model: Mapping[str, Any], origin: str) -> Optional[Blob]:
        if "labels" not in model:
            return None
        name = typed(model, "labels", str, origin)
        blob = self.blob(name, origin)
        try:
            self.files[blob.sha256].read_bytes().decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{origin}: {name} is not UTF-8 ({error.reason}); save it as UTF-8.") from None
        return blob

    def samples(self, sets: Mapping[str, Any], name: str, origin: str) -> Tuple[Sample, ...]:
        if name not in sets:
            return ()
        path = self.path(typed(sets, name, str, origin), origin)
        samples = []
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            where = f"{path}, line {number}"
            if not line.strip():
                continue
            try:
                table = json.loads(line)
            except ValueError:
                table = None
            if not isinstance(table, dict):
                raise InputError(
                    f'{where}: this is no JSON object, expected {{"file": "…"}}; correct the line.'
                )
            check_keys(table, ["file"] if name == "calibration" else ["file", "expect"], origin=where)
            expect = None if name == "calibration" else read_expected(table, where)
            blob = self.blob(typed(table, "file", str, where), where)
            samples.append(Sample(blob.sha256, blob.size, expect))
        return tuple(samples)
