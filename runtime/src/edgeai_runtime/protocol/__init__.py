"""The Open Inference Protocol V2, as Triton extends it: what clients send, and a release's samples."""
