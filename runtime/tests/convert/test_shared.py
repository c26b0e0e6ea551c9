"""What a device converted, taken by another of the same fingerprint: through TUF, and measured anew."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, List, Optional

import pytest

pytest.importorskip("cryptography", reason="signing a bundle needs cryptography, which devices lack")

sys.path.append(str(Path(__file__).parents[1] / "bundle"))

from making import pack, provision, snapshot, write_release
from toy import DEVICE, GREYS, put, toy_model, toy_release

from edgeai_runtime.convert.conversion import Conversion
from edgeai_runtime.convert.convert import convert_release, share_conversion
from edgeai_runtime.convert.shared import RECORD, Shared, read_shared
from edgeai_runtime.errors import InputError
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Blob, Recipe
from edgeai_runtime.settings import Device
from edgeai_runtime.trust.store import blob_path

RECIPE = Recipe(quantize="dynamic")


class Line:
    """One device that has converted, another of the same make, and the workstation between them."""

    def __init__(self, place: Path) -> None:
        self._place, self._keys = place, place / "keys"
        self.directory, self.bundle = place / "conversions", place / "bundle"
        self._source = write_release(place / "source", model=toy_model())
        self.sign()
        self.first = provision(place / "first", self.bundle)
        self.second = provision(place / "second", self.bundle)
        self.device = replace(DEVICE, depot_url=f"file://{self.bundle}", depot_conversions=True)
        self.told: List[str] = []

    def sign(self) -> None:
        given = self.directory if self.directory.exists() else None
        pack(self.bundle, self._keys, [self._source], conversions=given)

    def convert(
        self, paths: Paths, device: Optional[Device] = None, check: bool = False, recipe: Recipe = RECIPE
    ) -> Conversion:
        release = toy_release(paths, recipe=recipe)
        return convert_release(paths, device or self.device, release, check, self.told.append)

    def bring(self, change: Callable[[Shared], Shared] = lambda given: given) -> Shared:
        """Convert on the first device, and bring it to the workstation, which signs it after a `change`."""
        self.convert(self.first)
        release, device = toy_release(self.first, recipe=RECIPE), replace(self.device, name="line1-a")
        given = change(share_conversion(self.first, device, release))
        place = self.directory / given.fingerprint
        place.mkdir(parents=True)
        (place / RECORD).write_bytes(given.to_json())
        for blob in given.files:
            (place / blob.sha256).write_bytes(blob_path(self.first, blob.sha256).read_bytes())
        self.sign()
        self.told.clear()
        return given


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return Line(tmp_path)


def events(paths: Paths) -> List[Any]:
    return [json.loads(text)["event"] for text in paths.journal.read_text().splitlines()]


def test_a_device_of_the_same_fingerprint_takes_what_another_made(line: Line) -> None:
    given = line.bring()
    taken = line.convert(line.second)
    assert (taken.artifact, taken.fingerprint, taken.changed) == (
        given.artifact.sha256,
        given.fingerprint,
        True,
    )
    assert taken.actions == ("took what line1-a made of label-reader 1.0.0, int8 dynamic, from the depot",)
    assert not [sentence for sentence in line.told if sentence.startswith("converting")]


def test_what_is_taken_is_measured_where_it_will_serve(line: Line) -> None:
    line.bring()
    (row,) = line.convert(line.second).table
    assert (row.candidate, row.verdict, row.samples, row.quality) == ("int8 dynamic", "chosen", 6, 1.0)
    assert row.why == "line1-a, a device of the same fingerprint, made it; measured here"
    assert "measuring int8 dynamic on 6 selection samples" in line.told
    assert events(line.second) == ["conversion_taken", "converted"]


def test_what_was_taken_is_there_the_next_time_without_a_depot(line: Line) -> None:
    line.bring()
    line.convert(line.second)
    gone = replace(line.device, depot_url="file:///nowhere")
    line.told.clear()
    assert not line.convert(line.second, gone).changed
    assert line.told == []


def converted_by_itself(line: Line, device: Optional[Device] = None) -> bool:
    made = line.convert(line.second, device)
    return [row.candidate for row in made.table] == ["fp32", "int8 dynamic"] and made.changed


def test_nothing_is_taken_unless_the_settings_allow_it(line: Line) -> None:
    line.bring()
    assert converted_by_itself(line, replace(line.device, depot_conversions=False))


def test_nothing_is_taken_of_another_fingerprint(line: Line) -> None:
    line.bring()
    made = line.convert(line.second, recipe=replace(RECIPE, per_channel=True))
    assert [row.candidate for row in made.table] == ["fp32", "int8 dynamic, per channel"]
    assert not [sentence for sentence in line.told if "taken" in sentence]


def test_what_misreads_here_is_not_taken(line: Line) -> None:
    wrong = put(line.first, toy_model(greys=GREYS[::-1]))
    line.bring(lambda given: replace(given, artifact=wrong))
    assert converted_by_itself(line)
    assert (
        "what line1-a made of label-reader 1.0.0, int8 dynamic, is not taken: exact_match is 0 here, "
        "required at least 0.9" in line.told
    )


def test_what_does_not_load_here_is_not_taken(line: Line) -> None:
    broken = put(line.first, b"no model")
    line.bring(lambda given: replace(given, artifact=broken))
    assert converted_by_itself(line)
    assert any("is not taken: label-reader 1.0.0: int8 dynamic does not run" in said for said in line.told)


def test_a_depot_out_of_reach_is_said_and_keeps_nobody_from_converting(line: Line) -> None:
    assert converted_by_itself(line, replace(line.device, depot_url="file:///nowhere"))
    assert line.told[0].startswith("nothing is taken of what other devices converted: ")


def test_a_check_says_what_would_be_taken_and_changes_nothing(line: Line) -> None:
    line.bring()
    toy_release(line.second, recipe=RECIPE)
    before = snapshot(line.second)
    predicted = line.convert(line.second, check=True)
    assert predicted.actions == (
        "would take label-reader 1.0.0 to int8 dynamic from the depot, where line1-a made it, "
        "which it never was here",
    )
    assert snapshot(line.second) == before


def test_a_conversion_of_no_release_in_the_bundle_is_left_out(
    line: Line, capsys: pytest.CaptureFixture[str]
) -> None:
    line.bring()
    other = write_release(line.bundle.with_name("other"), model=b"another model")
    pack(
        line.bundle.with_name("second bundle"),
        line.bundle.with_name("keys"),
        [other],
        conversions=line.directory,
    )
    assert "left out what line1-a made of label-reader, int8 dynamic" in capsys.readouterr().out
    assert not list(line.bundle.with_name("second bundle").glob("targets/conversions/*"))


def test_a_file_that_changed_on_its_way_is_not_signed(line: Line) -> None:
    given = line.bring()
    file = line.directory / given.fingerprint / given.artifact.sha256
    file.write_bytes(file.read_bytes() + b"!")
    with pytest.raises(InputError, match=f"{file}: this is not the file that .*{RECORD} names"):
        line.sign()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"threads": 0}, "'threads' is 0, expected 1 or more"),
        ({"threads": "two"}, "'threads' is 'two', expected a whole number"),
        ({"engine": "exec"}, "'engine' is 'exec', expected one of"),
        ({"schema": 9}, "schema is 9, this runtime reads 1"),
        ({"inputs": {}}, "the fingerprint is not that of its inputs"),
        ({"artifact": {"sha256": "../x", "size": 1}}, "'../x' is no sha256"),
        ({"instead": []}, "'instead' is .*, expected a table"),
        ({"enigne": 1}, "unknown key 'enigne'; did you mean 'engine'?"),
    ],
)
def test_a_record_that_is_none_is_refused_in_one_sentence(line: Line, change: Any, said: str) -> None:
    table = {**json.loads(line.bring().to_json()), **change}
    with pytest.raises(InputError, match=said):
        read_shared(json.dumps(table).encode(), "conversion.json")


@pytest.mark.parametrize("data", [b"", b"[1]", b"\xff"])
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^conversion.json: .*bring it from the device again\.$"):
        read_shared(data, "conversion.json")


def test_what_was_not_converted_cannot_be_given(line: Line) -> None:
    with pytest.raises(
        InputError, match=r"label-reader 1\.0\.0 is not converted on this device as it is now"
    ):
        share_conversion(line.first, line.device, toy_release(line.first, recipe=RECIPE))


def test_an_engine_s_stand_in_goes_with_it(line: Line) -> None:
    other = Blob("a" * 64, 7)
    given = line.bring()
    both = replace(given, engine="tensorrt", instead=other)
    assert read_shared(both.to_json(), "x").to_json() == both.to_json()
    assert both.files == (given.artifact, other)
