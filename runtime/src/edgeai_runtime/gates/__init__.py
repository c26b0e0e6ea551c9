"""Gates: a generation is measured on this device, through the path requests take, before the switch."""

from edgeai_runtime.gates.golden import prove
from edgeai_runtime.gates.verdict import Gate, Verdict

__all__ = ["Gate", "Verdict", "prove"]
