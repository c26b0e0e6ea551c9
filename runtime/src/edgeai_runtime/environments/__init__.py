"""Environments: a venv built in place from a lock and the store. Standard library only."""

from edgeai_runtime.environments.build import BuildResult, build_from_depot

__all__ = ["BuildResult", "build_from_depot"]
