"""Settings: of a device (etc/device.toml, which provisioning writes) or of `edgeai serve --config`.

One schema for both. What a file does not say the environment may, and what neither says is the default:
`serve.http` is EDGEAI_SERVE_HTTP, which goes before the file.
"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from edgeai_runtime.address import parse_address
from edgeai_runtime.backends.execution import PROVIDERS
from edgeai_runtime.errors import InputError
from edgeai_runtime.monitor.rules import DEFAULTS, Rules, read_rules
from edgeai_runtime.paths import Paths
from edgeai_runtime.release.serving import Serving, read_serving
from edgeai_runtime.strict import NUMBERS, check_keys, hint, nearest, of_kind, within

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCHEMA = 1
PREFIX = "EDGEAI_"
COMMAND_LINE, ENVIRONMENT, DEFAULT = "command line", "environment", "default"


class Setting(NamedTuple):
    """One value at its dotted `key`. `default` None: a device's file has to say it.

    Numbers are `low` to `high`, both included; lists are of texts, of those `known` where some are.
    What it takes is judged here alone, so that `edgeai config` and `edgeai serve` say the same.
    """

    key: str
    default: Any
    kind: type
    low: float = 0.0
    high: float = 0.0
    known: Tuple[str, ...] = ()
    check: Optional[Callable[[str], object]] = None  # raises InputError for a text that cannot be used

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return PREFIX + self.key.upper().replace(".", "_")


SETTINGS = (
    Setting("name", None, str),
    Setting("class", None, str),
    Setting("line", None, str),
    Setting("depot.url", None, str),
    Setting("depot.mirrors", (), list),
    Setting("depot.rate_limit", 0.0, float, 0.0, 1e6),  # MB a second, 0 for no limit
    Setting("depot.conversions", False, bool),  # whether to take those of devices of the same fingerprint
    Setting("keep.generations", 2, int, 0, 1000),  # confirmed before the present one
    Setting("serve.http", "127.0.0.1:8080", str, check=parse_address),
    Setting("serve.threads", 0, int, 0, 256),  # of one inference; 0: as many as pay
    Setting("serve.providers", ("cpu",), list, known=tuple(PROVIDERS)),  # the first that there is runs it
    Setting("serve.cache_mb", 100.0, float, 0.0, 1e6),  # of answers, 0 for none
    Setting("serve.body_mb", 32.0, float, 0.001, 1e5),  # of one request
    Setting("serve.connections", 256, int, 1, 100_000),  # at once
    Setting("serve.certificate", "", str),  # files, for TLS with TCP clients; empty for none
    Setting("serve.key", "", str),
    Setting("serve.tokens", "", str),  # a file: what TCP clients bring; empty where they need none
)
_BY_KEY = {setting.key: setting for setting in SETTINGS}
_TABLES = ("depot", "keep", "serve")


class Value(NamedTuple):
    """A setting's value, and where it comes from: a file's path, COMMAND_LINE, ENVIRONMENT or DEFAULT."""

    value: Any
    source: str


@dataclass(frozen=True)
class Settings:
    """The settings in force, by their keys, the rules of alarms, and how bare files want to be served."""

    values: Mapping[str, Value]
    alarms: Rules = field(default_factory=lambda: DEFAULTS)
    models: Mapping[str, Serving] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Any:
        return self.values[key].value


@dataclass(frozen=True)
class Device:
    """Who this device is and where it serves. `http` is "host:port"; `threads` bounds one model, 0 for
    all cores.

    `depot_mirrors` are asked when the depot does not deliver; `depot_rate_limit` is in bytes a second,
    0 for none. `depot_conversions`: whether what another device of the same fingerprint converted is taken.
    `generations_kept` are those confirmed before the present one. `alarms`: the rules in force.
    """

    name: str
    device_class: str
    line: str
    depot_url: str
    http: str
    threads: int = 1
    providers: Tuple[str, ...] = ("cpu",)
    depot_mirrors: Tuple[str, ...] = ()
    depot_rate_limit: float = 0.0
    depot_conversions: bool = False
    generations_kept: int = 2
    alarms: Rules = field(default_factory=lambda: DEFAULTS)


def load_device(paths: Paths) -> Device:
    """The settings of this device; raises InputError for one that was not provisioned."""
    settings = read_device(paths)
    return Device(
        name=settings["name"],
        device_class=settings["class"],
        line=settings["line"],
        depot_url=settings["depot.url"].rstrip("/"),
        http=settings["serve.http"],
        threads=settings["serve.threads"],
        providers=tuple(settings["serve.providers"]),
        depot_mirrors=tuple(url.rstrip("/") for url in settings["depot.mirrors"]),
        depot_rate_limit=settings["depot.rate_limit"] * 1e6,
        depot_conversions=settings["depot.conversions"],
        generations_kept=settings["keep.generations"],
        alarms=settings.alarms,
    )


def read_device(paths: Paths) -> Settings:
    """As `read_settings`, for a device that was provisioned, which says who it is. Raises InputError."""
    path = paths.device_toml
    if not path.exists():
        raise InputError(f"{path}: this device is not provisioned; run the provision playbook for it first.")
    settings = read_settings(path)
    if settings.models:
        raise InputError(
            f"{path}: [models] is for bare files; a device serves a model as [serving] of its release says."
        )
    for key, found in settings.values.items():
        if found.value is None:
            raise InputError(f"{path}: the key '{key}' is missing; add it.")
    return settings


def read_settings(
    path: Optional[Path] = None,
    environment: Optional[Mapping[str, str]] = None,
    given: Optional[Mapping[str, Any]] = None,
) -> Settings:
    """The settings of a file, if any, of the environment and of what was `given` by its key, the last first.

    `environment` None is that of the process.

    Raises InputError for what is unknown, naming the nearest known, and for what is out of range.
    """
    data = load_toml(path) if path else {}
    if path:
        _check_tables(data, str(path))
    variables = _variables(os.environ if environment is None else environment)
    values = {}
    for setting in SETTINGS:
        found = Value(setting.default, DEFAULT)
        table, _dot, name = setting.key.rpartition(".")
        there = data.get(table, {}) if table else data
        if name in there:
            value = _checked(setting, there[name], f"{path}{f', [{table}]' if table else ''}: '{name}'")
            found = Value(value, str(path))
        if setting.key in variables:
            text = variables[setting.key]
            found = Value(_checked(setting, _parsed(setting, text), setting.variable), ENVIRONMENT)
        typed = (given or {}).get(setting.key)
        if typed is not None:
            found = Value(_checked(setting, typed, setting.key), COMMAND_LINE)
        values[setting.key] = found
    models = {}
    for name, table in data.get("models", {}).items():
        where = f"{path}, [models.{name}]"
        if not isinstance(table, dict):
            raise InputError(f"{where}: {table!r} was found, expected a table; write it as one.")
        models[name] = read_serving(table, where)
    return Settings(values, read_rules(data.get("alarms", {}), origin=str(path)), models)


def load_toml(path: Path) -> Dict[str, Any]:
    """Read a TOML file; raises InputError naming the file (and the place in it) when that fails."""
    try:
        data: Dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return data
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; check the path.") from None
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); name a file in TOML that you may read."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: this is not TOML ({error}); correct the file.") from None


def _check_tables(data: Mapping[str, Any], origin: str) -> None:
    names = [setting.key for setting in SETTINGS if "." not in setting.key]
    check_keys(data, ["schema"], [*names, *_TABLES, "alarms", "models"], origin=origin)
    if data["schema"] != SCHEMA:
        raise InputError(
            f"{origin}: schema {data['schema']!r} is unknown, expected {SCHEMA}; provision the device again, "
            "or write the file for that schema."
        )
    for table in (*_TABLES, "alarms", "models"):
        if not isinstance(data.get(table, {}), dict):
            raise InputError(f"{origin}: '{table}' is {data[table]!r}, expected a table; write [{table}].")
    for table in _TABLES:
        keys = [setting.key.partition(".")[2] for setting in SETTINGS if setting.key.startswith(f"{table}.")]
        check_keys(data.get(table, {}), [], keys, origin=f"{origin}, [{table}]")


def _variables(environment: Mapping[str, str]) -> Dict[str, str]:
    """What the environment sets, by key. Raises InputError for a variable that is nearly a setting's."""
    known = {setting.variable: setting.key for setting in SETTINGS}
    tables = [table.upper() for table in _TABLES]
    found = {}
    for variable, text in environment.items():
        if variable in known:
            found[known[variable]] = text
        elif variable.startswith(PREFIX) and nearest(variable[len(PREFIX) :].partition("_")[0], tables):
            names = [name[len(PREFIX) :] for name in known]  # the prefix is alike in all of them
            near = nearest(variable[len(PREFIX) :], names)
            told = f"did you mean '{PREFIX}{near}'?" if near else "`edgeai config` shows the settings."
            raise InputError(f"The environment's {variable} is no setting; {told}")
    return found


def _parsed(setting: Setting, text: str) -> Any:
    """What a text from the environment is, itself where it is not what is expected."""
    if setting.kind is list:
        return [part.strip() for part in text.split(",") if part.strip()]
    if setting.kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    parse: Callable[[str], Any] = setting.kind
    try:
        return parse(text)
    except ValueError:
        return text


def _checked(setting: Setting, value: Any, where: str) -> Any:
    """The value as its kind. Raises InputError."""
    of_kind(value, NUMBERS if setting.kind is float else setting.kind, where)
    if setting.kind is list:
        if not all(isinstance(part, str) for part in value):
            raise InputError(f"{where} is {value!r}, expected a list of texts; correct it.")
        unknown = [part for part in value if part not in setting.known] if setting.known else []
        if unknown:
            raise InputError(f"{where}: '{unknown[0]}' is unknown; {hint(unknown[0], setting.known)}")
        return tuple(value)
    if setting.high:
        within(value, setting.low, setting.high, where)
    if setting.check is not None:
        try:
            setting.check(value)
        except InputError as error:
            raise InputError(f"{where}: {error.message}") from None
    return setting.kind(value)


def tables_of(settings: Settings, file: str) -> Dict[str, List[Dict[str, Any]]]:
    """For people, a row for each setting, each alarm (one that is switched off has no figures) and each model
    that wants to be served in its own way. `file`: where it was read."""
    return {
        "settings": [
            {"setting": key, "value": found.value, "from": found.source, "variable": _BY_KEY[key].variable}
            for key, found in settings.values.items()
        ],
        "alarms": [
            {
                "alarm": name,
                "from": DEFAULT if settings.alarms.get(name) == DEFAULTS.get(name) else file,
                **(settings.alarms[name]._asdict() if name in settings.alarms else {"reading": "off"}),
            }
            for name in sorted({*DEFAULTS, *settings.alarms})
        ],
        "models": [
            {"model": name, "from": file, **asdict(serving)} for name, serving in settings.models.items()
        ],
    }
