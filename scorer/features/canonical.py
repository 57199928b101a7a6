"""When two final answers say the same: a canonical form of numbers, choices, yes/no, code literals and formulas.

Knows one short piece of text at a time. Knows no query, no answer around it and no model.
Equality of canonical forms is an equivalence, so agreement among any set of answers is a partition of it.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Kind = Literal["number", "choice", "verdict", "literal", "formula", "text", "calls"]
KINDS: tuple[Kind, ...] = ("number", "choice", "verdict", "literal", "formula", "text", "calls")

_LONGEST = 400  # characters of a final answer that are compared; longer ones are hardly final answers
_WRAPPERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("`", "`"), ('"', '"'), ("'", "'"))
_VERDICTS = {"yes": "yes", "no": "no", "true": "true", "false": "false"}
_NUMBER = re.compile(r"([-+−]?)\s?[$€£]?\s?([-+−]?)(\d[\d,]{0,40}(?:\.\d{0,40})?|\.\d{1,40})(?:\s?\\?%)?")
_UNIT = re.compile(r"\s?(?:[a-zA-Z°²³/^\d .]|\\circ|\\text\{[^{}]{0,30}\}|[{}]){0,40}")
_FRACTION = re.compile(r"([-+−]?)(?:\\frac\{(-?\d{1,15})\}\{(\d{1,15})\}|(\d{1,15})/(\d{1,15}))")
_ASSIGNED = re.compile(r"[a-zA-Z](?:\([a-zA-Z]\))?\s?=\s?(?=[^=])")
_QUOTED = re.compile(r"'[^']{0,400}'")
_SILENT = re.compile(r"\\left|\\right|\\[,;:!]|\\displaystyle|\\quad|\^\\circ|\^\{\\circ\}|\\circ|\s+")
_WORDED = re.compile(r"\\(?:text|mathrm|mathbf|textbf|operatorname|mbox)\{([^{}]{0,100})\}")
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Canonical:
    """``key`` is equal for answers that say the same."""

    kind: Kind
    key: str


def canonical(raw: str, *, exact: bool = False) -> Canonical | None:
    """The canonical form of a final answer; None if there is nothing in it.

    exact : the answer is a value of a programming language: case, spaces and punctuation within strings count.

    >>> canonical("$1,234.50").key == canonical("1234.5 dollars").key
    True
    """
    if exact:
        return _value(raw[:_LONGEST])
    text = unwrapped(raw[: 2 * _LONGEST])[:_LONGEST]
    if not text:
        return Canonical("literal", "''") if raw.strip() else None
    if (verdict := _VERDICTS.get(text.rstrip(".!").casefold())) is not None:
        return Canonical("verdict", verdict)
    return _number(text) or _literal(text) or _formula(text) or _text(text)


@lru_cache(maxsize=16_384)
def number_key(digits: str) -> str:
    """One spelling for one number: ``"007.50"`` → ``"7.5"``. Integers keep every digit, others six significant ones."""
    digits = digits.replace(",", "").replace("−", "-").rstrip(".")
    whole, _, fraction = digits.partition(".")
    if not fraction.strip("0"):
        sign = "-" if whole.startswith("-") else ""
        return (sign + (whole.lstrip("+-").lstrip("0") or "0")).replace("-0", "0") if whole.strip("+-0") else "0"
    return f"{float(digits):.6g}"


def unwrapped(raw: str) -> str:
    """The text without surrounding space, quotes, dollars, stars, brackets of LaTeX and a final full stop."""
    text = raw.strip().replace("\\\\", "\\")
    for _ in range(4):
        before = text
        text = text.strip().rstrip(".") if not text.endswith("..") else text.strip()
        for left, right in _WRAPPERS:
            wrapped = len(text) >= len(left) + len(right) and text.startswith(left) and text.endswith(right)
            inner = text[len(left) : len(text) - len(right)]
            if wrapped and left not in inner and right not in inner:
                text = inner
        if text.startswith("\\boxed{") and text.endswith("}"):
            text = text[7:-1]
        if text == before:
            break
    return text


def _number(text: str) -> Canonical | None:
    assigned = _ASSIGNED.match(text)
    bare = text[assigned.end() :] if assigned else text
    fraction = _FRACTION.match(bare.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac").replace(" ", ""))
    if fraction and fraction.end() == len(fraction.string):
        sign, top, bottom, plain_top, plain_bottom = fraction.groups()
        numerator, denominator = int(top or plain_top), int(bottom or plain_bottom)
        if denominator:
            value = numerator / denominator * (-1 if sign in ("-", "−") else 1)
            return Canonical("number", str(int(value)) if value == int(value) else f"{value:.6g}")
    found = _NUMBER.match(bare)
    if not found or not _UNIT.fullmatch(bare, found.end()) or any(c.isdigit() for c in bare[found.end() :]):
        return None
    if bare[found.end() : found.end() + 1].isalpha() and bare[found.end() + 1 : found.end() + 2] in "+-*/^ ":
        return None  # "3x + …" is a formula; "3 apples" and "3m" are numbers
    sign = "-" if (found[1] + found[2]).strip("+") else ""
    return Canonical("number", number_key(sign + found[3]))


def _value(raw: str) -> Canonical:
    text = raw.strip("` \n")
    if text in ("True", "False"):
        return Canonical("verdict", text.lower())
    if text and (number := _NUMBER.fullmatch(text)) and not number[1] + number[2]:
        return Canonical("number", number_key(text))
    if text and (literal := _literal(text)):
        return literal
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return Canonical("text", text[1:-1])
    return Canonical("text", raw)


def _literal(text: str) -> Canonical | None:
    if text[0] not in "[({" or text[-1] not in "])}":
        return None
    pieces: list[str] = []
    position = 0
    text = text.replace('"', "'")
    for quoted in _QUOTED.finditer(text):
        pieces += (_SPACES.sub("", text[position : quoted.start()]), quoted[0])
        position = quoted.end()
    pieces.append(_SPACES.sub("", text[position:]))
    return Canonical("literal", "".join(pieces))


def _formula(text: str) -> Canonical | None:
    if "\\" not in text and "^" not in text:
        return None
    text = _ASSIGNED.sub("", text, count=1) if _ASSIGNED.match(text) else text
    text = _WORDED.sub(r"\1", text).replace("dfrac", "frac").replace("tfrac", "frac").replace("\\cdot", "*")
    text = _SILENT.sub("", text).replace("\\%", "").replace("\\$", "")
    for bracket in ("^", "_", "\\sqrt"):
        text = re.sub(re.escape(bracket) + r"\{(\w)\}", bracket.replace("\\", "\\\\") + r"\1", text)
    return Canonical("formula", text) if text else None


def _text(text: str) -> Canonical | None:
    folded = _SPACES.sub(" ", text.casefold()).strip(" .,;:!\"'")
    return Canonical("text", folded) if folded else Canonical("text", text)
