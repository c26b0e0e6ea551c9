"""Write what the scenarios roll out into DIRECTORY/releases, and pictures to read into DIRECTORY.

    releases.py DIRECTORY              the reader, narrow.png and wide.png
    releases.py DIRECTORY direction    besides the direction classifier, and upside_down.png

The names of the releases' directories go to standard output.

| release         | what it is                                                                        |
| --------------- | --------------------------------------------------------------------------------- |
| reader 1.0.0    | good                                                                              |
| reader 1.1.0    | good                                                                              |
| reader 1.2.0    | bad at the gate: its labels are in the wrong order                                |
| reader 1.3.0    | bad in use: fails on pictures wider than any of its golden set, such as wide.png  |
| reader 1.4.0    | good                                                                              |
| reader 1.5.0    | good                                                                              |
| direction 1.0.0 | good: a real model, which the device converts to eight bits                       |
| direction 1.1.0 | good: the same with a range for each channel                                      |
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPO / "tests" / "integration"), str(REPO / "examples" / "label_reader")]

import direction  # noqa: E402 - they are no packages
from position_table import with_position_table  # noqa: E402
from toy_releases import LETTERS, model_reading_greys, picture, write_release  # noqa: E402

NARROW, WIDE = "CAB", "CABCABCAB"  # in no set of a release
TABLE = 48  # pixels: wider than the words of a release's sets, narrower than WIDE

work = Path(sys.argv[1])
releases = work / "releases"
cache = Path.home() / ".cache" / "edgeai"
shutil.rmtree(releases, ignore_errors=True)
releases.mkdir(parents=True)
for version in ("1.0.0", "1.1.0", "1.4.0", "1.5.0"):
    write_release(releases, version)
mislabelled = write_release(releases, "1.2.0")
(mislabelled / "labels.txt").write_text("".join(f"{letter}\n" for letter in reversed(LETTERS)))
write_release(releases, "1.3.0", model=with_position_table(model_reading_greys("reader 1.3.0"), TABLE))
if "direction" in sys.argv[2:]:
    direction.write_releases(releases, cache)
    (work / "upside_down.png").write_bytes(direction.upside_down())
for release in sorted(releases.iterdir()):
    print(release)
(work / "narrow.png").write_bytes(picture(NARROW))
(work / "wide.png").write_bytes(picture(WIDE))
