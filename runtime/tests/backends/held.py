"""Doubles that allow what a real pybind11 class allows: the same names, the same arguments, nothing else.

pybind11 writes each signature into the docstring, `set_flag(self: …, flag: tensorrt.BuilderFlag) -> None`.
A call that none of them takes fails as it would with the real class: no double drifts from what it is for.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, FrozenSet, List, NamedTuple, Sequence, Tuple

NOTHING: FrozenSet[str] = frozenset()


class Parameter(NamedTuple):
    name: str
    kind: str
    optional: bool


class Api:
    """The classes of a real module, less the names in `hidden` ("IBuilderConfig.set_memory_pool_limit")."""

    def __init__(self, module: Any, hidden: FrozenSet[str] = NOTHING) -> None:
        self.module = module
        self.hidden = hidden
        self.used: Dict[str, int] = {}  # "Builder.create_network": how often

    def hold(self, class_name: str, double: Any) -> Any:
        """The double, as an object of the real class."""
        return Held(self, class_name, double)

    def constructor(self, class_name: str, make: Callable[..., Any]) -> Callable[..., Any]:
        """What stands for the class: takes what the real one takes, gives what `make` makes of it."""
        self._real(class_name)

        def construct(*arguments: Any, **named: Any) -> Any:
            self.check(class_name, "__init__", arguments, named)
            return self.hold(class_name, make(*arguments, **named))

        return construct

    def member(self, class_name: str, name: str) -> Any:
        """The attribute of the real class. Raises AttributeError where it has none."""
        self.used[f"{class_name}.{name}"] = self.used.get(f"{class_name}.{name}", 0) + 1
        real = self._real(class_name)
        if f"{class_name}.{name}" in self.hidden or not hasattr(real, name):
            raise AttributeError(f"TensorRT's {class_name} has no '{name}' in this version")
        return getattr(real, name)

    def check(self, class_name: str, name: str, arguments: Sequence[Any], named: Dict[str, Any]) -> None:
        """Raises TypeError where no signature of the method takes the arguments."""
        found = signatures(name, self.member(class_name, name).__doc__)
        assert found, f"{class_name}.{name} tells no signature"
        refusals = [self._refusal(parameters, arguments, named) for parameters in found]
        if all(refusals):
            raise TypeError(f"{class_name}.{name}: {'; '.join(refusals)}")

    def _real(self, class_name: str) -> Any:
        return getattr(self.module, class_name)

    def _refusal(
        self, parameters: Sequence[Parameter], arguments: Sequence[Any], named: Dict[str, Any]
    ) -> str:
        """Why a signature does not take the arguments, "" where it does."""
        if len(arguments) > len(parameters):
            return f"takes {len(parameters)} arguments, got {len(arguments)}"
        given = dict(zip([parameter.name for parameter in parameters], arguments))
        if set(given) & set(named) or set(named) - {parameter.name for parameter in parameters}:
            return f"takes {[parameter.name for parameter in parameters]}, got {sorted(named)} by name"
        given.update(named)
        for parameter in parameters:
            if parameter.name not in given:
                if not parameter.optional:
                    return f"'{parameter.name}' is missing"
            elif not self._fits(parameter.kind, given[parameter.name]):
                return f"'{parameter.name}' is no {parameter.kind}: {given[parameter.name]!r}"
        return ""

    def _fits(self, kind: str, value: Any) -> bool:
        if kind in ("int", "typing.SupportsInt"):
            return isinstance(value, int) and not isinstance(value, bool)
        if kind in ("str", "bool", "tuple", "list"):
            return isinstance(value, {"str": str, "bool": bool, "tuple": tuple, "list": list}[kind])
        if kind in ("buffer", "typing_extensions.Buffer"):
            return isinstance(value, (bytes, bytearray, memoryview))
        if kind in ("object", "capsule", "typing_extensions.CapsuleType"):
            return True
        element = re.fullmatch(r"(?:List|list|collections\.abc\.Sequence)\[(.*)\]", kind)
        if element:
            return isinstance(value, (list, tuple)) and all(self._fits(element[1], one) for one in value)
        class_name = re.split(r"\.|::", kind)[-1]
        if class_name == "Dims":  # made of any sequence of sizes, in silence
            return isinstance(value, (list, tuple)) and all(isinstance(size, int) for size in value)
        if isinstance(value, Held):
            return type(self).class_of(value) == class_name
        real = getattr(self.module, class_name, None)
        return isinstance(real, type) and isinstance(value, real)

    @staticmethod
    def class_of(held: Held) -> str:
        name: str = object.__getattribute__(held, "_class_name")
        return name


class Held:
    """A double behind its real class."""

    def __init__(self, api: Api, class_name: str, double: Any) -> None:
        for name, value in (("_api", api), ("_class_name", class_name), ("_double", double)):
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        api, class_name, double = self._api, self._class_name, self._double
        real = api.member(class_name, name)
        if not hasattr(double, name):
            raise NotImplementedError(f"the double of {class_name} does not do '{name}' yet")
        if isinstance(real, property):
            return getattr(double, name)

        def call(*arguments: Any, **named: Any) -> Any:
            api.check(class_name, name, arguments, named)
            return getattr(double, name)(*arguments, **named)

        return call

    def __setattr__(self, name: str, value: Any) -> None:
        api, class_name, double = self._api, self._class_name, self._double
        real = api.member(class_name, name)
        if not isinstance(real, property) or real.fset is None:
            raise AttributeError(f"TensorRT's {class_name}.{name} cannot be set in this version")
        setattr(double, name, value)


def double_of(held: Any) -> Any:
    """What is behind, for doubles that are given one another."""
    return object.__getattribute__(held, "_double")


def signatures(name: str, doc: str) -> List[List[Parameter]]:
    """Each overload's parameters, without self."""
    found = []
    for line in doc.splitlines():
        match = re.match(rf"^(?:\d+\. )?{re.escape(name)}\((self: .*)\) -> .*$", line)
        if match:
            found.append([_parameter(text) for text in _split(match[1])[1:]])
    return found


def _parameter(text: str) -> Parameter:
    declared, optional, _default = text.partition(" = ")
    name, _colon, kind = declared.partition(": ")
    return Parameter(name, kind, bool(optional))


def _split(text: str) -> Tuple[str, ...]:
    """At the commas that are within no bracket."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "[(<") - (character in "])>")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return tuple(part.strip() for part in parts)
