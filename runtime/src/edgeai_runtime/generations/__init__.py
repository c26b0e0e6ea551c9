"""Generations: composed, proved, switched to on trial, confirmed or taken back, all as a whole."""

from edgeai_runtime.generations.manifest import Manifest, ModelEntry, current_manifest
from edgeai_runtime.generations.rollback import RollbackResult, rollback
from edgeai_runtime.generations.soak import SoakResult, soak
from edgeai_runtime.generations.trial import TrialResult, trial
from edgeai_runtime.generations.verdicts import ConfirmResult, confirm

__all__ = [
    "ConfirmResult",
    "Manifest",
    "ModelEntry",
    "RollbackResult",
    "SoakResult",
    "TrialResult",
    "confirm",
    "current_manifest",
    "rollback",
    "soak",
    "trial",
]
