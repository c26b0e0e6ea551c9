"""The script is asked by bash itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import List

import pytest

from edgeai_runtime.cli import main

ASK = """
source "$1"; shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_edgeai
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["st"], ["status"]),
        (["--json", "rep"], ["report"]),
        (["report", ""], ["make", "key", "check"]),
        (["--root", "/srv", "report", "make", "--o"], ["--output"]),
        (["serve", "--gen"], ["--generation"]),
        (["status", "--u"], ["--url", "--uds"]),
        (["completion", ""], [""]),  # none of ours: the shell offers files
        (["serve", "m"], [""]),
    ],
)
def test_bash_completes_what_was_begun(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], typed: List[str], offered: List[str]
) -> None:
    assert main(["completion", "bash"]) == 0
    (tmp_path / "edgeai.bash").write_text(capsys.readouterr().out)
    command = ["bash", "--norc", "-c", ASK, "bash", str(tmp_path / "edgeai.bash"), "edgeai", *typed]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    assert told.stderr == ""
    assert told.stdout.split("\n")[:-1] == offered


def test_zsh_takes_the_same_through_its_own_bridge(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    for_bash = capsys.readouterr().out
    assert main(["completion", "zsh"]) == 0
    first, _newline, rest = capsys.readouterr().out.partition("\n")
    assert "bashcompinit" in first
    assert rest == for_bash
