"""Benchmarks of the runtime beside its peers; `python -m benchmarks.serving` is where it starts."""
