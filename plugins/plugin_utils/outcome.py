# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task did on its hosts, and the lines that say so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Dict, List, Mapping, Sequence

WORDS = ("failed", "unreachable", "changed", "ok")  # worst first
TITLE_WIDTH = 46  # columns; longer titles push the word to the right
NAMES = 4  # hosts named in one place before the rest is counted


def names(hosts: Sequence[str]) -> str:
    """Hosts in a few words."""
    if len(hosts) <= NAMES + 1:
        return ", ".join(hosts)
    return f"{', '.join(hosts[:NAMES])} and {len(hosts) - NAMES} more"


@dataclass
class Outcome:
    """One task: its title, and for each host a word of WORDS and what it said.

    `everyone` are the play's hosts: a task that went alike on all of them names none.
    """

    title: str
    everyone: Sequence[str]
    once: bool = False  # one host does it on behalf of all
    words: Dict[str, str] = field(default_factory=dict)
    said: Dict[str, str] = field(default_factory=dict)

    def add(self, host: str, word: str, text: str = "") -> None:
        self.words[host] = word
        if text:
            self.said[host] = text

    def head(self, paint: Callable[[str], str] = str) -> str:
        """The task's line; `paint` may colour a word."""
        return f"  {self.title:<{TITLE_WIDTH}}  {self._summary(paint)}"

    def _summary(self, paint: Callable[[str], str]) -> str:
        if self.once or (len(set(self.words.values())) == 1 and len(self.words) >= len(self.everyone)):
            return paint(self.worst())
        groups = [(word, self._ordered(self.words, word)) for word in WORDS]
        return "; ".join(f"{paint(word)}: {names(hosts)}" for word, hosts in groups if hosts)

    def _ordered(self, table: Mapping[str, str], value: str) -> List[str]:
        """The hosts with a value, in the play's order: answers come in any."""
        return [host for host in sorted(table, key=self._place) if table[host] == value]

    def _place(self, host: str) -> int:
        return self.everyone.index(host) if host in self.everyone else len(self.everyone)

    def worst(self) -> str:
        return next((word for word in WORDS if word in self.words.values()), "ok")

    def sentences(self) -> List[str]:
        """What was said, the same only once, each with its hosts unless all said it.

        A text with an empty line in it is a block, such as a table, and stands as it is.
        """
        lines: List[str] = []
        for text in dict.fromkeys(self.said[host] for host in sorted(self.said, key=self._place)):
            hosts = self._ordered(self.said, text)
            alike = self.once or len(hosts) >= len(self.everyone)
            if "\n\n" in text:
                lines += ["", *(f"    {line}".rstrip() for line in text.splitlines())]
                continue
            who = "" if alike else f"{names(hosts)}: "
            lines += [f"      {who}{line.strip()}" for line in text.splitlines() if line.strip()]
        return lines
