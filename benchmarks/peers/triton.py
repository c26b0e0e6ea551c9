"""Triton: its core as the wheel of PyTriton carries it, with a model of its own Python backend."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Sequence

from benchmarks.environments import REPO, SYSTEM_PYTHON, VERSION, Environment, UnavailableError, locked
from benchmarks.peers.base import Peer, open_session

if TYPE_CHECKING:
    from benchmarks.networks import Network

CORE = "nvidia-pytriton==0.7.0"
# The backend's interpreter is isolated: it does not look at PYTHONPATH.
MODEL = """\
import sys

sys.path += {paths}
from benchmarks.peers.triton import TritonPythonModel
"""
CONFIG = """\
backend: "python"
max_batch_size: 32
input {{ name: "{given}" data_type: TYPE_FP32 dims: {shape} }}
output {{ name: "{asked}" data_type: TYPE_FP32 dims: [{classes}] }}
parameters {{ key: "path" value {{ string_value: "{path}" }} }}
instance_group {{ kind: KIND_CPU count: 1 }}
"""


class Triton(Peer):
    name = "triton"
    title = "Triton"
    package = "nvidia_pytriton"
    json = True
    more = ""  # lines of the model's configuration
    options: Sequence[str] = ()  # of the server

    def requirements(self) -> Sequence[str]:
        return [CORE, locked("onnxruntime")]

    def variables(self, environment: Environment) -> Dict[str, str]:
        # The backend's stub is not where it was linked for.
        return {"LD_LIBRARY_PATH": str(environment.packages / "nvidia_pytriton.libs")}

    def command(self, environment: Environment, network: Network, port: int, work: Path) -> List[str]:
        if not SYSTEM_PYTHON.exists():
            raise UnavailableError(
                f"Triton's Python backend takes the system's own Python {VERSION} "
                f"({SYSTEM_PYTHON}, as Debian 12 brings it), which is not here."
            )
        server = environment.packages / "pytriton" / "tritonserver"
        _write_backend(server, work / "backends" / "python")
        config = CONFIG.format(
            given=network.input,
            asked=network.output,
            shape=list(network.shape),
            classes=network.classes,
            path=network.path,
        )
        model = work / "models" / network.name
        (model / "1").mkdir(parents=True, exist_ok=True)
        (model / "1" / "model.py").write_text(MODEL.format(paths=[str(REPO), str(environment.packages)]))
        (model / "config.pbtxt").write_text(config + self.more)
        return [
            str(server / "bin" / "tritonserver"),
            f"--model-repository={work / 'models'}",
            f"--backend-directory={work / 'backends'}",
            f"--cache-directory={server / 'caches'}",
            "--http-address=127.0.0.1",
            f"--http-port={port}",
            "--allow-grpc=false",
            "--allow-metrics=false",
            *self.options,
        ]


class TritonBatching(Triton):
    name = "triton-batching"
    title = "Triton, batching"
    more = "dynamic_batching { }\n"


class TritonCache(Triton):
    name = "triton-cache"
    title = "Triton, cache"
    cache = "only"
    networks = ("classifier",)
    more = "response_cache { enable: true }\n"
    options = ("--cache-config=local,size=104857600",)


def _write_backend(server: Path, directory: Path) -> None:
    """Put the backend and the stub for our Python side by side, as PyTriton does."""
    directory.mkdir(parents=True, exist_ok=True)
    for source in (server / "backends" / "python").iterdir():
        if source.is_file():
            shutil.copy2(source, directory)
    shutil.copy2(server / "python_backend_stubs" / VERSION / "triton_python_backend_stub", directory)


class TritonPythonModel:
    """What the backend asks of a model; several requests at once are one run."""

    def initialize(self, args: Dict[str, str]) -> None:
        import numpy as np
        import triton_python_backend_utils as backend

        self._backend = backend
        self._numpy = np
        config = json.loads(args["model_config"])
        self._input = config["input"][0]["name"]
        self._output = config["output"][0]["name"]
        self._session = open_session(config["parameters"]["path"]["string_value"])

    def execute(self, requests: List[Any]) -> List[Any]:
        given = [self._backend.get_input_tensor_by_name(r, self._input).as_numpy() for r in requests]
        batch = given[0] if len(given) == 1 else self._numpy.concatenate(given)
        (result,) = self._session.run([self._output], {self._input: batch})
        responses, begin = [], 0
        for tensor in given:
            part = result[begin : begin + len(tensor)]
            begin += len(tensor)
            answer = self._backend.Tensor(self._output, part)
            responses.append(self._backend.InferenceResponse([answer]))
        return responses
