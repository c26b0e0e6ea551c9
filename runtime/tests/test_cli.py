import json
from pathlib import Path

import pytest

from edgeai_runtime.cli import main


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


def test_wrong_usage_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["roll-back"])
    assert exit_.value.code == 2
    assert "rollback" in capsys.readouterr().err
