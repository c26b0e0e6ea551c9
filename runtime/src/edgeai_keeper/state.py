"""state.json, the link `current`, and the journal: what survives a power cut."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from edgeai_keeper.basics import Json, Refused, timestamp

SCHEMA = 1  # of state.json


def load_state(path: Path) -> Json:
    """Read state.json; a device without one has no generation. Raises Refused."""
    state: Json = {"schema": SCHEMA, "current": None, "confirmed": None, "trial": None}
    state.update(last_reverted=None, history=[], ready_timeout_s=0, memory_mb=0.0)
    try:
        found = json.loads(path.read_bytes())
        schema = found["schema"]
    except FileNotFoundError:
        return state
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(f"{path} cannot be read ({error!r}); restore it or remove it.") from None
    if schema != SCHEMA:
        raise Refused(
            f"{path} has schema {schema!r} and this keeper knows {SCHEMA}; "
            "provision the device with the version that wrote it."
        )
    state.update(found)
    return state


def fsync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_state(path: Path, current: Path, state: Json) -> None:
    """Write state.json atomically, then let the link opt/current follow it. Raises OSError."""
    beside = path.with_name("state.json.new")
    with open(beside, "w", encoding="utf-8") as file:
        json.dump(state, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    fsync_directory(path.parent)
    link = current if state["current"] is None else current.with_name("current.new")
    with contextlib.suppress(FileNotFoundError):
        link.unlink()
    if state["current"] is not None:
        link.symlink_to(f"generations/{state['current']}")
        link.replace(current)
    fsync_directory(current.parent)


def append_journal(path: Path, event: str, actor: str, fields: Json) -> None:
    """Append one JSON line and make it durable. Raises OSError."""
    line = json.dumps({"time": timestamp(), "event": event, "actor": actor, **fields}, ensure_ascii=False)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        os.write(descriptor, line.encode(errors="backslashreplace") + b"\n")  # a lone surrogate is JSON so
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
