"""What the demo demands: a condition, and the sentence that is said when it does not hold."""

from __future__ import annotations


class NotAsItShouldBeError(Exception):
    """An outcome is not what it has to be; the message is one sentence."""


def expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise NotAsItShouldBeError(otherwise)
