"""The toy models live beside the tests of serving, what machines tell beside those of the monitor."""

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "serving"), str(TESTS / "monitor")]
