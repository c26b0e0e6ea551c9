"""Alarms and their history on disk: written when something changes, and only then."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from edgeai_keeper.basics import timestamp

from edgeai_runtime.durable import write_atomic
from edgeai_runtime.errors import InputError

SCHEMA = 1
HISTORY = 200  # entries kept, about 50 kB
_ENTRY = {"since": None, "sentence": "", "active": True, "cleared": None, "acknowledged": None}

Standing = Dict[str, Dict[str, Any]]
Events = List[Dict[str, Any]]

_log = logging.getLogger("edgeai.monitor")


class AlarmBook:
    """`standing` by name: `since`, `sentence`, `active` (its cause is there), `cleared` (when that was gone
    first), `acknowledged` (by whom). Never changed in place: another thread may be reading.

    `history`, newest last: `time`, `alarm`, `event` ("raised", "cleared" or "acknowledged"), `sentence`,
    `by`. Several processes may use the same file: each change is made to what is in it then.
    """

    def __init__(self, path: Optional[Path] = None) -> None:
        """`path`: None keeps it in memory, as for a process that only measures."""
        self._path = path
        self._seen: Optional[Tuple[int, int]] = None
        self.standing: Standing = {}
        self.history: Events = []
        self.refresh()

    def refresh(self) -> None:
        """Read what another process wrote meanwhile; a damaged file is begun anew with the next change."""
        if self._path is None:
            return
        try:
            seen = self._signature(self._path)
            if seen == self._seen:
                return
            self._seen = seen
            found = json.loads(self._path.read_bytes())
            standing = {name: {**_ENTRY, **entry} for name, entry in found["standing"].items()}
            self.standing, self.history = standing, list(found["history"])
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            _log.warning("%s cannot be read (%r); the history of alarms begins anew", self._path, error)

    def change(self, work: Callable[[Standing], Events]) -> Events:
        """Have `work` change what is standing; the events it returns go to the history, with their time.

        Nothing is written when it returns none. Where the disk takes nothing, memory has it.
        """
        with self._locked():
            self.refresh()
            standing = {name: dict(entry) for name, entry in self.standing.items()}
            events = work(standing)
            self.standing = standing
            if events:
                now = timestamp()
                self.history = [*self.history, *({"time": now, **event} for event in events)][-HISTORY:]
                self._write()
            return events

    def acknowledge(self, name: str, by: str) -> bool:
        """Note that `by` knows of an alarm; one whose cause is gone ends with it. False: it was noted before.

        Raises InputError when there is none of that name.
        """

        def work(standing: Standing) -> Events:
            entry = standing.get(name)
            if entry is None:
                stand = ", ".join(sorted(standing)) or "none"
                raise InputError(f"There is no alarm '{name[:100]}'; standing are: {stand}.")
            if entry["acknowledged"]:
                return []
            entry["acknowledged"] = by
            if not entry["active"]:
                del standing[name]
            return [{"alarm": name, "event": "acknowledged", "sentence": entry["sentence"], "by": by}]

        return bool(self.change(work))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = None
        if self._path is not None:
            with contextlib.suppress(OSError):  # what cannot be locked cannot be written either
                self._path.parent.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _write(self) -> None:
        if self._path is None:
            return
        book = {"schema": SCHEMA, "standing": self.standing, "history": self.history}
        try:
            write_atomic(self._path, json.dumps(book, ensure_ascii=False).encode())
            self._seen = self._signature(self._path)
        except OSError as error:
            _log.warning("%s cannot be written (%s); it is kept in memory", self._path, error.strerror)

    @staticmethod
    def _signature(path: Path) -> Tuple[int, int]:
        status = path.stat()
        return status.st_ino, status.st_mtime_ns  # every change is a new file


def entry(sentence: str) -> Dict[str, Any]:
    """An alarm that stands from now on."""
    return {**_ENTRY, "since": timestamp(), "sentence": sentence}


def sentences(standing: Standing) -> List[str]:
    """What is standing, for a person: first what nobody has acknowledged."""
    said = []
    for _name, entry in sorted(standing.items(), key=lambda item: (bool(item[1]["acknowledged"]), item[0])):
        notes = [] if entry["active"] else ["over, to be acknowledged"]
        notes += [f"acknowledged by {entry['acknowledged']}"] if entry["acknowledged"] else []
        said.append(f"{entry['sentence']}{f' ({notes[0]})' if notes else ''}")
    return said
