import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgeai_runtime.cli import main
from edgeai_runtime.monitor.alarm_book import AlarmBook
from edgeai_runtime.monitor.alarms import Alarms
from edgeai_runtime.monitor.rules import DEFAULTS
from edgeai_runtime.paths import Paths


def test_an_error_is_one_sentence_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--root", str(tmp_path), "fetch", "label-reader", "1.0.0"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("edgeai: error: ")
    assert "not provisioned" in err
    assert len(err.splitlines()) == 1


def test_with_json_an_error_is_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path), "--json", "fetch", "label-reader", "1.0.0"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert told["error"]["kind"] == "bad_input"


def test_a_reader_that_has_enough_is_no_mistake(tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("schema = 1\n")
    command = f"{sys.executable} -m edgeai_runtime config --config {settings}; echo $? >&2"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(["sh", "-c", command], stdout=writer, stderr=subprocess.PIPE, text=True, check=True)
    os.close(writer)
    assert done.stderr == "0\n"


def test_wrong_usage_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["roll-back"])
    assert exit_.value.code == 2
    assert "rollback" in capsys.readouterr().err


def test_alarms_are_shown_and_acknowledged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEAI_ACTOR", "anna")
    alarms = Alarms(DEFAULTS, AlarmBook(Paths(tmp_path).alarms))
    alarms.evaluate({"under_voltage": True}, {})
    root = ["--root", str(tmp_path)]
    assert main([*root, "alarms", "acknowledge", "under_voltage"]) == 0
    assert capsys.readouterr().out == "under_voltage is acknowledged\n"
    assert main([*root, "--json", "alarms", "acknowledge", "under_voltage"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] is False
    assert main([*root, "alarms", "show"]) == 0
    shown = capsys.readouterr().out
    assert "The supply voltage is too low; change the power supply or its cable." in shown
    assert shown.count("anna") == 2  # who has acknowledged what stands, and when
    assert main([*root, "alarms", "acknowledge", "dsk"]) == 1
    assert "There is no alarm 'dsk'; standing are: under_voltage." in capsys.readouterr().err


def test_that_no_alarm_stands_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path), "alarms", "show"]) == 0
    assert capsys.readouterr().out == "No alarm stands.\n"


@pytest.mark.parametrize(
    "words",
    [
        "soak --seconds nan",
        "trial --environment abc --deadline 0",
        "update apply --seconds -1",
        "report make --output report.json --days 1e300",
        "environment build --lock-sha256 abc --depot http://d --rate-limit inf",
        "bundle certificate --name depot --keys k --days -3",
        "bench --concurrency 1,100000",
        "alarms show --last 0",
        "serve --generation g --listen-fd=-1",
    ],
)
def test_a_number_that_means_nothing_is_wrong_usage(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(words.split())
    assert exit_.value.code == 2
    assert re.search(r" is no (whole )?number from [0-9.]+ to \d+$", capsys.readouterr().err)
