"""An engine by `trtexec`, which comes with TensorRT: for a Python that TensorRT has no package for.

Its options changed from version to version: those that its own --help lists are used.
https://docs.nvidia.com/deeplearning/tensorrt, "trtexec".
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from collections import deque
from pathlib import Path
from typing import Deque, Dict, FrozenSet, List, Optional

from edgeai_runtime.convert.samples import Samples
from edgeai_runtime.convert.tensorrt.graph import has_quantization, inputs_of
from edgeai_runtime.convert.tensorrt.options import FP16, FP32, INT8, EngineOptions, Progress
from edgeai_runtime.convert.tensorrt.own_types import in_own_types
from edgeai_runtime.convert.tensorrt.profiles import Profile, profiles
from edgeai_runtime.errors import ConvertError

BESIDE_TENSORRT = Path("/usr/src/tensorrt/bin/trtexec")  # where JetPack and Debian packages put it
_HELP_S = 60.0
# "[07/30/2026-10:00:00] [E] [TRT] what happened"
_LINE = re.compile(r"^\[[^\]]*\] \[(?P<level>[A-Z])\] (?:\[TRT\] )?(?P<text>.*)$")
_TOLD = re.compile(r"^(Start parsing|Finish|Building|Engine built|Engine generation|Starting inference)")


class Trtexec:
    """The program and the options that it knows."""

    def __init__(self, program: Path) -> None:
        """Raises ConvertError where it does not start."""
        self._program = program
        try:
            said = subprocess.run(
                [str(program), "--help"], capture_output=True, text=True, timeout=_HELP_S, check=False
            ).stdout
        except (OSError, subprocess.SubprocessError) as error:
            raise ConvertError(f"{program}: does not start ({error}); install TensorRT again.") from None
        self._knows: FrozenSet[str] = frozenset(re.findall(r"--(\w+)", said))
        if not {"onnx", "saveEngine", "loadEngine"} <= self._knows:
            raise ConvertError(f"{program}: is no trtexec that builds of ONNX; install TensorRT again.")

    @classmethod
    def find(cls) -> Optional[Trtexec]:
        """On PATH, or beside TensorRT; None where it is not. Raises ConvertError where it does not start."""
        found = shutil.which("trtexec") or shutil.which(str(BESIDE_TENSORRT))
        return cls(Path(found)) if found else None

    def build(
        self,
        source: Path,
        target: Path,
        options: EngineOptions,
        progress: Progress,
        calibration: Optional[Samples],
    ) -> None:
        """Write the engine to `target` and run it once. Raises ConvertError."""
        give_up = time.monotonic() + options.time_limit_s
        ranges = profiles(inputs_of(source), options.batches, options.shapes)
        arguments = [f"--saveEngine={target}", *self._shaping(ranges), *self._allowing(options, source)]
        progress(f"building the engine of {source.name} with trtexec")
        if "fp16" in self._knows:
            self._need_quantization(options, source)
            self._run([f"--onnx={source}", *arguments], source, progress, give_up)
        else:  # strongly typed, as from 11 on
            with in_own_types(source, target, options.precision, calibration) as typed:
                self._run([f"--onnx={typed}", *arguments], source, progress, give_up)
        progress("running the engine once")
        once = [f"--loadEngine={target}", "--iterations=1", "--duration=0", "--warmUp=0"]
        if ranges:
            once.append(f"--shapes={_listed(ranges, 'best')}")
        if options.version_compatible:
            once.append("--versionCompatible")
        self._run(once, source, progress, give_up)

    def _shaping(self, ranges: Dict[str, Profile]) -> List[str]:
        if not ranges:
            return []
        return [
            f"--minShapes={_listed(ranges, 'least')}",
            f"--optShapes={_listed(ranges, 'best')}",
            f"--maxShapes={_listed(ranges, 'most')}",
        ]

    def _allowing(self, options: EngineOptions, source: Path) -> List[str]:
        """Raises ConvertError for what this trtexec does not know."""
        if "memPoolSize" in self._knows:
            arguments = [f"--memPoolSize=workspace:{options.workspace_mib}"]  # in MiB without a unit
        else:  # before 8.4
            arguments = [f"--workspace={options.workspace_mib}"]
        if "fp16" in self._knows and options.precision != FP32:
            arguments += ["--fp16"] + ["--int8"] * (options.precision == INT8)
        if options.timing_cache is not None:
            arguments.append(f"--timingCacheFile={options.timing_cache}")
        if options.version_compatible:
            arguments.append(f"--{self._known('versionCompatible', source)}")
        if options.hardware_compatible:
            arguments.append(f"--{self._known('hardwareCompatibilityLevel', source)}=ampere+")
        # It would measure for seconds what we measure ourselves.
        return arguments + [f"--{name}" for name in ("skipInference", "buildOnly") if name in self._knows][:1]

    def _known(self, option: str, source: Path) -> str:
        if option not in self._knows:
            raise ConvertError(f"{source}: {self._program} knows no --{option}; do not ask for it.")
        return option

    def _need_quantization(self, options: EngineOptions, source: Path) -> None:
        """It cannot read our samples, and makes ranges up where it has none."""
        if options.precision == INT8 and not has_quantization(source):
            raise ConvertError(
                f"{source}: for int8, trtexec takes a model that was quantized before; choose {FP16}, or "
                "install TensorRT's Python package."
            )

    def _run(self, arguments: List[str], source: Path, progress: Progress, give_up: float) -> None:
        """Raises ConvertError with what it complained of last, and where it takes too long."""
        command = [str(self._program), *arguments]
        complaints: Deque[str] = deque(maxlen=2)
        last = ""
        over = threading.Event()
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as child:

            def stop() -> None:
                over.set()
                child.kill()

            timer = threading.Timer(max(0.0, give_up - time.monotonic()), stop)
            timer.start()
            try:
                assert child.stdout is not None
                for line in child.stdout:
                    last = line.strip() or last
                    found = _LINE.match(line.strip())
                    if found and found["level"] in "EF":
                        complaints.append(found["text"].rstrip(". "))
                    elif found and _TOLD.match(found["text"]):
                        progress(f"trtexec: {found['text'].rstrip('. ')}")
                status = child.wait()
            except BaseException:
                child.kill()
                raise
            finally:
                timer.cancel()
        if over.is_set():
            raise ConvertError(f"{source}: trtexec took longer than its time limit; give it more time.")
        if status:
            raise ConvertError(
                f"{source}: trtexec failed ({'; '.join(dict.fromkeys(complaints)) or last or status}); "
                "choose another precision or engine for this device class."
            )


def _listed(ranges: Dict[str, Profile], which: str) -> str:
    """ "x:1x3x8x64,'y:0':1x4": a name with a colon stands in quotes."""
    return ",".join(
        (f"'{name}'" if ":" in name else name) + ":" + "x".join(map(str, getattr(profile, which)))
        for name, profile in ranges.items()
    )
