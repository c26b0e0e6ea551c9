"""The real trtexec cannot be had without a GPU; fake_trtexec.py takes what NVIDIA documents."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, List

import fake_trtexec
import pytest
import toy

from edgeai_runtime.convert.tensorrt import trtexec
from edgeai_runtime.convert.tensorrt.build import build_engine
from edgeai_runtime.convert.tensorrt.options import EngineOptions
from edgeai_runtime.errors import ConvertError

SHAPES = {"x": [(1, 3, 8, 40), (1, 3, 8, 16)]}
OPTIONS = EngineOptions(shapes=SHAPES)


class Place:
    """A device whose Python has no TensorRT, and which has a trtexec of a version."""

    def __init__(self, directory: Path, version: str) -> None:
        self.directory = directory
        self.source = toy.write_model(directory / "model.onnx", toy.toy_model())
        self.target = directory / "model.engine"
        self.told: List[str] = []
        self.set(version)

    def set(self, version: str, **behaviour: Any) -> None:
        program = self.directory / "bin" / "trtexec"
        program.parent.mkdir(exist_ok=True)
        said = json.dumps({"version": version, "log": str(self.directory / "calls"), **behaviour})
        program.write_text(
            f"#!/bin/sh\nFAKE_TRTEXEC='{said}' exec '{sys.executable}' '{fake_trtexec.__file__}' \"$@\"\n"
        )
        program.chmod(0o755)

    def build(self, options: EngineOptions = OPTIONS) -> None:
        build_engine(self.source, self.target, options, self.told.append)

    def refused(self, options: EngineOptions = OPTIONS) -> str:
        with pytest.raises(ConvertError) as caught:
            self.build(options)
        assert not list(self.directory.glob("model.engine*"))
        assert "\n" not in caught.value.message
        return caught.value.message

    @property
    def calls(self) -> List[List[str]]:
        """The arguments of each call but those for help, without the file that is made."""
        lines = (self.directory / "calls").read_text().splitlines()
        calls = [json.loads(line) for line in lines]
        return [
            [one for one in call if not one.startswith("--saveEngine")]
            for call in calls
            if "--help" not in call
        ]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    for name in [
        name
        for name in sys.modules
        if name.startswith("edgeai_runtime.backends.tensorrt") or name.endswith("tensorrt.builder")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setattr(trtexec, "BESIDE_TENSORRT", tmp_path / "nowhere")
    return Place(tmp_path, "10")


def test_an_engine_is_built_and_run_once_before_it_counts(place: Place) -> None:
    place.build()
    assert place.target.read_bytes() == b"engine"
    assert [path.name for path in place.directory.glob("model.engine*")] == ["model.engine"]
    build, once = place.calls
    assert build[0] == f"--onnx={place.source}"
    assert once[0].startswith("--loadEngine=")
    assert once[1:] == ["--iterations=1", "--duration=0", "--warmUp=0", "--shapes=x:1x3x8x40"]


def test_the_profile_is_what_samples_are_long(place: Place) -> None:
    place.build()
    assert [one for one in place.calls[0] if "Shapes" in one] == [
        "--minShapes=x:1x3x8x16",
        "--optShapes=x:1x3x8x40",
        "--maxShapes=x:1x3x8x40",
    ]


@pytest.mark.parametrize(
    ("version", "workspace", "building_alone"),
    [
        ("8.2", "--workspace=96", "--buildOnly"),
        ("8.4", "--memPoolSize=workspace:96", "--buildOnly"),
        ("10", "--memPoolSize=workspace:96", "--skipInference"),
        ("11", "--memPoolSize=workspace:96", "--skipInference"),
    ],
)
def test_options_are_those_that_its_help_lists(
    place: Place, version: str, workspace: str, building_alone: str
) -> None:
    place.set(version)
    cache = place.directory / "times"
    place.build(EngineOptions(precision="fp16", shapes=SHAPES, workspace_mib=96, timing_cache=cache))
    assert [one for one in place.calls[0][1:] if "Shapes" not in one] == [
        workspace,
        *["--fp16"] * (version != "11"),
        f"--timingCacheFile={cache}",
        building_alone,
    ]
    assert (place.calls[0][0] == f"--onnx={place.source}") is (
        version != "11"
    )  # the model says it itself there


def test_compatibility_is_asked_for_where_it_is_known(place: Place) -> None:
    options = EngineOptions(shapes=SHAPES, version_compatible=True, hardware_compatible=True)
    place.build(options)
    assert {"--versionCompatible", "--hardwareCompatibilityLevel=ampere+"} <= set(place.calls[0])
    assert "--versionCompatible" in place.calls[1]
    place.target.unlink()
    place.set("8.4")
    assert "knows no --versionCompatible" in place.refused(options)


def test_a_name_with_a_colon_stands_in_quotes() -> None:
    from edgeai_runtime.convert.tensorrt.profiles import Profile

    ranges = {"in:0": Profile((1, 3), (2, 3), (4, 3)), "y": Profile((1,), (1,), (2,))}
    assert trtexec._listed(ranges, "best") == "'in:0':2x3,y:1"


def test_int8_takes_a_quantized_model_since_it_would_make_ranges_up(place: Place) -> None:
    assert "takes a model that was quantized before" in place.refused(
        EngineOptions(precision="int8", shapes=SHAPES)
    )


def test_progress_is_told_of_its_lines(place: Place) -> None:
    place.build()
    assert place.told == [
        "building the engine of model.onnx with trtexec",
        "trtexec: Start parsing network model",
        "trtexec: Engine built in 1.5 sec",
        "running the engine once",
        "trtexec: Starting inference",
    ]


def test_what_it_complains_of_is_the_reason(place: Place) -> None:
    place.set("10", fails="build")
    message = place.refused()
    assert "trtexec failed (Error Code 4: no implementation; Engine could not be created)" in message


def test_an_engine_that_does_not_run_does_not_count(place: Place) -> None:
    place.set("10", fails="run")
    assert "trtexec failed" in place.refused()


def test_it_is_ended_when_its_time_is_over(place: Place) -> None:
    place.set("10", hangs=True)
    options = EngineOptions(shapes=SHAPES, time_limit_s=0.2)
    assert "took longer than its time limit" in place.refused(options)


def test_without_tensorrt_of_any_kind_the_sentence_says_so(place: Place) -> None:
    (place.directory / "bin" / "trtexec").unlink()
    assert "there is no trtexec either" in place.refused()


def test_another_program_of_that_name_is_refused(place: Place) -> None:
    program = place.directory / "bin" / "trtexec"
    program.write_text("#!/bin/sh\necho --verbose\n")
    assert "is no trtexec that builds of ONNX" in place.refused()
