"""The log format: what is written is read back, and what is wrong is named with its file, line and field."""

import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.dataset import query_hash, read_log, write_log
from scorer.errors import BadLogLine, LogUnreadable


def line(**changes: Any) -> dict[str, Any]:
    answer = {"text": "4", "quality": 1.0, "prompt_tokens": 9, "completion_tokens": 1}
    row: dict[str, Any] = {
        "dataset": "sums",
        "query_id": "q1",
        "split": "train",
        "task": "arithmetic",
        "messages": [{"role": "user", "content": "2 + 2?"}],
        "reference": "4",
        "answers": {"small": answer},
    }
    row |= changes
    return {key: value for key, value in row.items() if value is not ...}


def answer(**changes: Any) -> dict[str, Any]:
    entry = dict(line()["answers"]["small"]) | changes
    return {"small": {key: value for key, value in entry.items() if value is not ...}}


def written(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


BAD = [
    (line(dataset=...), "dataset must be a non-empty string, not missing"),
    (line(query_id=7), "query_id must be a non-empty string, not 7"),
    (line(split=3), "split must be a string or null"),
    (line(messages=[]), "messages must be a non-empty list of objects"),
    (line(messages="hello"), "messages must be a non-empty list of objects"),
    (line(messages=["hello"]), "messages[0] must be an object"),
    (line(messages=[{"content": "hello"}]), "messages[0].role must be a non-empty string"),
    (line(messages=[{"role": "user", "content": 5}]), "messages[0].content must be a string, a list of parts or null"),
    (line(tools={}), "tools must be a list of objects"),
    (line(response_format="json"), "response_format must be an object"),
    (line(answers=...), "exactly one of answers (with texts) and labels"),
    (line(labels={"small": 1}), "exactly one of answers (with texts) and labels"),
    (line(answers={}), "answers must be an object with one entry for each model"),
    (line(answers=[]), "answers must be an object, not []"),
    (line(answers=..., labels={"small": 2}), "labels.small must be a number from 0 to 1, not 2"),
    (line(answers={"small": "4"}), "answers.small must be an object, not '4'"),
    (line(answers=answer(text=...)), "answers.small.text must be a string"),
    (line(answers=answer(quality="good")), "answers.small.quality must be a number from 0 to 1, not 'good'"),
    (line(answers=answer(quality=True)), "answers.small.quality must be a number from 0 to 1, not True"),
    (line(answers=answer(quality=1.5)), "answers.small.quality must be a number from 0 to 1, not 1.5"),
    (line(answers=answer(quality=...)), "answers.small.quality must be a number from 0 to 1, not missing"),
    (line(answers=answer(prompt_tokens=-1)), "answers.small.prompt_tokens must be an integer ≥ 0, not -1"),
    (line(answers=answer(completion_tokens=1.5)), "answers.small.completion_tokens must be an integer ≥ 0, not 1.5"),
    (line(answers=answer(cached_prompt_tokens=10)), "answers.small.cached_prompt_tokens must be at most prompt_tokens"),
    (line(answers=answer(reasoning_tokens=2)), "answers.small.reasoning_tokens must be at most completion_tokens"),
    (line(answers=answer(usage_source="guess")), "answers.small.usage_source must be one of provider, counted"),
    (line(answers=answer(token_logprobs=[0.5])), "answers.small.token_logprobs[0] must be a natural log-probability"),
    (line(answers=answer(token_logprobs="x")), "answers.small.token_logprobs must be a list of numbers"),
    (line(answers=answer(latency_s=-1)), "answers.small.latency_s must be a number ≥ 0 or null"),
    (line(answers=answer(finish_reason=1)), "answers.small.finish_reason must be a string or null"),
    (line(answers=answer(proposals=[{}])), "answers.small.proposals[0].model must be a non-empty string, not missing"),
    (
        line(answers=answer(proposals=[{"model": "tiny", "prompt_tokens": 1}])),
        "answers.small.proposals[0].completion_tokens must be an integer ≥ 0, not missing",
    ),
    (line(answers=answer(tool_calls="x")), "answers.small.tool_calls must be a list of objects"),
]


@pytest.mark.parametrize(("row", "reason"), BAD, ids=[reason[:50] for _, reason in BAD])
def test_a_bad_line_is_named_with_file_line_field_and_what_would_be_right(
    tmp_path: Path, row: dict[str, Any], reason: str
) -> None:
    path = written(tmp_path / "log.jsonl", line(), row)
    with pytest.raises(BadLogLine) as caught:
        read_log([path])
    assert str(caught.value).startswith(f"{path}, line 2: ")
    assert reason in str(caught.value)


@pytest.mark.parametrize("junk", [b"{", b"[]", b"7", b'{"dataset": NaN}', b'"\xff"', b"null"])
def test_a_line_that_is_no_json_object_is_a_bad_line(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(orjson.dumps(line()) + b"\n" + junk + b"\n")
    with pytest.raises(BadLogLine, match="line 2"):
        read_log([path])
    log = read_log([path], skip_bad=True)
    assert (len(log.queries), log.n_bad) == (1, 1)


def test_lines_count_from_one_blank_lines_included(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + orjson.dumps(line()) + b"\r\n\r\n\n{\n")
    with pytest.raises(BadLogLine, match="line 4"):
        read_log([path])


def test_gzip_is_recognised_by_content_not_by_name(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(gzip.compress(orjson.dumps(line())))
    assert len(read_log([path]).queries) == 1


def test_a_file_that_is_missing_or_cut_is_unreadable_even_when_bad_lines_are_skipped(tmp_path: Path) -> None:
    with pytest.raises(LogUnreadable, match=r"nowhere\.jsonl: No such file"):
        read_log([tmp_path / "nowhere.jsonl"], skip_bad=True)
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(orjson.dumps(line()) * 500)[:-30])
    with pytest.raises(LogUnreadable, match="damaged after line"):
        read_log([cut], skip_bad=True)


def test_split_keeps_only_its_queries(tmp_path: Path) -> None:
    path = written(tmp_path / "log.jsonl", line(), line(split="dev"), line(split=None))
    assert [q.split for q in read_log([path], split="dev").queries] == ["dev"]
    assert len(read_log([path]).queries) == 3


def test_labels_without_answers_are_labels_alone(tmp_path: Path) -> None:
    (query,) = read_log([written(tmp_path / "log.jsonl", line(answers=..., labels={"a": 1, "b": 0.5}))]).queries
    assert query.answers == {}
    assert query.labels == {"a": 1.0, "b": 0.5}


@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz"])
def test_what_is_written_is_read_back_with_every_optional_field(tmp_path: Path, name: str) -> None:
    full = answer(
        text=None,
        tool_calls=[{"function": {"name": "f", "arguments": "{}"}}],
        finish_reason="tool_calls",
        token_logprobs=[-0.5, 1e-9],
        cached_prompt_tokens=3,
        cache_write_tokens=1,
        reasoning_tokens=1,
        usage_source="counted",
        latency_s=1.5,
        proposals=[
            {"model": "tiny", "prompt_tokens": 3, "completion_tokens": 2},
            {"model": "tiny#2", "prompt_tokens": 3, "completion_tokens": 4, "reasoning_tokens": 1},
        ],
    )
    rows = [
        line(answers=full, group="g", tools=[{"type": "function"}], response_format={"type": "json_object"}),
        line(answers=..., labels={"a": 0.25}, split=None, task=None, reference=None),
        line(messages=[{"role": "user", "content": [{"type": "text", "text": "日本語 😀"}]}]),
    ]
    queries = read_log([written(tmp_path / "in.jsonl", *rows)]).queries
    assert write_log(tmp_path / name, queries) == 3
    assert read_log([tmp_path / name]).queries == queries
    proposals = queries[0].answers["small"].proposals
    assert [(one.model, one.usage.completion_tokens, one.usage.reasoning_tokens) for one in proposals] == [
        ("tiny", 2, 0),
        ("tiny#2", 4, 1),
    ]
    logprobs = queries[0].answers["small"].answer.token_logprobs
    assert logprobs == (-0.5, 0.0)


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    queries = read_log([written(tmp_path / "in.jsonl", line())]).queries
    write_log(tmp_path / "a.jsonl.gz", queries)
    write_log(tmp_path / "b.jsonl.gz", queries)
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
messages = st.lists(st.dictionaries(st.text(max_size=4), json_values, max_size=3), min_size=1, max_size=3)


@given(messages)
def test_a_hash_does_not_depend_on_the_order_of_keys(asked: list[dict[str, Any]]) -> None:
    shuffled = [dict(reversed(message.items())) for message in asked]
    assert query_hash(asked) == query_hash(shuffled)


def repr_of(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{key!r}:{repr_of(value[key])}" for key in sorted(value)) + "}"
    return "[" + ",".join(map(repr_of, value)) + "]" if isinstance(value, list) else repr(value)


@given(messages, messages)
def test_different_queries_have_different_hashes(one: list[dict[str, Any]], two: list[dict[str, Any]]) -> None:
    assert (query_hash(one) == query_hash(two)) == (repr_of(one) == repr_of(two))


def test_tools_and_response_format_are_part_of_what_is_asked() -> None:
    asked = [{"role": "user", "content": "hi"}]
    hashes = {
        query_hash(asked),
        query_hash(asked, [{"type": "function"}]),
        query_hash(asked, (), {"type": "json_object"}),
    }
    assert len(hashes) == 3
    assert query_hash(asked) == query_hash(tuple(asked), (), None)
