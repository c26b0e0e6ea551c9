"""The peers in the order in which they take turns: what is compared stands side by side."""

from __future__ import annotations

from typing import Dict

from benchmarks.peers.base import Peer
from benchmarks.peers.echo import Echo
from benchmarks.peers.edgeai import EdgeAI
from benchmarks.peers.kserve import KServe
from benchmarks.peers.litserve import LitServe
from benchmarks.peers.mlserver import MLServer
from benchmarks.peers.pytriton import PyTriton
from benchmarks.peers.raw import Raw
from benchmarks.peers.triton import Triton, TritonBatching, TritonCache

PEERS: Dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Echo(),
        Raw(),
        EdgeAI(),
        Triton(),
        TritonBatching(),
        TritonCache(),
        PyTriton(),
        MLServer(),
        KServe(),
        LitServe(),
    )
}
QUICK = ("echo", "raw", "edgeai")
