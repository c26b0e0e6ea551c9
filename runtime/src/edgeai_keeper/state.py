"""state.json and the link `current`: what survives a power cut."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Iterator, Tuple

from edgeai_keeper.basics import Json, Refused

SCHEMA = 1  # of state.json
COPY = "state.copy.json"  # the same again: a damaged state.json must not stop a device


def load_state(path: Path) -> Tuple[Json, str]:
    """Read state.json, or else its copy; and what is wrong with the former, empty where nothing is.

    A device that has neither has no generation. Raises Refused.
    """
    state: Json = {"schema": SCHEMA, "current": None, "confirmed": None, "trial": None}
    state.update(last_reverted=None, history=[], ready_timeout_s=0, memory_mb=0.0)
    copy, damage = path.with_name(COPY), ""
    try:
        state.update(_read(path))
    except FileNotFoundError:
        damage = f"{path} is missing" if copy.exists() else ""
    except (OSError, ValueError, KeyError, TypeError) as error:
        damage = f"{path} cannot be read ({error!r})"
    if damage:
        try:
            state.update(_read(copy))
        except (OSError, ValueError, KeyError, TypeError):
            raise Refused(f"{damage}, nor can its copy {COPY}; restore one or remove both.") from None
    return state, damage


def _read(path: Path) -> Json:
    """Raises Refused for another schema; OSError, ValueError, KeyError or TypeError for what is no state."""
    found: Json = json.loads(path.read_bytes())
    if found["schema"] != SCHEMA:
        raise Refused(
            f"{path} has schema {found['schema']!r} and this keeper knows {SCHEMA}; "
            "provision the device with the version that wrote it."
        )
    for key, kind in (("current", int), ("confirmed", int), ("trial", dict)):
        if found[key] is not None and not isinstance(found[key], kind):
            raise TypeError(f"{key} is {found[key]!r}")
    return found


def fsync_directory(path: Path) -> None:
    """Make the names in a directory durable (POSIX: fsync of a file does not cover its name)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_state(path: Path, current: Path, state: Json) -> None:
    """Write state.json atomically, and let its copy and the link opt/current agree. Raises OSError.

    What takes room comes before state.json: where it fails, state.json is what it was.
    """
    link = current.with_name("current.new")
    with _away_if_it_fails(link):
        if link.is_symlink():
            link.unlink()
        if state["current"] is not None:
            link.symlink_to(f"generations/{state['current']}")
        for file in (path.with_name(COPY), path):
            _replace(file, json.dumps(state, indent=1).encode())
    if state["current"] is not None:
        link.replace(current)
    elif current.is_symlink():
        current.unlink()
    fsync_directory(current.parent)


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name("state.json.new")
    with _away_if_it_fails(beside):
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    fsync_directory(path.parent)


@contextlib.contextmanager
def _away_if_it_fails(beside: Path) -> Iterator[None]:
    try:
        yield
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
