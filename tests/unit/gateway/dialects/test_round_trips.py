"""What two dialects can both express survives the way from the one to the other and back."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.anthropic.answer import render as as_message
from gateway.dialects.anthropic.request import to_chat as of_messages
from gateway.dialects.responses.answer import Echo
from gateway.dialects.responses.answer import render as as_response
from gateway.dialects.responses.request import to_chat as of_responses
from tests.fuzzing import cases
from tests.unit.gateway.dialects.bodies import completion

Json = dict[str, Any]
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
objects = st.dictionaries(names, st.integers(-5, 5) | texts | st.booleans() | st.lists(texts, max_size=2), max_size=3)
calls = st.lists(st.tuples(names, objects), max_size=3).map(
    lambda made: [
        {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": json.dumps(asked)}}
        for n, (name, asked) in enumerate(made)
    ]
)


@st.composite
def answers(draw: st.DrawFn) -> Json:
    """An assistant's message: a text, calls, or both."""
    called = draw(calls)
    said = draw(texts if not called else st.none() | texts)
    return {"role": "assistant", "content": said} | ({"tool_calls": called} if called else {})


def asked(message: Json) -> Json:
    """The message with its calls' arguments as values: JSON may be spelt in several ways."""
    told = dict(message)
    if told.get("tool_calls"):
        told["tool_calls"] = [
            {**call, "function": {**call["function"], "arguments": json.loads(call["function"]["arguments"])}}
            for call in told["tool_calls"]
        ]
    return told


def answered(message: Json) -> Any:
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    return completion({"choices": [{"index": 0, "message": message, "finish_reason": finish}]})


@cases(100)
@given(answers())
def test_an_answer_handed_back_as_responses_items_is_the_same_message(message: Json) -> None:
    output = as_response(answered(message), Echo({}))["output"]
    chat, dropped = of_responses({"model": "m", "input": [{"role": "user", "content": "u"}, *output]})
    assert dropped == ()
    assert asked(chat["messages"][1]) == asked(message)
    assert len(chat["messages"]) == 2


@cases(100)
@given(answers())
def test_an_answer_handed_back_as_anthropic_blocks_is_the_same_message(message: Json) -> None:
    said = as_message(answered(message), ())
    turns = [{"role": "user", "content": "u"}, {"role": said["role"], "content": said["content"]}]
    chat, dropped = of_messages({"model": "m", "max_tokens": 1, "messages": turns})
    assert dropped == ()
    assert asked(chat["messages"][1]) == asked(message)
    assert said["stop_reason"] == ("tool_use" if message.get("tool_calls") else "end_turn")


@cases(100)
@given(answers())
def test_both_ways_tell_the_same_calls_and_text(message: Json) -> None:
    """Responses' items and Anthropic's blocks of one answer say the same, in the same order."""
    items = as_response(answered(message), Echo({}))["output"]
    blocks = as_message(answered(message), ())["content"]
    of_items = [
        ("call", item["call_id"], item["name"], json.loads(item["arguments"]))
        if item["type"] == "function_call"
        else ("text", item["content"][0]["text"])
        for item in items
    ]
    of_blocks = [
        ("call", block["id"], block["name"], block["input"]) if block["type"] == "tool_use" else ("text", block["text"])
        for block in blocks
    ]
    assert of_items == of_blocks


@st.composite
def requests(draw: st.DrawFn) -> Json:
    """A chat request of what all three dialects have words for."""
    tools: list[Json] = [
        {"type": "function", "function": {"name": f"{name}{n}", "parameters": {"type": "object"}} | described}
        for n, name in enumerate(draw(st.lists(names, max_size=2)))
        for described in [draw(st.just({}) | texts.map(lambda text: {"description": text}))]
    ]
    messages = draw(st.lists(texts.map(lambda text: {"role": "user", "content": text}) | answers(), max_size=4))
    system = draw(st.none() | texts)
    body: Json = {
        "messages": [
            *([{"role": "system", "content": system}] if system else []),
            {"role": "user", "content": draw(texts)},
            *messages,
        ],
        "max_tokens": draw(st.integers(1, 9999)),
    }
    body |= {"temperature": draw(st.floats(0, 1))} if draw(st.booleans()) else {}
    body |= {"top_p": draw(st.floats(0, 1))} if draw(st.booleans()) else {}
    if tools:
        body["tools"] = tools
        named = {"type": "function", "function": {"name": tools[0]["function"]["name"]}}
        body["tool_choice"] = draw(st.sampled_from(["auto", "required", "none", named]))
        body["parallel_tool_calls"] = draw(st.booleans())
    return body


def spoken_as_responses(body: Json) -> Json:
    told: Json = {name: body[name] for name in ("temperature", "top_p", "parallel_tool_calls") if name in body}
    items: list[Json] = []
    for message in body["messages"]:
        if message["role"] == "system":
            told["instructions"] = message["content"]
        elif message["content"] is not None:
            kind = "output_text" if message["role"] == "assistant" else "input_text"
            items.append({"role": message["role"], "content": [{"type": kind, "text": message["content"]}]})
        called = message.get("tool_calls") or ()
        items += [{"type": "function_call", "call_id": call["id"], **call["function"]} for call in called]
    choice = body.get("tool_choice")
    told |= (
        {"tool_choice": {"type": "function", **choice["function"]} if isinstance(choice, dict) else choice}
        if choice
        else {}
    )
    told |= {"tools": [{"type": "function", **tool["function"]} for tool in body["tools"]]} if "tools" in body else {}
    return told | {"model": "m", "input": items, "max_output_tokens": body["max_tokens"]}


def spoken_as_messages(body: Json) -> Json:
    told: Json = {name: body[name] for name in ("temperature", "top_p", "max_tokens") if name in body}
    turns: list[Json] = []
    for message in body["messages"]:
        if message["role"] == "system":
            told["system"] = message["content"]
            continue
        blocks = [] if message["content"] is None else [{"type": "text", "text": message["content"]}]
        for call in message.get("tool_calls") or ():
            used = {"id": call["id"], "name": call["function"]["name"]}
            blocks.append({"type": "tool_use", **used, "input": json.loads(call["function"]["arguments"])})
        turns.append({"role": message["role"], "content": blocks})
    if "tools" in body:
        functions = [tool["function"] for tool in body["tools"]]
        told["tools"] = [
            {name: value for name, value in function.items() if name != "parameters"}
            | {"input_schema": function["parameters"]}
            for function in functions
        ]
        choice = body["tool_choice"]
        kinds = {"auto": "auto", "required": "any", "none": "none"}
        said = {"type": kinds[choice]} if isinstance(choice, str) else {"type": "tool", **choice["function"]}
        told["tool_choice"] = said | {"disable_parallel_tool_use": not body["parallel_tool_calls"]}
    return told | {"model": "m", "messages": turns}


def merged(body: Json) -> Json:
    """Without what the dialects may tell apart in one way or another: assistants that speak twice in a row."""
    told = body | {"messages": []}
    for message in map(asked, body["messages"]):
        last = told["messages"][-1] if told["messages"] else {}
        if message["role"] == last.get("role") == "assistant" and message["content"] is None:
            last["tool_calls"] = [*last.get("tool_calls", []), *message["tool_calls"]]
        else:
            told["messages"].append(message)
    return told


@cases(100)
@given(requests())
def test_a_request_spoken_in_another_dialect_is_the_same_request(body: Json) -> None:
    for spoken, read in ((spoken_as_responses, of_responses), (spoken_as_messages, of_messages)):
        chat, dropped = read(spoken(body))
        assert dropped == ()
        assert merged(chat) == merged(body)
