"""The toys of the conversion's and of serving's tests serve here too."""

import sys
from pathlib import Path

sys.path.extend(str(Path(__file__).parents[1] / beside) for beside in ("convert", "serving"))
