"""Statements like ``3 × (4 + 5) = 27`` in a text, worked out again.

Knows numbers, four operations, brackets and percent signs; units beside numbers are passed over. Knows no algebra: a
statement with an unknown in it is left alone. A bounded window around each equals sign is looked at, nothing else.
"""

import re
from dataclasses import dataclass

_CANDIDATE = re.compile(r"[\d)%](?:\s?[a-zA-Z]{1,12}){0,2}\s?\$?=(?=\s?\\?\$?\(?-?\d)")
_TOKEN = re.compile(
    r"(\d[\d,]{0,30}(?:\.\d{1,30})?)([a-zA-Z_^]?)"
    r"|(\\times|\\cdot|\\div|[-+*/×÷·−^]|\bx\b)"
    r"|([()]|\\?%)"
    r"|(\\?\$|[ \t]+|\\[,;!]|\*\*)"
    r"|([a-zA-Z]+)"
)
_NUMBERED, _OPERATED, _SIGNED, _WORDED = 2, 3, 4, 6  # the last group of each kind of token
_OPERATORS = {"\\times": "*", "×": "*", "·": "*", "\\cdot": "*", "x": "*", "÷": "/", "\\div": "/", "−": "-"}
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2}
_SIGN_PRECEDENCE = 3
_WORD, _UNKNOWN = "word", "?"
_PERCENT, _OPEN, _CLOSE = "%", "(", ")"
_MOST_STATEMENTS = 60
_WINDOW = 70  # characters on either side of an equals sign


@dataclass(frozen=True, slots=True)
class Statement:
    """``left = right`` as worked out; ``holds`` allows for the rounding of what is written."""

    left: float
    right: float
    holds: bool


def statements(text: str) -> list[Statement]:
    """The arithmetic statements of a text, those with an operation, in order; the last 60 of many."""
    if "=" not in text:
        return []
    seen: dict[tuple[str, str], Statement | None] = {}  # texts that go round in circles state the same again and again
    found: list[Statement | None] = []
    for candidate in list(_CANDIDATE.finditer(text))[-_MOST_STATEMENTS:]:
        equals = text.index("=", candidate.start())
        around = text[max(0, equals - _WINDOW - 1) : equals], text[equals : equals + _WINDOW]
        if around not in seen:
            seen[around] = _stated(text, equals)
        found.append(seen[around])
    return [statement for statement in found if statement is not None]


def _stated(text: str, equals: int) -> Statement | None:
    left = _worked_out(_left_side(text, equals))
    right = _worked_out(_right_side(text, equals)) if left is not None else None
    if left is None or right is None or left[1] + right[1] == 0:
        return None
    holds = abs(left[0] - right[0]) <= max(left[2], right[2]) + 1e-9 * abs(left[0])
    return Statement(left[0], right[0], holds)


def _left_side(text: str, equals: int) -> list[str]:
    start = max(0, equals - _WINDOW)
    start = max(start, text.rfind("\n", start, equals) + 1, text.rfind("=", start, equals) + 1)
    tokens: list[str] = []
    position = start
    for match in _TOKEN.finditer(text, start, equals):
        if match.start() != position:  # whatever no sum contains: the sum can only begin behind it
            tokens.clear()
        _take(match, tokens)
        position = match.end()
    if position != equals:
        return []
    prose = [index for index, token in enumerate(tokens) if token == _WORD and not _is_unit(tokens, index)]
    return tokens[prose[-1] + 1 :] if prose else tokens


def _right_side(text: str, equals: int) -> list[str]:
    tokens: list[str] = []
    position, end = equals + 1, min(len(text), equals + _WINDOW)
    while position < end and (match := _TOKEN.match(text, position, end)) is not None:
        _take(match, tokens)
        position = match.end()
        if tokens and tokens[-1] == _WORD:
            break  # "= 12 apples and …": the sum is over
    return tokens


def _take(match: re.Match[str], tokens: list[str]) -> None:
    kind = match.lastindex
    if kind == _NUMBERED:
        number, stuck = match.group(1, 2)
        tokens.append(number.replace(",", ""))
        if stuck:
            tokens.append(_UNKNOWN)  # 3x or 2^n: an unknown, or a power
    elif kind == _OPERATED:
        operator = match[0]
        tokens.append(_OPERATORS.get(operator, operator))
    elif kind == _SIGNED:
        tokens.append(match[0][-1])
    elif kind == _WORDED:
        tokens.append(_WORD)


def _worked_out(tokens: list[str]) -> tuple[float, int, float] | None:
    """(value, number of operations, tolerance by the digits written), or None if it is not plain arithmetic."""
    tokens = [token for index, token in enumerate(tokens) if token != _WORD or not _is_unit(tokens, index)]
    if not tokens or _UNKNOWN in tokens or "^" in tokens or _WORD in tokens:
        return None
    try:
        value = _evaluated(tokens)
    except (ValueError, ZeroDivisionError, IndexError, OverflowError):
        return None
    operations = sum(token in _PRECEDENCE for token in tokens[1:])
    decimals = len(tokens[-1].partition(".")[2]) if operations == 0 else 0
    return value, operations, 0.501 * 10.0**-decimals if decimals else 1e-6


def _is_unit(tokens: list[str], index: int) -> bool:
    """A word is a unit if it follows a number, a bracket or another unit."""
    while index > 0 and tokens[index] == _WORD:
        index -= 1
    return tokens[index] != _WORD and (tokens[index][0].isdigit() or tokens[index] in (_CLOSE, _PERCENT))


def _evaluated(tokens: list[str]) -> float:
    """Value by precedence with two stacks. Raises ValueError or IndexError if the tokens are no expression."""
    values: list[float] = []
    operators: list[tuple[str, int]] = []
    expects_value = True
    for token in tokens:
        expects_value = (_begin if expects_value else _continue)(token, values, operators)
    while operators:
        _apply(operators.pop()[0], values)
    if len(values) != 1 or expects_value:
        raise ValueError("no expression")
    return values[0]


def _begin(token: str, values: list[float], operators: list[tuple[str, int]]) -> bool:
    """Take a token where a value is due; tells whether one still is."""
    if token[0].isdigit():
        values.append(float(token))
        return False
    if token == _OPEN:
        operators.append((token, 0))
    elif token in ("+", "-"):
        values.append(0.0)
        operators.append((token, _SIGN_PRECEDENCE))
    else:
        raise ValueError(token)
    return True


def _continue(token: str, values: list[float], operators: list[tuple[str, int]]) -> bool:
    """Take a token behind a value; tells whether another value is due."""
    if token == _PERCENT:
        values[-1] /= 100
    elif token == _CLOSE:
        while operators[-1][0] != _OPEN:
            _apply(operators.pop()[0], values)
        operators.pop()
    elif token in _PRECEDENCE:
        while operators and operators[-1][1] >= _PRECEDENCE[token]:
            _apply(operators.pop()[0], values)
        operators.append((token, _PRECEDENCE[token]))
        return True
    else:
        raise ValueError(token)
    return False


def _apply(operator: str, values: list[float]) -> None:
    right, left = values.pop(), values.pop()
    match operator:
        case "+":
            values.append(left + right)
        case "-":
            values.append(left - right)
        case "*":
            values.append(left * right)
        case "/":
            values.append(left / right)
        case _:
            raise ValueError("an open bracket")
