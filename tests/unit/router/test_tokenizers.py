"""Tokens are counted by the model's own vocabulary, without a network, and what cannot be counted is said to be so."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import TokenizerError
from router.tokenizers import (
    ENCODINGS,
    MOST_BYTES,
    Counted,
    count_answer,
    count_prompt,
    count_text,
    known_encoding,
    load_tokenizer,
)

HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "hello there"}]}


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4o-mini", "o200k_base"),
        ("openai/gpt-4.1", "o200k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("claude-sonnet-4-5", None),
        ("llama-3.1-8b", None),
    ],
)
def test_a_model_is_counted_by_its_own_vocabulary_or_by_none(model: str, encoding: str | None) -> None:
    assert known_encoding(model) == encoding


@pytest.mark.parametrize("name", ENCODINGS)
def test_the_vocabularies_come_along(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiktoken.load.read_file", lambda url: pytest.fail(f"fetches {url}"))
    assert load_tokenizer(name).count("hello there") == 2


def test_what_a_chat_adds_is_counted() -> None:
    tokenizer = load_tokenizer("o200k_base")
    # OpenAI's worked example: three a message, the role, the text, and three that begin the reply
    assert count_prompt(HELLO, tokenizer) == Counted(tokens=3 + 1 + 2 + 3, exact=True)
    named = {"messages": [{"role": "user", "name": "ann", "content": [{"type": "text", "text": "hello there"}]}]}
    assert count_prompt(named, tokenizer) == Counted(tokens=3 + 1 + 1 + 1 + 2 + 3, exact=True)
    assert count_prompt({"input": ["hello there", "hello"]}, tokenizer) == Counted(tokens=3, exact=True)


def test_what_is_not_known_to_be_exact_is_not_called_so() -> None:
    tokenizer = load_tokenizer("o200k_base")
    tools = count_prompt(HELLO | {"tools": [{"type": "function", "function": {"name": "f"}}]}, tokenizer)
    assert tools is not None
    assert (tools.exact, tools.tokens > 15) == (False, True)
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    seen = count_prompt({"messages": [{"role": "user", "content": [picture]}]}, tokenizer)
    assert seen is not None
    assert (seen.exact, seen.tokens < 2_000) == (False, True)  # a picture's bytes are no text
    called = {"message": {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}}
    assert count_answer({"choices": [called]}, tokenizer) == Counted(
        tokens=tokenizer.count('[{"function":{"name":"f","arguments":"{}"}}]'), exact=False
    )
    assert count_text("x" * (MOST_BYTES + 1), tokenizer) is None
    assert count_prompt({"input": [1, 2]}, tokenizer) is None


def test_a_vocabulary_of_ones_own_is_a_file(tmp_path: Path) -> None:
    words = {"hello": 0, "there": 1, "?": 2}
    model = {"type": "WordLevel", "vocab": words, "unk_token": "?"}
    own = tmp_path / "tokenizer.json"
    own.write_text(json.dumps({"version": "1.0", "model": model, "pre_tokenizer": {"type": "Whitespace"}}))
    tokenizer = load_tokenizer(str(own))
    assert tokenizer.count("hello there hello") == 3
    counted = count_prompt(HELLO, tokenizer)
    assert counted is not None
    assert not counted.exact  # what its chat template adds is not known
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(TokenizerError, match=r"bad\.json: is no tokenizer\.json"):
        load_tokenizer(str(tmp_path / "bad.json"))


@given(st.text(max_size=200))
def test_there_are_never_more_tokens_than_bytes(text: str) -> None:
    for name in ENCODINGS:
        assert load_tokenizer(name).count(text) <= len(text.encode())


def test_litellm_brings_what_is_counted_with() -> None:
    assert find_spec("litellm") is not None
