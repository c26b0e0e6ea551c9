"""What batches leave behind: an engine keeps the memory that the largest took."""

from __future__ import annotations

import logging
from typing import Optional

from edgeai_runtime.backends.base import Tensors
from edgeai_runtime.errors import BackendError
from edgeai_runtime.serving.model import Model

_log = logging.getLogger("edgeai.server")


class Leftovers:
    """Those of one model; whoever may run it gives them back."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._row: Optional[Tensors] = None  # of the last batch, whose memory was not given back
        self._lately = False  # one came since it was last asked for

    def leave(self, row: Tensors) -> None:
        """A batch ran, of rows like this one."""
        self._row, self._lately = row, True

    def are_old(self) -> bool:
        """Whether there are some, and no batch came since this was last asked."""
        lately, self._lately = self._lately, False
        return self._row is not None and not lately

    def give_back(self) -> None:
        row, self._row = self._row, None
        assert row is not None  # they are old
        try:
            self._model.trim(row)
        except BackendError as error:
            _log.warning("%s", error.message)
