"""The keeper's state.json, read only: the keeper is the one who writes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

from edgeai_runtime.errors import InputError
from edgeai_runtime.paths import Paths

SCHEMA = 1


@dataclass(frozen=True)
class State:
    """`current` serves, `confirmed` is what a trial falls back to, `trial` is the generation on trial.

    `history`: {"generation", "outcome", "reason", "time"}, oldest first.
    """

    current: Optional[int] = None
    confirmed: Optional[int] = None
    trial: Optional[int] = None
    history: Tuple[Dict[str, Any], ...] = ()

    def confirmed_before(self) -> List[int]:
        """The generations that were confirmed here, each act once, oldest first."""
        numbers = [entry["generation"] for entry in self.history if entry["outcome"] == "confirmed"]
        if self.confirmed is not None and (not numbers or numbers[-1] != self.confirmed):
            numbers.append(self.confirmed)
        return numbers


def read_state(paths: Paths) -> State:
    """The state as last written; empty on a device that never served. Raises InputError."""
    try:
        table = json.loads(paths.state.read_bytes())
        if table["schema"] != SCHEMA:
            raise InputError(
                f"{paths.state}: schema {table['schema']!r} is unknown, expected {SCHEMA}; provision again."
            )
        trial = table["trial"]
        return State(
            current=table["current"],
            confirmed=table["confirmed"],
            trial=trial["generation"] if trial else None,
            history=tuple(table["history"]),
        )
    except FileNotFoundError:
        return State()
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{paths.state}: this is no keeper's state ({error!r}); start the keeper again, which has a copy."
        ) from None
