"""Keep each role's README true to its specs: `python tools/role_docs.py [--check]`.

The table of variables between the two markers is written from meta/argument_specs.yml. The specs must
equal defaults/main.yml in names and values, and meta/main.yml, which Galaxy reads, in the description.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, Dict, List

import yaml

ROLES = Path(__file__).resolve().parent.parent / "roles"
HEADINGS = ("## Variables", "## What it exports", "## Example", "## Again, in check mode, and back")
BEGIN, END = "<!-- variables -->", "<!-- end of variables -->"


def read(path: Path) -> Dict[str, Any]:
    content: Dict[str, Any] = (
        (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.is_file() else {}
    )
    return content


def plain(text: Any) -> str:
    """A description without Ansible's markup: C(x), O(x) and V(x) are code."""
    joined = " ".join(text) if isinstance(text, list) else str(text)
    return re.sub(r"[COV]\(([^)]*)\)", r"`\1`", joined).replace("|", "\\|")


def differences(role: Path, options: Dict[str, Any]) -> List[str]:
    """Where the specs and the defaults of a role say different things."""
    defaults = read(role / "defaults" / "main.yml")
    specs = {name: option["default"] for name, option in options.items() if "default" in option}
    return [
        f"{role.name}: {name} is {defaults.get(name, 'missing')!r} in defaults/main.yml and "
        f"{specs.get(name, 'missing')!r} in meta/argument_specs.yml; make them equal."
        for name in sorted({*defaults, *specs})
        if defaults.get(name, BEGIN) != specs.get(name, END)
    ]


def wrong_metadata(role: Path, specs: Dict[str, Any]) -> List[str]:
    """What Galaxy would read that is not so."""
    metadata = read(role / "meta" / "main.yml")
    wrong = []
    if metadata.get("galaxy_info", {}).get("description") != specs["short_description"]:
        wrong.append(
            f"{role.name}: the description in meta/main.yml is not the short_description in "
            "meta/argument_specs.yml; make them equal."
        )
    if metadata.get("dependencies"):
        wrong.append(f"{role.name}: meta/main.yml has dependencies; call a role where it is needed instead.")
    return wrong


def table(options: Dict[str, Any]) -> str:
    if not options:
        return "None of its own; those of the role [runtime](../runtime/README.md) apply.\n"
    lines = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, option in options.items():
        default = option.get("default", "")
        shown = "none" if default in ("", None) else f"`{plain(str(default))}`"
        lines.append(f"| `{name}` | {shown} | {plain(option['description'])} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    check = "--check" in sys.argv[1:]
    wrong: List[str] = []
    for role in sorted(path for path in ROLES.iterdir() if (path / "meta").is_dir()):
        specs = read(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]
        options = specs.get("options") or {}
        wrong += [*differences(role, options), *wrong_metadata(role, specs)]
        readme = role / "README.md"
        text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
        wrong += [f"{readme}: the part '{part}' is missing." for part in HEADINGS if f"{part}\n" not in text]
        before, begin, rest = text.partition(BEGIN)
        _old, end, after = rest.partition(END)
        if not (begin and end):
            wrong.append(
                f"{readme}: the markers {BEGIN} and {END} are missing; put them around the variables."
            )
            continue
        written = f"{before}{BEGIN}\n{table(options)}{END}{after}"
        if written != text and check:
            wrong.append(
                f"{readme}: the table of variables is not that of the specs; run tools/role_docs.py."
            )
        elif written != text:
            readme.write_text(written, encoding="utf-8")
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
