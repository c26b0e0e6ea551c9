"""The demo notices what is not as it should be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Dict, Sequence, Tuple

import pytest

DEMO = Path(__file__).resolve().parents[1] / "demo"
sys.path.insert(0, str(DEMO))

import fleet  # noqa: E402
import stages  # noqa: E402
from outcome import NotAsItShouldBeError  # noqa: E402
from telling import Story  # noqa: E402

ALONE = """
import errno, socket
from isolation import NotIsolatedError, isolate, routes
try:
    print(isolate())
except NotIsolatedError as error:
    raise SystemExit(f"not possible: {error}")
assert routes() == []
server = socket.create_server(("127.0.0.1", 9000))
socket.create_connection(("127.0.0.1", 9000)).close()
assert socket.socket().connect_ex(("198.51.100.1", 443)) == errno.ENETUNREACH
"""


def test_an_isolated_process_has_loopback_and_nothing_else() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE], cwd=DEMO, capture_output=True, text=True, check=False
    )
    if "not possible" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    assert done.stdout == "no route, no interface but lo, and 192.0.2.1 is 'network is unreachable'\n"


def journals(root: Path, trials: Dict[str, Tuple[int, int]]) -> None:
    """Write journals with a trial of each device, from one second of a minute to another."""
    for name, (began, ended) in trials.items():
        directory = root / name / "var/lib/edgeai"
        directory.mkdir(parents=True)
        entries = [("switched", began), ("confirmed", ended)]
        lines = [{"time": f"2026-11-23T12:00:{s:02d}.000+00:00", "event": event} for event, s in entries]
        (directory / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize(
    ("trials", "complaint"),
    [
        ({"line1-pi": (0, 5), "line1-jetson": (6, 9), "line2-pc": (6, 9)}, ""),
        ({"line1-pi": (0, 5), "line1-jetson": (6, 9), "line2-pc": (4, 9)}, "line2-pc was switched before"),
        (
            {"line1-pi": (0, 5), "line1-jetson": (5, 9), "line2-pc": (6, 9)},
            "line1-jetson was switched before",
        ),
    ],
)
def test_waves_in_the_wrong_order_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trials: Dict[str, Tuple[int, int]], complaint: str
) -> None:
    monkeypatch.setattr(fleet, "ROOTS", tmp_path)
    journals(tmp_path, trials)
    if complaint:
        with pytest.raises(NotAsItShouldBeError, match=complaint):
            fleet.expect_waves()
    else:
        assert fleet.expect_waves().startswith("order: line1-pi, then line1-jetson, then line2-pc")


def test_two_devices_of_a_line_on_trial_at_once_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = fleet.Device("line1-other", "line-1", 9004)
    monkeypatch.setattr(fleet, "ROOTS", tmp_path)
    monkeypatch.setattr(fleet, "DEVICES", (fleet.PI, fleet.JETSON, other))
    journals(tmp_path, {"line1-pi": (0, 5), "line1-jetson": (6, 9), "line1-other": (8, 12)})
    with pytest.raises(NotAsItShouldBeError, match="of line-1 were on trial at the same time"):
        fleet.expect_waves()


def test_a_device_without_an_answer_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "ROOTS", tmp_path)
    with pytest.raises(NotAsItShouldBeError, match="line1-pi does not say how it is"):
        fleet.PI.status()


def test_what_a_playbook_changed_is_read_from_its_last_line() -> None:
    recap = "Finished in 4.8 s on 3 hosts: 11 ok, {} changed, 0 rescued, 0 failed, 0 unreachable."
    assert stages.changed(recap.format(0)) == 0
    assert stages.changed(f"task  changed\n{recap.format(12)}") == 12
    assert stages.changed(f"{recap.format(0)}\n{recap.format(3)}") == 3  # of two playbooks: it adds up
    with pytest.raises(NotAsItShouldBeError, match="did not end with a line"):
        stages.changed("ERROR! no such playbook")


def script(text: str) -> Sequence[str]:
    return [sys.executable, "-c", text]


def test_commands_that_run_together_are_shown_one_after_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    story = Story(tmp_path, {})
    first, second = story.run_together([script("print('a')"), script("print('b'); raise SystemExit(3)")])
    assert (first.status, first.output, second.status, second.output) == (0, "a\n", 3, "b\n")
    shown = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert [line for line in shown if line in ("a", "b")] == ["a", "b"]


def test_a_command_that_has_to_succeed_and_does_not_ends_the_demo(tmp_path: Path) -> None:
    with pytest.raises(NotAsItShouldBeError, match="exited with 3, expected 0"):
        Story(tmp_path, {}).must(script("raise SystemExit(3)"))
