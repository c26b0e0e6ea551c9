"""Where things lie on a device, below one root ("/" on a factory device)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Tuple


@dataclass(frozen=True)
class Paths:
    """All paths of one device. `root` may be any directory: whole fleets fit on one machine."""

    root: Path

    @property
    def opt(self) -> Path:
        return self.root / "opt" / "edgeai"

    @property
    def var(self) -> Path:
        return self.root / "var" / "lib" / "edgeai"

    @property
    def etc(self) -> Path:
        return self.root / "etc" / "edgeai"

    @property
    def run(self) -> Path:
        return self.root / "run" / "edgeai"

    @property
    def bin(self) -> Path:
        return self.opt / "bin"

    @property
    def store(self) -> Path:
        return self.opt / "store"

    @property
    def envs(self) -> Path:
        return self.opt / "envs"

    @property
    def generations(self) -> Path:
        return self.opt / "generations"

    @property
    def current(self) -> Path:
        return self.opt / "current"

    @property
    def conversions(self) -> Path:
        return self.opt / "conversions"

    @property
    def state(self) -> Path:
        return self.var / "state.json"

    @property
    def journal(self) -> Path:
        return self.var / "journal.jsonl"

    @property
    def taken_back(self) -> Path:
        return self.var / "taken_back.json"

    @property
    def alarms(self) -> Path:
        return self.var / "alarms" / "alarms.json"

    @property
    def jobs(self) -> Path:
        return self.var / "jobs"

    @property
    def tuning(self) -> Path:
        return self.var / "tuning" / "tuning.json"

    @property
    def trust(self) -> Path:
        return self.var / "trust"

    @property
    def lock(self) -> Path:
        return self.var / "device.lock"

    @property
    def root_json(self) -> Path:
        return self.etc / "root.json"

    @property
    def depot_ca(self) -> Path:
        return self.etc / "depot-ca.pem"

    @property
    def device_toml(self) -> Path:
        return self.etc / "device.toml"

    @property
    def service_files(self) -> Tuple[Path, Path, Path]:
        """Tokens, certificate and key of the service; those that are there are used."""
        return (self.etc / "tokens", self.etc / "service.crt", self.etc / "service.key")

    @property
    def control(self) -> Path:
        return self.run / "keeper.sock"

    @property
    def http(self) -> Path:
        return self.run / "http.sock"

    def generation(self, number: int) -> Path:
        return self.generations / str(number)

    def environment(self, digest: str) -> Path:
        return self.envs / digest
