import json
import os
from pathlib import Path
from typing import List

import pytest

from edgeai_runtime.cli import main
from edgeai_runtime.errors import InputError
from edgeai_runtime.paths import Paths
from edgeai_runtime.settings import SETTINGS, load_device, read_settings

GOOD = """schema = 1
name = "line1-pi"
class = "raspberry_pi"
line = "line-1"
[depot]
url = "http://127.0.0.1:9000/"
[serve]
http = "127.0.0.1:9001"
"""


def _write(root: Path, text: str) -> Paths:
    paths = Paths(root)
    paths.etc.mkdir(parents=True)
    paths.device_toml.write_text(text)
    return paths


def test_a_device_knows_who_it_is(tmp_path: Path) -> None:
    device = load_device(_write(tmp_path, GOOD))
    assert (device.name, device.device_class, device.line) == ("line1-pi", "raspberry_pi", "line-1")
    assert (device.depot_url, device.http, device.threads) == ("http://127.0.0.1:9000", "127.0.0.1:9001", 0)


def test_a_device_knows_its_depots_mirrors_and_what_it_may_take(tmp_path: Path) -> None:
    more = '[depot]\nmirrors = ["http://127.0.0.1:9002/"]\nrate_limit = 2.5\n'
    device = load_device(_write(tmp_path, GOOD.replace("[depot]\n", more)))
    assert device.depot_mirrors == ("http://127.0.0.1:9002",)
    assert device.depot_rate_limit == 2_500_000


def test_a_device_has_its_own_rules_of_alarms(tmp_path: Path) -> None:
    own = GOOD + '[alarms]\nwear = false\n"disk" = { "below" = 2048, "clear" = 4096 }\n'
    rules = load_device(_write(tmp_path, own)).alarms
    assert (rules["disk"].below, "wear" in rules, "temperature" in rules) == (2048, False, True)


def test_a_device_that_was_not_provisioned_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not provisioned; run the provision playbook"):
        load_device(Paths(tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("line =", "lines =", r"unknown key 'lines'; did you mean 'line'"),
        ("url =", "uri =", r"\[depot\]: unknown key 'uri'; did you mean 'url'"),
        ("[serve]", "[alarms]\nweer = false\n[serve]", "switch off; did you mean 'wear'"),
        ("schema = 1", "schema = 2", "schema 2 is unknown, expected 1"),
        ("schema = 1", "schema", "this is not TOML"),
        ('name = "line1-pi"\n', "", "the key 'name' is missing"),
    ],
)
def test_wrong_settings_are_refused_in_one_sentence(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        load_device(_write(tmp_path, GOOD.replace(old, new, 1)))


class TestWhereASettingComesFrom:
    def test_is_the_default_the_file_the_environment_or_the_command_line_the_last_first(
        self, tmp_path: Path
    ) -> None:
        file = tmp_path / "settings.toml"
        file.write_text("schema = 1\n[serve]\ncache_mb = 8\nthreads = 3\nbody_mb = 1.5\n")
        environment = {"EDGEAI_SERVE_THREADS": "2", "EDGEAI_SERVE_BODY_MB": "2", "EDGEAI_ACTOR": "anna"}
        settings = read_settings(file, environment, {"serve.body_mb": 4, "serve.http": None})
        assert settings.values["serve.http"] == ("127.0.0.1:8080", "default")
        assert settings.values["serve.cache_mb"] == (8.0, str(file))
        assert settings.values["serve.threads"] == (2, "environment")
        assert settings.values["serve.body_mb"] == (4.0, "command line")

    def test_is_shown(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        _write(tmp_path, GOOD)
        assert main(["--root", str(tmp_path), "--json", "config"]) == 0
        rows = {row["setting"]: row for row in json.loads(capsys.readouterr().out)["settings"]}
        assert (rows["serve.http"]["value"], rows["serve.http"]["from"]) == (
            "127.0.0.1:9001",
            str(Paths(tmp_path).device_toml),
        )
        assert rows["serve.cache_mb"]["variable"] == "EDGEAI_SERVE_CACHE_MB"
        assert rows["serve.cache_mb"]["from"] == "default"

    def test_is_shown_of_alarms_and_of_models(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "settings.toml"
        file.write_text(
            "schema = 1\n[alarms]\nwear = false\ndisk = { below = 2048, clear = 4096 }\n"
            '[models.reader]\nbatching = "off"\n'
        )
        assert main(["--json", "config", "--config", str(file)]) == 0
        told = json.loads(capsys.readouterr().out)
        alarms = {row["alarm"]: row for row in told["alarms"]}
        assert (alarms["disk"]["below"], alarms["disk"]["from"]) == (2048, str(file))
        assert (alarms["wear"]["reading"], alarms["wear"]["from"]) == ("off", str(file))
        assert alarms["memory"]["from"] == "default"
        (model,) = told["models"]
        assert (model["model"], model["batching"], model["cache"]) == ("reader", "off", "auto")

    def test_is_shown_of_serving_by_hand_where_no_device_was_made(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EDGEAI_SERVE_THREADS", "3")
        assert main(["--root", str(tmp_path), "--json", "config"]) == 0
        told = json.loads(capsys.readouterr().out)
        (sentence,) = told["actions"]
        assert sentence.startswith(f"There is no {Paths(tmp_path).device_toml}: ")
        rows = {row["setting"]: (row["value"], row["from"]) for row in told["settings"]}
        assert rows["serve.threads"] == (3, "environment")
        assert rows["serve.http"] == ("127.0.0.1:8080", "default")
        assert {row["from"] for row in told["alarms"]} == {"default"}

    def test_is_the_environment_on_a_device_too(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EDGEAI_DEPOT_MIRRORS", "http://a:1, http://b:2/")
        assert load_device(_write(tmp_path, GOOD)).depot_mirrors == ("http://a:1", "http://b:2")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("schema = 1\n[server]\n", r"unknown key 'server'; did you mean 'serve'\?"),
        ("schema = 1\nserve = 1\n", r"'serve' is 1, expected a table; write \[serve\]"),
        ("schema = 1\n[serve]\nchache_mb = 1\n", r"unknown key 'chache_mb'; did you mean 'cache_mb'\?"),
        ("schema = 1\n[serve]\nthreads = true\n", r"\[serve\]: 'threads' is True, expected a whole number"),
        ("schema = 1\n[serve]\nthreads = -1\n", r"'threads' is -1, expected 0 to 256"),
        ("schema = 1\n[depot]\nmirrors = [1]\n", r"'mirrors' is \[1\], expected a list of texts"),
        (
            'schema = 1\n[serve]\nproviders = ["gpu"]\n',
            r"'providers': 'gpu' is unknown; did you mean 'cpu'\?",
        ),
        ('schema = 1\n[serve]\nhttp = ""\n', r"\[serve\]: 'http': '' is no address to serve on"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_settings(file, {})


@pytest.mark.parametrize(
    ("variable", "text", "sentence"),
    [
        ("EDGEAI_SERVE_CACHE", "1", "is no setting; did you mean 'EDGEAI_SERVE_CACHE_MB'"),
        ("EDGEAI_SERV_HTTP", "1", "is no setting; did you mean 'EDGEAI_SERVE_HTTP'"),
        ("EDGEAI_KEEP_XYZ", "1", "is no setting; `edgeai config` shows the settings"),
        ("EDGEAI_SERVE_THREADS", "many", "EDGEAI_SERVE_THREADS is 'many', expected a whole number"),
        ("EDGEAI_SERVE_CACHE_MB", "-1", "EDGEAI_SERVE_CACHE_MB is -1, expected 0 to 1e"),
        ("EDGEAI_SERVE_CACHE_MB", "nan", "EDGEAI_SERVE_CACHE_MB is nan, expected 0 to 1e"),
        ("EDGEAI_SERVE_HTTP", "", "EDGEAI_SERVE_HTTP: '' is no address to serve on"),
        ("EDGEAI_SERVE_HTTP", "[]:80", r"'\[\]:80' is no address to serve on"),
        ("EDGEAI_SERVE_HTTP", "localhost:8²", "'localhost:8²' is no address to serve on"),
    ],
)
def test_a_wrong_variable_is_refused_in_one_sentence(variable: str, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_settings(environment={variable: text})


def test_other_variables_of_ours_are_no_settings() -> None:
    others = ("EDGEAI_ACTOR", "EDGEAI_PASSPHRASE", "EDGEAI_TOKEN", "EDGEAI_TEST_HOSTS", "EDGEAI_SWITCHES")
    assert read_settings(environment=dict.fromkeys(others, "x")) == read_settings(environment={})


def test_what_is_written_of_the_settings_names_all_of_them() -> None:
    told = (Path(__file__).resolve().parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    for setting in SETTINGS:
        if setting.default is not None:
            assert f"`{setting.key}`" in told


@pytest.mark.parametrize("command", [["config"], ["serve", "model.onnx"]])
def test_settings_that_cannot_be_read_are_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: List[str]
) -> None:
    assert main([*command, "--config", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"edgeai: error: {tmp_path}: cannot be read (Is a directory); name a file in TOML that you may read."
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("schema = 1\n")
    file.chmod(0)
    assert main(["config", "--config", str(file)]) == 1
    assert "settings.toml: cannot be read (Permission denied); name a file" in capsys.readouterr().err
    tmp_path.chmod(0)
    assert main(["--root", str(tmp_path), "config"]) == 1
    assert capsys.readouterr().err.endswith("permission is denied; type this as its owner, or as root.\n")
    tmp_path.chmod(0o700)
