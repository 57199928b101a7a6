"""What a request needs of a model, and whether a model has it.

Knows the wire format's fields that not every model understands, and how to guess a prompt's length without a
tokenizer. Chooses nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.json_bytes import encode
from router.hints import Hint, without_hints

_TOKENS_PER_MESSAGE = 4
_TOKENS_PER_IMAGE = 700  # between OpenAI's low and high detail for a photo
_BYTES_PER_TOKEN = 4  # of English; other scripts have more bytes a character and about as many a token
_NEEDED_BY_PART = {"image_url": "vision", "input_audio": "audio", "file": "documents"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """capabilities : words as in the settings (tools, vision, …).   prompt_tokens : a guess, on the low side.
    output_tokens : what the client asks for at most, 0 if it does not say.
    serves : words or vectors.   choices : how many answers at once."""

    capabilities: frozenset[str]
    prompt_tokens: int
    output_tokens: int
    serves: str = "chat"
    choices: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a model is said to be able to do; None is unknown and therefore trusted.

    alone : nobody else says what it cannot do: asked by its own name it refuses here, and not upstream.
    """

    capabilities: frozenset[str] | None = None
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    hints: frozenset[Hint] = frozenset()
    serves: str = "chat"
    alone: bool = False

    def dropped(self, body: Mapping[str, Any]) -> tuple[str, ...]:
        """The hints of a request that this model is not told, by the names of their fields."""
        return without_hints(body, self.hints)[1]

    def why_not(self, needs: Needs, lacks: frozenset[str] = frozenset()) -> str | None:
        """Why this model cannot serve such a request; None if it can.   lacks : what it was seen to do without."""
        if needs.serves != self.serves:
            return f"serves {self.serves}"
        missing = needs.capabilities - self.capabilities if self.capabilities is not None else None
        if missing:
            return f"has no {' and no '.join(sorted(missing))}"
        failing = needs.capabilities & lacks | ({"n"} & lacks if needs.choices > 1 else frozenset())
        if failing:
            return f"was seen to do without {' and '.join(sorted(failing))}"
        if self.max_output_tokens is not None and needs.output_tokens > self.max_output_tokens:
            return f"writes at most {self.max_output_tokens} tokens"
        whole = needs.prompt_tokens + needs.output_tokens
        if self.context_tokens is not None and whole > self.context_tokens:
            return f"holds {self.context_tokens} tokens, and this takes about {whole}"
        return None


def needs_of(body: Mapping[str, Any]) -> Needs:
    """What a chat completion body needs, or one of an embedding."""
    if "messages" not in body and "input" in body:
        return Needs(capabilities=frozenset(), prompt_tokens=0, output_tokens=0, serves="embeddings")
    messages: Sequence[Mapping[str, Any]] = body.get("messages") or ()
    parts = list(_parts(messages))
    needed = {_NEEDED_BY_PART[part["type"]] for part in parts if part.get("type") in _NEEDED_BY_PART}
    if body.get("tools") or body.get("functions") or any(message.get("role") == "tool" for message in messages):
        needed.add("tools")
    if (body.get("response_format") or {}).get("type") == "json_schema":
        needed.add("json_schema")
    if body.get("logprobs"):
        needed.add("logprobs")
    texts = [message["content"] for message in messages if isinstance(message.get("content"), str)]
    texts += [part["text"] for part in parts if isinstance(part.get("text"), str)]
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    images = sum(part.get("type") == "image_url" for part in parts)
    return Needs(
        capabilities=frozenset(needed),
        prompt_tokens=size // _BYTES_PER_TOKEN + len(messages) * _TOKENS_PER_MESSAGE + images * _TOKENS_PER_IMAGE,
        output_tokens=body.get("max_completion_tokens") or body.get("max_tokens") or 0,
        choices=body.get("n") or 1,
    )


def prompt_tokens(body: Mapping[str, Any]) -> int:
    """About how many tokens everything that becomes prompt has, tools and past calls included; at least 1."""
    calls = [call for message in body.get("messages") or () for call in message.get("tool_calls") or ()]
    size = len(encode({"tools": body.get("tools") or [], "calls": calls})) - len(encode({"tools": [], "calls": []}))
    return max(1, needs_of(body).prompt_tokens + size // _BYTES_PER_TOKEN)


def _parts(messages: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for message in messages:
        if isinstance(message.get("content"), list):
            yield from message["content"]
