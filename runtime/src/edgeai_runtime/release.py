"""A release: what a model's author ships, as its manifest and as its source directory.

The manifest is canonical JSON (sorted keys, no spaces, one newline at the end), so that equal
releases have equal bytes and one digest. It names every file by the sha256 of its content.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Type, Union

from edgeai_runtime.errors import InputError
from edgeai_runtime.strict import check_keys

SCHEMA = 1
DEVICE_CLASSES = ("industrial_pc", "jetson", "raspberry_pi")
ENGINES = ("onnxruntime",)
QUANTIZERS = ("none", "dynamic", "static")

# Parameters of each operation of a pipeline: (required, optional).
PRE_OPERATIONS: Dict[str, Tuple[Sequence[str], Sequence[str]]] = {
    "decode": ((), ()),
    "resize": (("height",), ("width", "min_width", "max_width")),
    "normalize": (("mean", "std"), ()),
    "layout": (("color", "order"), ()),
}
POST_OPERATIONS: Dict[str, Tuple[Sequence[str], Sequence[str]]] = {"ctc_text": ((), ())}

# Range of each gate, both ends included; `exact_match` is a minimum, the others are maxima.
GATES: Dict[str, Tuple[float, float]] = {
    "exact_match": (0.0, 1.0),
    "p99_ms": (0.001, 3_600_000.0),
    "memory_mb": (1.0, 1_048_576.0),
    "error_rate": (0.0, 1.0),
}

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_NUMBER = r"(0|[1-9]\d*)"
_IDENTIFIERS = r"[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*"
# https://semver.org, without its rule on leading zeros of numeric pre-release identifiers.
_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_IDENTIFIERS})?(\+{_IDENTIFIERS})?")
_SHA256 = re.compile(r"[0-9a-f]{64}")

_Kind = Union[Type[Any], Tuple[Type[Any], ...]]
_NUMBERS = (int, float)


@dataclass(frozen=True)
class Blob:
    """A file by its content: sha256 in lower-case hex, size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Sample(Blob):
    """An image (PNG or JPEG) of a set; `expect` is the right answer, None in a calibration set."""

    expect: Optional[str] = None


@dataclass(frozen=True)
class Sets:
    """The three sets of samples; no image is in two of them."""

    calibration: Tuple[Sample, ...]
    selection: Tuple[Sample, ...]
    golden: Tuple[Sample, ...]


@dataclass(frozen=True)
class Pipeline:
    """Operations in order, each {"op": name, parameter: value, …}."""

    pre: Tuple[Mapping[str, Any], ...]
    post: Tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Recipe:
    """How a device class converts the model.

    `operators`: ONNX operator types to quantize, empty for the engine's own choice;
    `prune`: share of weights set to zero, 0 to below 1; `threads`: of one inference.
    """

    engine: str = "onnxruntime"
    quantize: str = "none"
    operators: Tuple[str, ...] = ()
    per_channel: bool = False
    prune: float = 0.0
    threads: int = 1


@dataclass(frozen=True)
class Release:
    """An immutable, versioned unit; `gates` holds only the gates its author set (always `exact_match`)."""

    name: str
    version: str
    description: str
    model: Blob
    labels: Optional[Blob]
    pipeline: Pipeline
    sets: Sets
    recipes: Dict[str, Recipe]
    gates: Dict[str, float]

    @property
    def digest(self) -> str:
        """The sha256 of the manifest: the release's identity."""
        return hashlib.sha256(self.to_json()).hexdigest()

    @property
    def blobs(self) -> Tuple[Blob, ...]:
        """Every file of the release once: model, labels, calibration, selection, golden samples."""
        sets = self.sets
        named = [self.model, *([self.labels] if self.labels else [])]
        named += [*sets.calibration, *sets.selection, *sets.golden]
        return tuple({blob.sha256: Blob(blob.sha256, blob.size) for blob in named}.values())

    def recipe_for(self, device_class: str) -> Recipe:
        """The recipe of a device class; raises InputError naming the classes the release supports."""
        if device_class not in self.recipes:
            raise InputError(
                f"{self.name} {self.version} has no recipe for the device class '{device_class}', only for "
                f"{', '.join(sorted(self.recipes))}; add [recipes.{device_class}] in a new version."
            )
        return self.recipes[device_class]

    def to_json(self) -> bytes:
        """The manifest as canonical JSON."""
        sets = self.sets
        manifest = {
            "schema": SCHEMA,
            "name": self.name,
            "version": self.version,
            "description": self.description,
            "model": vars(self.model),
            "labels": vars(self.labels) if self.labels else None,
            "pipeline": {"pre": self.pipeline.pre, "post": self.pipeline.post},
            "sets": {
                "calibration": [{"sha256": s.sha256, "size": s.size} for s in sets.calibration],
                "selection": [vars(sample) for sample in sets.selection],
                "golden": [vars(sample) for sample in sets.golden],
            },
            "recipes": {name: vars(recipe) for name, recipe in self.recipes.items()},
            "gates": self.gates,
        }
        text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text.encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes, origin: str) -> Release:
        """Read a manifest; `origin` names it in errors. Raises InputError for anything not canonical."""
        try:
            manifest = json.loads(data)
        except ValueError as error:
            raise InputError(f"{origin}: this is not JSON ({error}); fetch the release again.") from None
        if not isinstance(manifest, dict):
            raise InputError(f"{origin}: a release manifest is expected here; fetch the release again.")
        check_schema(manifest, origin)
        keys = ["schema", "name", "version", "description", "model", "labels"]
        check_keys(manifest, [*keys, "pipeline", "sets", "recipes", "gates"], origin=origin)
        sets = typed(manifest, "sets", dict, origin)
        check_keys(sets, ["calibration", "selection", "golden"], origin=f"{origin}, sets")
        release = cls(
            model=_blob(typed(manifest, "model", dict, origin), f"{origin}, model"),
            labels=(
                None
                if manifest["labels"] is None
                else _blob(typed(manifest, "labels", dict, origin), f"{origin}, labels")
            ),
            sets=Sets(
                calibration=_samples(sets, "calibration", origin),
                selection=_samples(sets, "selection", origin),
                golden=_samples(sets, "golden", origin),
            ),
            **described(manifest, origin),
        )
        check_release(release, origin)
        if release.to_json() != data:
            raise InputError(f"{origin}: this manifest is not in canonical form; build the bundle again.")
        return release


def typed(table: Mapping[str, Any], key: str, kind: _Kind, origin: str, default: Any = None) -> Any:
    """`table[key]`, or `default` where the key is missing; raises InputError for a value of another type."""
    value = table.get(key, default)
    # bool is an int to Python, but `threads = true` is a mistake.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        words = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
        words.update({list: "a list", dict: "a table"})
        expected = words[kinds[-1]]
        raise InputError(f"{origin}: '{key}' is {value!r}, expected {expected}; correct it.")
    return value


def check_schema(table: Mapping[str, Any], origin: str) -> None:
    """Refuse a schema version this runtime does not know."""
    if table.get("schema") != SCHEMA:
        raise InputError(
            f"{origin}: schema is {table.get('schema')!r}, this runtime reads {SCHEMA}; "
            "write it for that schema or update the runtime."
        )


def described(table: Mapping[str, Any], origin: str) -> Dict[str, Any]:
    """The fields of Release that release.toml and the manifest spell alike, checked."""
    name = typed(table, "name", str, origin)
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{origin}: the name is '{name}', expected lower-case letters, digits and hyphens; rename it."
        )
    version = typed(table, "version", str, origin)
    if not _VERSION.fullmatch(version):
        raise InputError(
            f"{origin}: the version is '{version}', expected one like 1.4.0 (semver); correct it."
        )
    pipeline = typed(table, "pipeline", dict, origin)
    check_keys(pipeline, ["pre", "post"], origin=f"{origin}, [pipeline]")
    recipes = typed(table, "recipes", dict, origin)
    check_keys(recipes, optional=DEVICE_CLASSES, origin=f"{origin}, [recipes]")
    if not recipes:
        raise InputError(f"{origin}: no device class has a recipe; add [recipes.raspberry_pi] or another.")
    return {
        "name": name,
        "version": version,
        "description": typed(table, "description", str, origin),
        "pipeline": Pipeline(
            pre=_operations(pipeline, "pre", PRE_OPERATIONS, origin),
            post=_operations(pipeline, "post", POST_OPERATIONS, origin),
        ),
        "recipes": {
            device_class: _recipe(
                typed(recipes, device_class, dict, origin), f"{origin}, [recipes.{device_class}]"
            )
            for device_class in recipes
        },
        "gates": _gates(typed(table, "gates", dict, origin), f"{origin}, [gates]"),
    }


def check_release(release: Release, origin: str) -> None:
    """What holds between the parts of a release; raises InputError."""
    for name in ("selection", "golden"):
        if not getattr(release.sets, name):
            raise InputError(f"{origin}: the {name} set is empty; add at least one sample to it.")
    for device_class, recipe in sorted(release.recipes.items()):
        if recipe.quantize == "static" and not release.sets.calibration:
            raise InputError(
                f"{origin}, [recipes.{device_class}]: static quantization needs a calibration set; "
                'add one under [sets] or choose quantize = "dynamic".'
            )
    if any(step["op"] == "ctc_text" for step in release.pipeline.post) and release.labels is None:
        raise InputError(
            f'{origin}: ctc_text needs the model\'s labels; add labels = "labels.txt" under [model].'
        )
    check_disjoint(release.sets, {}, origin)


def check_disjoint(sets: Sets, names: Mapping[str, str], origin: str) -> None:
    """Refuse sets that share an image by content; `names` (sha256 -> file) makes the error readable."""
    for first, second in (("calibration", "golden"), ("calibration", "selection"), ("selection", "golden")):
        of_first = {sample.sha256 for sample in getattr(sets, first)}
        shared = {
            s.sha256: names.get(s.sha256, s.sha256) for s in getattr(sets, second) if s.sha256 in of_first
        }
        if shared:
            shown = sorted(shared.values())
            more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
            images = "1 image" if len(shown) == 1 else f"{len(shown)} images"
            raise InputError(
                f"{origin}: the {first} and {second} sets share {images}: {', '.join(shown[:5])}{more}; "
                "a measure on images the conversion has seen proves nothing, so remove them from one set."
            )


def _blob(table: Mapping[str, Any], origin: str) -> Blob:
    check_keys(table, ["sha256", "size"], origin=origin)
    return Blob(_digest(table, origin), typed(table, "size", int, origin))


def _samples(sets: Mapping[str, Any], name: str, origin: str) -> Tuple[Sample, ...]:
    where = f"{origin}, sets.{name}"
    keys = ["sha256", "size"] if name == "calibration" else ["sha256", "size", "expect"]
    samples = []
    for table in typed(sets, name, list, origin):
        check_keys(table, keys, origin=where)
        expect = None if name == "calibration" else typed(table, "expect", str, where)
        samples.append(Sample(_digest(table, where), typed(table, "size", int, where), expect))
    return tuple(samples)


def _digest(table: Mapping[str, Any], origin: str) -> str:
    value = table["sha256"]
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise InputError(f"{origin}: {value!r} is no sha256; build the bundle again.")
    return value


def _operations(
    pipeline: Mapping[str, Any],
    side: str,
    known: Mapping[str, Tuple[Sequence[str], Sequence[str]]],
    origin: str,
) -> Tuple[Mapping[str, Any], ...]:
    where = f"{origin}, [[pipeline.{side}]]"
    steps = typed(pipeline, side, list, origin)
    for step in steps:
        if not isinstance(step, dict):
            raise InputError(f"{where}: {step!r} is no operation, expected a table with 'op'; correct it.")
        name = typed(step, "op", str, where)
        if name not in known:
            raise InputError(
                f"{where}: the operation '{name}' is unknown; known are: {', '.join(sorted(known))}."
            )
        required, optional = known[name]
        check_keys(step, ["op", *required], optional, origin=f"{where} '{name}'")
        _check_parameters(step, f"{where} '{name}'")
    return tuple(steps)


def _check_parameters(step: Mapping[str, Any], origin: str) -> None:
    for key in ("height", "width", "min_width", "max_width"):
        if key in step and typed(step, key, int, origin) < 1:
            raise InputError(f"{origin}: '{key}' is {step[key]}, expected at least 1 pixel; correct it.")
    if step.get("min_width", 0) > step.get("max_width", float("inf")):
        raise InputError(f"{origin}: 'min_width' is above 'max_width'; correct one of them.")
    for key in ("mean", "std"):
        values = typed(step, key, list, origin) if key in step else [1.0] * 3
        numeric = all(isinstance(v, _NUMBERS) and not isinstance(v, bool) for v in values)
        if len(values) != 3 or not numeric or (key == "std" and 0 in values):
            raise InputError(
                f"{origin}: '{key}' is {values!r}, expected three numbers (none 0 in std); correct it."
            )
    for key, choices in (("color", ("RGB", "BGR")), ("order", ("NCHW", "NHWC"))):
        if key in step:
            _choice(step, key, choices, origin)


def _choice(
    table: Mapping[str, Any], key: str, choices: Sequence[str], origin: str, default: Any = None
) -> str:
    value = typed(table, key, str, origin, default)
    if value not in choices:
        raise InputError(f"{origin}: '{key}' is '{value}', expected one of {', '.join(choices)}; correct it.")
    return str(value)


def _recipe(table: Mapping[str, Any], origin: str) -> Recipe:
    check_keys(table, ["engine", "quantize"], ["operators", "per_channel", "prune", "threads"], origin=origin)
    operators = typed(table, "operators", list, origin, [])
    if not all(isinstance(operator, str) for operator in operators):
        raise InputError(
            f"{origin}: 'operators' is {operators!r}, expected names such as \"Conv\"; correct it."
        )
    recipe = Recipe(
        engine=_choice(table, "engine", ENGINES, origin),
        quantize=_choice(table, "quantize", QUANTIZERS, origin),
        operators=tuple(operators),
        per_channel=typed(table, "per_channel", bool, origin, False),
        prune=float(typed(table, "prune", _NUMBERS, origin, 0.0)),
        threads=typed(table, "threads", int, origin, 1),
    )
    if not 0.0 <= recipe.prune < 1.0:
        raise InputError(
            f"{origin}: 'prune' is {recipe.prune}, expected a share from 0 to below 1; correct it."
        )
    if not 1 <= recipe.threads <= 256:
        raise InputError(f"{origin}: 'threads' is {recipe.threads}, expected 1 to 256; correct it.")
    return recipe


def _gates(table: Mapping[str, Any], origin: str) -> Dict[str, float]:
    check_keys(table, ["exact_match"], [gate for gate in GATES if gate != "exact_match"], origin=origin)
    gates = {}
    for gate in table:
        lowest, highest = GATES[gate]
        value = float(typed(table, gate, _NUMBERS, origin))
        if not lowest <= value <= highest:
            raise InputError(
                f"{origin}: '{gate}' is {value:g}, expected {lowest:g} to {highest:g}; correct it."
            )
        gates[gate] = value
    return gates


def read_source(directory: Path) -> Tuple[Release, Dict[str, Path]]:
    """Read an author's directory: the release and where each of its blobs lies (sha256 -> file).

    Raises InputError naming the file and the key, nearest known key, or missing file at fault.
    """
    from edgeai_runtime.settings import load_toml  # needs tomli below 3.11: not in a bootstrap

    origin = str(directory / "release.toml")
    table = load_toml(directory / "release.toml")
    check_keys(
        table,
        ["schema", "name", "version", "description", "model", "pipeline", "sets", "gates", "recipes"],
        origin=origin,
    )
    check_schema(table, origin)
    model = typed(table, "model", dict, origin)
    check_keys(model, ["source"], ["labels"], origin=f"{origin}, [model]")
    sets = typed(table, "sets", dict, origin)
    check_keys(sets, ["selection", "golden"], ["calibration"], origin=f"{origin}, [sets]")
    source = _Source(directory)
    release = Release(
        model=source.blob(typed(model, "source", str, f"{origin}, [model]"), f"{origin}, [model]"),
        labels=source.labels(model, f"{origin}, [model]"),
        sets=Sets(
            calibration=source.samples(sets, "calibration", f"{origin}, [sets]"),
            selection=source.samples(sets, "selection", f"{origin}, [sets]"),
            golden=source.samples(sets, "golden", f"{origin}, [sets]"),
        ),
        **described(table, origin),
    )
    names = {digest: str(path.relative_to(directory)) for digest, path in source.files.items()}
    check_disjoint(release.sets, names, origin)
    check_release(release, origin)
    return release, source.files


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

    def blob(self, name: str, origin: str) -> Blob:
        path = self.path(name, origin)
        blob = Blob(file_sha256(path), path.stat().st_size)
        if blob.size == 0:
            raise InputError(f"{origin}: the file {name} is empty; write its content.")
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
            expect = None if name == "calibration" else typed(table, "expect", str, where)
            blob = self.blob(typed(table, "file", str, where), where)
            samples.append(Sample(blob.sha256, blob.size, expect))
        return tuple(samples)


def file_sha256(path: Path) -> str:
    """The sha256 of a file's content in lower-case hex, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()
