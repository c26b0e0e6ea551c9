"""The ten stages of the demo: the commands a factory types, and what has to come of each."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path
from typing import Any, Dict, List, Optional, Set

from example import EXAMPLE, ORDINARY, Client, label, table
from fleet import (
    CANARY,
    DEPOT_PORT,
    DEVICES,
    RELEASE,
    REPO,
    expect_all,
    expect_waves,
    left_behind,
    wait_until_settled,
)
from outcome import NotAsItShouldBeError, expect
from telling import Story

REPORT = REPO / "report"
SOAK_S = 2  # seconds on trial; 300 in a factory
HEALTHY_REQUESTS = 5  # of each device, before a stage counts as done


def playbook(*names: str, **variables: Any) -> List[str]:
    """The command that runs playbooks, one after the other, on the embedded inventory."""
    command = [".venv/bin/ansible-playbook", "-i", "inventories/local"]
    command += [f"playbooks/{name}.yml" for name in names]
    for key, value in variables.items():
        command += ["-e", f"{key}={value}"]
    return command


def rollout(version: str, soak_s: int = SOAK_S) -> List[str]:
    return playbook("rollout", release_name=RELEASE, release_version=version, release_soak_s=soak_s)


def bundle(story: Story) -> None:
    with story.stage("bundle", "wheels, runtime and releases into one signed directory"):
        story.must([".venv/bin/python", "-u", relative(EXAMPLE / "make_releases.py")])
        story.must(playbook("bundle"))


def depot(story: Story) -> None:
    with story.stage("depot", "the bundle as plain files over HTTP"):
        story.must(playbook("depot"))
        url = f"http://127.0.0.1:{DEPOT_PORT}/metadata/timestamp.json"
        whole, part = fetch(url), fetch(url, "bytes=4-11")
        expect(part == whole[4:12], "the depot does not answer a range request with that range")
        story.say("The depot serves the bundle; a broken download can be resumed.")


def provision(story: Story) -> None:
    with story.stage("provision", "each device gets its environment, keeper and service"):
        story.must(playbook("provision"))
        expect_all(None)
        story.say("All three devices are up and ready, with no model yet.")


def first_rollout(story: Story, client: Client) -> None:
    with story.stage("rollout 1.0.0", "a model that reads labels, measured on each device"):
        story.must(rollout("1.0.0"))
        expect_all("1.0.0")
        client.phase("1.0.0 live", may_answer("1.0.0"))
        client.start()
        expect_flawless(story, client)


def good_rollout(story: Story, client: Client) -> None:
    with story.stage("rollout 1.1.0", "the same in 8-bit integers, in waves, the canary first"):
        client.phase("rollout 1.1.0", may_answer("1.0.0", "1.1.0"))
        story.must(rollout("1.1.0"))
        expect_all("1.1.0")
        expect_flawless(story, client)
        story.say(expect_waves())


def rollout_stopped_by_the_gate(story: Story, client: Client) -> None:
    with story.stage("rollout 1.2.0", "calibrated with the lens cap on: the gate has to stop it"):
        client.phase("rollout 1.2.0", may_answer("1.1.0"))
        ended = story.run(rollout("1.2.0"))
        expect(ended.status != 0, "the rollout of 1.2.0 ended with 0, but its accuracy is bad")
        accuracy = re.search(r"exact_match is 0\.\d+.*required at least 0\.\d+", ended.output)
        expect(accuracy is not None, "the output names no measured and required accuracy")
        expect_all("1.1.0")
        expect_flawless(story, client)
        reason = accuracy.group() if accuracy else ""
        story.say(f"Stopped on {CANARY.name} before the switch: {reason}. All still serve 1.1.0.")


def rollout_taken_back(story: Story, client: Client) -> None:
    with story.stage("rollout 1.3.0", "passes the gate, fails in use: the device has to take it back"):
        phase = client.phase("rollout 1.3.0", {**may_answer("1.1.0"), CANARY.name: {"1.1.0", "1.3.0"}})
        ended = story.run(rollout("1.3.0", soak_s=30))
        expect(ended.status != 0, "the rollout of 1.3.0 ended with 0, but it fails in use")
        wait_until_settled()  # the canary may still be bringing 1.1.0 up beside 1.3.0
        client.phase("1.1.0 again", may_answer("1.1.0"))
        expect_all("1.1.0")
        expect_flawless(story, client)
        for device in DEVICES:
            trouble = phase.counts[device.name].trouble
            expect(device is CANARY or phase.counts[device.name].flawless, f"the client met: {trouble[:1]}")
        canary = phase.counts[CANARY.name]
        expect(canary.failed > 0 and canary.versions["1.3.0"] > 0, f"{CANARY.name} never served 1.3.0")
        expect(canary.failed == canary.failed_wide, f"narrow labels failed: {'; '.join(canary.trouble)}")
        expect(canary.wrong_text + canary.wrong_version == 0, f"wrong: {'; '.join(canary.trouble)}")
        reverted = CANARY.journal("reverted")
        expect(bool(reverted), f"{CANARY.name} has not taken 1.3.0 back itself")
        story.say(f"{CANARY.name} took 1.3.0 back by itself: {reverted[-1]['reason']}.")
        story.say(f"{canary.failed} of {canary.sent} requests to it failed, all of them wide labels.")


def health_and_rollback(story: Story, client: Client) -> None:
    with story.stage("health and rollback", "one table; then to 1.0.0 and back"):
        output = story.must(playbook("health"))
        for device in DEVICES:
            expect(device.name in output, f"{device.name} is missing in the health table")
        expect((REPORT / "health.json").is_file(), "health wrote no report/health.json")
        for version in ("1.0.0", "1.1.0"):
            client.phase(f"rollback to {version}", may_answer("1.0.0", "1.1.0"))
            story.must(playbook("rollback", release_name=RELEASE, release_version=version))
            expect_all(version)
            expect_flawless(story, client)


def one_label_by_hand(story: Story) -> None:
    with story.stage("one label by hand", "`edgeai infer` on a device"):
        one = label("by hand", is_wide=True, conditions=ORDINARY)
        image = REPORT / "label.png"
        image.parent.mkdir(exist_ok=True)
        image.write_bytes(one.png)
        output = story.must([relative(CANARY.edgeai), "infer", relative(image)])
        expect(one.text in output, f"{CANARY.name} did not read '{one.text}' in {relative(image)}")


def again_and_remove(story: Story, client: Client) -> None:
    with story.stage("again, and remove", "nothing changes the second time; then nothing is left"):
        client.phase("again", may_answer("1.1.0"))
        same = {"release_name": RELEASE, "release_version": "1.1.0"}
        command = playbook("provision", "rollout", **same)
        for ended in story.run_together([command, [*command, "--check"]]):
            expect(ended.status == 0, f"the same again exited with {ended.status}")
            expect(changed(ended.output) == 0, "the same again changed something")
        expect_all("1.1.0")
        expect_flawless(story, client)
        client.stop()
        story.say("Nothing changed, nor would it have in check mode. What the client counted:")
        for phase in client.phases:
            story.say(f"{phase.name}:\n{table(phase.counts)}")
        read = dict.fromkeys(text for phase in client.phases for text in phase.total.texts)
        story.say(f"It has read, among others: {', '.join(list(read)[:12])}.")
        story.must(playbook("remove"))
        expect(not left_behind(), f"remove left behind: {', '.join(left_behind())}")
        story.say("No directory, process, port or socket of the fleet is left.")


def may_answer(*versions: str) -> Dict[str, Optional[Set[str]]]:
    """For a phase of the client: every device may answer with these versions."""
    return {device.name: set(versions) for device in DEVICES}


def expect_flawless(story: Story, client: Client) -> None:
    """That in the present phase every request was answered, truly, by a version that may be live."""
    expect(
        client.wait_for(HEALTHY_REQUESTS, timeout_s=60),
        f"the client got fewer than {HEALTHY_REQUESTS} answers of each device in a minute",
    )
    phase = client.phases[-1]
    total = phase.total
    expect(total.flawless, f"in the phase '{phase.name}' the client met: {'; '.join(total.trouble[:3])}")
    by = " and ".join(sorted(total.versions))
    story.say(f"Client: {total.sent} labels sent, {total.failed} failed, every text right, answered by {by}.")


def changed(output: str) -> int:
    """How much playbooks changed on all hosts, by the last recap, which counts all of them."""
    counts = re.findall(r"(\d+) changed,", output)
    expect(bool(counts), "the playbooks did not end with a line that counts what changed")
    return int(counts[-1])


def fetch(url: str, byte_range: str = "") -> bytes:
    request = urllib.request.Request(url, headers={"Range": byte_range} if byte_range else {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as response:
            content: bytes = response.read()
    except OSError as error:
        raise NotAsItShouldBeError(f"{url} is not served ({error})") from None
    return content


def relative(path: Path) -> str:
    return str(path.relative_to(REPO))
