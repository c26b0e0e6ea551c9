"""What is to be converted: a release for a device, and all that the result depends on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, NamedTuple

from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.convert import fingerprint
from edgeai_runtime.convert.plan import recipe_name
from edgeai_runtime.errors import ConvertError
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Recipe, Release
from edgeai_runtime.serving.cores import usable
from edgeai_runtime.settings import Device
from edgeai_runtime.trust.store import blob_path, is_intact


class Wanted(NamedTuple):
    """`inputs`: what the `fingerprint` is made of."""

    paths: Paths
    device: Device
    release: Release
    recipe: Recipe
    execution: Execution
    inputs: Dict[str, Any]
    fingerprint: str

    @classmethod
    def of(cls, paths: Paths, device: Device, release: Release) -> Wanted:
        """By the recipe of the device's class. Raises InputError where there is none."""
        recipe = release.recipe_for(device.device_class)
        # On as many threads as the recipe asks for, within what the device allows one model; on 0 where it
        # asks for as many as pay.
        execution = Execution(min(recipe.threads, most_threads(device)), device.providers)
        inputs = fingerprint.inputs(release, recipe, execution, most_threads(device))
        return cls(paths, device, release, recipe, execution, inputs, fingerprint.digest(inputs))

    @property
    def name(self) -> str:
        return f"{self.release.name} {self.release.version}"

    @property
    def what(self) -> str:
        """With the way, in words."""
        return f"{self.name} to {recipe_name(self.recipe)}"

    def need_blobs(self) -> None:
        """Raises ConvertError where the release is not whole in the device's store."""
        for blob in self.release.blobs:
            if not is_intact(self.paths, blob.sha256, blob.size):
                found = "damaged" if blob_path(self.paths, blob.sha256).exists() else "not"
                raise ConvertError(
                    f"{self.name}: the file {blob.sha256[:12]}… is {found} in this device's store; fetch the "
                    "release first."
                )

    def job(self, work: Path) -> Dict[str, Any]:
        """As the converting process reads it, without what it shall do."""
        return {
            "root": str(self.paths.root),
            "release": self.release.to_json().decode(),
            "threads": self.execution.threads,
            "providers": self.execution.providers,
            "cpu_flags": self.inputs["cpu"]["flags"],
            "most_threads": self.inputs["most_threads"],
            "work": str(work),
        }


def most_threads(device: Device) -> int:
    """Of one inference."""
    return min(device.threads or usable(), usable())
