"""A fleet of simulated devices below a short temporary directory, driven by the real playbooks."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import psutil
from toy_releases import picture

REPO = Path(__file__).resolve().parents[2]
BIN = REPO / ".venv" / "bin"
PLAY_LIMIT_S = 300
LONGEST_SENTENCE = 500  # characters
WORD = "CAB"  # in no set of a toy release
# A device is asked directly, whatever proxy the environment names.
ask = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def wait_until(true: Callable[[], Any], what: str, timeout_s: float = 60) -> Any:
    """What `true` returns once it is true; fails, naming `what`, when it does not become so."""
    give_up = time.monotonic() + timeout_s
    while True:
        found = true()
        if found:
            return found
        assert time.monotonic() < give_up, f"{what}: not within {timeout_s:g} s"
        time.sleep(0.05)


def free_port() -> int:
    """A port nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Run:
    """One playbook as it ended: exit status, everything it wrote, and the report it left, if any."""

    status: int
    output: str
    report: Optional[Dict[str, Any]]

    @property
    def failures(self) -> List[str]:
        """The sentences below failed tasks."""
        found, failing = [], False
        for line in self.output.splitlines():
            if re.match(r"  \S", line):
                failing = bool(re.search(r"  failed\b", line))
            elif failing and re.match(r" {6}\S", line):
                found.append(line.strip())
        return found

    @property
    def changed(self) -> int:
        """How many tasks changed something, over all hosts."""
        found = re.search(r"(\d+) changed", self.output)
        assert found, self.output
        return int(found.group(1))

    def verdicts(self) -> Dict[str, str]:
        """The verdict of each device, from the report."""
        assert self.report is not None, self.output
        return {row["device"]: row["verdict"] for row in self.report["devices"]}

    def reason(self, device: str) -> str:
        """Why a device has its verdict."""
        assert self.report is not None, self.output
        return str(next(row["reason"] for row in self.report["devices"] if row["device"] == device))

    def only_failure(self) -> str:
        """The sentence the run failed with; it must have failed, and with one only."""
        assert self.status != 0, self.output
        assert len(self.failures) == 1, self.output
        return self.failures[0]


def says(sentence: str, *parts: str) -> None:
    """That this is one plain sentence with these parts."""
    assert "\n" not in sentence
    assert 20 < len(sentence) <= LONGEST_SENTENCE, sentence
    for part in parts:
        assert part in sentence, f"{part!r} is not in: {sentence}"


@dataclass(frozen=True)
class Device:
    """A device of the fleet, looked at from outside."""

    name: str
    root: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def state(self) -> Dict[str, Any]:
        found: Dict[str, Any] = json.loads((self.root / "var/lib/edgeai/state.json").read_bytes())
        return found

    def status(self) -> Dict[str, Any]:
        """What `edgeai status` says; {} while the device does not say how it is."""
        command = [self.root / "opt/edgeai/bin/edgeai", "--json", "status"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found: Dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found if found["ok"] else {}

    def control(self) -> Dict[str, Any]:
        """What the keeper itself answers; {} while there is none."""
        with socket.socket(socket.AF_UNIX) as keeper:
            try:
                keeper.connect(str(self.root / "run/edgeai/keeper.sock"))
                keeper.sendall(b'{"command": "status"}\n')
                return dict(json.loads(keeper.makefile().readline()))
            except (OSError, ValueError):
                return {}

    def journal(self) -> List[Dict[str, Any]]:
        """Every step that its journal tells of, oldest first."""
        text = (self.root / "var/lib/edgeai/journal.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def reads(self, model: str = "reader") -> Tuple[str, str]:
        """The text it reads off a picture, and the version that did."""
        request = urllib.request.Request(
            f"{self.url}/v2/models/{model}/infer", picture(WORD), {"Content-Type": "image/png"}
        )
        with ask.open(request, timeout=30) as response:
            answer = json.load(response)
        texts = {output["name"]: output["data"] for output in answer["outputs"]}
        return texts["text"][0], answer["model_version"]

    def answers(self) -> bool:
        """Whether anybody answers at its port."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def as_it_is(self) -> Dict[str, Any]:
        """All that must be the same after something that came to nothing."""
        generations = self.root / "opt/edgeai/generations"
        return {
            "state": self.state,
            "generation": (self.root / "opt/edgeai/current").readlink().name,
            "generations": sorted(path.name for path in generations.iterdir()),
            "reads": {model: self.reads(model) for model in self.models()},
            "processes": {key: self.control().get(key) for key in ("pid", "child_pid", "restarts")},
        }

    def models(self) -> List[str]:
        """The models it serves."""
        with ask.open(f"{self.url}/v2/models", timeout=30) as response:
            return sorted(model["name"] for model in json.load(response))


@dataclass
class Fleet:
    """Devices and a depot with their inventory, all below `base`, and the workstation they are run from."""

    base: Path
    bundle: Path
    ansible_playbook: Sequence[str] = (str(BIN / "ansible-playbook"),)
    directory: Path = REPO
    environment: Dict[str, str] = field(default_factory=lambda: {"ANSIBLE_CONFIG": str(REPO / "ansible.cfg")})
    devices: List[Device] = field(default_factory=list)
    variables: Dict[str, Dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.depot_port = free_port()
        self.depot_root = self.base / "depot"

    def add(self, name: str, **variables: Any) -> Device:
        """A device with its variables of the inventory; nothing is there yet."""
        device = Device(name, self.base / name, free_port())
        self.devices.append(device)
        self.variables[name] = {"runtime_http": f"127.0.0.1:{device.port}", **variables}
        return device

    def inventory(self, devices: Dict[str, Dict[str, Any]]) -> Dict[str, Any]:
        """An inventory of these devices with the fleet's depot."""
        common = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "runtime_hardware": "simulated",
            "runtime_root": f"{self.base}/{{{{ inventory_hostname }}}}",
            "runtime_python": "{{ ansible_playbook_python }}",
            "runtime_service": "supervisor",
            "runtime_depot_url": f"http://127.0.0.1:{self.depot_port}",
            "runtime_root_json": f"{self.bundle}/metadata/1.root.json",
            "depot_directory": str(self.bundle),
            "depot_http": f"127.0.0.1:{self.depot_port}",
            "depot_root": str(self.depot_root),
            "depot_python": "{{ ansible_playbook_python }}",
            "depot_service": "supervisor",
            "bundle_directory": str(self.bundle),
            "bundle_keys_dir": str(self.base / "keys"),
            "release_soak_s": 0.5,
        }
        return {
            "all": {"vars": common, "hosts": {"localhost": {}}},
            "devices": {"hosts": devices},
            "depot": {"hosts": {"factory-depot": {}}},
        }

    def play(
        self,
        playbook: str,
        *arguments: str,
        devices: Optional[Dict[str, Dict[str, Any]]] = None,
        **variables: Any,
    ) -> Run:
        """Run a playbook of the collection on the fleet, or on other `devices` with the fleet's depot.

        No run may ever show a traceback, nor a warning of Ansible's.
        """
        with tempfile.TemporaryDirectory(dir=self.base) as name:
            inventory = Path(name) / "hosts.json"
            inventory.write_text(json.dumps(self.inventory(self.variables if devices is None else devices)))
            command = [*self.ansible_playbook, "-i", str(inventory), f"edgeai.fleet.{playbook}"]
            command += [*arguments, "-e", json.dumps({"report_dir": name, **variables})]
            done = subprocess.run(
                command,
                cwd=self.directory,
                env={**os.environ, **self.environment, "ANSIBLE_NOCOLOR": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=PLAY_LIMIT_S,
                check=False,
            )
            written = Path(name) / f"{playbook}.json"
            report = json.loads(written.read_text()) if written.is_file() else None
        for unwanted in ("Traceback", "[WARNING]", "[DEPRECATION"):
            assert unwanted not in done.stdout, done.stdout
        return Run(done.returncode, done.stdout, report)

    def succeed(self, playbook: str, *arguments: str, **variables: Any) -> Run:
        """Run a playbook that must end well."""
        run = self.play(playbook, *arguments, **variables)
        assert run.status == 0, run.output
        return run

    @contextlib.contextmanager
    def left_as_it_is(self) -> Iterator[None]:
        """What is done here must leave every device exactly as it is, and answering."""
        before = {device.name: device.as_it_is() for device in self.devices}
        yield
        assert {device.name: device.as_it_is() for device in self.devices} == before

    @contextlib.contextmanager
    def depot_down(self) -> Iterator[None]:
        """The depot's server is stopped here, and answers again afterwards."""
        (control,) = self.depot_root.glob("opt/edgeai/envs/*/bin/supervisorctl")
        command = [control, "--configuration", self.depot_root / "etc/edgeai/supervisord.conf"]
        subprocess.run([*command, "stop", "depot"], check=True, capture_output=True)
        try:
            yield
        finally:
            subprocess.run([*command, "start", "depot"], check=True, capture_output=True)
            wait_until(self.depot_answers, "the depot answers again")

    def depot_answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.depot_port)) == 0

    def roots(self) -> Sequence[Path]:
        return [self.depot_root, *(device.root for device in self.devices)]

    def processes(self) -> List[psutil.Process]:
        """Every process whose command names the fleet's directory or its depot's port."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            command = " ".join(process.info["cmdline"] or ())
            if f"{self.base}/" in command or f"127.0.0.1:{self.depot_port}" in command:
                found.append(process)
        return found

    def clean_up(self) -> None:
        """End what is left of the fleet and delete it."""
        left = self.processes()
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        psutil.wait_procs(left, timeout=20)
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        for root in self.roots():
            shutil.rmtree(root, ignore_errors=True)
