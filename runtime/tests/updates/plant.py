"""A device on the bench, with a depot of real releases of the toy."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import List

from bench import Bench
from making import pack
from toy import DEVICE, LETTERS, picture, texts, toy_model

from edgeai_runtime.settings import Device

RELEASE_TOML = """\
schema = 1
name = "{name}"
version = "{version}"
description = "Reads grey bars"
[model]
source = "model.onnx"
labels = "labels.txt"
[pipeline]
pre = [
  {{ op = "decode" }},
  {{ op = "resize", height = 8 }},
  {{ op = "normalize", mean = [0.0, 0.0, 0.0], std = [1.0, 1.0, 1.0] }},
  {{ op = "layout", color = "RGB", order = "NCHW" }},
]
post = [{{ op = "ctc_text" }}]
[sets]
selection = "selection.jsonl"
golden = "golden.jsonl"
[gates]
exact_match = 0.9
[recipes.{device_class}]
engine = "onnxruntime"
quantize = "none"
"""


class Plant:
    """A device that serves label-reader 1.0.0, and the workstation that its depot is filled from."""

    def __init__(self, place: Path, bench: Bench) -> None:
        self.bench = bench
        self._place = place
        self._releases: List[Path] = []
        self.bundle = place / "bundle"

    @property
    def device(self) -> Device:
        return replace(DEVICE, depot_url=f"file://{self.bundle}")

    def write_settings(self) -> None:
        """As provisioning does, for commands that are typed on the device."""
        device = self.device
        self.bench.paths.device_toml.write_text(
            f'schema = 1\nname = "{device.name}"\nclass = "{device.device_class}"\nline = "{device.line}"\n'
            f'[depot]\nurl = "{device.depot_url}"\n[serve]\nhttp = "{self.bench.http}"\n'
        )

    def offer(
        self,
        version: str,
        wrong: bool = False,
        name: str = "label-reader",
        device_class: str = "raspberry_pi",
    ) -> None:
        """Put a release into the bundle, which the device trusts; a `wrong` one expects what nobody reads."""
        directory = self._place / f"{name}-{version}"
        directory.mkdir()
        told = RELEASE_TOML.format(name=name, version=version, device_class=device_class)
        (directory / "release.toml").write_text(told)
        (directory / "model.onnx").write_bytes(toy_model(seed=len(self._releases) + 1000))
        (directory / "labels.txt").write_text("".join(f"{letter}\n" for letter in LETTERS))
        for set_name, count, seed in (("selection", 4, 2), ("golden", 6, 3)):
            lines = []
            for number, text in enumerate(texts(count, 4, seed)):
                file = f"{set_name}-{number}.png"
                (directory / file).write_bytes(picture(text, noise=100 * seed + number))
                lines.append(json.dumps({"file": file, "expect": "wrong" if wrong else text}))
            (directory / f"{set_name}.jsonl").write_text("\n".join(lines) + "\n")
        self._releases.append(directory)
        pack(self.bundle, self._place / "keys", self._releases)
        self.bench.paths.etc.mkdir(parents=True, exist_ok=True)
        self.bench.paths.root_json.write_bytes((self.bundle / "metadata/1.root.json").read_bytes())
