"""From an ONNX model to a TensorRT engine: by its builder where its Python package is, else by `trtexec`.

Nothing is imported here: only a process that builds engines loads TensorRT.
"""
