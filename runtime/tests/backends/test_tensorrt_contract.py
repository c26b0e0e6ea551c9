"""TensorRT's builder and backend on each version's real Python API: tensorrt_scenarios.py in a process of its
own, since no two versions can be loaded into one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import real_bindings

HERE = Path(__file__).resolve().parent


@pytest.mark.parametrize(
    ("version", "as_8_2"),
    [("8.6", True), *((version, False) for version in real_bindings.TENSORRT)],
    ids=["8.2", *real_bindings.TENSORRT],
)
def test_engines_are_built_and_served_as_this_version_allows(
    version: str, as_8_2: bool, tmp_path: Path
) -> None:
    try:
        environment = real_bindings.tensorrt(version, tmp_path / "bindings")
    except real_bindings.Unavailable as reason:
        pytest.skip(f"TensorRT's real bindings cannot be had here: {reason}")
    source = HERE.parents[1] / "src"
    environment["PYTHONPATH"] += f":{source}"
    quick = {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"
    }  # those of other tests take longer to load than these to run
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--basetemp", str(tmp_path / "scenarios"), "tensorrt_scenarios.py"],
        cwd=HERE,
        env={**os.environ, **environment, **quick, "EDGEAI_AS_8_2": "1" if as_8_2 else ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d\d passed", done.stdout, re.MULTILINE), done.stdout
