"""[serving] of a release, [models.NAME] of the settings for bare files: read, refused, written down."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Dict

import pytest

from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.errors import InputError
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import AS_MEASURED, Serving, read_serving
from edgeai_runtime.serving.batching import Batching, asked_for
from edgeai_runtime.serving.files import Files
from edgeai_runtime.settings import read_device, read_settings

MEASURED = Batching(8, inline=True, why="measured, ms a row by batch size: 1: 2, 8: 1", alone_s=0.002)


def test_what_is_not_said_is_measured_and_not_written_down() -> None:
    assert read_serving({}, "here") == AS_MEASURED
    assert AS_MEASURED.to_json() == {}
    assert asked_for(AS_MEASURED, True).found(MEASURED) == MEASURED
    assert not asked_for(AS_MEASURED, True).found(Batching()).known


def test_what_is_said_is_what_is_done_and_written_down() -> None:
    table = {
        "batching": 16,
        "preferred_batch_sizes": [8, 4],
        "max_queue_delay_us": 500,
        "queue_size": 64,
        "timeout_us": 1_000_000,
        "timeout_action": "delay",
        "priority_levels": 3,
        "default_priority": 2,
        "cache": "off",
    }
    serving = read_serving(table, "here")
    assert serving.to_json() == {**table, "preferred_batch_sizes": (4, 8)}
    found = asked_for(serving, True).found(MEASURED)
    assert (found.max_batch_size, found.inline, found.why) == (16, True, "set to 16")
    assert found.wishes == serving


def test_answers_are_kept_where_finding_one_is_quicker_than_the_model() -> None:
    assert MEASURED.finding_pays
    assert not replace(MEASURED, alone_s=0.000_007).finding_pays
    assert Batching().finding_pays  # nobody knows yet


def test_batching_may_be_off() -> None:
    found = asked_for(read_serving({"batching": "off"}, "here"), True).found(MEASURED)
    assert (found.max_batch_size, found.why) == (1, "set to be off")


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"batch": 4}, r"here: unknown key 'batch'; did you mean 'batching'\?"),
        ({"batching": "on"}, "'batching' is 'on', expected \"auto\", \"off\" or the most rows"),
        ({"batching": 0}, "'batching' is 0"),
        ({"batching": True}, "'batching' is True"),
        ({"batching": 2000}, "'batching' is 2000"),
        ({"batching": 4, "preferred_batch_sizes": [8]}, r"'preferred_batch_sizes' is \[8\]"),
        ({"preferred_batch_sizes": ["8"]}, r"'preferred_batch_sizes' is \['8'\]"),
        ({"queue_size": -1}, "'queue_size' is -1, expected 0 to 1000000"),
        ({"timeout_us": 0.5}, "'timeout_us' is 0.5, expected a whole number"),
        ({"timeout_action": "drop"}, "'timeout_action' is 'drop', expected one of reject, delay"),
        ({"priority_levels": 0}, "'priority_levels' is 0, expected 1 to 100"),
        ({"default_priority": 2}, "'default_priority' is 2 of 1 levels"),
        ({"cache": True}, "'cache' is True, expected text"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(table: Dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_serving(table, "here")


class TestSettingsOfBareFiles:
    def test_have_a_table_for_each_model(self, tmp_path: Path) -> None:
        file = tmp_path / "settings.toml"
        file.write_text('schema = 1\n[models.reader]\ncache = "off"\n[models."other-2"]\nbatching = 4\n')
        models = read_settings(file, {}).models
        assert models == {"reader": Serving(cache="off"), "other-2": Serving(batching=4)}

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("models = 1\n", r"'models' is 1, expected a table"),
            ("[models]\nreader = 1\n", r"\[models.reader\]: 1 was found, expected a table"),
            ("[models.reader]\ncaches = 1\n", r"\[models.reader\]: unknown key 'caches'"),
        ],
    )
    def test_are_refused_in_one_sentence(self, tmp_path: Path, text: str, sentence: str) -> None:
        (tmp_path / "settings.toml").write_text("schema = 1\n" + text)
        with pytest.raises(InputError, match=sentence):
            read_settings(tmp_path / "settings.toml", {})

    def test_are_of_files_that_are_served(self, tmp_path: Path) -> None:
        (tmp_path / "reader.onnx").write_bytes(b"")
        with pytest.raises(InputError, match=r"\[models.raeder\]: no file of that name .* mean 'reader'\?"):
            Files([tmp_path / "reader.onnx"], Execution(), {"raeder": Serving()})

    def test_are_none_of_a_device(self, tmp_path: Path) -> None:
        paths = Paths(tmp_path)
        paths.device_toml.parent.mkdir(parents=True)
        paths.device_toml.write_text(
            'schema = 1\nname = "a"\nclass = "jetson"\nline = "b"\n[depot]\nurl = "http://c"\n[models.reader]\n'
        )
        with pytest.raises(InputError, match=r"\[models\] is for bare files; a device serves a model as"):
            read_device(paths)
