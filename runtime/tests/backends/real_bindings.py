"""NVIDIA's own Python packages without NVIDIA's libraries: classes, enums and signatures are the real ones.

TensorRT's bindings import wherever the libraries that they were linked against are found. Here those are
stubs, made on the spot, whose entry points all give nothing, as where there is no GPU.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Dict, List, NamedTuple

CACHE = Path(__file__).resolve().parents[3] / ".cache" / "tensorrt"
_PYTHON = (3, 11)  # the wheels below are for it


class Wheel(NamedTuple):
    requirement: str
    sha256: str


TENSORRT: Dict[str, Wheel] = {
    "8.6": Wheel(
        "tensorrt-bindings==8.6.1", "705cfab5c60f0bed7d939559d880165a761bd9ac0f4203004948a760eef99838"
    ),
    "10.3": Wheel(
        "tensorrt-cu12-bindings==10.3.0", "59ace22d7f2ca1e9dcde2cb0cb5916912cb3cd5a9d72dd7852be0160d9b3a0ee"
    ),
    "10.13": Wheel(
        "tensorrt-cu12-bindings==10.13.3.9",
        "33aa9d104c04b008871645a97bd8a1a02279cf498d251df5e767d9d5183e0646",
    ),
    "11.4": Wheel(
        "tensorrt-cu13-bindings==11.4.0.106",
        "d072ac2a095e2be749fefc847adfb25d5ebe70303401df62ede8fe67a59f27fc",
    ),
}
# By the module that the driver is in.
CUDA: Dict[str, List[Wheel]] = {
    "cuda.bindings.driver": [
        Wheel("cuda-bindings==13.4.4", "e1cef1eaf5a08cc3bf3675ca9d3f97f3fc7085998556c848b4053e74ba4ba392"),
        Wheel("cuda-pathfinder==1.9.1", "b743c132f90ad2d1e71d43fd28f31ebcde518f943e50fd44aca62b2a80d5230d"),
    ],
    "cuda.cuda": [
        Wheel("cuda-python==12.2.0", "d2956a364c90dc3365c0efc96300eacdf4a724b199de1107271aa1e2489ed1ab")
    ],
}
# The undefined names that belong to TensorRT; the others are Python's and the C library's.
_ENTRY_POINTS = re.compile(
    r"^(\w+_INTERNAL|get\w*PluginRegistry|getNvOnnxParserVersion|initLibNvInferPlugins"
    r"|_ZN\d+nv(uff|caffe)parser\w+)$"
)


class Unavailable(Exception):
    """Why the real packages cannot be had here."""


def tensorrt(version: str, place: Path) -> Dict[str, str]:
    """What a Python process needs in its environment to import the `tensorrt_bindings` of a version, which is
    unpacked into `place`. Raises Unavailable."""
    if not (shutil.which("gcc") and shutil.which("nm") and shutil.which("readelf")):
        raise Unavailable("no gcc, nm and readelf here to make libraries for them to link")
    _unpack(_fetch(TENSORRT[version]), place)
    _make_libraries(next(place.glob("*/tensorrt.so")), place / "lib")
    return {"PYTHONPATH": str(place), "LD_LIBRARY_PATH": str(place / "lib")}


def cuda(module: str, place: Path, with_driver: bool) -> Dict[str, str]:
    """The same for NVIDIA's `cuda.bindings.driver` or `cuda.cuda`, which need no library to be imported;
    `with_driver`: one that has a GPU of ordinary memory. Raises Unavailable."""
    for wheel in CUDA[module]:
        _unpack(_fetch(wheel), place)
    environment = {"PYTHONPATH": str(place)}
    if with_driver:
        if not shutil.which("gcc"):
            raise Unavailable("no gcc here to make a driver for it")
        library = place / "libcuda.so.1"
        _said("gcc", "-shared", "-fPIC", "-w", "-o", str(library), str(Path(__file__).with_name("libcuda.c")))
        environment["LD_LIBRARY_PATH"] = str(place)
    return environment


def _fetch(wheel: Wheel) -> Path:
    """The wheel in the cache, downloaded if it is not there. Raises Unavailable."""
    if sys.version_info[:2] != _PYTHON or (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise Unavailable("the wheels are for Python 3.11 on x86-64 Linux")
    name, version = wheel.requirement.split("==")
    pattern = f"{name.replace('-', '_')}-{version}-*.whl"
    found = next(CACHE.glob(pattern), None)
    if found is None:
        CACHE.mkdir(parents=True, exist_ok=True)
        # Tests run beside each other: a wheel gets its name once it is whole.
        with tempfile.TemporaryDirectory(dir=CACHE) as beside:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
            done = subprocess.run(
                [*pip, "--dest", beside, wheel.requirement], capture_output=True, text=True, check=False
            )
            fetched = next(Path(beside).glob(pattern), None)
            if done.returncode or fetched is None:
                why = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
                raise Unavailable(f"pip download {wheel.requirement} failed ({why})")
            found = fetched.replace(CACHE / fetched.name)
    digest = hashlib.sha256(found.read_bytes()).hexdigest()
    assert digest == wheel.sha256, f"{found} has sha256 {digest}; delete it"
    return found


def _unpack(wheel: Path, place: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)


def _make_libraries(extension: Path, place: Path) -> None:
    """Shared objects by the names that the extension was linked against, with the names it misses."""
    place.mkdir()
    undefined = _said("nm", "-D", "--undefined-only", str(extension)).split()
    names = [name for name in undefined if _ENTRY_POINTS.match(name)]
    source = place / "stubs.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in names))
    for library in re.findall(r"\[(libnv\w+\.so\.\d+)\]", _said("readelf", "-d", str(extension))):
        _said(
            "gcc", "-shared", "-fPIC", "-w", f"-Wl,-soname,{library}", "-o", str(place / library), str(source)
        )


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
