"""Anthropic's Messages API: from a body to a chat completion request.

Knows Anthropic's fields. What chat has a field for is renamed, hints that chat has none for are left out and noted,
what would change the answer's meaning is refused by name; fields that are unknown here pass through to the model.
"""

from collections.abc import Mapping
from typing import Any

from gateway.capabilities import prompt_tokens
from gateway.dialects.anthropic.answer import render
from gateway.dialects.anthropic.blocks import Reader
from gateway.dialects.anthropic.events import MessageWriter
from gateway.dialects.chat.request import chat_request
from gateway.dialects.dialect import Asked, Dialect
from gateway.dialects.fields import (
    BOOLEAN,
    LIST_OF_STRINGS,
    NUMBER,
    OBJECT,
    POSITIVE,
    STRING,
    TYPED,
    Kind,
    between,
    check,
    is_objects,
    model_of,
    read_object,
    unsupported,
    wrong,
)

PATH = "/v1/messages"
Json = dict[str, Any]

FIELDS: Mapping[str, Kind] = {
    "max_tokens": POSITIVE,
    "temperature": NUMBER,
    "top_p": NUMBER,
    "top_k": between(0),
    "stop_sequences": LIST_OF_STRINGS,
    "stream": BOOLEAN,
    "metadata": OBJECT,
    "thinking": TYPED,
    "tool_choice": TYPED,
    "output_config": OBJECT,
    "output_format": TYPED,
    "service_tier": STRING,
    "cache_control": OBJECT,
}
HINTS = (
    "service_tier", "context_management", "inference_geo", "speed", "diagnostics", "user_profile_id", "workspace_id"
)  # fmt: skip
"""What asks for a way of serving and not for another answer, and has no word in a chat completion."""
MEANINGFUL = ("container", "mcp_servers")
_CONVERTED = frozenset(
    {"model", "stream", "system", "messages", "tools", "tool_choice", "stop_sequences", "metadata", "thinking",
     "output_config", "output_format", *HINTS, *MEANINGFUL}
)  # fmt: skip
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def parse(raw: bytes, decision_id: str) -> Asked:
    """A Messages request. Raises InvalidRequest naming the field at fault."""
    body = read_object(raw, "model, max_tokens and messages")
    model = model_of(body)
    if body.get("max_tokens") is None:
        raise wrong("max_tokens", "is required: an integer of at least 1")
    chat, dropped = to_chat(body)
    request = chat_request(
        chat,
        decision_id=decision_id,
        model=model,
        endpoint=PATH,
        stream=body.get("stream") is True,
        dropped=dropped,
    )
    stops = tuple(body.get("stop_sequences") or ())
    return Asked(
        request=request,
        render=lambda done: render(done, stops),
        writer=lambda: MessageWriter(stops, prompt_tokens(chat)),
    )


MESSAGES = Dialect(path=PATH, parse=parse, id_headers=("request-id",))


def to_chat(body: Mapping[str, Any]) -> tuple[Json, tuple[str, ...]]:
    """The chat-completions body, and the hints that it cannot hold. Raises InvalidRequest."""
    check(body, FIELDS)
    for name in MEANINGFUL:
        if body.get(name):
            raise unsupported(name, "is not supported here: no model behind this gateway can be told")
    reader = Reader()
    chat: Json = {name: value for name, value in body.items() if name not in _CONVERTED and value is not None}
    chat["messages"] = [*reader.system(body.get("system")), *reader.messages(body.get("messages"))]
    chat |= _tools(body)
    if body.get("stop_sequences"):
        chat["stop"] = list(body["stop_sequences"])
    user = (body.get("metadata") or {}).get("user_id")
    if isinstance(user, str):
        chat["user"] = user
    if (body.get("thinking") or {}).get("type", "disabled") != "disabled":
        chat["thinking"] = body["thinking"]
    chat |= _output(body)
    dropped = [*reader.dropped, *(name for name in HINTS if body.get(name))]
    return chat, tuple(dropped)


def _tools(body: Mapping[str, Any]) -> Json:
    converted: Json = {}
    tools = body.get("tools")
    if tools is not None and not is_objects(tools):
        raise wrong("tools", "must be a list of objects")
    if tools:
        converted["tools"] = [_tool(tool, f"tools[{n}]") for n, tool in enumerate(tools)]
    choice = body.get("tool_choice")
    if choice is None:
        return converted
    if choice["type"] == "tool":
        if not isinstance(choice.get("name"), str):
            raise wrong("tool_choice.name", "is required: the name of the tool")
        converted["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}}
    elif choice["type"] in _CHOICES:
        converted["tool_choice"] = _CHOICES[choice["type"]]
    else:
        raise wrong("tool_choice.type", f"must be one of {', '.join((*_CHOICES, 'tool'))}")
    if choice.get("disable_parallel_tool_use") is not None:
        converted["parallel_tool_calls"] = not choice["disable_parallel_tool_use"]
    return converted


def _tool(tool: Mapping[str, Any], where: str) -> Json:
    if tool.get("type") not in (None, "custom"):
        said = (
            f"{str(tool['type'])[:60]!r} runs on Anthropic's servers and is not supported here; describe it as a tool"
        )
        raise unsupported(f"{where}.type", said)
    name, described, schema = tool.get("name"), tool.get("description"), tool.get("input_schema")
    if not isinstance(name, str) or not name:
        raise wrong(f"{where}.name", "is required: a string")
    if not isinstance(described, str | None):
        raise wrong(f"{where}.description", "must be a string")
    if not isinstance(schema, dict):
        raise wrong(f"{where}.input_schema", "is required: a JSON Schema")
    function: Json = {"name": name, "parameters": schema}
    if described is not None:
        function["description"] = described
    if isinstance(tool.get("strict"), bool):
        function["strict"] = tool["strict"]
    hints = {"cache_control": tool["cache_control"]} if isinstance(tool.get("cache_control"), dict) else {}
    return {"type": "function", "function": function, **hints}


def _output(body: Mapping[str, Any]) -> Json:
    """``output_format``, or its newer place ``output_config.format``, and ``output_config.effort``."""
    config = body.get("output_config") or {}
    converted: Json = {}
    effort, shape = config.get("effort"), config.get("format") or body.get("output_format")
    if effort is not None:
        if not isinstance(effort, str):
            raise wrong("output_config.effort", "must be a string")
        converted["reasoning_effort"] = effort
    if shape is not None:
        if (
            not isinstance(shape, dict)
            or shape.get("type") != "json_schema"
            or not isinstance(shape.get("schema"), dict)
        ):
            raise wrong("output_config.format", "must be an object with type json_schema and a schema")
        converted["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "output", "schema": shape["schema"], "strict": True},
        }
    return converted
