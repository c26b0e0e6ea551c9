"""Convert a release's model on the very device that will run it, and measure what came out.

Importing this package loads neither onnx nor onnxruntime: they are loaded by the child process
(`python -m edgeai_runtime.convert`) that does the work, and go with it.
"""

from edgeai_runtime.convert.conversion import Conversion, Row
from edgeai_runtime.convert.convert import convert_release, share_conversion
from edgeai_runtime.convert.search import Live

__all__ = ["Conversion", "Live", "Row", "convert_release", "share_conversion"]
