"""Tools, their choice and the output's format: Responses' flat shapes as chat's nested ones."""

from collections.abc import Mapping
from typing import Any

from gateway.dialects.fields import is_objects, is_typed, unsupported, wrong

Json = dict[str, Any]
_FUNCTION = ("name", "description", "parameters", "strict")
_CUSTOM = ("name", "description", "format")


def tools_of(tools: Any) -> list[Json]:
    """Raises InvalidRequest for a tool that is none, or that only OpenAI's own servers run."""
    if not is_objects(tools) or not all(map(is_typed, tools)):
        raise wrong("tools", "must be a list of objects with a type")
    return [_tool(tool, f"tools[{n}]") for n, tool in enumerate(tools)]


def choice_of(choice: Any) -> Any:
    """``tool_choice``. Raises InvalidRequest."""
    if isinstance(choice, str):
        return choice
    if not is_typed(choice):
        raise wrong("tool_choice", "must be a string or an object with a type")
    kind = choice["type"]
    if kind == "allowed_tools":
        tools = choice.get("tools")
        if not is_objects(tools) or not all(map(is_typed, tools)):
            raise wrong("tool_choice.tools", "must be a list of objects with a type")
        named = [_named(tool, f"tool_choice.tools[{n}]") for n, tool in enumerate(tools)]
        return {"type": kind, kind: {"mode": choice.get("mode", "auto"), "tools": named}}
    return _named(choice, "tool_choice")


def format_of(text: Mapping[str, Any]) -> Json:
    """``text.format`` as ``response_format``, ``text.verbosity`` as ``verbosity``. Raises InvalidRequest."""
    converted: Json = {}
    if text.get("verbosity") is not None:
        if not isinstance(text["verbosity"], str):
            raise wrong("text.verbosity", "must be a string")
        converted["verbosity"] = text["verbosity"]
    shape = text.get("format")
    if shape is None:
        return converted
    if not is_typed(shape):
        raise wrong("text.format", "must be an object with a type")
    if shape["type"] == "json_schema":
        if not isinstance(shape.get("name"), str) or not isinstance(shape.get("schema"), dict):
            raise wrong("text.format", "must have a name and a schema")
        inner = {name: value for name, value in shape.items() if name != "type" and value is not None}
        converted["response_format"] = {"type": "json_schema", "json_schema": inner}
    elif shape["type"] == "json_object":
        converted["response_format"] = {"type": "json_object"}
    elif shape["type"] != "text":
        raise unsupported("text.format.type", "must be text, json_object or json_schema")
    return converted


def _named(choice: Mapping[str, Any], where: str) -> Json:
    kind = choice["type"]
    if kind not in ("function", "custom"):
        raise unsupported(f"{where}.type", f"{kind[:60]!r} is not supported here; there are function and custom")
    if not isinstance(choice.get("name"), str):
        raise wrong(f"{where}.name", "is required: the name of the tool")
    return {"type": kind, kind: {"name": choice["name"]}}


def _tool(tool: Mapping[str, Any], where: str) -> Json:
    kind = tool["type"]
    if kind not in ("function", "custom"):
        said = f"{kind[:60]!r} runs on OpenAI's servers and is not supported here; there are function and custom"
        raise unsupported(f"{where}.type", said)
    if not isinstance(tool.get("name"), str) or not tool["name"]:
        raise wrong(f"{where}.name", "is required: a string")
    if not isinstance(tool.get("parameters") or {}, dict):
        raise wrong(f"{where}.parameters", "must be a JSON Schema")
    names = _FUNCTION if kind == "function" else _CUSTOM
    return {"type": kind, kind: {name: tool[name] for name in names if tool.get(name) is not None}}
