"""Input items of OpenAI's Responses API as chat messages.

Knows both shapes. Items that only OpenAI's own servers can make sense of are refused by name. Reasoning that is handed
back is told the model if it came from here; otherwise, say sealed by another server, it is left out and noted.
"""

from collections.abc import Mapping
from typing import Any

from gateway.dialects.fields import is_typed, unsupported, wrong
from gateway.dialects.responses.reasoning import thought_of

Json = dict[str, Any]
_ROLES = ("user", "assistant", "system", "developer")
_CALLS = ("function_call", "custom_tool_call")
_OUTPUTS = ("function_call_output", "custom_tool_call_output")


def messages_of(items: Any) -> tuple[list[Json], tuple[str, ...]]:
    """The messages, and the names of hints that were left out. Raises InvalidRequest naming the place at fault."""
    if isinstance(items, str):
        return [{"role": "user", "content": items}], ()
    if not isinstance(items, list) or not items:
        raise wrong("input", "is required: a string or a list of at least one item")
    messages: list[Json] = []
    dropped: dict[str, None] = {}
    thoughts: list[Json] = []  # they belong to what the assistant says or calls next
    for n, item in enumerate(items):
        where = f"input[{n}]"
        if not isinstance(item, dict):
            raise wrong(where, "must be an object")
        kind = item.get("type", "message")
        if kind == "reasoning":
            thought = thought_of(item)
            thoughts += [thought] if thought else []
            dropped |= {} if thought else {"reasoning": None}
            continue
        _add(messages, item, where)
        if thoughts and messages[-1]["role"] == "assistant":
            messages[-1].setdefault("thinking_blocks", []).extend(thoughts)
        elif thoughts:
            dropped["reasoning"] = None
        thoughts = []
    if not messages:
        raise wrong("input", "has nothing that a model could answer")
    return messages, (*dropped, *(("reasoning",) if thoughts and "reasoning" not in dropped else ()))


def _add(messages: list[Json], item: Mapping[str, Any], where: str) -> None:
    kind = item.get("type", "message")
    if kind == "message":
        messages.append(_message(item, where))
    elif kind in _CALLS:
        _add_call(messages, _call(item, where))
    elif kind in _OUTPUTS:
        messages.append(_output(item, where))
    else:
        known = ", ".join(("message", *_CALLS, *_OUTPUTS, "reasoning"))
        raise unsupported(f"{where}.type", f"{str(kind)[:60]!r} is not supported here; there are {known}")


def _message(item: Mapping[str, Any], where: str) -> Json:
    role = item.get("role")
    if role not in _ROLES:
        raise wrong(f"{where}.role", f"must be one of {', '.join(_ROLES)}")
    return {"role": role, **_content(item.get("content"), f"{where}.content", assistant=role == "assistant")}


def _content(content: Any, where: str, *, assistant: bool) -> Json:
    if isinstance(content, str):
        return {"content": content}
    if not isinstance(content, list):
        raise wrong(where, "must be a string or a list of content parts")
    parts: list[Json] = []
    refusal = ""
    for n, part in enumerate(content):
        place = f"{where}[{n}]"
        if not is_typed(part):
            raise wrong(place, "must be an object with a type")
        if assistant and part["type"] == "refusal":
            refusal += _text(part, "refusal", place)
        else:
            parts.append(_part(part, place))
    said: Any = parts
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:  # a plain text is a string, as every server knows it
        said = parts[0]["text"]
    if refusal:
        return {"content": said or None, "refusal": refusal}
    return {"content": said if parts else ""}


def _part(part: Mapping[str, Any], where: str) -> Json:
    match part["type"]:
        case "input_text" | "output_text" | "text":
            return {"type": "text", "text": _text(part, "text", where)}
        case "input_image":
            return {"type": "image_url", "image_url": _image(part, where)}
        case "input_file":
            return {"type": "file", "file": _file(part, where)}
        case "input_audio":
            audio = part.get("input_audio")
            if not isinstance(audio, dict):
                raise wrong(f"{where}.input_audio", "must be an object with data and format")
            return {"type": "input_audio", "input_audio": audio}
        case other:
            raise unsupported(
                f"{where}.type",
                f"{other[:60]!r} is not supported here; there are input_text, input_image, input_file and input_audio",
            )


def _image(part: Mapping[str, Any], where: str) -> Json:
    if part.get("file_id") is not None:
        raise unsupported(f"{where}.file_id", "is not supported here: no files are kept; send the image_url")
    image: Json = {"url": _text(part, "image_url", where)}
    return image if part.get("detail") is None else image | {"detail": _text(part, "detail", where)}


def _file(part: Mapping[str, Any], where: str) -> Json:
    for name in ("file_id", "file_url"):
        if part.get(name) is not None:
            raise unsupported(f"{where}.{name}", "is not supported here; send the file itself as file_data")
    file: Json = {"file_data": _text(part, "file_data", where)}
    return file if part.get("filename") is None else file | {"filename": _text(part, "filename", where)}


def _call(item: Mapping[str, Any], where: str) -> Json:
    call: Json = {"id": _text(item, "call_id", where)}
    name = _text(item, "name", where)
    if item["type"] == "function_call":
        return call | {"type": "function", "function": {"name": name, "arguments": _text(item, "arguments", where)}}
    return call | {"type": "custom", "custom": {"name": name, "input": _text(item, "input", where)}}


def _add_call(messages: list[Json], call: Json) -> None:
    """Calls that follow one another, or a text, are one message in a chat."""
    last = messages[-1] if messages else {}
    if last.get("role") == "assistant":
        last.setdefault("tool_calls", []).append(call)
    else:
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})


def _output(item: Mapping[str, Any], where: str) -> Json:
    called = _text(item, "call_id", where)
    return {
        "role": "tool",
        "tool_call_id": called,
        **_content(item.get("output"), f"{where}.output", assistant=False),
    }


def _text(item: Mapping[str, Any], name: str, where: str) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise wrong(f"{where}.{name}", "must be a string")
    return value
