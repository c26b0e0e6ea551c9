"""What a device has is not sent to it again: bytes counted at the depot."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("cryptography", reason="signing a bundle needs cryptography, which devices lack")

from making import at, make_lock, pack, provision, write_installer_wheel, write_release, write_wheel

from edgeai_runtime.environments import build_from_depot
from edgeai_runtime.paths import Paths
from edgeai_runtime.trust import fetch_release
from edgeai_runtime.trust.depots import Depots

LAYERS = 24


def write_model(path: Path, last_seed: int) -> None:
    """Layers of random weights, 64 KiB each; `last_seed` is that of the last one alone."""
    seeds = [*range(LAYERS - 1), last_seed]
    weights = [np.random.default_rng(seed).normal(size=(128, 128)).astype(np.float32) for seed in seeds]
    graph = helper.make_graph(
        [helper.make_node("MatMul", [f"x{n}", f"w{n}"], [f"x{n + 1}"]) for n in range(LAYERS)],
        "layers",
        [helper.make_tensor_value_info("x0", TensorProto.FLOAT, [1, 128])],
        [helper.make_tensor_value_info(f"x{LAYERS}", TensorProto.FLOAT, [1, 128])],
        [numpy_helper.from_array(weight, f"w{n}") for n, weight in enumerate(weights)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))


def test_a_release_with_new_last_layers_brings_a_tenth_of_its_model_at_most(
    tmp_path: Path, serve: Callable[[Path], Any]
) -> None:
    sources = [write_release(tmp_path / version, version) for version in ("1.0.0", "1.1.0")]
    for seed, source in enumerate(sources, 1000):
        write_model(source / "model.onnx", seed)
    bundle = pack(tmp_path / "bundle", tmp_path / "keys", sources)
    device, depot = provision(tmp_path / "device", bundle), serve(bundle)
    first = fetch_release(device, at(depot.url), "label-reader", "1.0.0")
    depot.sent = 0
    second = fetch_release(device, at(depot.url), "label-reader", "1.1.0")
    size = (sources[1] / "model.onnx").stat().st_size
    assert first.bytes_fetched > size
    assert 64 * 1024 < second.bytes_fetched < depot.sent <= size / 10  # metadata and manifest among them
    assert second.bytes_present > 0.9 * size


def test_wheels_that_two_environments_share_come_once(tmp_path: Path, serve: Callable[[Path], Any]) -> None:
    wheels = tmp_path / "wheels"
    installer = write_installer_wheel(wheels)
    large = write_wheel(wheels, "large", {"large.py": f"KEY = '{os.urandom(50_000).hex()}'\n"})
    old, new = (write_wheel(wheels, "small", {}, version) for version in ("1.0", "2.0"))
    locks = [make_lock(installer, [large, small], name=small.name) for small in (old, new)]
    depot = serve(pack(tmp_path / "bundle", tmp_path / "keys", [], locks, [installer, large, old, new]))
    device = Paths(tmp_path / "device")
    build_from_depot(device, locks[0].digest, Depots([depot.url]), sys.executable)
    depot.sent = 0
    assert build_from_depot(device, locks[1].digest, Depots([depot.url]), sys.executable).changed
    assert depot.sent == new.stat().st_size + len(locks[1].to_json())
