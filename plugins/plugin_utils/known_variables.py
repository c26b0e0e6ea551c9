# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds mistyped variables: those with our prefixes that are nearly, but not quite, ours."""

from __future__ import annotations

import difflib
from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from typing import Dict, FrozenSet, Iterable, List, Mapping, Tuple

import yaml  # type: ignore[import-untyped, unused-ignore]

COLLECTION = Path(__file__).resolve().parents[2]
ROLES = ("depot", "release", "runtime")
# The playbook `bundle` has no role; its header documents these.
BUNDLE = frozenset(
    {
        "bundle_cache_dir",
        "bundle_controllers",
        "bundle_conversions",
        "bundle_debian",
        "bundle_debian_packages",
        "bundle_debian_refresh",
        "bundle_debian_sources",
        "bundle_directory",
        "bundle_expires_days",
        "bundle_keys_dir",
        "bundle_passphrase",
        "bundle_python",
        "bundle_releases",
        "bundle_runtime_dir",
        "bundle_targets",
        "bundle_wheels",
    }
)
PREFIXES = ("bundle_", "depot_", "release_", "runtime_")
EXPORTED = frozenset({"release_plan", "release_verdict"})  # facts that a rollout leaves


@lru_cache(maxsize=1)
def known() -> FrozenSet[str]:
    """Every public variable, as the roles' argument specifications have them."""
    names = set(BUNDLE | EXPORTED)
    for role in ROLES:
        text = (COLLECTION / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
        for entry in yaml.safe_load(text)["argument_specs"].values():
            names.update(entry.get("options", {}))
    return frozenset(names)


def mistyped(hosts: Mapping[str, Iterable[str]]) -> List[str]:
    """A sentence for each mistyped variable of these hosts (the names of their variables), sorted.

    What all of them have comes from one place, such as the command line, and names none.
    """
    having: Dict[Tuple[str, str], List[str]] = defaultdict(list)
    for host, names in hosts.items():
        for found in nearly_known(names):
            having[found].append(host)
    sentences = []
    for (typed, near), who in sorted(having.items()):
        where = "" if len(who) == len(hosts) > 1 else f"{', '.join(who)}: "
        sentences.append(f"{where}the variable {typed} is unknown; did you mean {near}?")
    return sentences


def nearly_known(names: Iterable[str]) -> List[Tuple[str, str]]:
    """Pairs of a mistyped variable and the nearest known one.

    The prefixes are common words, so a variable that is like none of ours is taken for somebody
    else's and left alone. What follows the prefix is compared: the prefix alone would make all alike.
    """
    found = []
    for name in set(names) - known():
        prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), None)
        if prefix is None:
            continue
        rests = [other[len(prefix) :] for other in known() if other.startswith(prefix)]
        near = difflib.get_close_matches(name[len(prefix) :], sorted(rests), n=1, cutoff=0.7)
        if near:
            found.append((name, prefix + near[0]))
    return found
