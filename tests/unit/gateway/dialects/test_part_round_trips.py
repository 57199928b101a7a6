"""Pictures, files, sound, tools' results, formats and reasoning survive the way between dialects that know them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.anthropic.answer import render as as_message
from gateway.dialects.anthropic.request import to_chat as of_messages
from gateway.dialects.responses.answer import Echo
from gateway.dialects.responses.answer import render as as_response
from gateway.dialects.responses.request import to_chat as of_responses
from tests.fuzzing import cases
from tests.unit.gateway.dialects.bodies import completion
from tests.unit.gateway.dialects.test_round_trips import texts

Json = dict[str, Any]
base64 = st.from_regex(r"[A-Za-z0-9+/]{4,12}", fullmatch=True)
text_parts = texts.map(lambda text: {"type": "text", "text": text})
urls = st.just("https://example.org/a.png") | base64.map(lambda data: f"data:image/png;base64,{data}")
image_parts = urls.map(lambda url: {"type": "image_url", "image_url": {"url": url}})
file_parts = st.tuples(texts, base64).map(
    lambda named: {
        "type": "file",
        "file": {"filename": named[0], "file_data": f"data:application/pdf;base64,{named[1]}"},
    }
)
sound_parts = base64.map(lambda data: {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}})
parts = text_parts | image_parts | file_parts


def contents(part: st.SearchStrategy[Json]) -> st.SearchStrategy[Any]:
    """A text, or parts that are not one plain text, which is the same."""
    lists = st.lists(part, min_size=1, max_size=4).filter(lambda made: len(made) > 1 or made[0]["type"] != "text")
    return texts | lists


def said_in_responses(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [_in_responses(part) for part in content]


def _in_responses(part: Json) -> Json:
    match part["type"]:
        case "text":
            return {"type": "input_text", "text": part["text"]}
        case "image_url":
            return {"type": "input_image", "image_url": part["image_url"]["url"]}
        case "file":
            return {"type": "input_file", **part["file"]}
        case _:
            return part


def said_in_messages(content: Any) -> Any:
    return content if isinstance(content, str) else [_in_messages(part) for part in content]


def _in_messages(part: Json) -> Json:
    if part["type"] == "text":
        return part
    if part["type"] == "file":
        source = _base64(part["file"]["file_data"])
        return {"type": "document", "title": part["file"]["filename"], "source": source}
    url = part["image_url"]["url"]
    return {"type": "image", "source": _base64(url) if url.startswith("data:") else {"type": "url", "url": url}}


def _base64(url: str) -> Json:
    kind, _, data = url.removeprefix("data:").partition(";base64,")
    return {"type": "base64", "media_type": kind, "data": data}


@cases(100)
@given(contents(parts))
def test_what_a_user_shows(content: Any) -> None:
    asked = [{"role": "user", "content": content}]
    chat, dropped = of_responses({"model": "m", "input": [{"role": "user", "content": said_in_responses(content)}]})
    assert (chat["messages"], dropped) == (asked, ())
    turns = [{"role": "user", "content": said_in_messages(content)}]
    chat, dropped = of_messages({"model": "m", "max_tokens": 1, "messages": turns})
    assert (chat["messages"], dropped) == (asked, ())


@cases(100)
@given(contents(parts | sound_parts), st.sampled_from(["auto", "low", "high"]))
def test_sound_and_a_picture_s_detail_which_responses_knows(content: Any, detail: str) -> None:
    items = said_in_responses(content)
    for said, told in zip(items, content, strict=True) if isinstance(content, list) else ():
        if said["type"] == "input_image":
            said["detail"] = told["image_url"]["detail"] = detail
    chat, dropped = of_responses({"model": "m", "input": [{"role": "user", "content": items}]})
    assert (chat["messages"], dropped) == ([{"role": "user", "content": content}], ())


@cases(100)
@given(st.lists(contents(text_parts | image_parts), min_size=1, max_size=3), st.none() | texts)
def test_what_tools_found(results: list[Any], then: str | None) -> None:
    """Several calls at once, their results, and perhaps a word of the user's after them."""
    calls: list[Json] = [
        {"id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for n in range(len(results))
    ]
    found = [{"role": "tool", "tool_call_id": f"c{n}", "content": content} for n, content in enumerate(results)]
    after = [] if then is None else [{"role": "user", "content": then}]
    asked = [
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        *found,
        *after,
    ]
    items: list[Json] = [
        {"role": "user", "content": "u"},
        *({"type": "function_call", "call_id": call["id"], **call["function"]} for call in calls),
        *(
            {"type": "function_call_output", "call_id": f"c{n}", "output": said_in_responses(content)}
            for n, content in enumerate(results)
        ),
        *after,
    ]
    chat, dropped = of_responses({"model": "m", "input": items})
    assert (chat["messages"], dropped) == (asked, ())
    used = [{"type": "tool_use", "id": call["id"], "name": "f", "input": {}} for call in calls]
    answers = [
        {"type": "tool_result", "tool_use_id": f"c{n}", "content": said_in_messages(content)}
        for n, content in enumerate(results)
    ]
    words = [] if then is None else [{"type": "text", "text": then}]
    turns = [
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": used},
        {"role": "user", "content": [*answers, *words]},
    ]
    chat, dropped = of_messages({"model": "m", "max_tokens": 1, "messages": turns})
    assert (chat["messages"], dropped) == (asked, ())


@cases(100)
@given(st.sampled_from(["low", "medium", "high"]), texts, st.booleans())
def test_the_form_of_the_answer_and_the_effort(effort: str, name: str, strict: bool) -> None:
    schema = {"type": "object", "properties": {name: {"type": "string"}}}
    form: Json = {"name": "output", "schema": schema, "strict": strict}
    chat, dropped = of_responses(
        {
            "model": "m",
            "input": "u",
            "text": {"format": {"type": "json_schema", **form}},
            "reasoning": {"effort": effort},
        }
    )
    assert (chat["response_format"], chat["reasoning_effort"]) == ({"type": "json_schema", "json_schema": form}, effort)
    assert dropped == ()
    spoken = {"format": {"type": "json_schema", "schema": schema}, "effort": effort}
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "u"}], "output_config": spoken}
    chat, dropped = of_messages(body)
    always: Json = {"type": "json_schema", "json_schema": form | {"strict": True}}  # Anthropic's are
    assert (chat["response_format"], chat["reasoning_effort"], dropped) == (always, effort, ())


thoughts = st.lists(
    st.tuples(texts, texts).map(lambda told: {"type": "thinking", "thinking": told[0], "signature": told[1]})
    | texts.map(lambda data: {"type": "redacted_thinking", "data": data}),
    max_size=3,
)


@cases(100)
@given(thoughts, st.booleans(), st.booleans())
def test_reasoning_is_handed_back_with_what_it_led_to(blocks: list[Json], speaks: bool, calls: bool) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message: Json = {"role": "assistant", "content": "said" if speaks or not calls else None}
    message |= {"tool_calls": [call]} if calls else {}
    told = completion(
        {"choices": [{"index": 0, "message": message | {"thinking_blocks": blocks}, "finish_reason": "stop"}]}
    )
    expected = message | ({"thinking_blocks": blocks} if blocks else {})
    output = as_response(told, Echo({}))["output"]
    chat, dropped = of_responses({"model": "m", "input": [{"role": "user", "content": "u"}, *output]})
    assert (chat["messages"][1:], dropped) == ([expected], ())
    said = as_message(told, ())
    turns = [{"role": "user", "content": "u"}, {"role": said["role"], "content": said["content"]}]
    chat, dropped = of_messages({"model": "m", "max_tokens": 1, "messages": turns})
    assert (chat["messages"][1:], dropped) == ([expected], ())


def test_reasoning_without_a_signature_is_handed_back_too() -> None:
    message = {"role": "assistant", "content": "42", "reasoning_content": "six times seven"}
    told = completion({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
    items = [{"role": "user", "content": "u"}, *as_response(told, Echo({}))["output"]]
    chat, dropped = of_responses({"model": "m", "input": items})
    assert chat["messages"][1]["thinking_blocks"] == [
        {"type": "thinking", "thinking": "six times seven", "signature": ""}
    ]
    assert dropped == ()


@pytest.mark.parametrize(
    "item",
    [
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA-another-server's"},
        {"type": "reasoning", "summary": [], "encrypted_content": None},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "s"}]},
    ],
)
def test_reasoning_from_elsewhere_is_left_out_and_named(item: Json) -> None:
    items = [{"role": "user", "content": "u"}, item, {"role": "assistant", "content": "42"}]
    chat, dropped = of_responses({"model": "m", "input": items})
    assert chat["messages"][1] == {"role": "assistant", "content": "42"}
    assert dropped == ("reasoning",)


def test_reasoning_that_led_to_nothing_is_left_out_and_named() -> None:
    thought = {"type": "reasoning", "content": [], "encrypted_content": "spillway.redacted:x"}
    for after in ([], [{"role": "user", "content": "w"}]):
        chat, dropped = of_responses({"model": "m", "input": [{"role": "user", "content": "u"}, thought, *after]})
        assert chat["messages"] == [{"role": "user", "content": "u"}, *after]
        assert dropped == ("reasoning",)
