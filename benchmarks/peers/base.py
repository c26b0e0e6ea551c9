"""What a peer is: how its server starts, what it is sent, how its answer is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Sequence, Tuple

from benchmarks.environments import REPO, Environment
from benchmarks.wires import V2_BINARY, Wire

if TYPE_CHECKING:
    from benchmarks.networks import Network


class Peer(ABC):
    """A server of networks, or the loop they are all measured against.

    Its file holds both sides: what the benchmark asks, and the program it starts in the peer's own
    environment. That program imports this module too, so nothing heavy stands at the top of either.
    """

    name: str  # on the command line and in results
    title: str  # in tables
    package: str  # the one whose version is told
    wire: Wire = V2_BINARY  # the fastest body it takes
    networks: Tuple[str, ...] = ("mlp", "classifier", "mobilenet")
    json = False  # whether it speaks V2 JSON
    cache = "none"  # "on": has one, "only": runs for the sake of it
    infers = True  # whether its answers can be compared
    listens = True  # whether it is a server at all
    metrics = ""  # the path where it counts the hits of its cache

    @abstractmethod
    def requirements(self) -> Sequence[str]:
        """Lines of a requirements file."""

    @abstractmethod
    def command(self, environment: Environment, network: Network, port: int, work: Path) -> List[str]:
        """What serves the network on 127.0.0.1:`port`; `work` is a directory that stays between starts.

        Raises UnavailableError for what does not run on this machine.
        """

    def variables(self, environment: Environment) -> Dict[str, str]:
        """What the server's process finds in its environment besides."""
        return {"PYTHONPATH": str(REPO)}

    def installed(self, environment: Environment) -> Sequence[Path]:
        """The directories that a device would have on its disk."""
        return (environment.directory,)

    def path(self, network: Network) -> str:
        """Where it takes inference requests."""
        return f"/v2/models/{network.name}/infer"


def program(module: str, environment: Environment, network: Network, *more: object) -> List[str]:
    """The command that runs a peer's own file."""
    said = [network.name, network.path, network.input, network.output, *more]
    return [str(environment.python), "-m", module, *map(str, said)]


def open_session(path: str) -> Any:
    """The onnxruntime that all peers call: the CPU, one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, sess_options=options, providers=["CPUExecutionProvider"])
