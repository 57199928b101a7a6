"""Anthropic's messages and content blocks as chat messages and parts.

Knows both shapes. What a chat completion cannot say is refused by the name of the field, or, where it is a hint only,
left out and noted.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gateway.dialects.fields import unsupported, wrong
from gateway.json_bytes import encode

Json = dict[str, Any]
_REASONING = ("thinking", "redacted_thinking")


class Reader:
    """Reads the messages of one request. dropped : the hints that were left out so far, by name."""

    def __init__(self) -> None:
        self.dropped: dict[str, None] = {}  # a set that keeps its order

    def system(self, system: Any) -> Iterator[Json]:
        """The system prompt as a message, if there is one."""
        if system is None or system == "":
            return
        if not isinstance(system, str | list):
            raise wrong("system", "must be a string or a list of text blocks")
        yield {"role": "system", "content": self._parts(system, "system", {"text": self._text})}

    def messages(self, messages: Any) -> Iterator[Json]:
        """The conversation. Raises InvalidRequest naming the place at fault."""
        if not isinstance(messages, list) or not messages:
            raise wrong("messages", "is required: a list of at least one message")
        for n, message in enumerate(messages):
            where = f"messages[{n}]"
            if not isinstance(message, dict):
                raise wrong(where, "must be an object with role and content")
            role, content = message.get("role"), message.get("content")
            if role not in ("user", "assistant", "system"):
                raise wrong(f"{where}.role", "must be user, assistant or system")
            if not isinstance(content, str | list):
                raise wrong(f"{where}.content", "must be a string or a list of content blocks")
            if isinstance(content, str):
                yield {"role": role, "content": content}
            elif role == "system":
                yield {"role": role, "content": self._parts(content, f"{where}.content", {"text": self._text})}
            elif role == "user":
                yield from self._user(content, f"{where}.content")
            else:
                yield self._assistant(content, f"{where}.content")

    def _user(self, blocks: list[Any], where: str) -> Iterator[Json]:
        said: list[Any] = []
        places: list[int] = []
        for n, block in enumerate(blocks):
            if _type(block, f"{where}[{n}]") == "tool_result":  # the results come first, as chat wants them
                yield self._tool_result(block, f"{where}[{n}]")
            else:
                said.append(block)
                places.append(n)
        if said or not blocks:
            yield {"role": "user", "content": self._parts(said, where, self._of_users, places)}

    def _assistant(self, blocks: list[Any], where: str) -> Json:
        said: list[Any] = []
        places: list[int] = []
        calls: list[Json] = []
        thoughts: list[Json] = []
        for n, block in enumerate(blocks):
            kind = _type(block, f"{where}[{n}]")
            if kind == "tool_use":
                calls.append(_tool_use(block, f"{where}[{n}]"))
            elif kind in _REASONING:
                thoughts.append(_thought(block, f"{where}[{n}]"))
            else:
                said.append(block)
                places.append(n)
        content = self._parts(said, where, {"text": self._text}, places) if said else None
        message: Json = {"role": "assistant", "content": content}
        if thoughts:
            message["thinking_blocks"] = thoughts
        if calls:
            message["tool_calls"] = calls
        return message

    def _tool_result(self, block: Mapping[str, Any], where: str) -> Json:
        name, content = block.get("tool_use_id"), block.get("content")
        if not isinstance(name, str) or not name:
            raise wrong(f"{where}.tool_use_id", "is required: the id of the tool_use block that this answers")
        if not isinstance(content, str | list | None):
            raise wrong(f"{where}.content", "must be a string or a list of content blocks")
        if block.get("is_error"):
            self.dropped["is_error"] = None
        said = self._parts(content or "", f"{where}.content", self._of_users)
        return {"role": "tool", "tool_call_id": name, "content": said, **_hints(block)}

    @property
    def _of_users(self) -> Mapping[str, Callable[[Mapping[str, Any], str], Json]]:
        return {
            "text": self._text,
            "image": self._image,
            "document": self._document,
            "search_result": self._search_result,
        }

    def _parts(
        self,
        content: str | list[Any],
        where: str,
        readers: Mapping[str, Callable[[Mapping[str, Any], str], Json]],
        places: list[int] | None = None,
    ) -> Any:
        """A string, or content parts; one plain text is a string, as every server knows it."""
        if isinstance(content, str):
            return content
        parts = []
        for n, block in enumerate(content):
            place = f"{where}[{n if places is None else places[n]}]"
            read = readers.get(_type(block, place))
            if read is None:
                known = ", ".join((*readers, "tool_use" if len(readers) == 1 else "tool_result"))
                raise unsupported(f"{place}.type", f"{block['type'][:60]!r} is not supported here; there are {known}")
            parts.append({**read(block, place), **_hints(block)})
        if not parts:
            return ""
        plain = len(parts) == 1 and parts[0].keys() == {"type", "text"} and parts[0]["type"] == "text"
        return parts[0]["text"] if plain else parts

    def _text(self, block: Mapping[str, Any], where: str) -> Json:
        text = block.get("text")
        if not isinstance(text, str):
            raise wrong(f"{where}.text", "must be a string")
        if block.get("citations"):
            self.dropped["citations"] = None
        return {"type": "text", "text": text}

    def _image(self, block: Mapping[str, Any], where: str) -> Json:
        kind, source = _source(block, where, ("base64", "url"))
        url = source["url"] if kind == "url" else f"data:{source['media_type']};base64,{source['data']}"
        return {"type": "image_url", "image_url": {"url": url}}

    def _document(self, block: Mapping[str, Any], where: str) -> Json:
        kind, source = _source(block, where, ("base64", "text"))
        if (block.get("citations") or {}) not in ({}, {"enabled": False}):
            self.dropped["citations"] = None
        title, context = block.get("title"), block.get("context")
        if kind == "text":
            heading = "\n".join(line for line in (title, context) if isinstance(line, str) and line)
            return {"type": "text", "text": f"{heading}\n\n{source['data']}" if heading else source["data"]}
        if context:
            self.dropped["context"] = None
        name = title if isinstance(title, str) and title else "document.pdf"
        return {
            "type": "file",
            "file": {"filename": name, "file_data": f"data:{source['media_type']};base64,{source['data']}"},
        }

    def _search_result(self, block: Mapping[str, Any], where: str) -> Json:
        content = self._parts(_list(block.get("content"), f"{where}.content"), f"{where}.content", {"text": self._text})
        texts = [content] if isinstance(content, str) else [part["text"] for part in content]
        head = [block.get(name) for name in ("title", "source") if isinstance(block.get(name), str)]
        return {"type": "text", "text": "\n".join([*map(str, head), *texts])}


def _tool_use(block: Mapping[str, Any], where: str) -> Json:
    name, used = block.get("id"), block.get("name")
    if not isinstance(name, str) or not isinstance(used, str):
        raise wrong(where, "must have an id and a name")
    asked = block.get("input")
    if not isinstance(asked, dict):
        raise wrong(f"{where}.input", "must be an object")
    call = {"id": name, "type": "function", "function": {"name": used, "arguments": encode(asked).decode()}}
    return call | _hints(block)


def _thought(block: Mapping[str, Any], where: str) -> Json:
    kind = block["type"]
    names = ("thinking", "signature") if kind == "thinking" else ("data",)
    for name in names:
        if not isinstance(block.get(name), str):
            raise wrong(f"{where}.{name}", "must be a string")
    return {"type": kind, **{name: block[name] for name in names}}


def _source(block: Mapping[str, Any], where: str, kinds: tuple[str, ...]) -> tuple[str, Mapping[str, Any]]:
    source = block.get("source")
    kind = source.get("type") if isinstance(source, dict) else None
    if not isinstance(source, dict) or not isinstance(kind, str):
        raise wrong(f"{where}.source", "must be an object with a type")
    if kind not in kinds:
        raise unsupported(f"{where}.source.type", f"{kind[:60]!r} is not supported here; there are {', '.join(kinds)}")
    needed = {"base64": ("media_type", "data"), "url": ("url",), "text": ("data",)}[kind]
    for name in needed:
        if not isinstance(source.get(name), str):
            raise wrong(f"{where}.source.{name}", "must be a string")
    return kind, source


def _hints(block: Mapping[str, Any]) -> Json:
    cached = block.get("cache_control")
    return {"cache_control": cached} if isinstance(cached, dict) else {}


def _type(block: Any, where: str) -> str:
    if not isinstance(block, dict) or not isinstance(block.get("type"), str):
        raise wrong(where, "must be an object with a type")
    return str(block["type"])


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise wrong(where, "must be a list of text blocks")
    return value
