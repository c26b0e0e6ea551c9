"""Let the one package into an environment that no wheel brings: the system's `tensorrt`.

It comes with JetPack and fits that JetPack's libraries and no other. A venv made with
--system-site-packages would let in everything else as well; this links exactly that package.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import List

from edgeai_runtime.environments.interpreter import run

PACKAGE = "tensorrt"

# Asked of the system's own interpreter: where the package is, and what describes it.
_FIND = f"""
import importlib.util, json, pathlib
spec = importlib.util.find_spec({PACKAGE!r})
places = [pathlib.Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
places += [info for place in places for info in place.parent.glob({PACKAGE!r} + "-*.dist-info")]
print(json.dumps([str(place) for place in places]))
"""


def link_system_package(environment: Path, python: str) -> List[Path]:
    """Link the system's package into an environment; what was linked, nothing where there is none.

    Raises BuildError when `python` cannot be asked.
    """
    (packages,) = environment.glob("lib/python3*/site-packages")
    found = [Path(place) for place in json.loads(run(python, ["-c", _FIND], f"look for {PACKAGE}"))]
    linked = [place for place in found if not (packages / place.name).exists()]
    for place in linked:
        (packages / place.name).symlink_to(place)
    return linked
