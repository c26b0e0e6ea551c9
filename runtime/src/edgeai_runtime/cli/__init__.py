"""The `edgeai` command: what each of its words takes and does, by who types it.

Every command imports what it needs when it runs: `environment build` works straight out of the wheel with the
standard library alone, and `serve` loads nothing else.
"""

from edgeai_runtime.cli.run import main

__all__ = ["main"]
