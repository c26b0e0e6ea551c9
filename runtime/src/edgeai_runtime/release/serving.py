"""How a model wants to be served: [serving] of its release, or [models.NAME] of settings for bare files."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Dict, Mapping, Tuple, Union

from edgeai_runtime.errors import InputError
from edgeai_runtime.strict import check_keys, choice, typed, within

AUTO, ON, OFF = "auto", "on", "off"
LARGEST_BATCH = 1024
# The highest value of each whole number; the lowest is 0, of the latter two 1.
_HIGHEST = {
    "max_queue_delay_us": 10_000_000,
    "queue_size": 1_000_000,
    "timeout_us": 3_600_000_000,
    "priority_levels": 100,
    "default_priority": 100,
}


@dataclass(frozen=True)
class Serving:
    """What is as the defaults is measured, or not limited.

    `batching`: "auto" as it pays, "off", or the most rows of a batch; `preferred_batch_sizes` are filled
    first. A request waits for others for `max_queue_delay_us`, even while the model is idle. `queue_size`
    bounds those that wait, 0 not at all. One that waited `timeout_us` (0: for ever) is rejected, or goes on
    waiting with `timeout_action` "delay". Of `priority_levels` 1 is served first. `cache`: "auto" where
    finding an answer is quicker than the model, "on" or "off".
    """

    batching: Union[str, int] = AUTO
    preferred_batch_sizes: Tuple[int, ...] = ()
    max_queue_delay_us: int = 0
    queue_size: int = 0
    timeout_us: int = 0
    timeout_action: str = "reject"
    priority_levels: int = 1
    default_priority: int = 1
    cache: str = AUTO

    def to_json(self) -> Dict[str, Any]:
        """What differs from the defaults, so that a release without wishes is as it always was."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in given.items() if value != getattr(AS_MEASURED, name)}


AS_MEASURED = Serving()


def read_serving(table: Mapping[str, Any], origin: str) -> Serving:
    """The table, checked; `origin` says where it was read. Raises InputError."""
    check_keys(table, [], [field.name for field in fields(Serving)], origin=origin)
    given: Dict[str, Any] = {name: typed(table, name, int, origin) for name in _HIGHEST if name in table}
    for name, value in given.items():
        lowest = 1 if name in ("priority_levels", "default_priority") else 0
        within(value, lowest, _HIGHEST[name], f"{origin}: '{name}'")
    batching = table.get("batching", AUTO)
    if batching not in (AUTO, OFF) and not _is_batch(batching):
        raise InputError(
            f'{origin}: \'batching\' is {batching!r}, expected "auto", "off" or the most rows of a batch, '
            f"1 to {LARGEST_BATCH}; correct it."
        )
    sizes = typed(table, "preferred_batch_sizes", list, origin, [])
    if not all(map(_is_batch, sizes)) or (not isinstance(batching, str) and max(sizes, default=0) > batching):
        raise InputError(
            f"{origin}: 'preferred_batch_sizes' is {sizes!r}, expected whole numbers, none above the most "
            "rows of a batch; correct it."
        )
    serving = Serving(
        batching=batching,
        preferred_batch_sizes=tuple(sorted(sizes)),
        timeout_action=choice(table, "timeout_action", ("reject", "delay"), origin, "reject"),
        cache=choice(table, "cache", (AUTO, ON, OFF), origin, AUTO),
        **given,
    )
    if serving.default_priority > serving.priority_levels:
        raise InputError(
            f"{origin}: 'default_priority' is {serving.default_priority} of {serving.priority_levels} "
            "levels; raise 'priority_levels' or lower it."
        )
    return serving


def _is_batch(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_BATCH
