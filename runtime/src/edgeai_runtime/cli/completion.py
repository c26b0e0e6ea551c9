"""What a shell needs to complete the words of a command, read off its parser."""

from __future__ import annotations

import argparse
from typing import Dict, Iterator, List, NamedTuple, Tuple

SHELLS = ("bash", "zsh")

_SCRIPT = """\
_{name}() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" command="" word words="" options=""
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "$command $word" in
            {steps}) command="${{command:+$command }}$word" ;;
        esac
    done
    case "$command" in
{cases}
    esac
    [[ $current == -* ]] && words="$options"
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _{name} {name}"""
_FOR_ZSH = "autoload -U +X compinit bashcompinit && compinit && bashcompinit\n"


class _Command(NamedTuple):
    path: str  # its words, such as "alarms show"; empty for what goes before the first
    words: List[str]
    options: List[str]


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """To be sourced by `shell`. Where no word of the command's fits, files are offered."""
    commands = list(_commands(parser, ""))
    steps = [f'"{command.path} {word}"' for command in commands for word in command.words]
    cases = [
        f'        "{path}") words="{" ".join(words)}" options="{" ".join(options)}" ;;'
        for path, words, options in commands
    ]
    text = _SCRIPT.format(name=parser.prog, steps="|".join(steps), cases="\n".join(cases))
    return (_FOR_ZSH if shell == "zsh" else "") + text


def _commands(parser: argparse.ArgumentParser, path: str) -> Iterator[_Command]:
    below, options = _parts(parser)
    yield _Command(path, list(below), options)
    for word, command in below.items():
        yield from _commands(command, f"{path} {word}".strip())


def _parts(parser: argparse.ArgumentParser) -> Tuple[Dict[str, argparse.ArgumentParser], List[str]]:
    """The commands below, and the options. argparse has no public way to ask for either."""
    below: Dict[str, argparse.ArgumentParser] = {}
    options: List[str] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            below.update(action.choices)
        options += [option for option in action.option_strings if option.startswith("--")]
    return below, options
