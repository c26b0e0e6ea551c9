"""The bundle's tests need a workstation; what pip collects is collected once and copied."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A workstation whose cache is filled for both targets."""
    from workstation import TARGETS, make_workstation

    made = make_workstation(tmp_path_factory.mktemp("warm"))
    with pytest.MonkeyPatch.context() as patch:
        made.offline(patch)
        made.build(targets=TARGETS, output=made.output.with_name("first"))
    return made


@pytest.fixture
def workstation(warm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A copy of it, without keys and bundle."""
    from workstation import Workstation

    for name in ("cache", "runtime", "index", "1.0.0"):
        shutil.copytree(str(warm.output.parent / name), str(tmp_path / name))
    mine = Workstation(tmp_path)
    mine.offline(monkeypatch)
    return mine
