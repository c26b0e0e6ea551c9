"""What happens to generations: they start, are tried, are taken back, are restarted.

One loop in one thread: `selectors` brings events, and a tick looks at what should have happened
by now. Nothing waits in between: a switch is a Takeover that events carry forward, and a Probe is
one question to a generation whose answer its gate has written down.
"""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import signal
import socket
import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from edgeai_keeper.basics import Damaged, Json, Refused, Reply, no_reply, number, say, send_line, timestamp
from edgeai_keeper.child import Child, orphans
from edgeai_keeper.control import Control
from edgeai_keeper.generation import digest_of, read_manifest, sound_before
from edgeai_keeper.journal import append_journal
from edgeai_keeper.listeners import Listeners
from edgeai_keeper.machine import available_mb, boot_id, notify, uptime
from edgeai_keeper.privileges import give_up, owner_below_root
from edgeai_keeper.probe import Probe, load_samples
from edgeai_keeper.state import load_state, write_state

ATTEMPTS = 3  # starts that a generation on trial has
HISTORY = 50  # verdicts kept in state.json
WRONG_ANSWERS = 2  # in a row, before what answers so is given up
TIMED = 100  # requests from which a p99 is compared


class Timing(NamedTuple):
    """Seconds; the defaults are what a factory device runs with."""

    tick: float = 0.25
    heartbeat: float = 10.0  # a serving child that is silent for longer hangs
    ready: float = 60.0  # from start to "ready", unless a switch allowed more
    drain: float = 30.0  # an old child that is still there is killed
    probe: float = 5.0  # between two probes
    answer: float = 8.0  # to a probe, unless requests are answered meanwhile
    backoff_first: float = 0.5  # before a restart; doubles with each failure
    backoff_last: float = 20.0  # below WatchdogSec of its unit, which nobody feeds in the pause
    calm: float = 600.0  # without a failure: back-off and alarm are forgotten


class Takeover:
    """A child on its way to serve. `trial` begins with it (a switch) or is None (a restart).

    It needs `memory_mb`; where that is not free, `parted` is when the old child was told to leave first.
    """

    def __init__(
        self,
        generation: int,
        ready_s: float,
        reply: Reply,
        trial: Optional[Json] = None,
        memory_mb: float = 0.0,
    ) -> None:
        self.generation, self.ready_s, self.reply, self.trial = generation, ready_s, reply, trial
        self.memory_mb = memory_mb
        self.instead = ""  # why not the current generation, which was confirmed and is damaged
        self.begun = time.monotonic()
        self.due = math.inf  # until its child starts
        self.child: Optional[Child] = None
        self.parted: Optional[float] = None
        self.unasked: List[Json] = []  # the samples it has not answered yet


class Keeper:
    """Serves the current generation of the device at `root` on `http` ("host:port")."""

    def __init__(self, root: str, http: str, actor: str = "keeper", timing: Optional[Timing] = None) -> None:
        self.actor, self.timing = actor, timing or Timing()
        self.root = Path(root).resolve()
        self.opt, self.var = self.root / "opt/edgeai", self.root / "var/lib/edgeai"
        self.generations, self.run_directory = self.opt / "generations", self.root / "run/edgeai"
        # What a serving process writes: alarms, and what its warm-up measured.
        self.childs_own = (self.var / "alarms", self.var / "tuning")
        self.state: Json = {}
        self.selector = selectors.DefaultSelector()
        self.listeners = Listeners(http, self.run_directory / "http.sock")
        commands = {name: getattr(self, name) for name in ("status", "switch", "confirm", "revert")}
        self.control = Control(self.root, self.selector, commands)
        self.serving: Optional[Child] = None
        self.takeover: Optional[Takeover] = None
        self.leaving: List[Child] = []
        self.probe: Optional[Probe] = None
        self.unanswered: Optional[Tuple[float, int]] = None  # since when, and what the child had worked then
        self.probe_at, self.wrong_answers = 0.0, 0
        self.stopping = False
        self.failures, self.failed_at, self.retry_at, self.failed_how = 0, 0.0, 0.0, ""
        self.damage = ""  # of the files of the current generation
        self.restarts = 0
        self.alarms: Dict[str, str] = {}
        self.unsaved_at = 0.0
        self.noted: Dict[str, str] = {}  # the alarms that the journal knows of
        self.begun = self.notified = time.monotonic()

    # Trial: when a generation is taken back.

    def remaining(self, trial: Json) -> float:
        return float(max(0.0, trial["started"] + trial["deadline_s"] - uptime()))

    def judge(self, trial: Json) -> None:
        requests, errors, allowed = trial["requests"], trial["errors"], trial["max_error_rate"]
        if requests and requests >= trial["min_requests"] and errors / requests > allowed:
            share = f"{100 * errors / requests:.1f} %, allowed {100 * allowed:.1f} %"
            self.take_back(f"{errors} of {requests} requests failed ({share})")
        elif self.slower(trial):
            self.take_back(self.slower(trial))
        elif self.remaining(trial) <= 0:
            self.take_back(f"it was not confirmed within {trial['deadline_s']:g} s")

    def slower(self, trial: Json) -> str:
        """By how much it is slower than the generation before, where that is too much and both were timed."""
        beat = self.serving.heartbeat if self.serving is not None and self.is_up() else {}
        before, ratio = trial.get("p99_before_ms"), trial.get("max_p99_ratio", math.inf)
        now = beat["p99_ms"] if beat.get("timed", 0) >= TIMED else None
        if not before or not now or now <= ratio * before:
            return ""
        return (
            f"its p99 is {now:g} ms, allowed are {ratio:g} times the {before:g} ms of the generation before"
        )

    def take_back(self, reason: str, actor: str = "", reply: Reply = no_reply) -> None:
        """Decide for the last confirmed generation, durably, then bring it up beside the bad one."""
        bad, fallback = self.state["trial"]["generation"], self.state["trial"]["fallback"]
        self.go_back(bad, fallback, reason, actor)
        self.abandon_takeover("its trial ended")
        self.forgive()
        if fallback is None:
            self.part(self.serving)
            self.listeners.close()
            reply({"ok": True, "generation": None})
        else:
            self.begin(Takeover(fallback, self.patience(), reply, memory_mb=self.state["memory_mb"]))

    def go_back(self, bad: int, fallback: Optional[int], reason: str, actor: str = "") -> None:
        """Have another generation be what is confirmed."""
        self.record(bad, "reverted", reason)
        last_reverted = {"generation": bad, "reason": reason, "time": timestamp()}
        self.state.update(current=fallback, confirmed=fallback, trial=None, last_reverted=last_reverted)
        self.save("reverted", actor, generation=bad, fallback=fallback, reason=reason)

    def record(self, generation: int, outcome: str, reason: Optional[str] = None) -> None:
        entry = {"generation": generation, "outcome": outcome, "reason": reason, "time": timestamp()}
        self.state["history"] = [*self.state["history"], entry][-HISTORY:]
        say(f"generation {generation}: {outcome}{f', as {reason}' if reason else ''}")

    def save(self, event: str, actor: str = "", **fields: Any) -> bool:
        """Make state and journal durable; whether the state is.

        A full or broken disk must not stop the service: it raises an alarm, and the tick tries again.
        """
        durable = False
        try:
            write_state(self.var / "state.json", self.opt / "current", self.state)
            durable = True
            if "generation" in fields:
                fields["manifest"] = digest_of(self.generations / str(fields["generation"]))
            append_journal(self.var / "journal.jsonl", event, actor or self.actor, fields)
            self.alarms.pop("storage", None)
        except OSError as error:
            self.unsaved_at = time.monotonic()
            found = f"{self.var} cannot be written ({error.strerror})"
            self.alarms["storage"] = f"{found}; make room or mend the disk."
            say(self.alarms["storage"])
        return durable

    def note_alarms(self) -> None:
        """Write down which alarms came and went; a sentence that only changes its figures is no news."""
        before, self.noted = self.noted, dict(self.alarms)
        for event, those, others in (
            ("alarm_raised", self.noted, before),
            ("alarm_cleared", before, self.noted),
        ):
            for kind in those.keys() - others.keys():
                self.save(event, alarm=those[kind])

    # Takeover: a child starts, becomes ready, knows its samples, accepts; then the old one is drained.

    def begin(self, takeover: Takeover) -> None:
        self.drop_probe()
        self.takeover = takeover
        if self.serving is not None and available_mb() < takeover.memory_mb:
            say(f"generation {takeover.generation}: memory does not hold two, so the old one leaves first")
            takeover.parted = time.monotonic()
            self.part(self.serving)  # connections wait in the backlog; the tick launches
        else:
            self.launch(takeover)

    def launch(self, takeover: Takeover) -> None:
        takeover.due = time.monotonic() + takeover.ready_s
        try:
            self.listeners.open()
            takeover.child = child = self.start(takeover.generation)
            self.selector.register(child.channel, selectors.EVENT_READ, lambda: self.hear(child))
        except Refused as error:
            self.takeover_failed(str(error), isinstance(error, Damaged))

    def advance(self, takeover: Takeover, child: Child) -> None:
        """Have a ready child answer what it must know, then let it accept."""
        if takeover.unasked:
            takeover.due = time.monotonic() + self.timing.answer
            self.ask(Probe(child, takeover.unasked.pop(), child.aside))
        else:
            takeover.due = time.monotonic() + self.timing.heartbeat
            send_line(child.channel, {"command": "accept"})

    def start(self, generation: int) -> Child:
        directory = self.generations / str(generation)
        manifest, damage = read_manifest(directory)
        self.alarms.pop("manifest", None)
        if damage:
            self.alarms["manifest"] = f"{damage}; its copy is used, try its release again to mend it."
        python = self.opt / "envs" / manifest["environment"] / "bin/python"
        if not python.exists():
            raise Damaged(f"{python} cannot be started (there is no such file)")
        command = [str(python), "-m", "edgeai_runtime", "--root", str(self.root), "serve"]
        self.alarms.pop("samples", None)
        try:
            samples = load_samples(directory, self.opt / "store/sha256")
        except Refused as error:  # what served before shall serve again, unasked
            samples, self.alarms["samples"] = [], str(error)
        command += ["--generation", str(directory)]
        rights = give_up(owner_below_root(self.var), (self.opt, self.var), self.childs_own)
        return Child(generation, command, self.listeners.sockets, samples, rights)

    def hear(self, child: Child) -> None:
        for message in child.messages():
            child.heard = time.monotonic()
            event = message.pop("event", None)
            takeover = self.takeover if self.takeover and self.takeover.child is child else None
            if event == "heartbeat":
                self.count_requests(child, message)
            elif event == "failed":
                child.failure = str(message.get("message"))[:500].rstrip(".")
                if takeover:
                    self.takeover_failed(child.failure, message.get("damaged") is True)
            elif takeover and event == "ready" and not child.ready:
                child.ready, takeover.unasked = True, list(child.samples)
                self.advance(takeover, child)
            elif takeover and event == "accepting" and child.ready:
                self.taken_over(takeover, child)
        if child.channel.fileno() < 0:
            self.close(child.channel)

    def count_requests(self, child: Child, heartbeat: Json) -> None:
        """Add what is new to the trial's figures, which span all processes of its generation."""
        trial = self.state["trial"]
        for key in ("requests", "errors", "timed"):
            if not isinstance(heartbeat.get(key), int):
                heartbeat[key] = 0
        if not isinstance(heartbeat.get("p99_ms"), (int, float)):
            heartbeat["p99_ms"] = None
        if trial is not None and child is self.serving:
            for key in ("requests", "errors"):
                trial[key] += heartbeat[key] - child.heartbeat.get(key, 0)
        child.heartbeat = heartbeat

    def taken_over(self, takeover: Takeover, child: Child) -> None:
        now = time.monotonic()
        milliseconds = round(1000 * (now - takeover.begun), 1)
        pause = 0.0 if takeover.parted is None else round(1000 * (now - takeover.parted), 1)
        if takeover.trial is not None:
            trial = {**takeover.trial, "boot_id": boot_id(), "started": uptime()}
            longest = max(takeover.ready_s, self.state["ready_timeout_s"])
            before, self.state = self.state, {**self.state, "current": child.generation, "trial": trial}
            self.state["ready_timeout_s"] = longest
            figures = {"switch_ms": milliseconds, "pause_ms": pause}
            if not self.save("switched", takeover.trial["actor"], generation=child.generation, **figures):
                self.state, takeover.child = before, None
                self.part(child)  # drained and not killed: it has begun to accept
                self.takeover_failed(self.alarms["storage"].rstrip("."))
                return
            self.forgive()
        if takeover.instead:
            self.go_back(self.state["current"], child.generation, takeover.instead)
            self.forgive()
        old, self.serving, self.takeover = self.serving, child, None
        self.part(old)
        self.probe_at, self.wrong_answers = now + self.timing.probe, 0
        say(f"generation {child.generation}: serves after {milliseconds:g} ms")
        answer = {"ok": True, "generation": child.generation}
        takeover.reply({**answer, "switch_ms": milliseconds, "pause_ms": pause})

    def takeover_failed(self, reason: str, damaged: bool = False) -> None:
        takeover = self.takeover
        if takeover is None:
            return
        if takeover.instead:
            self.count_failure(f"it is damaged, and generation {takeover.generation} did not start: {reason}")
        elif takeover.trial is None:
            self.damage = reason if damaged else ""
            self.count_failure(f"it did not start: {reason}")
        else:
            self.record(takeover.generation, "failed", reason)
            actor = takeover.trial["actor"]
            self.save("switch_failed", actor, generation=takeover.generation, reason=reason)
            if self.state["current"] is None:
                self.listeners.close()
        self.abandon_takeover(reason)

    def abandon_takeover(self, reason: str) -> None:
        takeover, self.takeover = self.takeover, None
        if takeover is not None:
            self.drop_probe()
            self.part(takeover.child, kill=True)
            still = f"generation {self.serving.generation} still serves" if self.serving else "nothing serves"
            error = f"generation {takeover.generation} was not switched to: {reason}; {still}."
            takeover.reply({"ok": False, "error": error})

    def part(self, child: Optional[Child], kill: bool = False) -> None:
        """Let a child go: drained, or killed at once. The tick reaps it."""
        if child is None:
            return
        if child is self.serving:
            self.serving = None
        child.kill_at = time.monotonic() + self.timing.drain
        if kill:
            child.process.kill()
        else:
            send_line(child.channel, {"command": "drain"})
        self.leaving.append(child)

    # Probes: what serves is asked as a client would ask it.

    def look_inside(self, child: Child) -> None:
        """Ask one of its samples when it is time, and give up a child that answers nobody any more."""
        now = time.monotonic()
        if self.probe is None and now >= self.probe_at and child.samples and not self.leaving:
            self.probe_at = now + 1.0  # again, where the backlog is full
            with contextlib.suppress(FileNotFoundError):  # a socket unit of the user's own may have none
                connection = self.listeners.connect()
                self.unanswered = self.unanswered or (now, child.worked())
                if connection is not None:
                    self.ask(Probe(child, child.samples[0], connection))
                    child.samples.append(child.samples.pop(0))
        if self.unanswered is not None and now - self.unanswered[0] > self.timing.answer:
            if child.worked() == self.unanswered[1]:
                self.give_up(child, f"a golden sample was not answered within {self.timing.answer:g} s")
            self.unanswered = now, child.worked()  # it has much to do, and does it

    def ask(self, probe: Probe) -> None:
        self.probe = probe
        both = selectors.EVENT_READ | selectors.EVENT_WRITE
        self.selector.register(probe.connection, both, lambda: self.on_probe(probe))

    def on_probe(self, probe: Probe) -> None:
        if probe is not self.probe:  # dropped by what was heard in the same turn of the loop
            return
        wrong = probe.go_on()
        if wrong is None:
            if not probe.unsent:
                key = self.selector.get_key(probe.connection)
                self.selector.modify(probe.connection, selectors.EVENT_READ, key.data)
            return
        self.drop_probe()
        how = f"asked for a golden sample of {probe.sample['model']}, {wrong}"
        takeover = self.takeover
        if takeover is not None:
            if wrong:
                self.takeover_failed(how)
            else:
                self.advance(takeover, probe.child)
        elif not wrong:
            self.probe_at, self.wrong_answers = time.monotonic() + self.timing.probe, 0
        elif probe.child is self.serving:
            self.probe_at, self.wrong_answers = 0.0, self.wrong_answers + 1
            if self.wrong_answers >= WRONG_ANSWERS:
                self.give_up(probe.child, how)

    def drop_probe(self) -> None:
        probe, self.probe, self.unanswered = self.probe, None, None
        if probe is not None and probe.connection is probe.child.aside:
            self.selector.unregister(probe.connection)
        elif probe is not None:
            self.close(probe.connection)

    # Failures of the current generation: restart with back-off.

    def count_failure(self, how: str) -> None:
        current, trial, now = self.state["current"], self.state["trial"], time.monotonic()
        pause = min(self.timing.backoff_last, self.timing.backoff_first * 2 ** min(self.failures, 32))
        self.failures, self.failed_at, self.failed_how = self.failures + 1, now, how
        self.retry_at = now + pause
        say(f"generation {current}: {how}")
        if trial is None:
            self.alarms["failures"] = f"generation {current} failed ({self.failures} in a row): {how}."
        elif trial["attempts"] >= ATTEMPTS:
            self.retry_at = now  # restart_current takes it back
        if pause < self.timing.backoff_last:  # a crash loop of weeks must not fill the disk
            self.save("child_ended", generation=current, reason=how)

    def forgive(self) -> None:
        self.failures, self.retry_at, self.failed_how = 0, 0.0, ""
        self.alarms.pop("failures", None)

    def restart_current(self) -> None:
        trial = self.state["trial"]
        if trial is not None and trial["attempts"] >= ATTEMPTS:
            last = self.failed_how or "the keeper itself was stopped"
            self.take_back(f"it was started {ATTEMPTS} times and did not stay up, last: {last}")
            return
        try:
            self.listeners.open()  # first: a port that is taken is no fault of a generation on trial
        except Refused as error:
            self.count_failure(str(error))
            return
        damage, self.damage = self.damage, ""
        sound = damage and sound_before(self.generations, self.state["current"], self.state["history"])
        if trial is None and sound:
            takeover = Takeover(sound, self.patience(), no_reply)
            takeover.instead = damage
            self.begin(takeover)
            return
        if trial is not None:
            trial["attempts"] += 1
            self.save("trial_restarted", generation=trial["generation"], attempt=trial["attempts"])
        self.restarts += self.failures > 0
        self.begin(Takeover(self.state["current"], self.patience(), no_reply))

    def patience(self) -> float:
        """Seconds that a restart may take: as many as any switch here was given."""
        return float(max(self.timing.ready, self.state["ready_timeout_s"]))

    def port_is_ours(self) -> bool:
        """False while the child of a keeper that was killed finishes its requests on the port."""
        waiting = [] if self.listeners.sockets else orphans(self.root)
        if waiting and time.monotonic() - self.begun > self.timing.drain:
            for pid in waiting:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return not waiting

    # What is asked on the control socket.

    def switch(self, request: Json, reply: Reply) -> None:
        self.still_here()
        generation, running = number(request, "generation", whole=True), self.state["trial"]
        if running is not None:
            raise Refused(f"generation {running['generation']} is on trial; confirm or revert it first.")
        if self.takeover is not None and self.takeover.trial is not None:
            raise Refused(f"a switch to generation {self.takeover.generation} is under way; wait for it.")
        if generation == self.state["current"]:
            raise Refused(f"generation {generation} is current already; there is nothing to switch.")
        soak = request.get("soak", {})
        if not isinstance(soak, dict):
            raise Refused(f"soak is {soak!r}, expected an object; correct the request.")
        ready_s = number(request, "ready_timeout_s", self.timing.ready)
        before = self.serving.heartbeat if self.serving is not None else {}
        trial = {
            "generation": generation,
            "fallback": self.state["confirmed"],
            "deadline_s": number(request, "deadline_s", 600),
            "max_error_rate": number(soak, "max_error_rate", 0.02),
            "min_requests": number(soak, "min_requests", 20),
            "max_p99_ratio": number(soak, "max_p99_ratio", 3.0),
            "p99_before_ms": before["p99_ms"] if before.get("timed", 0) >= TIMED else None,
            "memory_mb": number(request, "memory_mb", 0.0),
            "actor": str(request.get("actor", "")),
            "attempts": 1,
            "requests": 0,
            "errors": 0,
        }
        self.abandon_takeover(f"generation {generation} was asked for")
        self.begin(Takeover(generation, ready_s, reply, trial, trial["memory_mb"]))

    def confirm(self, request: Json, reply: Reply) -> None:
        self.still_here()
        generation, trial = number(request, "generation", whole=True), self.state["trial"]
        if trial is not None or generation != self.state["confirmed"]:
            if trial is None or trial["generation"] != generation:
                raise Refused(f"generation {generation} is not on trial; look at the status.")
            if self.serving is None:
                raise Refused(f"generation {generation} does not serve at this moment; look at the status.")
            before = dict(self.state)
            self.state.update(confirmed=generation, trial=None, memory_mb=trial.get("memory_mb", 0.0))
            self.record(generation, "confirmed")
            if not self.save("confirmed", str(request.get("actor", "")), generation=generation):
                self.state = before
                alarm = self.alarms["storage"].rstrip(".")
                raise Refused(f"generation {generation} stays on trial, as {alarm}, then confirm again.")
            self.forgive()
        reply({"ok": True, "generation": generation})

    def still_here(self) -> None:
        if self.stopping:
            raise Refused("the keeper is stopping; ask again when it was started again.")

    def revert(self, request: Json, reply: Reply) -> None:
        self.still_here()
        if self.state["trial"] is None:
            raise Refused("no generation is on trial, so there is nothing to revert.")
        self.take_back(str(request.get("reason", "asked for"))[:500], str(request.get("actor", "")), reply)

    def status(self, request: Json, reply: Reply) -> None:
        state, trial, serving = self.state, self.state["trial"], self.serving
        if trial is not None:
            shown = {key: trial[key] for key in ("generation", "fallback", "requests", "errors")}
            trial = {**shown, "remaining_s": round(self.remaining(trial), 1)}
        answer = {
            "ok": True,
            "phase": self.phase(),
            "generation": state["current"],
            "confirmed": state["confirmed"],
            "trial": trial,
            "last_reverted": state["last_reverted"],
            "serving": serving.heartbeat or None if serving else None,
            "restarts": self.restarts,
            "alarms": list(self.alarms.values()),
            "pid": os.getpid(),
            "child_pid": serving.process.pid if serving else None,
            "http": self.listeners.http,
            "history": state["history"],
        }
        reply(answer)

    def phase(self) -> str:
        if self.takeover is not None:
            return "starting"
        if self.state["trial"] is not None:
            return "trial"
        if self.state["current"] is None:
            return "idle"
        return "confirmed" if self.is_up() else "failed"

    def is_up(self) -> bool:
        return self.serving is not None and self.serving.generation == self.state["current"]

    # Main loop.

    def run(self) -> int:
        """Keep the device until SIGTERM; returns the exit status. Raises Refused or OSError at the start."""
        for directory in (self.opt, self.var, self.run_directory):
            directory.mkdir(parents=True, exist_ok=True)
        owner = owner_below_root(self.var)
        for directory in self.childs_own:
            with contextlib.suppress(OSError):  # a full disk: it serves without
                directory.mkdir(exist_ok=True)
                if owner is not None:
                    os.chown(directory, owner.pw_uid, owner.pw_gid)
        self.control.open(owner)
        self.state, damage = load_state(self.var / "state.json")
        if damage:
            self.alarms["state"] = f"{damage}; its copy is used, look at the disk."
            say(self.alarms["state"])
        trial = self.state["trial"]
        if trial is not None and trial["boot_id"] != boot_id():
            trial.update(boot_id=boot_id(), started=uptime())  # a new window; the attempts bound how many
        self.save("keeper_started", pid=os.getpid())
        self.catch_signals()
        notify("READY=1")
        self.tick()
        while not self.stopping or self.leaving:
            for key, _events in self.selector.select(self.timing.tick):
                key.data()
            self.tick()
        self.save("keeper_stopped", pid=os.getpid())
        self.listeners.close()
        self.control.close()
        return 0

    def catch_signals(self) -> None:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        for caught in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(caught, lambda *_: None)
        signal.set_wakeup_fd(theirs.detach(), warn_on_full_buffer=False)
        self.selector.register(ours, selectors.EVENT_READ, lambda: self.on_signal(ours.recv(256)))

    def on_signal(self, numbers: bytes) -> None:
        """SIGCHLD only wakes the loop: the tick that follows reaps."""
        if {signal.SIGTERM, signal.SIGINT} & set(numbers) and not self.stopping:
            self.stopping = True
            notify("STOPPING=1")
            self.abandon_takeover("the keeper is stopping")
            self.part(self.serving)
            self.save("keeper_stopped", pid=os.getpid())

    def tick(self) -> None:
        """Look at what should have happened by now."""
        self.reap()
        if self.stopping:
            return
        now, takeover, serving = time.monotonic(), self.takeover, self.serving
        if takeover is not None and takeover.due == math.inf and not self.leaving:
            self.launch(takeover)
        elif takeover is not None and now > takeover.due:
            self.takeover_failed(self.too_late(takeover))
        if serving is not None and now - serving.heard > self.timing.heartbeat:
            self.hear(serving)  # it may be the keeper that was held up
            if now - serving.heard > self.timing.heartbeat:
                self.give_up(serving, f"no heartbeat for {self.timing.heartbeat:g} s")
        if self.serving is not None and self.takeover is None:
            self.look_inside(self.serving)
        if self.state["trial"] is not None:
            self.judge(self.state["trial"])
        if "storage" in self.alarms and now - self.unsaved_at > self.timing.probe:
            self.save("storage_mended")
        if self.is_up() and self.failures and now - self.failed_at > self.timing.calm:
            self.forgive()
        down = self.state["current"] is not None and self.takeover is None and not self.is_up()
        if down and now >= self.retry_at and self.port_is_ours():
            self.restart_current()
        self.note_alarms()
        at_work = self.phase() in ("idle", "starting")
        if now - self.notified >= 1 and (at_work or self.serving is not None):  # its heartbeat is fresh
            notify("WATCHDOG=1")
            self.notified = now

    def too_late(self, takeover: Takeover) -> str:
        if takeover.child is None or not takeover.child.ready:
            return f"it was not ready within {takeover.ready_s:g} s"
        if self.probe is not None:
            return f"a golden sample was not answered within {self.timing.answer:g} s"
        return "it was ready but did not accept"

    def give_up(self, child: Child, how: str) -> None:
        trial = self.state["trial"]
        self.part(child, kill=True)
        if trial is not None and trial["generation"] == child.generation:
            self.take_back(how)
        elif child.generation == self.state["current"]:
            self.count_failure(how)

    def reap(self) -> None:
        """Take leave of children that ended, after hearing their last words."""
        now = time.monotonic()
        coming = self.takeover.child if self.takeover is not None else None
        for child in [*self.leaving, *filter(None, (self.serving, coming))]:
            if not child.ended():
                if now > child.kill_at:
                    child.process.kill()
                continue
            self.hear(child)
            self.close(child.channel)
            self.close(child.aside)
            if self.takeover is not None and child is self.takeover.child:
                self.takeover_failed(child.ended())
            elif child is self.serving:
                self.serving = None
                if child.generation == self.state["current"]:  # else one taken back, its successor starts
                    self.count_failure(child.ended())
            self.leaving = [other for other in self.leaving if other is not child]

    def close(self, end: socket.socket) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self.selector.unregister(end)
        end.close()
