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
import signal
import sys
import time
from types import FrameType
from typing import Any, Dict, Optional

import stages
from example import Client
from fleet import DEVICES, RELEASE, REPO, homes, left_behind, taken_ports
from isolation import NotIsolatedError, isolate
from outcome import NotAsItShouldBeError, expect
from stages import REPORT, playbook
from telling import Story

# Ansible speaks UTF-8 or not at all.
ENVIRONMENT = {"ORT_DISABLE_TELEMETRY": "1", "LC_ALL": "C.UTF-8"}
# With it a Python that reads its program from a pipe, as Ansible's modules are read, takes single bytes.
SLOWING = "PYTHONUNBUFFERED"


def walk(story: Story, client: Client, isolated: bool) -> None:
    reset(story)
    stages.bundle(story)
    leave_the_network(story, isolated)
    stages.depot(story)
    stages.provision(story)
    stages.first_rollout(story, client)
    stages.good_rollout(story, client)
    stages.rollout_stopped_by_the_gate(story, client)
    stages.rollout_taken_back(story, client)
    stages.health_and_rollback(story, client)
    stages.one_label_by_hand(story)
    stages.again_and_remove(story, client)
    report(story, client)


def reset(story: Story) -> None:
    story.heading("A fleet of three simulated devices on this machine, from nothing to a rollback")
    if homes():
        story.say("An earlier run left devices here; they are removed, what was fetched is kept.")
        story.must(playbook("remove"))
    expect(not left_behind(), f"before the start there is still: {', '.join(left_behind())}")


def leave_the_network(story: Story, isolated: bool) -> None:
    try:
        proof = isolate()
    except NotIsolatedError as error:
        expect(not isolated, f"--isolated was asked for, but {error}")
        story.say(f"NOT cut off from the network: {error}. The devices use none all the same.")
    else:
        story.say(f"From here on there is no network: {proof}.")
    ports = " and ".join(map(str, taken_ports()))
    expect(not ports, f"port {ports} of 127.0.0.1 is in use here, and the fleet needs it; free it")


def report(story: Story, client: Client) -> None:
    seconds = time.monotonic() - story.began
    counted: Dict[str, Any] = {}
    for phase in client.phases:
        counted[phase.name] = {device: vars(counts) for device, counts in phase.counts.items()}
    content = {"seconds": seconds, "stages": story.seconds, "client": counted}
    (REPORT / "demo.json").write_text(json.dumps(content, indent=1) + "\n")
    story.heading(f"Done in {seconds:.0f} s, and everything was as it should be.")
    story.say("Seconds: " + ", ".join(f"{name} {spent:.0f}" for name, spent in story.seconds.items()) + ".")
    story.say("The report lies in report/demo.json, the fleet's health in report/health.json.")
    story.say("Type next, for a fleet that stays, and to send labels to it:")
    site = playbook("site", release_name=RELEASE, release_version="1.1.0")
    story.say(f"  {' '.join(site)}")
    story.say(f"  .venv/bin/python examples/label_reader/client.py --url {DEVICES[0].url}")
    story.say("Then copy inventories/factory and write your own devices into it; README.md says how.")


def clean_up(story: Story, client: Client) -> None:
    """After an interruption: nothing of the fleet stays."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    story.heading("Interrupted.")
    client.stop()
    if homes():
        story.say("The devices are removed.")
        story.run(playbook("remove"))


def interrupted(number: int, frame: Optional[FrameType]) -> None:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the whole job on this machine and check its outcome.")
    parser.add_argument("--isolated", action="store_true", help="fail where the network cannot be left")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, interrupted)
    inherited = {name: value for name, value in os.environ.items() if name != SLOWING}
    story = Story(REPO, {**inherited, **ENVIRONMENT})
    client = Client({device.name: device.url for device in DEVICES})
    try:
        walk(story, client, arguments.isolated)
    except NotAsItShouldBeError as error:
        client.stop()
        print(f"\ndemo: error: {error}.", file=sys.stderr)
        if homes():
            print("The devices stay as they are in .edgeai; `make clean` removes them.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        clean_up(story, client)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
