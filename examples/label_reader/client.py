"""A client that sends photographs of labels to devices all day and checks every answer.

    python client.py --url http://127.0.0.1:9001 [--url …] --seconds 10 [--live 1.1.0]

One thread and one keep-alive connection a device. Nothing is sent twice: a request that
is not answered with the right form counts as failed, whatever the cause.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import textwrap
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any, Collection, Dict, List, Mapping, Optional, Sequence
from urllib.parse import urlsplit

import requests
from render import ORDINARY, Label, labels

TIMEOUT_S = (5, 30)  # to connect, to answer
REMEMBERED = 20  # sentences about what went wrong, and texts read, that are kept of each device and phase


@dataclass
class Counts:
    """What became of the requests of one device in one phase.

    sent = answered + failed; an answered one may have a wrong text, a wrong version, or both.
    """

    sent: int = 0
    answered: int = 0
    failed: int = 0
    failed_wide: int = 0
    wrong_text: int = 0
    wrong_version: int = 0
    slowest_ms: float = 0.0
    versions: Counter[str] = field(default_factory=Counter)
    texts: List[str] = field(default_factory=list)
    trouble: List[str] = field(default_factory=list)

    @property
    def flawless(self) -> bool:
        return self.sent > 0 and not (self.failed or self.wrong_text or self.wrong_version)

    def add(self, other: Counts) -> None:
        for name in ("sent", "answered", "failed", "failed_wide", "wrong_text", "wrong_version"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.slowest_ms = max(self.slowest_ms, other.slowest_ms)
        self.versions.update(other.versions)
        self.texts = (self.texts + other.texts)[:REMEMBERED]
        self.trouble = (self.trouble + other.trouble)[:REMEMBERED]


@dataclass
class Phase:
    """A stretch of time: which versions a device may answer with (None: any), and what was counted.

    A request belongs to the phase in which it was sent.
    """

    name: str
    live: Mapping[str, Optional[Collection[str]]]
    counts: Dict[str, Counts]

    @property
    def total(self) -> Counts:
        total = Counts()
        for counts in self.counts.values():
            total.add(counts)
        return total


class Client:
    """Sends labels to all `devices` (name to URL) at `rate` requests a second each.

    From `start()` to `stop()`; `phase()` says what is expected from then on. A quarter of the labels is wide.
    """

    def __init__(
        self,
        devices: Mapping[str, str],
        *,
        model: str = "label-reader",
        rate: float = 5.0,
        stock: Optional[Sequence[Label]] = None,
    ) -> None:
        self._urls = {name: f"{url.rstrip('/')}/v2/models/{model}/infer" for name, url in devices.items()}
        self._period = 1.0 / rate
        self._stock = stock or labels("client", 48, wide_every=4, conditions=ORDINARY)
        self._over = threading.Event()
        self._answered = threading.Condition()
        self._threads: List[threading.Thread] = []
        self._phase = Phase("start", {}, {})
        self.phases: List[Phase] = []

    def start(self) -> None:
        if not self.phases:
            self.phase("all", {})
        for index, name in enumerate(self._urls):
            thread = threading.Thread(
                target=self._run, args=(name, index), name=f"client of {name}", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Send nothing more, and wait until what was sent is answered."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def phase(self, name: str, live: Mapping[str, Optional[Collection[str]]]) -> Phase:
        """Begin a phase; a device that `live` does not name may answer with any version."""
        self._phase = Phase(name, live, {device: Counts() for device in self._urls})
        self.phases.append(self._phase)
        return self._phase

    def wait_for(self, sent: int, timeout_s: float) -> bool:
        """Wait until the present phase has had `sent` requests answered or failed on each device."""
        phase = self._phase
        with self._answered:
            return self._answered.wait_for(
                lambda: all(c.answered + c.failed >= sent for c in phase.counts.values()), timeout_s
            )

    def _run(self, device: str, index: int) -> None:
        due = time.monotonic() + self._period * index / len(self._urls)
        first = index * len(self._stock) // len(self._urls)
        with requests.Session() as session:
            session.trust_env = False  # devices are reached directly, not through a proxy
            for label in islice(cycle(self._stock), first, None):
                if self._over.wait(max(0.0, due - time.monotonic())):
                    return
                # A slow answer delays what follows; it is not made up for in a burst.
                due = max(due + self._period, time.monotonic())
                self._send(session, device, label)

    def _send(self, session: requests.Session, device: str, label: Label) -> None:
        phase = self._phase
        counts = phase.counts[device]
        counts.sent += 1
        began = time.monotonic()
        try:
            response = session.post(
                self._urls[device], data=label.png, headers={"Content-Type": "image/png"}, timeout=TIMEOUT_S
            )
            text, version = _read(response)
        except (requests.RequestException, _NoAnswer) as error:
            counts.failed += 1
            counts.failed_wide += label.wide
            _remember(counts.trouble, f"{device}: '{label.text}' failed: {error}")
        else:
            counts.answered += 1
            counts.slowest_ms = max(counts.slowest_ms, (time.monotonic() - began) * 1000)
            counts.versions[version] += 1
            _remember(counts.texts, text)
            if text != label.text:
                counts.wrong_text += 1
                _remember(counts.trouble, f"{device}: '{label.text}' was read as '{text}' by {version}")
            live = phase.live.get(device)
            if live is not None and version not in live:
                counts.wrong_version += 1
                _remember(
                    counts.trouble, f"{device}: answered by {version}, expected {' or '.join(sorted(live))}"
                )
        with self._answered:
            self._answered.notify_all()


class _NoAnswer(Exception):
    """The device answered, but not with a reading."""


def _read(response: requests.Response) -> tuple[str, str]:
    """Text and model version of a V2 answer."""
    try:
        body: Any = response.json()
        if response.status_code == 200:
            text = next(output["data"][0] for output in body["outputs"] if output["name"] == "text")
            return str(text), str(body["model_version"])
        raise _NoAnswer(f"HTTP {response.status_code}, {body['error']}")
    except (ValueError, KeyError, TypeError, IndexError, StopIteration):
        raise _NoAnswer(f"HTTP {response.status_code}, not the form of a V2 answer") from None


def _remember(sentences: List[str], sentence: str) -> None:
    if len(sentences) < REMEMBERED:
        sentences.append(textwrap.shorten(sentence, 200, placeholder=" …"))


def table(counts: Mapping[str, Counts]) -> str:
    """Counts as text, a line a device."""
    heading = (
        "device",
        "sent",
        "answered",
        "failed",
        "wrong text",
        "wrong version",
        "slowest",
        "answered by",
    )
    rows: List[Sequence[str]] = [heading]
    for device, c in counts.items():
        by = ", ".join(f"{version} ({n})" for version, n in sorted(c.versions.items())) or "-"
        figures = (c.sent, c.answered, c.failed, c.wrong_text, c.wrong_version)
        rows.append((device, *map(str, figures), f"{c.slowest_ms:.0f} ms", by))
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Send labels to devices and check every answer.")
    parser.add_argument(
        "--url", action="append", required=True, help="a device, http://host:port; once for each"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="how long (default: 10)")
    parser.add_argument(
        "--rate", type=float, default=5.0, help="requests a second to each device (default: 5)"
    )
    parser.add_argument("--live", action="append", help="a version that may answer (default: any)")
    arguments = parser.parse_args()
    devices = {urlsplit(url).netloc: url for url in arguments.url}
    client = Client(devices, rate=arguments.rate)
    phase = client.phase("terminal", dict.fromkeys(devices, arguments.live))
    client.start()
    with contextlib.suppress(KeyboardInterrupt):
        time.sleep(arguments.seconds)
    client.stop()
    print(table(phase.counts))
    print("read: " + ", ".join(dict.fromkeys(phase.total.texts)))
    for sentence in phase.total.trouble:
        print(sentence, file=sys.stderr)
    return 0 if phase.total.flawless else 1


if __name__ == "__main__":
    sys.exit(main())
