"""What a device would say of a release, with this machine as the device."""

from __future__ import annotations

import math
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Callable, Mapping, NamedTuple

from edgeai_runtime.authoring.check import read
from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.convert.conversion import Conversion
from edgeai_runtime.convert.convert import convert_release
from edgeai_runtime.convert.measure import Measured, Subject, expecting, labels_of, measure
from edgeai_runtime.errors import GateFailed
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Content, Release, content_pieces
from edgeai_runtime.serving.cores import usable
from edgeai_runtime.settings import Device
from edgeai_runtime.trust.store import blob_path


class Rehearsed(NamedTuple):
    """How the model was converted here, and what the golden set said of it."""

    conversion: Conversion
    golden: Measured


def rehearse(directory: Path, device_class: str, progress: Callable[[str], None]) -> Rehearsed:
    """Convert the release in an author's directory as a device of this class would, and judge it by its
    golden set.

    Memory is not judged, since nothing serves here, nor is what only a trial shows.
    Raises InputError, ConvertError, GateFailed.
    """
    release, contents = read(directory)
    with tempfile.TemporaryDirectory(prefix="edgeai-check-") as root:
        paths = Paths(Path(root))
        put_blobs(paths, contents)
        device = Device("this machine", device_class, "", "", "", threads=usable())
        made = convert_release(paths, device, release, False, progress)
        progress(f"measuring it on {len(release.sets.golden)} golden samples")
        golden = _judged(paths, made, release, device)
    failed = []
    quality, required = golden.quality or 0.0, release.gates[release.quality]
    if quality < required:
        failed.append(f"golden {release.quality} is {quality:.3g}, required at least {required:g}")
    if golden.p99_ms > release.gates.get("p99_ms", math.inf):
        failed.append(f"p99_ms is {golden.p99_ms:.1f}, required at most {release.gates['p99_ms']:g}")
    if failed:
        would = f"{release.name} {release.version} would not be switched to on this machine"
        raise GateFailed(f"{would}: {', and '.join(failed)}.", table=[asdict(row) for row in made.table])
    return Rehearsed(made, golden)


def put_blobs(paths: Paths, contents: Mapping[str, Content]) -> None:
    """The files of a release into a device's store, as a fetch leaves them."""
    for sha256, content in contents.items():
        blob = blob_path(paths, sha256)
        blob.parent.mkdir(parents=True, exist_ok=True)
        with open(blob, "wb") as file:
            for piece in content_pieces(content):
                file.write(piece)


def _judged(paths: Paths, made: Conversion, release: Release, device: Device) -> Measured:
    """A converted model's answers to the whole golden set. Raises BackendError."""
    return measure(
        Subject(
            blob_path(paths, made.artifact),
            release,
            made.engine,
            labels_of(paths, release),
            Execution(made.threads, device.providers),
        ),
        expecting(paths, release.sets.golden),
        time_limit_s=float("inf"),
    )
