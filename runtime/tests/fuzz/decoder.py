"""Coverage-guided fuzzing of what reads requests: `decoder.py [OPTIONS] [CORPUS]`, as libFuzzer takes them.

Whatever the bytes are, they are read, or refused with an InputError; any other error is a mistake of ours.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["edgeai_runtime.protocol"]):
    from edgeai_runtime.protocol import requests, tensors

from edgeai_runtime.backends.base import TensorSpec
from edgeai_runtime.errors import InputError

SPECS = (
    TensorSpec("x", "FP32", (-1, 3)),
    TensorSpec("x", "INT64", (2, -1)),
    TensorSpec("x", "BYTES", (-1,)),
    TensorSpec("x", "BOOL", (0, -1)),
)


def read(data: bytes) -> None:
    """Two bytes say how much of what follows is JSON; all of it is a raw request as well."""
    body = data[2:]
    size = int.from_bytes(data[:2], "little")
    try:
        asked = requests.decode(body[:size])
        feeds = asked.feeds(memoryview(body)[size:])
    except InputError:
        pass
    else:
        for given in asked.inputs:
            assert feeds[given.name].shape == given.shape
        sent = [feeds[given.name] for given in asked.inputs if given.data is None]
        assert b"".join(map(tensors.to_bytes, sent)) == body[size:]
    for spec in SPECS:
        try:
            requests.raw((spec,), len(body)).feeds(memoryview(body))
        except InputError:
            continue


if __name__ == "__main__":
    atheris.Setup(sys.argv, read)
    atheris.Fuzz()
