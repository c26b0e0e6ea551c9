"""Run Molecule's scenarios on hosts with systemd that stand apart from this machine, as a factory does.

    tools/test_hosts.py [--limit PATTERN] [SCENARIO…]   run the scenarios (all) one after the other
    tools/test_hosts.py --shell                         a shell among the hosts, to work on a scenario

Puts in order what the scenarios need (packages, images of the hosts, a bundle), while there still is a
network, and starts Molecule by tools/apart.sh.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple

REPO = Path(__file__).resolve().parents[1]
BIN = REPO / ".venv" / "bin"
APART = str(REPO / "tools" / "apart.sh")
MOLECULE = REPO / "molecule"
WORK = REPO / ".cache" / "test-hosts"  # of this checkout: running hosts, bundle
IMAGES = Path.home() / ".cache" / "edgeai" / "test-hosts"  # of all checkouts

# What has to be there, and the Debian package that brings it.
NEEDS = {
    "podman": "podman",
    "crun": "crun",
    "/usr/lib/podman/netavark": "netavark",
    "iptables": "iptables",  # for netavark
    "nft": "nftables",  # counts what the hosts send
    "mmdebstrap": "mmdebstrap",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
    "ip": "iproute2",
}
# For hosts with another processor than this machine's, besides.
EMULATION_NEEDS = {"arch-test": "arch-test"}  # for mmdebstrap
EMULATOR = "qemu-user-binfmt"  # the package
# The first that onnxruntime is known to run in; 7.2 of Debian 12 crashes it.
OLDEST_EMULATOR = (10, 0)
# Debian releases that have a new enough one only among their backports, which they need not have set up.
BACKPORTED = {"bookworm": "deb http://deb.debian.org/debian bookworm-backports main"}
BINFMT = Path("/proc/sys/fs/binfmt_misc")

PACKAGES = "ca-certificates,dbus,iproute2,openssh-server,procps,python3,sudo,systemd,systemd-sysv"
CUSTOMIZE = (
    # The engineer's account, as a factory's installer leaves it.
    'chroot "$1" useradd --create-home --shell /bin/bash engineer',
    'echo "engineer ALL=(ALL) NOPASSWD: ALL" > "$1/etc/sudoers.d/engineer"',
    # A container has the machine's kernel: it adds no modules to it,
    'chroot "$1" systemctl mask systemd-modules-load.service',
    # and does not have it forget how to run the programs of other processors.
    'chroot "$1" systemctl mask systemd-binfmt.service proc-sys-fs-binfmt_misc.automount',
    # The hosts are watched for attempts to reach the world, and these make some by themselves.
    'chroot "$1" systemctl mask apt-daily.timer apt-daily-upgrade.timer',
)
CUSTOMIZE_EMULATED = (
    # The processor of a Raspberry Pi 4, for services and for whoever logs in. With qemu-user's own, whose
    # extensions onnxruntime uses and emulation is slowest at, one inference takes ten times as long.
    'echo QEMU_CPU=cortex-a72 >> "$1/etc/environment"',
    'mkdir "$1/etc/systemd/system.conf.d"',
    r'printf "[Manager]\nDefaultEnvironment=QEMU_CPU=cortex-a72\n"'
    ' > "$1/etc/systemd/system.conf.d/emulated.conf"',
    # What systemd asks in a way that qemu-user does not pass on; a unit that has it does not start.
    'mkdir "$1/etc/systemd/system/service.d"',
    r'printf "[Service]\nLoadCredential=\nPrivateNetwork=no\nPrivateIPC=no\nPrivateUsers=no\n"'
    ' > "$1/etc/systemd/system/service.d/emulated.conf"',
)


@dataclass(frozen=True)
class Image:
    """A Debian to boot, made by mmdebstrap out of the suite's packages."""

    suite: str
    target: str  # what its wheels must fit
    architecture: str = "amd64"

    @property
    def machine(self) -> str:
        """Its processor as the kernel calls it; Debian has another name."""
        return self.target.partition("-")[0]

    def command(self, archive: str) -> List[str]:
        """What writes it to a tar archive."""
        emulated = CUSTOMIZE_EMULATED if self.machine != platform.machine() else ()
        hooks = [f"--customize-hook={hook}" for hook in (*CUSTOMIZE, *emulated)]
        options = ["--quiet", "--variant=minbase", f"--architectures={self.architecture}"]
        return ["mmdebstrap", *options, f"--include={PACKAGES}", *hooks, self.suite, archive]

    @property
    def reference(self) -> str:
        """Its name in podman; what is made in another way has another tag."""
        recipe = hashlib.sha256(shlex.join(self.command("")).encode()).hexdigest()[:12]
        return f"localhost/edgeai-host-{self.suite}-{self.architecture}:{recipe}"


# By the names that inventories use in host_image.
KNOWN_IMAGES = {
    "debian12": Image("bookworm", "x86_64-cp311-cpu"),
    "debian13": Image("trixie", "x86_64-cp313-cpu"),
    "debian12-arm64": Image("bookworm", "aarch64-cp311-cpu", "arm64"),
}

# Only what is said here counts, not how podman is set up on this machine.
STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "{graphroot}"
runroot = "/run/containers/storage"
[storage.options]
additionalimagestores = [{others}]
"""
CONTAINERS_CONF = """\
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "crun"
[network]
network_backend = "netavark"
network_config_dir = "{work}/networks"
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shell", action="store_true", help="start a shell among the hosts instead")
    parser.add_argument("--limit", default="all", help="the hosts to use, as ansible-playbook takes it")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO")
    options = parser.parse_args()
    scenarios = options.scenarios or sorted(path.parent.name for path in MOLECULE.glob("*/molecule.yml"))

    images = {image for name in scenarios for image in images_of(name, options.limit)}
    meet_needs({KNOWN_IMAGES[name].machine for name in images})
    WORK.mkdir(parents=True, exist_ok=True)
    with (WORK / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second run on this checkout waits for the first
        build_images(images)
        make_bundle({KNOWN_IMAGES[name].target for name in images})
        if options.shell:
            return run_apart([os.environ.get("SHELL", "bash")], options.limit)
        for name in scenarios:
            status = run_apart([str(BIN / "molecule"), "test", "--scenario-name", name], options.limit)
            if status:
                return status
    return 0


def meet_needs(machines: Iterable[str]) -> None:
    """Have what hosts with these processors need; says what to type where nothing may be installed."""
    if os.geteuid() != 0:
        sys.exit("Hosts that run systemd take root; type: sudo make test-hosts")
    foreign = sorted(set(machines) - {platform.machine()})
    needs = {**NEEDS, **(EMULATION_NEEDS if foreign else {})}
    missing = [brings for need, brings in needs.items() if not (shutil.which(need) or Path(need).exists())]
    if missing:
        install(missing)
    for machine in foreign:
        emulate(machine)


def emulate(machine: str) -> None:
    """Have the kernel run the programs of another processor, wherever they lie, by qemu-user."""
    renewed = emulator_version(machine) < OLDEST_EMULATOR
    if renewed:
        install_emulator()
        found = emulator_version(machine)
        if found < OLDEST_EMULATOR:
            oldest, here = (".".join(map(str, version)) for version in (OLDEST_EMULATOR, found))
            sys.exit(
                f"Hosts with an {machine} processor are emulated by qemu-user {oldest} or newer, and this "
                f"system brings {here}; use Debian 12 or newer, or name the scenarios to run without them."
            )
    if not (BINFMT / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)], check=True)
    # With flag F of the package's rule the emulator need not be seen where the program lies; mmdebstrap looks
    # for it. Ours, the last and so the one that counts, has flag C besides, for sudo: whose rights a program
    # runs with is told by the program, not by its emulator.
    theirs = Path(f"/usr/lib/binfmt.d/qemu-{machine}.conf").read_text().strip()
    rules = {f"qemu-{machine}": theirs, f"edgeai-{machine}": theirs.replace(":qemu-", ":edgeai-", 1) + "C"}
    if renewed or not all((BINFMT / name).exists() for name in rules):
        for name, rule in rules.items():
            if (BINFMT / name).exists():
                (BINFMT / name).write_text("-1")  # it holds the emulator before, or would count instead
            (BINFMT / "register").write_text(rule)


def emulator_version(machine: str) -> Tuple[int, ...]:
    """Of the emulator that is installed; (0,) without one."""
    command = shutil.which(f"qemu-{machine}")
    if command is None:
        return (0,)
    said = subprocess.run([command, "--version"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"version (\d+)\.(\d+)", said)
    return tuple(map(int, found.groups())) if found else (0,)


def install_emulator() -> None:
    """Out of the backports where the release itself has none that is new enough."""
    told = re.search(r"^VERSION_CODENAME=(\w+)$", Path("/etc/os-release").read_text(), re.MULTILINE)
    source = BACKPORTED.get(told[1]) if told else None
    with tempfile.TemporaryDirectory() as directory:
        options = []
        if source:
            # For these calls alone: what the machine installs from stays as it is.
            Path(directory).chmod(0o755)  # apt fetches as a user of its own
            sources = Path(directory, "sources.list")
            sources.write_text(f"{source}\n")
            Path(directory, "lists", "partial").mkdir(parents=True)  # apt makes none outside of its own place
            options = [f"Dir::Etc::SourceList={sources}", "Dir::Etc::SourceParts=/dev/null"]
            options += [f"Dir::State::Lists={directory}/lists"]
        install([EMULATOR], options)


def install(packages: Sequence[str], options: Sequence[str] = ()) -> None:
    """Install Debian packages, where that is possible."""
    if shutil.which("apt-get") is None:
        sys.exit(f"The test hosts need these packages, as Debian names them: {' '.join(packages)}")
    say(f"Installing {', '.join(packages)} …")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-qq", *(f"--option={option}" for option in options)]
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        subprocess.run([*apt, *command], env=quiet, stdout=subprocess.DEVNULL, check=True)


def images_of(scenario: str, limit: str) -> List[str]:
    """The images that a scenario's hosts boot."""
    inventory = str(MOLECULE / scenario / "inventory")
    command = [str(BIN / "ansible-inventory"), "--list", "--limit", limit, "--inventory", inventory]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=REPO).stdout)
    hosts: Mapping[str, Mapping[str, Any]] = listed["_meta"]["hostvars"]
    return [str(variables["host_image"]) for variables in hosts.values() if "host_image" in variables]


def build_images(names: Iterable[str]) -> None:
    """Build those of the images that are not there yet."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **podman_settings(IMAGES, IMAGES / "store")}
    with (IMAGES / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in sorted(names):
            image = KNOWN_IMAGES[name]
            there = [APART, "podman", "image", "exists", image.reference]
            if subprocess.run(there, env=environment, check=False).returncode == 0:
                continue
            say(f"Building {name}, which the hosts boot (a few minutes, once) …")
            with tempfile.TemporaryDirectory(dir=IMAGES) as directory:
                archive = f"{directory}/host.tar"
                subprocess.run(image.command(archive), check=True)
                taken = [APART, "podman", "import", "--quiet", f"--arch={image.architecture}"]
                taken += [archive, image.reference]
                subprocess.run(taken, env=environment, stdout=subprocess.DEVNULL, check=True)


def podman_settings(directory: Path, graphroot: Path, *others: Path) -> Dict[str, str]:
    """Write podman's settings into a directory; returns the variables that name them.

    Images and containers go to `graphroot`; the images of `others` can be used.
    """
    storage, containers = directory / "storage.conf", directory / "containers.conf"
    named = ", ".join(f'"{other}"' for other in others)
    storage.write_text(STORAGE_CONF.format(graphroot=graphroot, others=named))
    containers.write_text(CONTAINERS_CONF.format(work=directory))
    (directory / "networks").mkdir(exist_ok=True)
    return {"CONTAINERS_STORAGE_CONF": str(storage), "CONTAINERS_CONF": str(containers)}


def make_bundle(targets: Iterable[str]) -> None:
    """As on the connected workstation, before anything goes into the factory."""
    variables = json.dumps({"bundle_targets": sorted(targets)})
    command = [str(BIN / "ansible-playbook"), "--inventory", str(MOLECULE / "shared" / "inventory")]
    command += ["--extra-vars", variables, str(MOLECULE / "shared" / "bundle.yml")]
    environment = {**os.environ, "EDGEAI_TEST_HOSTS": str(WORK)}
    subprocess.run(command, env=environment, cwd=REPO, check=True)


def run_apart(command: List[str], limit: str) -> int:
    """Run a command where Molecule finds its hosts; returns its exit status."""
    # What a run left that was killed: its processes and mounts are gone with it.
    shutil.rmtree(WORK / "storage", ignore_errors=True)
    shutil.rmtree(WORK / "networks", ignore_errors=True)
    images = {name: image.reference for name, image in KNOWN_IMAGES.items()}
    # A service on all addresses of this machine, which no host may reach.
    with socket.create_server(("0.0.0.0", 0)) as bait:  # noqa: S104
        environment = {
            **os.environ,
            **podman_settings(WORK, WORK / "storage", IMAGES / "store"),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "ANSIBLE_COLLECTIONS_PATH": str(REPO / ".build"),
            "MOLECULE_COMMAND_BORDERS": "false",
            "MOLECULE_GLOB": "molecule/*/molecule.yml",
            "EDGEAI_TEST_HOSTS": str(WORK),
            "EDGEAI_TEST_HOSTS_IMAGES": json.dumps(images),
            "EDGEAI_TEST_HOSTS_LIMIT": limit,
            "EDGEAI_TEST_HOSTS_BAIT": str(bait.getsockname()[1]),
        }
        return subprocess.run([APART, *command], env=environment, cwd=REPO, check=False).returncode


def say(sentence: str) -> None:
    print(sentence, flush=True)


if __name__ == "__main__":
    sys.exit(main())
