"""What a release consists of: files by digest, sets of samples, a pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Optional, Tuple

from edgeai_runtime.release.expect import Expected
from edgeai_runtime.release.values import sha256_of
from edgeai_runtime.strict import check_keys, typed


@dataclass(frozen=True)
class Blob:
    """A file by its content: sha256 in lower-case hex, size in bytes."""

    sha256: str
    size: int

    @classmethod
    def from_json(cls, table: Mapping[str, Any], origin: str) -> Blob:
        """Raises InputError."""
        check_keys(table, ["sha256", "size"], origin=origin)
        return cls(sha256_of(table, origin), typed(table, "size", int, origin))


@dataclass(frozen=True)
class Sample(Blob):
    """What a client would send: an image (PNG or JPEG), or, where there is no pipeline, a V2 request in JSON.

    `expect` is the right answer, None in a calibration set.
    """

    expect: Optional[Expected] = None


def content_type(sample: bytes) -> str:
    """The media type that a sample is sent with."""
    if sample.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    return "image/jpeg" if sample.startswith(b"\xff\xd8\xff") else "application/json"


def is_image(sample: bytes) -> bool:
    return content_type(sample).startswith("image/")


@dataclass(frozen=True)
class Sets:
    """The three sets of samples; no sample is in two of them."""

    calibration: Tuple[Sample, ...]
    selection: Tuple[Sample, ...]
    golden: Tuple[Sample, ...]


@dataclass(frozen=True)
class Pipeline:
    """Operations in order, each {"op": name, parameter: value, …}."""

    pre: Tuple[Mapping[str, Any], ...]
    post: Tuple[Mapping[str, Any], ...]
