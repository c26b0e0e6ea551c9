"""Convert a release's model on the very device that will run it, and measure what came out.

The device's own process loads neither onnx nor onnxruntime for it: they are loaded by the child process
(`python -m edgeai_runtime.convert`) that does the work, and go with it.
"""
