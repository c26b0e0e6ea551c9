"""The models that are served. Those of bare files come and go, a generation's stay as long as the process."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

from edgeai_runtime.errors import EdgeAIError
from edgeai_runtime.monitor.sampler import Sampler
from edgeai_runtime.server.infer import Inference
from edgeai_runtime.server.messages import Refused
from edgeai_runtime.serving.batching import Batching, found_out, settled
from edgeai_runtime.serving.files import Files
from edgeai_runtime.serving.memory import release_freed_memory
from edgeai_runtime.serving.model import Model

Found = Tuple[Model, Batching]


class Served:
    """It belongs to the event loop; `now` has what answers for each model by name.

    `changed` is called whenever that is another: what was remembered of it is no longer true.
    """

    def __init__(
        self,
        make: Callable[[Model, Batching], Inference],
        found: Iterable[Found],
        sampler: Sampler,
        files: Optional[Files] = None,
    ) -> None:
        """`files` None: what is served is decided elsewhere."""
        self.now: Dict[str, Inference] = {model.name: make(model, batching) for model, batching in found}
        self.changed: Callable[[], None] = lambda: None
        self._make, self._sampler, self._files = make, sampler, files
        self._share = 1.0
        self._why_not: Dict[str, str] = {}
        self._changing = asyncio.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="load")

    def index(self, ready: bool) -> List[Dict[str, Any]]:
        """Of each model its version, and whether it is there; `ready`: only of those that are."""
        told = [
            {"name": name, "version": one.model.version, "state": "READY"} for name, one in self.now.items()
        ]
        if self._files is not None and not ready:
            away = [name for name in self._files.paths if name not in self.now]
            told += [
                {"name": name, "version": "", "state": "UNAVAILABLE", "reason": self._why_not[name]}
                for name in away
            ]
        return told

    def check(self, name: str) -> Files:
        """That the model is one that may be loaded and unloaded. Raises Refused."""
        if self._files is None:
            raise Refused(
                400,
                "A generation's models are switched by the keeper, all together; roll a release out instead.",
            )
        if name not in self._files.paths:
            known = ", ".join(self._files.paths)
            raise Refused(
                404, f"No file for a model '{name[:100]}' was named to `edgeai serve`, but: {known}."
            )
        return self._files

    async def load(self, name: str) -> None:
        """Serve the model's file as it is now, from the first moment at which it is ready.

        What served it before answers what it was asked. Raises Refused; EdgeAIError when the file cannot be
        served, and then nothing has changed.
        """
        files = self.check(name)
        async with self._changing:
            try:
                model, batching = await self._aside(_load, files, name)
            except EdgeAIError as error:
                self._why_not[name] = error.message
                raise
            before = self.now.get(name)
            self._sampler.add(name, model.version)
            self.now[name] = self._make(model, batching)
            self.hold_back(self._share)
            self.changed()
            if before is not None:
                await self._leave(before)

    async def unload(self, name: str) -> None:
        """Serve the model no more; returns when its memory is free. Raises Refused."""
        self.check(name)
        async with self._changing:
            inference = self.now.pop(name, None)
            if inference is not None:
                self._why_not[name] = "unloaded"
                self.changed()
                await self._leave(inference)

    def fallback(self) -> Optional[str]:
        """What to say where a model is not run by what should run it; None where all are."""
        told = [
            f"{name} runs on {one.model.provider} since {' and '.join(one.model.fell_back)} did not start"
            for name, one in self.now.items()
            if one.model.fell_back
        ]
        if not told:
            return None
        return f"{', '.join(told)}; see that its driver and libraries are there, then restart the service."

    def looked(self, share: float) -> None:
        """The watch has looked, as it does every few seconds; `share` as for `hold_back`."""
        self.hold_back(share)
        for inference in self.now.values():
            inference.scheduler.settle()

    def hold_back(self, share: float) -> None:
        """Keep all models to a share of their batches and of the time, 1.0 for all of it."""
        self._share = share
        for inference in self.now.values():
            inference.scheduler.share = share

    def close(self) -> None:
        """End all threads and free the models."""
        self._thread.shutdown()
        for inference in self.now.values():
            inference.close()

    async def _leave(self, inference: Inference) -> None:
        await inference.unasked()
        await self._aside(inference.close)
        await self._aside(release_freed_memory)

    async def _aside(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)


def _load(files: Files, name: str) -> Found:
    model = files.load(name)
    return model, settled(model, found_out(model))
