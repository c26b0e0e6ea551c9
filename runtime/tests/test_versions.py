"""Versions come in the order of semver."""

from __future__ import annotations

import random

from edgeai_runtime.release.versions import version_key

# https://semver.org/#spec-item-11
ORDER = [
    "0.9.10",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.2.0",
    "1.10.0",
    "2.0.0-a-b",
]


def test_they_are_sorted_as_semver_says() -> None:
    mixed = ORDER[:]
    random.Random(1).shuffle(mixed)
    assert sorted(mixed, key=version_key) == ORDER


def test_build_metadata_does_not_count() -> None:
    assert version_key("1.0.0+abc") == version_key("1.0.0")
