"""Every family reads what it poses; the truths of hand-made questions are right."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.families.move import Move, Value, honest, written
from gateway.demo.simulated import EXAMPLES
from gateway.demo.tasks import FAMILIES, read

BY_HAND = {
    "Emil has 12 stamps. 7 stamps turn out broken and go. How many stamps are there now?": "5",
    "There are 94 tickets in the store room. Their number is then multiplied by 3. 4 customers take 5 tickets each. "
    "How many tickets are left in the end?": "262",
    "A shop starts the week with 18 books. They are split into 3 equal lots, and all lots but one are sent off. "
    "2 boxes with 10 books each come in. How many books are there now?": "26",
    "We begin with 2.5 hours. Then 30 minutes come on top. How many minutes is that?": "180",
    "The work order says 44 centilitres. 293 millilitres of it get used up. How many litres is that?": "0.147",
    "An amount of 3 cubic metres is written down. It is divided into 4 equal parts, of which one is kept. "
    "How much is that in litres?": "750",
    "Take the list [5, 1, 9]. Reverse it. Add 2 to every item. What is the list now?": "[11, 3, 7]",
    "Start with the numbers [5, 1, 9, 30]. Keep only the items greater than 4. What is the sum of its items?": "44",
    "Here is a list: [4, 8, 2]. Swap the first item with the last. Append the number 7. What is its largest item?": "8",
    'Take the word "pebble". Replace every "b" by "t". Write it backwards. Which word results?': "elttep",
    'Consider the word "ember". Sort its letters alphabetically. Double its last letter. Which word results?': "beemrr",
    'Start from the word "walnut". Append "ship" to it. How many letters does it have now?': "10",
    "Compute (12 + 8) * 3 - 5.": "55",
    "What is 2 + 3 * 4?": "14",
    "How much is 7 / 2 - 1?": "2.5",
    "what's 1/3 + 1/3": "2/3",
    "12 × (3 − 5)": "-24",
    "Hi there. Please tell me: what is -3 * -4 ?": "12",
}


@pytest.mark.parametrize("question", BY_HAND)
def test_the_truth_of_a_question_made_by_hand(question: str) -> None:
    problem = read(question)
    assert problem is not None
    assert written(problem.solve(honest)) == BY_HAND[question]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@given(seed=st.integers(0, 10**9), level=st.integers(1, 7))
def test_a_family_reads_what_it_poses(family: object, seed: int, level: int) -> None:
    assert family in FAMILIES
    posed = FAMILIES[FAMILIES.index(family)].pose(Random(seed), level)
    problem = read(posed)
    assert problem is not None
    moves: list[Move] = []

    def hand(move: Move) -> Value:
        moves.append(move)
        return move.right

    assert written(problem.solve(hand)) == written(moves[-1].right)
    assert len(moves) >= level
    assert all(move.line.count("{}") == 1 and move.weight > 0 for move in moves)
    assert all(wrong.count("{}") == 1 for move in moves for wrong, _ in move.misreadings)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_that_users_are_shown_can_be_asked(example: str) -> None:
    assert read(example) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello!",
        "What is the capital of France?",
        "Take the list [1, 2, 3].",
        "Take the list [1, 2, 3]. Do something unheard of. What is the list now?",
        "1 / 0",
        "1 / (2 - 2) + 5",
        "((((1 + 2",
        "+" * 4000,
        "(" * 4000 + "1 + 1",
        "-" * 4000 + "1",
    ],
)
def test_what_is_no_task_is_not_read_as_one(text: str) -> None:
    assert read(text) is None


@given(st.text(alphabet="0123456789+-*/() .x", max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    problem = read(text)
    if problem is not None:
        problem.solve(honest)
