#!/usr/bin/env python3
"""The keeper: the small parent process that holds a device's sockets and takes a bad generation back.

It starts the current generation as a child, puts a new one beside it on the same listening
socket, watches it, and returns to the last confirmed generation when the new one is worse, with
nobody connected. It is the only writer of state.json. One file, standard library only, Python 3.8
or newer: provisioning copies it to opt/edgeai/bin/keeper and generations never replace it.

    keeper --root / --http 0.0.0.0:8080

It is one loop in one thread: events come from `selectors`, and a tick looks at what should have
happened by now. Nothing in the loop waits; a `switch` is a Takeover that events carry forward.

Control (run/edgeai/keeper.sock): one JSON line in, one out. {"command": "status"}, {"command":
"switch", "generation": N}, {"command": "confirm", "generation": N}, {"command": "revert"}.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import math
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, TextIO, Tuple

# --- Constants and paths --------------------------------------------------------------------------

SCHEMA = 1  # of state.json
ATTEMPTS = 3  # starts a generation on trial is allowed before it is taken back
HISTORY = 50  # verdicts kept in state.json
LINE_LIMIT = 1 << 16  # bytes of one JSON line
FIRST_PASSED_FD = 3  # sd_listen_fds(3)
NEVER = math.inf

Json = Dict[str, Any]
Reply = Callable[[Json], None]


class Timing(NamedTuple):
    """Seconds; the defaults are what a factory device runs with."""

    tick: float = 0.25
    heartbeat: float = 10.0  # a serving child silent for longer hangs
    ready: float = 60.0  # from start to "ready", unless a switch allowed more
    drain: float = 30.0  # an old child that is still there is killed
    backoff_first: float = 0.5  # before a restart; doubles with each failure
    backoff_last: float = 30.0
    calm: float = 600.0  # without a failure: back-off and alarm are forgotten


class Refused(Exception):
    """What was asked cannot be done; the text is one sentence for the user."""


class Paths:
    """Where the keeper's files lie below the device's root."""

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)
        self.opt = os.path.join(self.root, "opt", "edgeai")
        self.generations = os.path.join(self.opt, "generations")
        self.var = os.path.join(self.root, "var", "lib", "edgeai")
        self.state = os.path.join(self.var, "state.json")
        self.journal = os.path.join(self.var, "journal.jsonl")
        self.run = os.path.join(self.root, "run", "edgeai")


def timestamp() -> str:
    """Now as ISO-8601 UTC with milliseconds."""
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}+00:00"


def uptime() -> float:
    """Seconds since boot, sleep included: what a trial's deadline is measured with."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def say(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"keeper: {text}", file=sys.stderr, flush=True)


# --- State and journal: what survives a power cut -------------------------------------------------


def load_state(path: str) -> Json:
    """Read state.json; a device without one has no generation. Raises Refused."""
    state: Json = {"schema": SCHEMA, "current": None, "confirmed": None, "trial": None}
    state.update(last_reverted=None, history=[], ready_timeout_s=0.0)
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        schema = found["schema"]
    except FileNotFoundError:
        return state
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(f"{path} cannot be read ({error!r}); restore it, or remove it to start empty.") from None
    if schema != SCHEMA:
        raise Refused(
            f"{path} has schema {schema!r} and this keeper knows {SCHEMA}; provision the device with the "
            "version that wrote it."
        )
    state.update(found)
    return state


def fsync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_state(paths: Paths, state: Json) -> None:
    """Write state.json atomically, then let opt/current follow it. Raises OSError."""
    beside = paths.state + ".new"
    with open(beside, "w", encoding="utf-8") as file:
        json.dump(state, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, paths.state)
    fsync_directory(paths.var)
    point_current(paths, state["current"])


def point_current(paths: Paths, generation: Optional[int]) -> None:
    link = os.path.join(paths.opt, "current")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(link + ".new" if generation is not None else link)
    if generation is not None:
        os.symlink(os.path.join("generations", str(generation)), link + ".new")
        os.replace(link + ".new", link)
    fsync_directory(paths.opt)


def append_journal(paths: Paths, event: str, actor: str, **fields: Any) -> None:
    """Append one JSON line and make it durable. Raises OSError."""
    line = json.dumps({"time": timestamp(), "event": event, "actor": actor, **fields}, ensure_ascii=False)
    descriptor = os.open(paths.journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        os.write(descriptor, line.encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- Child: one serving process and the channel to it ---------------------------------------------


class Child:
    """A generation's process. JSON lines go both ways over a socket pair; no method waits."""

    def __init__(self, generation: int, command: List[str], listeners: List[socket.socket]) -> None:
        self.generation = generation
        self.ready = False
        self.open = True  # the channel
        self.heard = time.monotonic()
        self.heartbeat: Json = {}
        self.failure = ""  # its own words
        self.kill_at = NEVER
        self.rest = b""
        self.channel, theirs = socket.socketpair()
        self.channel.setblocking(False)
        numbers = [listener.fileno() for listener in listeners]
        options = [word for number in numbers for word in ("--listen-fd", str(number))]
        service = ("NOTIFY_", "LISTEN_", "WATCHDOG_")  # what systemd told us is not for the child
        environment = {key: value for key, value in os.environ.items() if not key.startswith(service)}
        environment["ORT_DISABLE_TELEMETRY"] = "1"
        try:
            self.process = subprocess.Popen(
                [*command, *options, "--control-fd", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=2,
                pass_fds=[*numbers, theirs.fileno()],
                env=environment,
                cwd="/",
                start_new_session=True,  # Ctrl-C is for the keeper, which drains the child
            )
        except OSError as error:
            self.channel.close()
            raise Refused(f"{command[0]} cannot be started ({error.strerror})") from None
        finally:
            theirs.close()

    def send(self, command: str) -> None:
        send_line(self.channel, {"command": command})

    def messages(self) -> List[Json]:
        """What it has said since the last call; a line that is no JSON object is passed over."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(16):  # more than the socket's buffer holds, yet not without end
                data = b""
                with contextlib.suppress(ConnectionError):
                    data = self.channel.recv(LINE_LIMIT)
                if not data:
                    self.open = False
                    break
                self.rest += data
        *lines, self.rest = self.rest.split(b"\n")
        self.rest = self.rest[-LINE_LIMIT:]
        return [message for message in map(parse_line, lines) if message is not None]

    def count(self, key: str) -> int:
        """A counter of its last heartbeat."""
        value = self.heartbeat.get(key)
        return value if isinstance(value, int) else 0

    def ended(self) -> Optional[str]:
        """How it ended, or None while it runs."""
        code = self.process.poll()
        if code is None:
            return None
        how = f"exit code {code}" if code >= 0 else f"killed by signal {-code}"
        return f"{self.failure} ({how})" if self.failure else f"its process ended ({how})"


def parse_line(line: bytes) -> Optional[Json]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def send_line(to: socket.socket, message: Json) -> None:
    """Send without waiting; whoever is gone or does not read has no claim to it."""
    with contextlib.suppress(OSError):
        to.send(json.dumps(message).encode() + b"\n")


def orphans(root: str) -> List[int]:
    """Serving processes of this root whose keeper was killed; they still hold the port."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{name}/cmdline", "rb") as file:
                command = file.read()
            if b"\0--root\0" + os.fsencode(root) + b"\0serve\0" in command and b"\0--listen-fd\0" in command:
                found.append(int(name))
    return found


class Takeover:
    """A child on its way to serve. `trial` begins with it (a switch) or is None (a restart)."""

    def __init__(self, generation: int, ready_s: float, trial: Optional[Json], reply: Reply, actor: str) -> None:
        self.generation, self.trial, self.reply, self.actor = generation, trial, reply, actor
        self.ready_s = ready_s
        self.begun = time.monotonic()
        self.due = self.begun + ready_s
        self.child: Optional[Child] = None


# --- Keeper ---------------------------------------------------------------------------------------


class Keeper:
    """Serves the current generation of the device at `root` on `http` ("host:port")."""

    def __init__(self, root: str, http: str, actor: str = "keeper", timing: Optional[Timing] = None) -> None:
        self.paths, self.http, self.actor, self.timing = Paths(root), http, actor, timing or Timing()
        self.state: Json = {}
        self.selector = selectors.DefaultSelector()
        self.listeners: List[socket.socket] = []
        self.inherited = False  # systemd holds the listeners, so they are never closed here
        self.serving: Optional[Child] = None
        self.takeover: Optional[Takeover] = None
        self.leaving: List[Child] = []
        self.stopping = False
        self.orphans_due = 0.0
        self.failures, self.failed_at, self.retry_at, self.failed_how = 0, 0.0, 0.0, ""
        self.restarts = 0
        self.alarm, self.storage_alarm = "", ""
        self.notified = 0.0

    # Trial rules: when a generation is taken back.

    def soaked(self) -> Tuple[int, int]:
        """Requests and errors of the trial so far, over all its processes."""
        trial, child = self.state["trial"], self.serving
        if child is None or child.generation != trial["generation"]:
            return trial["requests"], trial["errors"]
        return trial["requests"] + child.count("requests"), trial["errors"] + child.count("errors")

    def remaining(self) -> float:
        trial = self.state["trial"]
        return float(max(0.0, trial["started"] + trial["deadline_s"] - uptime()))

    def judge_trial(self) -> None:
        trial = self.state["trial"]
        (requests, errors), soak = self.soaked(), trial["soak"]
        if requests and requests >= soak["min_requests"] and errors / requests > soak["max_error_rate"]:
            share, allowed = 100 * errors / requests, 100 * soak["max_error_rate"]
            self.take_back(f"{errors} of {requests} requests failed ({share:.1f} %, allowed are {allowed:.1f} %)")
        elif self.remaining() <= 0:
            self.take_back(f"it was not confirmed within {trial['deadline_s']:g} s")

    def take_back(self, reason: str, actor: str = "", reply: Reply = lambda answer: None) -> None:
        """Decide for the last confirmed generation, durably, then bring it up beside the bad one."""
        trial, fallback = self.state["trial"], self.state["trial"]["fallback"]
        verdict = self.record(trial["generation"], "reverted", reason)
        self.state.update(current=fallback, trial=None, last_reverted=verdict)
        self.save("reverted", actor, generation=trial["generation"], fallback=fallback, reason=reason)
        self.abandon_takeover("the trial was taken back")
        self.forgive()
        if fallback is None:
            self.part(self.serving)
            self.go_idle()
            reply({"ok": True, "generation": None})
        else:
            self.begin(Takeover(fallback, self.patience(), None, reply, actor))

    def record(self, generation: int, outcome: str, reason: Optional[str] = None) -> Json:
        entry = {"generation": generation, "outcome": outcome, "reason": reason, "time": timestamp()}
        self.state["history"] = [*self.state["history"], entry][-HISTORY:]
        say(f"generation {generation}: {outcome}{f': {reason}' if reason else ''}")
        return {key: entry[key] for key in ("generation", "reason", "time")}

    def save(self, event: str, actor: str = "", **fields: Any) -> None:
        """Make state and journal durable. A full disk must not stop the service: it raises an alarm."""
        try:
            write_state(self.paths, self.state)
            append_journal(self.paths, event, actor or self.actor, **fields)
            self.storage_alarm = ""
        except OSError as error:
            self.storage_alarm = f"{self.paths.var}: the state cannot be written ({error.strerror}); free the disk."
            say(self.storage_alarm)

    # Takeover: a child starts, becomes ready, accepts, and the old one is drained.

    def begin(self, takeover: Takeover) -> None:
        self.takeover = takeover
        try:
            self.listen()
            takeover.child = child = self.start(takeover.generation)
            self.selector.register(child.channel, selectors.EVENT_READ, lambda: self.hear(child))
        except Refused as error:
            self.takeover_failed(str(error))

    def start(self, generation: int) -> Child:
        directory = os.path.join(self.paths.generations, str(generation))
        manifest = os.path.join(directory, "manifest.json")
        try:
            with open(manifest, encoding="utf-8") as file:
                environment = os.path.join(self.paths.opt, "envs", json.load(file)["environment"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Refused(f"{manifest} cannot be read ({error!r}), compose it again") from None
        python = os.path.join(environment, "bin", "python")
        command = [python, "-m", "edgeai_runtime", "--root", self.paths.root, "serve", "--generation", directory]
        return Child(generation, command, self.listeners)

    def hear(self, child: Child) -> None:
        for message in child.messages():
            child.heard = time.monotonic()
            event = message.pop("event", None)
            coming = self.takeover is not None and self.takeover.child is child
            if event == "heartbeat":
                child.heartbeat = message
            elif event == "failed":
                child.failure = str(message.get("message"))[:500]
                if coming:
                    self.takeover_failed(child.failure)
            elif event == "ready" and coming and self.takeover:
                child.ready, self.takeover.due = True, child.heard + self.timing.heartbeat
                child.send("accept")
            elif event == "accepting" and coming and child.ready:
                self.taken_over(child)
        if not child.open:
            self.close(child.channel)

    def taken_over(self, child: Child) -> None:
        takeover, self.takeover = self.takeover, None
        assert takeover is not None
        old, self.serving = self.serving, child
        self.part(old)
        milliseconds = round(1000 * (time.monotonic() - takeover.begun), 1)
        if takeover.trial is not None:
            longest = max(takeover.ready_s, self.state["ready_timeout_s"])
            self.state.update(current=child.generation, trial=takeover.trial, ready_timeout_s=longest)
            takeover.trial.update(boot_id=boot_id(), started=uptime())
            self.forgive()
            self.save("switched", takeover.actor, generation=child.generation, switch_ms=milliseconds)
        say(f"generation {child.generation}: serves after {milliseconds:g} ms")
        takeover.reply({"ok": True, "generation": child.generation, "switch_ms": milliseconds})

    def takeover_failed(self, reason: str) -> None:
        takeover, self.takeover = self.takeover, None
        assert takeover is not None
        self.part(takeover.child, kill=True)
        still = f"generation {self.serving.generation} still serves" if self.serving else "nothing serves"
        if takeover.trial is None:
            self.count_failure(f"it did not start: {reason}")
        else:
            self.record(takeover.generation, "failed", reason)
            self.save("switch_failed", takeover.actor, generation=takeover.generation, reason=reason)
            self.go_idle()
        answer = f"generation {takeover.generation} was not switched to: {reason}; {still}."
        takeover.reply({"ok": False, "error": answer})

    def abandon_takeover(self, reason: str) -> None:
        takeover, self.takeover = self.takeover, None
        if takeover is not None:
            self.part(takeover.child, kill=True)
            takeover.reply({"ok": False, "error": f"generation {takeover.generation} was not started: {reason}."})

    def part(self, child: Optional[Child], kill: bool = False) -> None:
        """Let a child go: drained, or killed at once. The loop reaps it."""
        if child is None:
            return
        if child is self.serving:
            self.serving = None
        child.kill_at = time.monotonic() + (0.0 if kill else self.timing.drain)
        child.process.kill() if kill else child.send("drain")
        self.leaving.append(child)

    # Failures of the current generation: restart with back-off.

    def serving_ended(self, child: Child, how: str) -> None:
        self.bank(child)
        self.serving = None
        if child.generation == self.state["current"]:  # else one taken back, whose successor is on its way
            self.count_failure(how)

    def bank(self, child: Child) -> None:
        """Keep the counters of a process of the trial that is about to be gone."""
        trial = self.state["trial"]
        if trial is not None and trial["generation"] == child.generation:
            trial["requests"] += child.count("requests")
            trial["errors"] += child.count("errors")

    def count_failure(self, how: str) -> None:
        current, trial, now = self.state["current"], self.state["trial"], time.monotonic()
        self.failures, self.failed_at, self.failed_how = self.failures + 1, now, how
        pause = min(self.timing.backoff_last, self.timing.backoff_first * 2 ** min(self.failures - 1, 32))
        self.retry_at = now + pause
        say(f"generation {current}: {how}; it is started again in {pause:g} s")
        if trial is None:
            self.alarm = f"generation {current} failed {self.failures} times in a row, last: {how}."
        elif trial["attempts"] >= ATTEMPTS:
            self.retry_at = now  # restart_current takes it back
        if pause < self.timing.backoff_last:  # a crash loop of weeks must not fill the disk
            self.save("child_ended", generation=current, reason=how)

    def forgive(self) -> None:
        self.failures, self.retry_at, self.failed_how, self.alarm = 0, 0.0, "", ""

    def restart_current(self) -> None:
        trial = self.state["trial"]
        if trial is not None and trial["attempts"] >= ATTEMPTS:
            last = self.failed_how or "the keeper itself was stopped"
            self.take_back(f"it was started {ATTEMPTS} times and did not stay up, last: {last}")
            return
        try:
            self.listen()  # first, as a port that is taken is no fault of the generation on trial
        except Refused as error:
            self.count_failure(str(error))
            return
        if trial is not None:
            trial["attempts"] += 1
            self.save("trial_restarted", generation=trial["generation"], attempt=trial["attempts"])
        self.restarts += 1 if self.failures else 0
        self.begin(Takeover(self.state["current"], self.patience(), None, lambda answer: None, self.actor))

    def patience(self) -> float:
        """Seconds a restart may take: as many as any switch here was ever given."""
        return float(max(self.timing.ready, self.state["ready_timeout_s"]))

    # Listeners: bound when first needed, or taken from systemd.

    def listen(self) -> None:
        if self.listeners:
            return
        passed = int(os.environ.get("LISTEN_FDS", "0"))
        if passed and os.environ.get("LISTEN_PID") == str(os.getpid()):
            self.inherited = True
            numbers = range(FIRST_PASSED_FD, FIRST_PASSED_FD + passed)
            self.listeners = [socket.socket(fileno=number) for number in numbers]
        else:
            host, _, port = self.http.rpartition(":")
            host = host.strip("[]")
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            try:
                self.listeners = [socket.create_server((host, int(port)), family=family, backlog=1024)]
            except OSError as error:
                why = error.strerror or error
                raise Refused(f"{self.http} cannot be listened on ({why}), free it or change it") from None
        for listener in self.listeners:
            listener.setblocking(False)  # old and new child accept from it, one of them comes too late

    def go_idle(self) -> None:
        """With nothing to serve, a client is refused at once instead of waiting in the backlog."""
        if self.state["current"] is None and not self.inherited:
            while self.listeners:
                self.listeners.pop().close()

    def address(self) -> str:
        if not self.listeners:
            return self.http
        host, port = self.listeners[0].getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    # Control socket: one JSON line in, one out.

    def open_control(self) -> TextIO:
        """Take the root's lock and bind the socket. The caller keeps the lock open. Raises Refused."""
        lock = open(os.path.join(self.paths.run, "keeper.lock"), "a+", encoding="ascii")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            raise Refused(f"process {holder} already keeps {self.paths.root}; stop it before starting another.") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        control = socket.socket(socket.AF_UNIX)
        control.setblocking(False)
        directory = os.open(self.paths.run, os.O_RDONLY | os.O_DIRECTORY)
        with contextlib.suppress(FileNotFoundError):
            os.unlink("keeper.sock", dir_fd=directory)  # left by a keeper that was killed
        mask = os.umask(0o177)
        control.bind(f"/proc/self/fd/{directory}/keeper.sock")  # a socket's path holds 107 bytes, a root may not
        os.umask(mask)
        os.close(directory)
        control.listen(16)
        self.selector.register(control, selectors.EVENT_READ, lambda: self.on_connect(control))
        return lock

    def on_connect(self, control: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, _ = control.accept()
            connection.setblocking(False)
            line = bytearray()
            self.selector.register(connection, selectors.EVENT_READ, lambda: self.on_request(connection, line))

    def on_request(self, connection: socket.socket, line: bytearray) -> None:
        data = b""
        with contextlib.suppress(ConnectionError):
            data = connection.recv(LINE_LIMIT)
        line += data
        if not data or len(line) > LINE_LIMIT:
            self.close(connection)
        elif data.endswith(b"\n"):
            self.selector.unregister(connection)

            def reply(answer: Json) -> None:
                send_line(connection, answer)
                connection.close()

            try:
                self.obey(parse_line(bytes(line)), reply)
            except Refused as error:
                reply({"ok": False, "error": str(error)})

    def obey(self, request: Optional[Json], reply: Reply) -> None:
        commands: Dict[str, Callable[[Json, Reply], None]] = {
            "status": lambda _, reply: reply(self.status()),
            "switch": self.switch,
            "confirm": self.confirm,
            "revert": self.revert,
        }
        if request is None:
            raise Refused("the request is not one JSON object on one line; correct it.")
        command = commands.get(str(request.get("command")))
        if command is None:
            raise Refused(f"unknown command {request.get('command')!r}; known are {', '.join(commands)}.")
        if self.stopping and request["command"] != "status":
            raise Refused("the keeper is stopping; ask again when it was started again.")
        command(request, reply)

    def switch(self, request: Json, reply: Reply) -> None:
        generation, trial, takeover = whole(request, "generation"), self.state["trial"], self.takeover
        if trial is not None:
            raise Refused(f"generation {trial['generation']} is on trial; confirm or revert it first.")
        if takeover is not None and takeover.trial is not None:
            raise Refused(f"a switch to generation {takeover.generation} is under way; wait for it.")
        if generation == self.state["current"]:
            raise Refused(f"generation {generation} is current already; there is nothing to switch.")
        soak = request.get("soak", {})
        if not isinstance(soak, dict):
            raise Refused(f"soak is {soak!r}, expected an object; correct the request.")
        ready_s = number(request, "ready_timeout_s", self.timing.ready)
        trial = {"generation": generation, "fallback": self.state["confirmed"], "attempts": 1}
        trial.update(requests=0, errors=0, deadline_s=number(request, "deadline_s", 600))
        limits = {"max_error_rate": number(soak, "max_error_rate", 0.02), "min_requests": number(soak, "min_requests", 20)}
        trial["soak"] = limits
        self.abandon_takeover(f"a switch to generation {generation} came first")
        self.begin(Takeover(generation, ready_s, trial, reply, str(request.get("actor", ""))))

    def confirm(self, request: Json, reply: Reply) -> None:
        generation, trial = whole(request, "generation"), self.state["trial"]
        if trial is None and generation == self.state["confirmed"]:
            reply({"ok": True, "generation": generation})
            return
        if trial is None or trial["generation"] != generation:
            raise Refused(f"generation {generation} is not on trial, so it cannot be confirmed; ask for the status.")
        if self.serving is None:
            raise Refused(f"generation {generation} does not serve now, so it cannot be confirmed; ask for the status.")
        self.state.update(confirmed=generation, trial=None)
        self.forgive()
        self.record(generation, "confirmed")
        self.save("confirmed", str(request.get("actor", "")), generation=generation)
        reply({"ok": True, "generation": generation})

    def revert(self, request: Json, reply: Reply) -> None:
        if self.state["trial"] is None:
            raise Refused("no generation is on trial, so there is nothing to revert.")
        self.take_back(str(request.get("reason", "asked for")), str(request.get("actor", "")), reply)

    def status(self) -> Json:
        state, trial, serving = self.state, self.state["trial"], self.serving
        if trial is not None:
            requests, errors = self.soaked()
            trial = {"generation": trial["generation"], "fallback": trial["fallback"]}
            trial.update(remaining_s=round(self.remaining(), 1), requests=requests, errors=errors)
        return {
            "ok": True,
            "phase": self.phase(),
            "generation": state["current"],
            "confirmed": state["confirmed"],
            "trial": trial,
            "last_reverted": state["last_reverted"],
            "serving": serving.heartbeat or None if serving else None,
            "restarts": self.restarts,
            "alarms": [alarm for alarm in (self.alarm, self.storage_alarm) if alarm],
            "pid": os.getpid(),
            "child_pid": serving.process.pid if serving else None,
            "http": self.address(),
            "history": state["history"],
        }

    def phase(self) -> str:
        if self.takeover is not None:
            return "starting"
        if self.state["trial"] is not None:
            return "trial"
        if self.state["current"] is None:
            return "idle"
        up = self.serving is not None and self.serving.generation == self.state["current"]
        return "confirmed" if up else "failed"

    # Main loop.

    def run(self) -> int:
        """Keep the device until SIGTERM; returns the exit status. Raises Refused when it cannot begin."""
        for directory in (self.paths.opt, self.paths.var, self.paths.run):
            os.makedirs(directory, exist_ok=True)
        with self.open_control():
            self.state = load_state(self.paths.state)
            trial = self.state["trial"]
            if trial is not None and trial["boot_id"] != boot_id():
                trial.update(boot_id=boot_id(), started=uptime())  # a new window; attempts bound how many
            self.save("keeper_started", pid=os.getpid())
            self.orphans_due = time.monotonic() + self.timing.drain
            self.catch_signals()
            notify("READY=1")
            self.tick()
            while not self.stopping or self.leaving:
                for key, _ in self.selector.select(self.timing.tick):
                    key.data()
                self.tick()
            os.unlink(os.path.join(self.paths.run, "keeper.sock"))
        return 0

    def catch_signals(self) -> None:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        self.selector.register(ours, selectors.EVENT_READ, lambda: self.on_signal(ours, theirs))

    def on_signal(self, ours: socket.socket, theirs: socket.socket) -> None:
        """`theirs` is only kept alive here. A dead child is reaped by the tick that follows."""
        if set(ours.recv(256)) & {signal.SIGTERM, signal.SIGINT} and not self.stopping:
            notify("STOPPING=1")
            self.stopping = True
            self.abandon_takeover("the keeper is stopping")
            if self.serving is not None:
                self.bank(self.serving)
                self.part(self.serving)
            self.save("keeper_stopped", pid=os.getpid())

    def tick(self) -> None:
        """Look at what should have happened by now."""
        self.reap()
        if self.stopping:
            return
        now, serving, takeover = time.monotonic(), self.serving, self.takeover
        if takeover is not None and now > takeover.due:
            ready = takeover.child is not None and takeover.child.ready
            late = "it was ready but did not accept" if ready else f"it was not ready within {takeover.ready_s:g} s"
            self.takeover_failed(late)
        if serving is not None and now - serving.heard > self.timing.heartbeat:
            self.hear(serving)  # the keeper itself may have been held up
            if now - serving.heard > self.timing.heartbeat:
                self.hung(serving)
        if self.state["trial"] is not None:
            self.judge_trial()
        current = self.state["current"]
        up = self.serving is not None and self.serving.generation == current
        if up and self.failures and now - self.failed_at > self.timing.calm:
            self.forgive()
        if current is not None and not up and self.takeover is None and now >= self.retry_at and self.port_is_ours():
            self.restart_current()
        if now - self.notified >= 1:
            notify("WATCHDOG=1")
            self.notified = now

    def hung(self, child: Child) -> None:
        how = f"no heartbeat for {self.timing.heartbeat:g} s"
        self.part(child, kill=True)
        trial = self.state["trial"]
        if trial is not None and trial["generation"] == child.generation:
            self.take_back(how)
        else:
            self.serving_ended(child, how)

    def port_is_ours(self) -> bool:
        """False while the child of a keeper that was killed finishes its requests on the port."""
        if not self.listeners:
            for pid in orphans(self.paths.root):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM if time.monotonic() < self.orphans_due else signal.SIGKILL)
                return False
        return True

    def reap(self) -> None:
        now = time.monotonic()
        coming = self.takeover.child if self.takeover else None
        for child in [*self.leaving, self.serving, coming]:
            if child is None:
                continue
            if child.process.poll() is None:
                if now > child.kill_at:
                    child.process.kill()
                continue
            self.hear(child)  # its last words
            how = child.ended() or ""
            if self.takeover is not None and child is self.takeover.child:
                self.takeover_failed(how)
            elif child is self.serving:
                self.serving_ended(child, how)
            self.leaving = [other for other in self.leaving if other is not child]
            self.close(child.channel)

    def close(self, end: socket.socket) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self.selector.unregister(end)
        end.close()


def whole(table: Json, key: str) -> int:
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Refused(f"{key} is {value!r}, expected a whole number from 0; correct the request.")
    return value


def number(table: Json, key: str, default: float) -> float:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < NEVER:
        raise Refused(f"{key} is {value!r}, expected a number from 0; correct the request.")
    return value


def notify(message: str) -> None:
    """Tell systemd (sd_notify(3)); without it nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.setblocking(False)
            to.sendto(message.encode(), "\0" + address[1:] if address.startswith("@") else address)


def main(arguments: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="keeper", description="Keep a device's generations serving.")
    parser.add_argument("--root", default="/", help="the device's root directory (default: /)")
    parser.add_argument("--http", required=True, metavar="HOST:PORT", help="where generations serve")
    parser.add_argument("--actor", default="keeper", help="who the journal names for the keeper's own acts")
    options = parser.parse_args(arguments)
    try:
        return Keeper(options.root, options.http, options.actor).run()
    except (Refused, OSError) as error:
        say(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
