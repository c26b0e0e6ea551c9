"""The whole job on this machine, with every outcome checked: what `make demo` runs.

    python tests/demo/walk.py [--isolated]

Ten stages, each with the playbooks that a factory uses, on `inventories/local`: three
devices, one of each class, each in its own directory below `.edgeai`. From the second
stage on nothing can reach a network: everything runs in a network namespace without a
route. Where the system forbids that, `--isolated` fails and the plain demo says so and
goes on. Exits 1 with one sentence when an outcome is not as it should be, and then leaves
the devices to be looked at; interrupted, it removes them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import time
import urllib.request
from pathlib import Path
from types import FrameType
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set

from fleet import (
    CANARY,
    DEPOT_PORT,
    DEVICES,
    RELEASE,
    REPO,
    ROOTS,
    expect_all,
    expect_waves,
    left_behind,
    taken_ports,
)
from isolation import NotIsolatedError, isolate
from outcome import NotAsItShouldBeError, expect
from telling import Ended, Story

EXAMPLE = REPO / "examples" / "label_reader"
sys.path.insert(0, str(EXAMPLE))

from client import Client, Phase, table  # noqa: E402 - the example is no package
from render import ORDINARY, label  # noqa: E402

VERSIONS = ("1.0.0", "1.1.0", "1.2.0", "1.3.0")
REPORT = REPO / "report"
SOAK_S = 4  # seconds on trial; 300 in a factory
HEALTHY_REQUESTS = 8  # of each device, once a stage is done


class Walk:
    """The ten stages in order; each leaves what the next one needs."""

    def __init__(self, isolated: bool) -> None:
        environment = {
            **os.environ,
            "ORT_DISABLE_TELEMETRY": "1",
            "PYTHONUNBUFFERED": "1",
            "LC_ALL": "C.UTF-8",
        }
        self.story = Story(REPO, environment)
        self.isolated = isolated
        self.client = Client({device.name: device.url for device in DEVICES})

    def run(self) -> None:
        self.reset()
        self.bundle()
        self.leave_the_network()
        self.depot()
        self.provision()
        self.first_rollout()
        self.good_rollout()
        self.rollout_stopped_by_the_gate()
        self.rollout_taken_back()
        self.health_and_rollback()
        self.one_label_by_hand()
        self.again_and_remove()
        self.end()

    # Before and after the stages.

    def reset(self) -> None:
        self.story.heading(
            "Edge AI fleet: three simulated devices on this machine, from nothing to a rollback"
        )
        if any(ROOTS.glob("*")):
            self.story.say(
                "An earlier run left devices here; they are removed first. What was fetched is kept."
            )
            self.story.must(self.playbook("remove"))
        expect(not left_behind(), f"before the start there is still: {', '.join(left_behind())}")

    def leave_the_network(self) -> None:
        try:
            proof = isolate()
        except NotIsolatedError as error:
            expect(not self.isolated, f"--isolated was asked for, but {error}")
            self.story.say(f"NOT cut off from the network: {error}. The devices use none all the same.")
            taken = taken_ports()
            expect(not taken, f"port {taken} of 127.0.0.1 is in use here and the fleet needs it; free it")
        else:
            self.story.say(f"From here on there is no network: {proof}.")

    def end(self) -> None:
        seconds = time.monotonic() - self.story.began
        self.story.heading(f"Done in {seconds:.0f} s: everything was as it should be.")
        each = ", ".join(f"{name} {spent:.0f}" for name, spent in self.story.seconds.items())
        self.story.say(f"Seconds a stage: {each}.")
        phases = {phase.name: figures(phase) for phase in self.client.phases}
        report = {"seconds": seconds, "stages": self.story.seconds, "client": phases}
        REPORT.mkdir(exist_ok=True)
        (REPORT / "demo.json").write_text(json.dumps(report, indent=1) + "\n")
        self.story.say(
            f"The report: {relative(REPORT / 'demo.json')}; the fleet's health: report/health.json"
        )
        self.story.say("Next, a fleet that stays, and a client for it:")
        self.story.say(f"  $ {' '.join(self.playbook('site'))}")
        self.story.say(f"  $ .venv/bin/python {relative(EXAMPLE / 'client.py')} --url {DEVICES[0].url}")
        self.story.say("Then copy inventories/factory and write your own devices into it (README.md).")

    def clean_up(self) -> None:
        """After an interruption: nothing of the fleet stays."""
        self.client.stop()
        if any(ROOTS.glob("*")):
            self.story.heading("Interrupted; the devices are removed.")
            self.story.run(self.playbook("remove"))

    # The stages.

    def bundle(self) -> None:
        with self.story.stage("bundle", "wheels, runtime and releases into one signed directory"):
            make = [".venv/bin/python", relative(EXAMPLE / "make_releases.py")]
            self.story.must(make)
            releases = [relative(EXAMPLE / "releases" / version) for version in VERSIONS]
            self.story.must(self.playbook("bundle", bundle_releases=releases))

    def depot(self) -> None:
        with self.story.stage("depot", "the bundle as plain files over HTTP"):
            self.story.must(self.playbook("depot"))
            url = f"http://127.0.0.1:{DEPOT_PORT}/metadata/timestamp.json"
            whole, part = fetch(url), fetch(url, "bytes=4-11")
            expect(part == whole[4:12], "the depot does not answer a range request with that range")
            self.story.say("The depot serves the bundle; a broken download can be resumed.")

    def provision(self) -> None:
        with self.story.stage("provision", "each device gets its environment, keeper and service"):
            self.story.must(self.playbook("provision"))
            expect_all(None, "idle")
            self.story.say("All three keepers are up; no device serves a model yet.")

    def first_rollout(self) -> None:
        with self.story.stage(
            "rollout 1.0.0", "the recogniser as it is, converted and measured on each device"
        ):
            self.story.must(self.rollout("1.0.0"))
            expect_all("1.0.0")
            self.client.phase("1.0.0 live", same("1.0.0"))
            self.client.start()
            self.flawless()

    def good_rollout(self) -> None:
        with self.story.stage(
            "rollout 1.1.0", "8-bit integers; the canary first, then one device of a line at a time"
        ):
            self.client.phase("rollout 1.1.0", same("1.0.0", "1.1.0"))
            self.story.must(self.rollout("1.1.0"))
            expect_all("1.1.0")
            self.flawless()
            self.story.say(expect_waves())

    def rollout_stopped_by_the_gate(self) -> None:
        with self.story.stage("rollout 1.2.0", "calibrated with the lens cap on: the gate has to stop it"):
            self.client.phase("rollout 1.2.0", same("1.1.0"))
            ended = self.story.run(self.rollout("1.2.0"))
            expect(ended.status != 0, "the rollout of 1.2.0 ended with 0, but its accuracy is bad")
            reason = sentence(ended, r"exact_match is (?P<measured>0\.\d+).*at least (?P<required>0\.\d+)")
            expect_all("1.1.0")
            self.flawless()
            self.story.say(
                f"Stopped on {CANARY.name}, before the switch: {reason}. All devices still serve 1.1.0."
            )

    def rollout_taken_back(self) -> None:
        with self.story.stage(
            "rollout 1.3.0", "fails on wide labels, which its golden set lacks: the device takes it back"
        ):
            phase = self.client.phase("rollout 1.3.0", {**same("1.1.0"), CANARY.name: {"1.1.0", "1.3.0"}})
            ended = self.story.run(self.rollout("1.3.0", soak_s=30))
            expect(ended.status != 0, "the rollout of 1.3.0 ended with 0, but it fails in use")
            expect_all("1.1.0")
            reverted = [entry for entry in CANARY.journal() if entry["event"] == "reverted"]
            expect(bool(reverted), f"{CANARY.name} has not taken 1.3.0 back itself")
            for device in DEVICES:
                counts = phase.counts[device.name]
                if device is not CANARY:
                    expect(counts.flawless, f"{device.name} was disturbed: {counts.trouble[:1]}")
                    expect(
                        set(counts.versions) == {"1.1.0"}, f"{device.name} has seen {dict(counts.versions)}"
                    )
            canary = phase.counts[CANARY.name]
            expect(canary.failed > 0 and canary.versions["1.3.0"] > 0, f"{CANARY.name} never served 1.3.0")
            expect(
                canary.failed == canary.failed_wide,
                f"{CANARY.name} failed on narrow labels: {canary.trouble}",
            )
            expect(not canary.wrong_text and not canary.wrong_version, f"wrong answers: {canary.trouble}")
            self.story.say(f"{CANARY.name} took 1.3.0 back by itself: {reverted[-1]['reason']}.")
            self.story.say(f"{canary.failed} requests failed, all of them wide labels on {CANARY.name}.")
            self.client.phase("1.1.0 again", same("1.1.0"))
            self.flawless()

    def health_and_rollback(self) -> None:
        with self.story.stage(
            "health and rollback", "one table; then to 1.0.0 and back while labels come in"
        ):
            output = self.story.must(self.playbook("health"))
            for device in DEVICES:
                expect(device.name in output, f"{device.name} is missing in the health table")
            expect((REPORT / "health.json").is_file(), "health wrote no report/health.json")
            for version in ("1.0.0", "1.1.0"):
                self.client.phase(f"rollback to {version}", same("1.0.0", "1.1.0"))
                self.story.must(self.playbook("rollback", release_name=RELEASE, release_version=version))
                expect_all(version)
                self.flawless()

    def one_label_by_hand(self) -> None:
        with self.story.stage("one label by hand", "`edgeai infer` on a device"):
            one = label("by hand", is_wide=True, conditions=ORDINARY)
            image = REPORT / "label.png"
            image.parent.mkdir(exist_ok=True)
            image.write_bytes(one.png)
            output = self.story.must([relative(CANARY.edgeai), "infer", relative(image)])
            expect(one.text in output, f"{CANARY.name} did not read '{one.text}' in {relative(image)}")

    def again_and_remove(self) -> None:
        with self.story.stage("again, and remove", "nothing changes the second time; then nothing is left"):
            self.client.phase("again", same("1.1.0"))
            for command in (self.playbook("provision"), self.rollout("1.1.0")):
                for ended in self.story.run_together([command, [*command, "--check"]]):
                    expect(
                        ended.status == 0, f"`{' '.join(command)}` exited with {ended.status} when run again"
                    )
                    expect(
                        changed(ended.output) == 0, f"`{' '.join(command)}` changed something when run again"
                    )
            expect_all("1.1.0")
            self.flawless()
            self.client.stop()
            self.story.say(
                "Nothing changed, neither for real nor in check mode. The client's figures of all stages:"
            )
            for phase in self.client.phases:
                self.story.say(f"{phase.name}:")
                self.story.say(table(phase.counts))
            read = dict.fromkeys(text for phase in self.client.phases for text in phase.total.texts)
            self.story.say(f"It has read, among others: {', '.join(list(read)[:12])}.")
            self.story.must(self.playbook("remove"))
            expect(not left_behind(), f"remove left behind: {', '.join(left_behind())}")
            self.story.say("No directory, process, port or socket of the fleet is left.")

    # What stages have in common.

    def playbook(self, name: str, **variables: Any) -> List[str]:
        extra = ["-e", json.dumps(variables)] if variables else []
        return [".venv/bin/ansible-playbook", "-i", "inventories/local", f"playbooks/{name}.yml", *extra]

    def rollout(self, version: str, soak_s: int = SOAK_S) -> List[str]:
        return self.playbook("rollout", release_name=RELEASE, release_version=version, release_soak_s=soak_s)

    def flawless(self) -> None:
        """That in the present phase every request was answered, truly, by a version that may be live."""
        phase = self.client.phases[-1]
        expect(
            self.client.wait_for(HEALTHY_REQUESTS, timeout_s=60),
            f"the client got fewer than {HEALTHY_REQUESTS} answers of each device in a minute",
        )
        total = phase.total
        expect(total.flawless, f"in '{phase.name}' the client met: {'; '.join(total.trouble[:3])}")
        self.story.say(
            f"Client: {total.sent} labels sent, {total.failed} failed, every text right, "
            f"answered by {' and '.join(sorted(total.versions))}."
        )


def same(*versions: str) -> Dict[str, Optional[Set[str]]]:
    """What the client may see when every device may serve the same versions."""
    return {device.name: set(versions) for device in DEVICES}


def figures(phase: Phase) -> Dict[str, Mapping[str, Any]]:
    """A phase's counts, ready for JSON."""
    return {
        device: {**vars(counts), "versions": dict(counts.versions)} for device, counts in phase.counts.items()
    }


def sentence(ended: Ended, pattern: str) -> str:
    """The part of a command's output that says why; it has to be there."""
    found = re.search(pattern, ended.output)
    if found is None:
        raise NotAsItShouldBeError("the output does not name the measured and the required accuracy")
    return found.group()


def changed(output: str) -> int:
    """How much a playbook changed on all hosts, by its recap."""
    figures = re.findall(r"changed=(\d+)", output)
    expect(bool(figures), "the playbook printed no recap")
    return sum(map(int, figures))


def fetch(url: str, byte_range: str = "") -> bytes:
    request = urllib.request.Request(url, headers={"Range": byte_range} if byte_range else {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as response:
        content: bytes = response.read()
    return content


def relative(path: Path) -> str:
    return str(path.relative_to(REPO))


def interrupted(number: int, frame: Optional[FrameType]) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Run the whole job on this machine and check its outcome.")
    parser.add_argument("--isolated", action="store_true", help="fail where the network cannot be left")
    walk = Walk(isolated=parser.parse_args(arguments).isolated)
    signal.signal(signal.SIGTERM, interrupted)
    try:
        walk.run()
    except NotAsItShouldBeError as error:
        walk.client.stop()
        print(f"\ndemo: error: {error}.", file=sys.stderr)
        if any(ROOTS.glob("*")):
            print(
                "The devices are left for you to look at in .edgeai; `make clean` removes them.",
                file=sys.stderr,
            )
        return 1
    except KeyboardInterrupt:
        walk.clean_up()
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
