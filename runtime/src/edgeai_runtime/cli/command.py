"""What a command is: its words, its arguments, and one function, whose result is a dict."""

from __future__ import annotations

import argparse
import dataclasses
from functools import partial
from typing import Any, Callable, Dict, Iterable, NamedTuple, Tuple

from edgeai_runtime.paths import Paths

Progress = Callable[[str], None]
Result = Dict[str, Any]
Run = Callable[[argparse.Namespace, Paths, Progress], Result]
Argument = Callable[["argparse._ActionsContainer"], object]  # adds itself to a parser, or a part of one


class Command(NamedTuple):
    """`words` as they are typed, such as "alarms show"."""

    words: str
    help: str
    arguments: Tuple[Argument, ...]
    run: Run
    on_device: bool  # the device's owner does it, for whom the depot's CA is the device's
    as_root: bool  # root stays root: apt takes it, or the owner must not change what it writes
    step: bool  # changes the device, and is a step in its journal also where it failed

    def add_to(self, words: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        """Parsed as this, what was typed has `command`."""
        parser = words.add_parser(self.words.rpartition(" ")[2], help=self.help, description=self.help)
        parser.set_defaults(command=self)
        _add(self.arguments, parser)


class Family(NamedTuple):
    """Commands with the same first word."""

    word: str
    help: str
    commands: Tuple[Command, ...]
    arguments: Tuple[Argument, ...] = ()

    def add_to(self, words: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        parser = words.add_parser(self.word, help=self.help)
        _add(self.arguments, parser)
        below = parser.add_subparsers(metavar="COMMAND", required=True)
        for command in self.commands:
            command.add_to(below)


def command(
    words: str,
    help_: str,
    *arguments: Argument,
    on_device: bool = False,
    as_root: bool = False,
    step: bool = False,
) -> Callable[[Run], Command]:
    """Make the function below a command."""
    return lambda run: Command(words, help_, arguments, run, on_device, as_root, step)


on_device = partial(command, on_device=True)
step = partial(on_device, step=True)


def argument(*names: str, **options: Any) -> Argument:
    """What argparse's `add_argument` takes."""
    return lambda parser: parser.add_argument(*names, **options)


def one_of(*arguments: Argument, required: bool = False) -> Argument:
    """Arguments of which one at most may be given."""
    return lambda parser: _add(arguments, parser.add_mutually_exclusive_group(required=required))


def titled(title: str, *arguments: Argument) -> Argument:
    """Arguments below a title of their own in the help."""
    return lambda parser: _add(arguments, parser.add_argument_group(title))


def _add(arguments: Iterable[Argument], parser: argparse._ActionsContainer) -> None:
    for add in arguments:
        add(parser)


def as_dict(result: Any) -> Result:
    """A result dataclass (or dict) as what JSON can say."""
    return dataclasses.asdict(result) if dataclasses.is_dataclass(result) else dict(result)  # type: ignore[arg-type]
