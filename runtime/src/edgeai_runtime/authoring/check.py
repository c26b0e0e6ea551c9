"""An author's directory, read and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Tuple

from edgeai_runtime.errors import InputError
from edgeai_runtime.protocol import requests
from edgeai_runtime.release import Content, Release, read_source
from edgeai_runtime.release.parts import is_image
from edgeai_runtime.serving import pipeline


def read(directory: Path) -> Tuple[Release, Dict[str, Content]]:
    """What an author wrote: the release, and where the content of each of its blobs lies, by sha256.

    Raises InputError for whatever can be seen without running the model.
    """
    release, contents = read_source(directory)
    origin = f"{directory}/release.toml"
    pipeline.check(release.pipeline, origin)
    for samples in vars(release.sets).values():
        for sample in samples:
            _check_sample(contents[sample.sha256], bool(release.pipeline.pre), origin)
    return release, contents


def _check_sample(content: Content, image: bool, origin: str) -> None:
    """That a sample is what clients send."""
    assert isinstance(content, Path)  # what is read in parts is the model
    data = content.read_bytes()
    if image:
        if not is_image(data):
            raise InputError(f"{origin}: {content} is no PNG or JPEG image; convert it to one of these.")
        return
    try:
        requests.inputs_of(data)
    except InputError as error:
        what = "is no V2 inference request in JSON, which a model without a pipeline takes"
        raise InputError(f"{origin}: {content} {what}: {error.message}") from None
