"""A release: what a model's author ships, as its manifest and as its source directory."""

from edgeai_runtime.release.contents import Content, Part, content_pieces, content_size
from edgeai_runtime.release.digest import blob_place, file_sha256
from edgeai_runtime.release.expect import Answer, Expected, compared, is_right
from edgeai_runtime.release.manifest import Release
from edgeai_runtime.release.parts import Blob, Pipeline, Sample, Sets
from edgeai_runtime.release.quality import QUALITIES, quality
from edgeai_runtime.release.recipe import Recipe
from edgeai_runtime.release.serving import AS_MEASURED, Serving, read_serving
from edgeai_runtime.release.source import read_source
from edgeai_runtime.release.tables import DEVICE_CLASSES, GATES
from edgeai_runtime.release.values import check_schema

__all__ = [
    "AS_MEASURED",
    "DEVICE_CLASSES",
    "GATES",
    "QUALITIES",
    "Answer",
    "Blob",
    "Content",
    "Expected",
    "Part",
    "Pipeline",
    "Recipe",
    "Release",
    "Sample",
    "Serving",
    "Sets",
    "blob_place",
    "check_schema",
    "compared",
    "content_pieces",
    "content_size",
    "file_sha256",
    "is_right",
    "quality",
    "read_serving",
    "read_source",
]
