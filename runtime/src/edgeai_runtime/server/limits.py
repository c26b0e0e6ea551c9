"""How much and how long one client may ask for."""

from __future__ import annotations

from dataclasses import dataclass

MOST_DIGITS = 15  # of a number of bytes


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, times in seconds.

    `head`: request line and headers. `arrive_s`: from a request's first byte to its last.
    `take_s`: for a client to take an answer off the wire. `idle_s`: between two requests of a
    connection. `quiet_s`: the same once the process drains. `linger_s`: after the last answer, for
    the client to close first. `connections`: at once, of each listening socket; more wait in its
    backlog. While some do, a connection is idle for `yield_s` at most, and TLS is agreed on, a request
    arrives, an answer is taken, within `hurry_s`.
    `bodies`: of all requests under way, where larger than `small`.
    """

    head: int = 32 << 10
    body: int = 32_000_000
    bodies: int = 128_000_000
    small: int = 64 << 10
    arrive_s: float = 30.0
    take_s: float = 30.0
    idle_s: float = 75.0
    quiet_s: float = 5.0
    linger_s: float = 2.0
    yield_s: float = 1.0
    hurry_s: float = 3.0
    connections: int = 256


class Held:
    """What bodies that are not small take together: `limit` bytes at most."""

    def __init__(self, limit: int) -> None:
        self._limit, self._bytes = limit, 0

    def take(self, size: int) -> str:
        """Count bytes until they are given back; why they are too many, empty where they are not."""
        self._bytes += size
        if self._bytes <= self._limit:
            return ""
        return f"Requests of {self._limit / 1e6:g} MB are under way already; send it again later."

    def give(self, size: int) -> None:
        """They are held no more."""
        self._bytes -= size
