"""Plain arithmetic with + - * / and brackets, of any shape that fits in a line."""

import re
from dataclasses import dataclass
from fractions import Fraction
from random import Random

from gateway.demo.families.move import Hand, Move, Value, written
from gateway.demo.families.story import addition, division, multiplication, number, subtraction

_NUMBER = r"\d{1,9}(?:\.\d{1,4})?"
_TOKEN = re.compile(rf"\s*({_NUMBER}|[-+*/()])")
_RUN = re.compile(rf"[\s(\-]*{_NUMBER}(?:[\s()]*[-+*/x×÷−][\s(\-]*{_NUMBER}[\s)]*)+")
_MOVES = {"+": addition, "-": subtraction, "*": multiplication, "/": division}
_ASKED = ("Work out {}.", "What is {}?", "Compute {}.", "How much is {}?")
_MOST_OPERATIONS = 30


@dataclass(frozen=True, slots=True)
class Expression:
    """A number, or two expressions and what joins them."""

    sign: str  # one of + - * /, or "" for a number
    value: Fraction = Fraction(0)
    left: "Expression | None" = None
    right: "Expression | None" = None

    def solve(self, hand: Hand) -> Value:
        if self.left is None or self.right is None:
            return self.value
        left = self.left.solve(hand)
        return hand(_move(self.sign, left, self.right.solve(hand)))


class ExpressionFamily:
    """Poses ``Work out (12 + 7) * 3 - 4.`` and reads any such line, whoever wrote it."""

    name = "expressions"

    def pose(self, rng: Random, level: int) -> str:
        while True:
            text = str(rng.randint(2, 60))
            for _ in range(level):
                text = _longer(rng, text)
            if self.read(text) is not None:
                return rng.choice(_ASKED).format(text)

    def read(self, text: str) -> Expression | None:
        for run in _RUN.findall(text):
            tokens = _TOKEN.findall(run.translate(str.maketrans("x×÷−", "**/-")))
            if len(tokens) <= 4 * _MOST_OPERATIONS:
                try:
                    expression = _Reader(tokens).whole()
                    expression.solve(lambda move: move.right)
                except (IndexError, ValueError, ZeroDivisionError):
                    continue
                return expression
        return None


def _longer(rng: Random, text: str) -> str:
    sign = rng.choice("++--**")
    other = rng.randint(2, 9 if sign == "*" else 90)
    if sign == "*" and rng.random() < 0.6 and not text.isdigit():
        return f"({text}) * {other}"
    return f"{other} {sign} {text}" if rng.random() < 0.2 and sign != "-" else f"{text} {sign} {other}"


def _move(sign: str, left: Value, right: Value) -> Move:
    if sign == "/" and right == 0:
        raise ZeroDivisionError(f"{written(number(left))} / 0")
    return _MOVES[sign](left, {"a": right})


class _Reader:
    """Recursive descent over the tokens; IndexError or ValueError where they are no expression."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens, self._at = [*tokens, ""], 0

    def whole(self) -> Expression:
        expression = self._joined("+-")
        if self._tokens[self._at]:
            raise ValueError(f"a stray {self._tokens[self._at]!r}")
        return expression

    def _joined(self, signs: str) -> Expression:
        left = self._joined("*/") if signs == "+-" else self._atom()
        while (sign := self._tokens[self._at]) and sign in signs:
            self._at += 1
            right = self._joined("*/") if signs == "+-" else self._atom()
            left = Expression(sign, left=left, right=right)
        return left

    def _atom(self) -> Expression:
        symbol = self._tokens[self._at]
        self._at += 1
        if symbol == "-":
            inner = self._atom()
            return Expression("-", left=Expression("", Fraction(0)), right=inner)
        if symbol == "(":
            inner = self._joined("+-")
            if self._tokens[self._at] != ")":
                raise ValueError("an open bracket")
            self._at += 1
            return inner
        return Expression("", Fraction(symbol))
