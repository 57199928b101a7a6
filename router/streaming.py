"""Between a whole chat.completion and its chat.completion.chunks: put together, and taken apart.

Pure functions on the wire format's dicts. Knows no network, no backend and no score. Unknown fields survive both ways.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from router.errors import BrokenStream

Json = dict[str, Any]

_WHOLE = frozenset({"role", "id", "type", "name", "format"})
"""Texts of a delta that come in one piece; some servers repeat them with every delta. Other texts come in pieces."""


class _Text(list[str]):
    """A text in the pieces that have come: joined once, so that many small pieces stay cheap."""


class Assembly:
    """A chat.completion in the making.

    >>> assembly = Assembly()
    >>> for chunk in split({"id": "c", "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}}]}):
    ...     assembly.add(chunk)
    >>> assembly.body()["choices"][0]["message"]["content"]
    'hi'
    """

    def __init__(self) -> None:
        self._top: Json = {}
        self._choices: dict[int, Json] = {}
        self._tools: dict[int, dict[int, Json]] = {}

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Take one chat.completion.chunk in. Raises BrokenStream where it is none."""
        for key, value in chunk.items():
            if key == "choices":
                continue
            if value is not None or key not in self._top:
                fixed = key in ("id", "created") and self._top.get(key)
                self._top[key] = self._top[key] if fixed else value  # usage may come twice: the last one counts
        choices = chunk.get("choices")
        if choices is not None and not isinstance(choices, list):
            raise BrokenStream("a chunk's choices are not a list")
        for choice in choices or ():
            self._add_choice(choice)

    @property
    def usage(self) -> Mapping[str, Any] | None:
        """The latest usage object that a chunk carried, unread."""
        usage = self._top.get("usage")
        return usage if isinstance(usage, Mapping) else None

    @property
    def finished(self) -> bool:
        """Whether there is a choice and every one has its finish_reason."""
        return bool(self._choices) and all(choice.get("finish_reason") for choice in self._choices.values())

    def body(self) -> Json:
        """The chat.completion so far."""
        choices = []
        for index in sorted(self._choices):
            choice = _plain(self._choices[index])
            if self._tools.get(index):
                calls = self._tools[index]
                choice["message"]["tool_calls"] = [_plain(calls[place]) for place in sorted(calls)]
            choices.append(choice)
        return {**self._top, "object": "chat.completion", "choices": choices}

    def _add_choice(self, choice: Any) -> None:
        index = choice.get("index", 0) if isinstance(choice, Mapping) else None
        delta = choice.get("delta") or {} if isinstance(choice, Mapping) else None
        if not isinstance(index, int) or not isinstance(delta, Mapping):
            raise BrokenStream("a chunk's choice has no index or no delta")
        calls = delta.get("tool_calls")
        if not isinstance(calls, list | None):
            raise BrokenStream("a delta's tool_calls are not a list")
        state = self._choices.setdefault(
            index, {"index": index, "message": {"role": "assistant", "content": None}, "finish_reason": None}
        )
        rest = {key: value for key, value in choice.items() if key not in ("index", "delta", "message")}
        _merge(state, rest, in_pieces=False)
        _merge(state["message"], {key: value for key, value in delta.items() if key != "tool_calls"}, in_pieces=True)
        if "tool_calls" in delta and not calls:
            state["message"].setdefault("tool_calls", calls)
        for call in calls or ():
            self._add_tool_call(index, call)

    def _add_tool_call(self, choice: int, call: Any) -> None:
        if not isinstance(call, Mapping):
            raise BrokenStream("a tool call's delta is not an object")
        calls = self._tools.setdefault(choice, {})
        place = call.get("index")
        if not isinstance(place, int):  # some servers leave it out: a new id is a new call
            last = max(calls, default=-1)
            known = last >= 0 and call.get("id") in (None, "", calls[last].get("id"))
            place = last if known else last + 1
        state = calls.setdefault(place, {})
        _merge(state, {key: value for key, value in call.items() if key != "index"}, in_pieces=True)


def split(body: Mapping[str, Any], *, usage: bool = True) -> list[Json]:
    """The chunks of a whole chat.completion: for each choice the role, the content, the calls, the end; then the usage.

    usage : whether the last chunk tells the usage (with empty ``choices``), if the body has one.
    ``Assembly`` makes the same body of them again.
    """
    top = {key: value for key, value in body.items() if key not in ("choices", "usage")}
    top["object"] = "chat.completion.chunk"
    choices = enumerate(body.get("choices") or ())
    chunks = [{**top, "choices": [piece]} for place, choice in choices for piece in _pieces(choice, place)]
    if usage and body.get("usage") is not None:
        chunks.append({**top, "choices": [], "usage": body["usage"]})
    return chunks


def says_something(chunk: Mapping[str, Any]) -> bool:
    """Whether a chunk has more than the announcement of a role: text, a call, an end."""
    return any(
        choice.get("finish_reason") or any(value for key, value in (choice.get("delta") or {}).items() if key != "role")
        for choice in chunk.get("choices") or ()
    )


def _pieces(choice: Mapping[str, Any], place: int) -> list[Json]:
    index = choice.get("index")
    index = index if isinstance(index, int) else place  # whole answers are not refused for what nobody reads in them
    message: Mapping[str, Any] = choice.get("message") or {}
    content, calls = message.get("content"), message.get("tool_calls")
    extras = {key: value for key, value in message.items() if key not in ("role", "content", "tool_calls")}
    if "tool_calls" in message and not calls:
        extras["tool_calls"] = calls
    end = {key: value for key, value in choice.items() if key not in ("index", "message", "finish_reason")}
    opening = {"role": message.get("role", "assistant"), "content": "" if isinstance(content, str) else None}
    pieces: list[Json] = [{"delta": opening}]
    if extras:
        pieces.append({"delta": extras})
    if content:
        pieces.append({"delta": {"content": content}})
        if "logprobs" in end:
            pieces[-1]["logprobs"] = end.pop("logprobs")
    if calls:
        pieces.append({"delta": {"tool_calls": _indexed(calls)}})
    pieces.append({"delta": {}, **end, "finish_reason": choice.get("finish_reason")})
    return [{"index": index, "finish_reason": None, **piece} for piece in pieces]


def _indexed(calls: Sequence[Mapping[str, Any]]) -> list[Json]:
    return [{"index": place, **call} for place, call in enumerate(calls)]


def _merge(into: Json, delta: Mapping[str, Any], *, in_pieces: bool) -> None:
    """Add a delta to what has come. in_pieces : whether texts are to be joined, else the later one stands."""
    for key, piece in delta.items():
        had = into.get(key)
        if piece is None:
            into.setdefault(key, None)
        elif isinstance(piece, str) and in_pieces and key not in _WHOLE:
            if isinstance(had, _Text):
                had.append(piece)
            else:
                into[key] = _Text([piece])
        elif isinstance(piece, Mapping):
            if not isinstance(had, dict):
                had = into[key] = {}
            _merge(had, piece, in_pieces=in_pieces)
        elif isinstance(piece, list) and isinstance(had, list) and not isinstance(had, _Text):
            had.extend(piece)
        elif isinstance(piece, list):
            into[key] = list(piece)
        elif piece or not had:  # an empty id or name after a full one says nothing
            into[key] = piece


def _plain(value: Any) -> Any:
    if isinstance(value, _Text):
        return "".join(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def said(chunk: Mapping[str, Any]) -> str:
    """What a chunk brings of an answer: text, refusals, reasoning and arguments of tools."""
    choices = chunk.get("choices")
    if not isinstance(choices, list):
        return ""
    return "".join(_said(choice.get("delta")) for choice in choices if isinstance(choice, Mapping))


def _said(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "".join(_said(part) for name, part in value.items() if name not in ("role", "id", "type"))
    return "".join(map(_said, value)) if isinstance(value, list) else ""
