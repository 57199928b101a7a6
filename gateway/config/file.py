"""Reads a YAML configuration file into plain values and remembers on which line each stands.

Knows YAML and ``${NAME}`` / ``${NAME:-default}`` in values. Does not know what any field means.
"""

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gateway.errors import ConfigError, Problem

FieldPath = tuple[str | int, ...]
Finding = tuple[FieldPath, str]
"""A field that is wrong, and what is wrong with it."""

_VARIABLE = re.compile(
    r"\$\$(?=\{)|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|\$\{(?P<bad>[^}]*)\}?"
)


@dataclass(slots=True)
class ConfigFile:
    """A parsed file: its values, and for every field path the line and the text as written (before expansion)."""

    path: Path
    values: Any = None
    lines: dict[FieldPath, int] = field(default_factory=dict)
    written: dict[FieldPath, str] = field(default_factory=dict)

    def problem(self, where: FieldPath, message: str) -> Problem:
        """A problem at a field, or at the nearest enclosing field that is written down."""
        line = next((self.lines[where[:n]] for n in range(len(where), -1, -1) if where[:n] in self.lines), None)
        return Problem(file=self.path, line=line, field=dotted(where), message=message)


def dotted(where: FieldPath) -> str:
    """``("models", 1, "base_url")`` as ``models[1].base_url``."""
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def closest(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` where a known name is near, else which names there are."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known here: {', '.join(names)}" if names else "; there are none"


def read_config(path: Path, *, env: Mapping[str, str] | None = None, need_env: bool = True) -> ConfigFile:
    """Parse the file and expand variables of the environment in its values.

    need_env : with False a variable that is not set stays as written, for commands that call no provider.
    Raises ConfigError: unreadable file, broken YAML, a field written twice, a variable that is not set.
    """
    file = ConfigFile(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            [file.problem((), "there is no such file; `spillway init` writes one, --config names one")]
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([file.problem((), f"cannot be read as UTF-8 text: {error}")]) from None
    try:
        loader = yaml.SafeLoader(text)
    except yaml.YAMLError as error:  # a character that YAML does not know
        raise ConfigError([file.problem((), f"is not YAML: {' '.join(str(error).split())}")]) from None
    try:
        root = loader.get_single_node()
        reader = _Reader(file, loader, os.environ if env is None else env, need_env)
        file.values = None if root is None else reader.value(root, ())
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_broken(file, error)]) from None
    except yaml.YAMLError as error:
        raise ConfigError([file.problem((), f"is not YAML: {error}")]) from None
    except RecursionError:
        raise ConfigError([file.problem((), "is nested too deeply")]) from None
    finally:
        loader.dispose()
    if reader.problems:
        raise ConfigError(reader.problems)
    return file


def _broken(file: ConfigFile, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    said = ", ".join(part for part in (error.context, error.problem) if part)
    return Problem(file=file.path, line=mark.line + 1 if mark else None, field="", message=f"is not YAML: {said}")


class _Reader:
    """Walks the node tree, because only nodes know their lines."""

    def __init__(self, file: ConfigFile, loader: yaml.SafeLoader, env: Mapping[str, str], need_env: bool) -> None:
        self.file, self.loader, self.env, self.need_env = file, loader, env, need_env
        self.problems: list[Problem] = []
        self._open: list[yaml.Node] = []

    def value(self, node: yaml.Node, where: FieldPath) -> Any:
        self.file.lines.setdefault(where, node.start_mark.line + 1)
        if any(node is outer for outer in self._open):
            self.problems.append(self.file.problem(where, "an alias contains itself"))
            return None
        self._open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, where)
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*where, n)) for n, item in enumerate(node.value)]
            return self._scalar(node, where)
        finally:
            self._open.pop()

    def _mapping(self, node: yaml.MappingNode, where: FieldPath) -> dict[str, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            name = str(key.value)
            if name in seen and name != "<<":
                self.file.lines[(*where, name)] = key.start_mark.line + 1
                message = f"is written twice, first on line {seen[name]}; keep one of the two"
                self.problems.append(self.file.problem((*where, name), message))
            seen.setdefault(name, key.start_mark.line + 1)
        self.loader.flatten_mapping(node)  # merges `<<`
        values: dict[str, Any] = {}
        for key, item in node.value:
            name = str(key.value)
            self.file.lines[(*where, name)] = key.start_mark.line + 1
            values[name] = self.value(item, (*where, name))
        return values

    def _scalar(self, node: yaml.Node, where: FieldPath) -> Any:
        if not isinstance(node.value, str):
            return node.value
        self.file.written[where] = node.value
        if "${" in node.value:
            return _VARIABLE.sub(lambda match: self._variable(match, where), node.value)
        try:
            return self.loader.construct_object(node)
        except yaml.MarkedYAMLError:
            raise
        except Exception:  # noqa: BLE001  whatever YAML's own readings of dates and numbers stumble on
            kind = str(node.tag).rpartition(":")[2]
            self.problems.append(self.file.problem(where, f"cannot be read as {kind}; put it in quotes"))
            return None

    def _variable(self, match: re.Match[str], where: FieldPath) -> str:
        if match[0] == "$$":
            return "$"
        if match["bad"] is not None:
            right = "${NAME} or ${NAME:-default}, or $${ for a literal ${"
            self.problems.append(self.file.problem(where, f"{match[0]} is no variable; write {right}"))
            return match[0]
        name, default = match["name"], match["default"]
        value = self.env.get(name)
        if value:
            return value
        if default is not None:
            return default
        if self.need_env:
            state = "is empty" if value == "" else "is not set"
            message = f"the environment variable {name} {state}; set it, or write ${{{name}:-default}}"
            self.problems.append(self.file.problem(where, message))
        return match[0]
