"""Environments: a venv built in place from a lock and the store. Standard library only."""

from edgeai_runtime.environments.build import BuildResult, build_from_depot
from edgeai_runtime.environments.commands import UseResult, use_environment

__all__ = ["BuildResult", "UseResult", "build_from_depot", "use_environment"]
