"""A conversation is known by what was said before its last answer, held for some turns, and nobody else's."""

from typing import Any

from gateway.conversations import Conversations, Sticky

RULE = Sticky(turns=2, ttl_s=10)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def said(*texts: str) -> list[dict[str, Any]]:
    """By turns the user's and the assistant's."""
    return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]


def test_the_next_turns_are_held_and_then_no_more() -> None:
    known = Conversations()
    known.answered("me", said("a"), 2, RULE, None, escalated=True)
    turn: tuple[str, ...] = ("a",)
    held = []
    for _ in range(4):
        turn = (*turn, "answer", "more")
        hold = known.hold_of("me", said(*turn))
        held.append(None if hold is None else hold.tier)
        known.answered("me", said(*turn), 2, RULE, hold, escalated=False)
    assert held == [2, 2, None, None]


def test_one_that_escalates_again_is_held_anew_and_higher() -> None:
    known = Conversations()
    known.answered("me", said("a"), 2, RULE, None, escalated=True)
    second = said("a", "x", "b")
    known.answered("me", second, 3, RULE, known.hold_of("me", second), escalated=True)
    hold = known.hold_of("me", said("a", "x", "b", "y", "c"))
    assert hold is not None
    assert (hold.tier, hold.turns) == (3, 2)


def test_it_ends_with_time_and_is_nobody_elses() -> None:
    clock = Clock()
    known = Conversations(clock=clock)
    known.answered("me", said("a"), 2, RULE, None, escalated=True)
    assert known.hold_of("you", said("a", "x", "b")) is None
    assert known.hold_of("me", said("a")) is None  # the same question again is no later turn
    assert known.hold_of("me", said("other", "x", "b")) is None
    clock.now = 9.9
    assert known.hold_of("me", said("a", "x", "b")) is not None
    clock.now = 10.0
    assert known.hold_of("me", said("a", "x", "b")) is None
    assert len(known) == 0


def test_memory_is_bounded() -> None:
    known = Conversations(most=3)
    for n in range(10):
        known.answered("me", said(str(n)), 2, RULE, None, escalated=True)
    assert len(known) == 3
    assert known.hold_of("me", said("9", "x", "b")) is not None
    assert known.hold_of("me", said("0", "x", "b")) is None
