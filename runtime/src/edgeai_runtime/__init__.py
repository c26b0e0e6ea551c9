"""The device side of edgeai.fleet: one brain for push, pull and self-rollback."""

__version__ = "0.1.0"
