"""Counting tokens where an upstream did not: by the model's own vocabulary, with what a chat adds around the texts.

OpenAI's vocabularies come with litellm, so that nothing is fetched; any other is a ``tokenizer.json`` at hand.
Knows vocabularies and OpenAI's wire format. Knows no price, and never counts by another model's vocabulary.
"""

import functools
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
import tiktoken
from tiktoken.model import encoding_name_for_model

from router.errors import TokenizerError

ENCODINGS = {
    "cl100k_base": "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken",
    "o200k_base": "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken",
}
"""The vocabularies that come along, by the addresses that tiktoken would fetch them from."""

MOST_BYTES = 512 * 1024
"""Longer texts are not counted: it would hold everything else up for too long."""

_PER_MESSAGE, _PER_NAME, _PER_REPLY = 3, 1, 3  # as OpenAI states it for its chat models
_PER_PICTURE = 1_500  # of a large one; the size is not looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenizer:
    """A vocabulary. count : the tokens of a text.   chat : whether OpenAI's rule for what a chat adds holds for it."""

    name: str
    count: Callable[[str], int]
    chat: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """exact : everything that the model read or wrote was there to be counted, in a way that is known."""

    tokens: int
    exact: bool


def known_encoding(model: str) -> str | None:
    """The vocabulary of a model of OpenAI's, with or without its provider before the name; None for others."""
    try:
        name = encoding_name_for_model(model.rpartition("/")[2])
    except KeyError:
        return None
    return name if name in ENCODINGS else None


def load_tokenizer(name: str) -> Tokenizer:
    """One of ENCODINGS, or that in a ``tokenizer.json``. Takes a second. Raises TokenizerError."""
    return _encoding(name) if name in ENCODINGS else _file(name)


def count_prompt(body: Mapping[str, Any], tokenizer: Tokenizer) -> Counted | None:
    """Of a chat completion's body, or of an embedding's; None where it is too long to be counted."""
    if "messages" not in body:
        given = body.get("input")
        listed = given if isinstance(given, list) else [given]
        strings = [text for text in listed if isinstance(text, str)]
        return _sum(strings, tokenizer, exact=True) if len(strings) == len(listed) else None
    messages = [message for message in body.get("messages") or () if isinstance(message, Mapping)]
    pictures = sum(part.get("type") == "image_url" for message in messages for part in _parts(message))
    hidden = [body[name] for name in ("tools", "functions", "response_format") if body.get(name)]
    texts = [*(text for message in messages for text in _read(message)), *map(_json, hidden)]
    plain = all(_is_plain(message) for message in messages)
    counted = _sum(texts, tokenizer, exact=tokenizer.chat and plain and not hidden)
    if counted is None:
        return None
    around = _PER_REPLY + sum(_PER_MESSAGE + _PER_NAME * ("name" in message) for message in messages)
    return Counted(tokens=counted.tokens + around + pictures * _PER_PICTURE, exact=counted.exact)


def count_answer(body: Mapping[str, Any], tokenizer: Tokenizer) -> Counted | None:
    """Of a chat.completion; reasoning that is not shown cannot be counted, and calls of tools only about."""
    texts, exact = [], True
    choices = body.get("choices")
    for choice in choices if isinstance(choices, Sequence) and not isinstance(choices, str) else ():
        message = choice.get("message") if isinstance(choice, Mapping) else None
        if not isinstance(message, Mapping):
            continue
        spoken = [message.get(name) for name in ("content", "refusal", "reasoning_content", "reasoning")]
        texts += [text for text in spoken if isinstance(text, str)]
        if message.get("tool_calls"):
            texts.append(_json(message["tool_calls"]))
            exact = False
    return _sum(texts, tokenizer, exact=exact)


def count_text(text: str, tokenizer: Tokenizer) -> Counted | None:
    """Of what was heard of an answer."""
    return _sum([text], tokenizer, exact=True)


def _sum(texts: Sequence[str], tokenizer: Tokenizer, *, exact: bool) -> Counted | None:
    if sum(map(len, texts)) > MOST_BYTES:
        return None
    try:
        return Counted(tokens=sum(map(tokenizer.count, texts)), exact=exact)
    except (UnicodeError, ValueError):  # half a surrogate pair, which no upstream takes
        return None


def _read(message: Mapping[str, Any]) -> Iterator[str]:
    for name in ("role", "name", "content"):
        if isinstance(message.get(name), str):
            yield message[name]
    for part in _parts(message):
        if isinstance(part.get("text"), str):
            yield part["text"]
    if message.get("tool_calls"):
        yield _json(message["tool_calls"])


def _parts(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = message.get("content")
    return [part for part in content if isinstance(part, Mapping)] if isinstance(content, list) else []


def _is_plain(message: Mapping[str, Any]) -> bool:
    return not message.get("tool_calls") and all(part.get("type") == "text" for part in _parts(message))


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()


@functools.cache
def _encoding(name: str) -> Tokenizer:
    spec = find_spec("litellm")
    folder = Path(spec.origin).parent / "litellm_core_utils" / "tokenizers" if spec and spec.origin else Path()
    if not (folder / hashlib.sha1(ENCODINGS[name].encode(), usedforsecurity=False).hexdigest()).is_file():
        raise TokenizerError(f"{name}: the vocabulary did not come with litellm")
    before = os.environ.get("TIKTOKEN_CACHE_DIR")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)  # else tiktoken fetches it over the network
    try:
        encoding = tiktoken.get_encoding(name)
    except Exception as error:
        raise TokenizerError(f"{name}: {error}") from error
    finally:
        if before is None:
            del os.environ["TIKTOKEN_CACHE_DIR"]
        else:
            os.environ["TIKTOKEN_CACHE_DIR"] = before
    return Tokenizer(name=name, count=lambda text: len(encoding.encode_ordinary(text)), chat=True)


@functools.cache
def _file(name: str) -> Tokenizer:
    from tokenizers import Tokenizer as Vocabulary  # noqa: PLC0415  for those only who name a file

    try:
        vocabulary = Vocabulary.from_file(name)
    except Exception as error:  # it raises bare ones
        raise TokenizerError(f"{name}: is no tokenizer.json: {error}") from error
    return Tokenizer(
        name=name, count=lambda text: len(vocabulary.encode(text, add_special_tokens=False).ids), chat=False
    )
