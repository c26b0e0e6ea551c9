"""The life of a serving process: load, say ready, accept, drain, exit."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.errors import BackendError, DamagedError, EdgeAIError, InputError
from edgeai_runtime.monitor.sampler import Sampler
from edgeai_runtime.monitor.watch import Watch, watch_device
from edgeai_runtime.paths import Paths
from edgeai_runtime.server.access import Access, open_access
from edgeai_runtime.server.app import App
from edgeai_runtime.server.control import Control
from edgeai_runtime.server.limits import Limits
from edgeai_runtime.server.listening import Listening, address_of, bind, bind_unix, inherit
from edgeai_runtime.serving.batching import Batching, found_out, settled
from edgeai_runtime.serving.cache import Cache
from edgeai_runtime.serving.files import Files
from edgeai_runtime.serving.memory import release_freed_memory
from edgeai_runtime.serving.repository import Generation, load_generation
from edgeai_runtime.serving.tuning import NOTHING_KEPT, Tuning
from edgeai_runtime.settings import Settings, read_device, read_settings

HEARTBEAT_S = 1.0
_log = logging.getLogger("edgeai.server")


def run_generation(
    paths: Paths,
    directory: Path,
    http: Optional[str] = None,
    listen_fds: Sequence[int] = (),
    control_fd: Optional[int] = None,
    probe_fd: Optional[int] = None,
) -> None:
    """Serve a generation's directory until told to drain.

    Serves on `http` ("host:port") at once, or on inherited listening sockets: these with a
    `control_fd` only after the command "accept". Whoever holds the other end of the connection
    `probe_fd` is answered from the event "ready" on. Told to drain by the command, by SIGTERM or
    SIGINT, or by the end of the control channel.
    Raises EdgeAIError when the generation cannot be served; the parent is told before.
    """
    if bool(http) == bool(listen_fds):
        raise InputError("Where to serve is said with --http or with --listen-fd; give exactly one of them.")

    settings, mistake = _settings_of(paths)

    def watch(sampler: Sampler) -> Watch:
        # What is given the device's sockets is the device's service; all else is there to be measured.
        if listen_fds:
            return watch_device(paths, sampler, settings.alarms, mistake)
        return Watch(sampler, directory)

    def listen() -> List[socket.socket]:
        return [bind(http)] if http else [inherit(descriptor) for descriptor in listen_fds]

    # Where they lie is no setting on a device: what guards it holds also when its settings cannot be read.
    guards = [file if file.exists() else None for file in paths.service_files if listen_fds]
    access = partial(open_access, *guards)
    tuning = Tuning(paths.tuning if listen_fds else None)
    load = partial(load_generation, directory, tuning)
    process = _Process(str(directory), settings, access, load, listen, watch, tuning)
    process.at_once = not listen_fds or control_fd is None
    process.control_fd, process.probe_fd = control_fd, probe_fd
    _run(process)


def _settings_of(paths: Paths) -> Tuple[Settings, Optional[str]]:
    """The device's settings, or, where they cannot be read, the defaults and why: they stop no service."""
    try:
        return read_device(paths), None
    except InputError as error:
        return read_settings(environment={}), error.message


def run_files(files: Sequence[Path], settings: Settings, uds: Optional[Path] = None) -> None:
    """Serve bare ONNX files where the settings say, and on a Unix socket, until SIGTERM or SIGINT.

    Raises EdgeAIError when the files cannot be served.
    """
    execution = Execution(settings["serve.threads"], tuple(settings["serve.providers"]))
    tuning = _kept_for_user()
    served = Files(files, execution, settings.models, tuning)
    guards = [settings[f"serve.{name}"] for name in ("tokens", "certificate", "key")]
    access = partial(open_access, *(Path(file) if file else None for file in guards))

    with contextlib.ExitStack() as undone:

        def listen() -> List[socket.socket]:
            listeners = [undone.enter_context(bind(settings["serve.http"]))]
            if uds is not None:
                listeners.append(undone.enter_context(bind_unix(uds)))
                undone.callback(_remove, uds)
            return listeners

        def watch(sampler: Sampler) -> Watch:
            return Watch(sampler, files[0].parent, settings.alarms)

        what = ", ".join(map(str, files))
        process = _Process(what, settings, access, served.load_all, listen, watch, tuning)
        process.files, process.uds = served, uds
        _run(process)


def _kept_for_user() -> Tuning:
    """Where a user's programs keep what can be made again
    (https://specifications.freedesktop.org/basedir-spec)."""
    given = os.environ.get("XDG_CACHE_HOME")
    with contextlib.suppress(OSError, RuntimeError):  # no home, or none that may be written
        place = (Path(given) if given else Path.home() / ".cache") / "edgeai"
        place.mkdir(parents=True, exist_ok=True)
        return Tuning(place / "tuning.json")
    return NOTHING_KEPT


def _remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def _run(process: _Process) -> None:
    logging.basicConfig(stream=sys.stderr, format="edgeai: %(message)s", level=logging.WARNING)
    asyncio.run(process.live())


@dataclass(eq=False)
class _Process:
    """`what` names for people what is served; clients are answered `at_once`, or when the parent says so."""

    what: str
    settings: Settings
    access: Callable[[], Access]
    load: Callable[[], Generation]
    listen: Callable[[], List[socket.socket]]
    watch: Callable[[Sampler], Watch]
    tuning: Tuning
    at_once: bool = True
    control_fd: Optional[int] = None
    probe_fd: Optional[int] = None
    files: Optional[Files] = None
    uds: Optional[Path] = None
    _control: Optional[Control] = field(default=None, init=False)

    async def live(self) -> None:
        loop = asyncio.get_running_loop()
        self._accept = asyncio.Event()
        self._drain = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._drain.set)
        if self.control_fd is not None:
            self._control = await Control.open(self.control_fd, self._command)
        try:
            await self._serve()
            self._tell("drained")
        except EdgeAIError as error:
            self._tell("failed", message=error.message, damaged=isinstance(error, DamagedError))
            raise
        except Exception as error:
            _log.exception("the serving process met a mistake of its own")
            failure = BackendError(
                f"{self.what}: the runtime made a mistake while serving it "
                f"({type(error).__name__}: {error}); please report it."
            )
            self._tell("failed", message=failure.message)
            raise failure from error
        finally:
            if self._control is not None:
                await self._control.close()

    async def _serve(self) -> None:
        # Sockets first: an address that is taken is known before the models are loaded.
        listeners = self.listen()
        generation, batching = await self._loaded()
        sampler = Sampler({name: model.version for name, model in generation.models.items()})
        watch = self.watch(sampler)
        settings, access = self.settings, self.access()
        cache = Cache(round(settings["serve.cache_mb"] * 1e6)) if settings["serve.cache_mb"] else None
        body = round(settings["serve.body_mb"] * 1e6)
        limits = Limits(body=body, bodies=4 * body, connections=settings["serve.connections"])
        app = App(generation, sampler, watch, batching, cache, limits, self.files, access)
        listening = Listening(listeners, app.answer, limits, access.tls)
        app.served.changed = partial(_changed, app, listening, watch)
        app.served.changed()
        tasks = [asyncio.get_running_loop().create_task(self._beat(sampler))] if self._control else []
        try:
            if self.at_once:
                # Before "ready" is said: a parent that reads it may connect at once.
                self._accept.set()
                listening.accept()
            if self.probe_fd is not None:
                listening.adopt(socket.socket(fileno=self.probe_fd))
            address = address_of(listeners[0])
            self._tell("ready", address=address, warmup_ms=round(generation.warmup_ms, 1))
            if self._control is None:
                models = ", ".join(generation.models) or "no model"
                scheme = "https" if access.tls else "http"
                also = f"{self.uds} and " if self.uds else ""
                print(f"edgeai serves {models} on {also}{scheme}://{address}", file=sys.stderr, flush=True)
            await _first(self._accept, self._drain)
            if not self._drain.is_set():
                tasks.append(asyncio.get_running_loop().create_task(watch.run(app.served.looked)))
                listening.accept()
                self._tell("accepting")
                await self._drain.wait()
                tasks.pop().cancel()  # whoever takes over watches from now on
            await listening.drain()
        finally:
            for task in tasks:
                task.cancel()
            listening.close()
            app.close()
            watch.close()

    async def _loaded(self) -> Tuple[Generation, Dict[str, Batching]]:
        # In a thread: whoever started us may change their mind while a large model loads.
        with ThreadPoolExecutor(max_workers=1) as thread:
            loop = asyncio.get_running_loop()
            generation = await loop.run_in_executor(thread, self.load)
            batching = await loop.run_in_executor(thread, _measure, generation, self.tuning)
        release_freed_memory()
        return generation, batching

    async def _beat(self, sampler: Sampler) -> None:
        while True:
            self._tell("heartbeat", **sampler.snapshot().heartbeat())
            await asyncio.sleep(HEARTBEAT_S)

    def _command(self, command: str) -> None:
        (self._accept if command == "accept" else self._drain).set()

    def _tell(self, event: str, **fields: object) -> None:
        if self._control is not None:
            self._control.send(event, **fields)


def _changed(app: App, listening: Listening, watch: Watch) -> None:
    """Other models are served now: what was remembered of requests is no longer true."""
    listening.forget()
    watch.tell("fallback", app.served.fallback())


def _measure(generation: Generation, tuning: Tuning) -> Dict[str, Batching]:
    """How each model's requests are put together: as it was measured before, else by measuring."""
    batching = {}
    for name, model in generation.models.items():
        fingerprint = generation.fingerprints.get(name, "")
        found = tuning.find(fingerprint) or found_out(model)
        tuning.keep(fingerprint, found, generation.memory_mb.get(name, 0.0), model.threads)
        batching[name] = settled(model, found)
    return batching


async def _first(*events: asyncio.Event) -> None:
    """Return when one of the events is set."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
