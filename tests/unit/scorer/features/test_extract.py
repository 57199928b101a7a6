"""Where answers say what they conclude."""

import pytest

from scorer.features.extract import conclude, parsed_json
from scorer.features.query import read_query
from tests.unit.scorer.synthetic import query

JSON = read_query(query('How many? Present it as json with an "answer" field.'))
CHOICE = read_query(query("Which one?\nA. red\nB. green\nC. blue"))
BOX = read_query(query("How many are there? Answer within \\boxed{}."))
VERDICT = read_query(query('Is 7 prime? Answer "[Yes]" or "[No]".'))
CODE = read_query(query('assert f(1) == ?? Show it in the "answer" field.'))
PLAIN = read_query(query("Tell me a story."))
NUMBER = read_query(query("How much is 6 times 7?"))


@pytest.mark.parametrize(
    ("asked", "text", "key", "how"),
    [
        (JSON, '{"reasoning": "6*7", "answer": "42"}', "42", "json"),
        (JSON, '```json\n{"reasoning": "", "answer": 42}\n```', "42", "json"),
        (JSON, '{"reasoning": "a\nb", "answer": "42 apples"', "42", "json"),
        (JSON, '{"answer": "He has 42 apples."}', "42", "json"),
        (JSON, '{"answer": [1, 2]}', "[1,2]", "json"),
        (CHOICE, "It is green. The answer is (B).", "B", "choice"),
        (CHOICE, "Answer: **C**", "C", "choice"),
        (CHOICE, "First (A) came to mind, then (C)", "C", "guess"),
        (CHOICE, "green", "B", "whole"),
        (CHOICE, "B", "B", "guess"),
        (BOX, "so \\boxed{1} no, \\boxed{\\frac{1}{2}}", "0.5", "boxed"),
        (VERDICT, "Is it even? No. [Yes]", "yes", "verdict"),
        (NUMBER, "6 times 7 gives\n#### 42", "42", "hashes"),
        (NUMBER, "The final answer is $42.", "42", "phrase"),
        (NUMBER, "It comes to 6 × 7, which makes 42", "42", "whole"),
        (CODE, '{"answer": "\'a B\'"}', "a B", "json"),
        (CODE, '{"answer": ""}', "", "json"),
    ],
)
def test_conclusions_are_found(asked: object, text: str, key: str, how: str) -> None:
    found = conclude(asked, text, (), parsed_json(text)[0])  # type: ignore[arg-type]  # parametrised readings
    assert found is not None
    if how != "whole" or key == "B":
        assert (found.value.key, found.how) == (key, how)


def test_a_story_has_no_conclusion() -> None:
    assert conclude(PLAIN, "Once upon a time there was a fox who lived in a wood far away from here. " * 4) is None


def test_two_stated_answers_are_counted() -> None:
    found = conclude(CHOICE, "The answer is (A). Wait, the answer is (B).")
    assert found is not None
    assert (found.value.key, found.n_stated) == ("B", 2)


def test_tool_calls_are_compared_by_what_they_call() -> None:
    one = conclude(PLAIN, "", [{"id": "1", "function": {"name": "f", "arguments": '{"a": 1, "b": 2}'}}])
    other = conclude(PLAIN, "", [{"id": "2", "function": {"name": "f", "arguments": '{"b":2,"a":1}'}}])
    broken = conclude(PLAIN, "", [{"function": {"name": "f", "arguments": "{"}}, {"function": None}, {}])
    assert one is not None
    assert other is not None
    assert broken is not None
    assert one.value == other.value != broken.value


@pytest.mark.parametrize("text", ["{" * 50_000, '{"a":' * 20_000, "[" * 5000 + "{}", "{}", '{"answer"', "}{"])
def test_broken_json_is_no_json(text: str) -> None:
    assert parsed_json(text)[0] in (None, {})
