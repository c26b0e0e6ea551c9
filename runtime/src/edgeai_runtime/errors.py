"""The one tree of errors a user may meet.

A message is one sentence that names what was found, where, what was expected and
what to do. `kind` is the stable word for programs, `details` what they may read.
"""

from __future__ import annotations

from typing import Any, Dict


class EdgeAIError(Exception):
    """Base of every error that is the user's or the device's, not the program's."""

    kind = "error"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details: Dict[str, Any] = details


class InputError(EdgeAIError):
    """Something the user wrote is wrong: an argument, a file, a release."""

    kind = "bad_input"


class DamagedError(InputError):
    """A file of the device is not what was written or proved."""

    kind = "damaged"


class TrustError(EdgeAIError):
    """Metadata or content is not what the pinned root vouches for."""

    kind = "untrusted"


class TransferError(EdgeAIError):
    """The depot could not be reached or did not deliver."""

    kind = "transfer"


class StorageError(EdgeAIError):
    """The disk is full, read-only or broken, or may not be written."""

    kind = "storage"


class BuildError(EdgeAIError):
    """An environment could not be built."""

    kind = "build"


class ConvertError(EdgeAIError):
    """A model could not be converted on this device."""

    kind = "convert"


class BackendError(EdgeAIError):
    """A model does not load or does not run in its engine."""

    kind = "backend"


class GateFailed(EdgeAIError):
    """A release was measured on this device and is not good enough; `details` is the verdict."""

    kind = "gate_failed"


class Reverted(EdgeAIError):
    """The device took a generation on trial back; `details` has `generation` and `reason`."""

    kind = "reverted"


class KeeperError(EdgeAIError):
    """The keeper is not there, or refused a command."""

    kind = "keeper"
