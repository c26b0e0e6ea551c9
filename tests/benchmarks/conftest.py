"""The benchmark's package on the path."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before anything imports onnxruntime
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
