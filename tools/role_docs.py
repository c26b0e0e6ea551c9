"""Keep each role's README true to its specs: `python tools/role_docs.py [--check]`.

The table of variables between the two markers is written from meta/argument_specs.yml, and the specs
must equal defaults/main.yml in names and values.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, Dict, List

import yaml

ROLES = Path(__file__).resolve().parent.parent / "roles"
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


def table(options: Dict[str, Any]) -> str:
    if not options:
        return "None of its own; those of the role [runtime](../runtime/README.md) apply.\n"
    lines = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, option in options.items():
        default = option.get("default", "")
        shown = "none" if default in ("", None) else f"`{plain(default)}`"
        lines.append(f"| `{name}` | {shown} | {plain(option['description'])} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    check = "--check" in sys.argv[1:]
    wrong: List[str] = []
    for role in sorted(path for path in ROLES.iterdir() if (path / "meta").is_dir()):
        options = read(role / "meta" / "argument_specs.yml")["argument_specs"]["main"].get("options") or {}
        wrong += differences(role, options)
        readme = role / "README.md"
        text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
        before, begin, rest = text.partition(BEGIN)
        _, end, after = rest.partition(END)
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
