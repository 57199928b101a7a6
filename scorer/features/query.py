"""A query as the features see it: its text, the kind of answer that it asks for, and its own surface.

Knows queries. Knows no answer, no model and nothing fitted.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import log1p, log10
from typing import Any

from scorer.answer import Query
from scorer.features.canonical import number_key
from scorer.lexicon import Terms, terms_of

NUMBER = re.compile(r"(?<![\w.])\d[\d,]{0,40}(?:\.\d{1,40})?")
LONGEST = 24_000  # characters of a text that are looked at: its head and its tail

_OPTION = re.compile(r"^\s{0,4}\(?([A-P])[.):]\s{0,4}(\S.{0,300})", re.MULTILINE)
_WORD = re.compile(r"\w+")
_DIGIT = re.compile(r"\d")
_NUMERIC = re.compile(r"[\s$\-−\d.,%/]{1,40}")
_CAPITAL = re.compile(r"(?<=[a-z,] )[A-Z]")
_ROMAN = re.compile(r"\b(?:I|II|III)\b(?: and|,| only)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The forms of answer that a query asks for; several may hold."""

    json: bool
    boxed: bool
    verdict: bool  # yes or no
    literal: bool  # the value of an expression in a program
    number: bool
    hashes: bool  # "#### 42"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryReading:
    """What reading a query brings, done once for all its answers."""

    text: str
    expected: Expected
    options: Mapping[str, str]  # letter → text
    numbers: frozenset[str]
    words: frozenset[str]
    values: tuple[float, ...]  # as named by NAMES
    stem: str  # what stands before the options

    @property
    def terms(self) -> Terms:
        """The query's words as numbers; the last queries' are kept."""
        return _terms(self.stem, tuple(self.options.values()))


NAMES = (
    *("query_log_chars", "query_log_words", "query_messages", "query_has_system", "query_turns", "query_has_tools"),
    *("query_numbers", "query_log_largest", "query_digit_share", "query_options", "query_option_log_chars"),
    *("query_lines", "query_code", "query_latex", "query_foreign_share", "query_asks", "query_negations"),
    *("option_longest", "option_shortest", "options_numeric", "options_capital", "option_all", "option_none"),
    *("stem_log_chars", "stem_blank", "stem_open", "stem_asks", "stem_numbers", "stem_roman", "stem_following"),
    *("stem_statements", "stem_negated", "stem_excepts", "stem_quotes", "stem_capitals"),
    *("query_wants_json", "query_wants_boxed", "query_wants_verdict", "query_wants_literal", "query_wants_number"),
)


@lru_cache(maxsize=512)
def _terms(stem: str, options: tuple[str, ...]) -> Terms:
    return terms_of(stem, options)


def clipped(text: str) -> str:
    """A text's head and tail, so that no answer takes longer than a bounded time."""
    return text if len(text) <= LONGEST else text[: LONGEST // 2] + "\n" + text[-LONGEST // 2 :]


def content_text(content: object) -> str:
    """The text of a message's content: a string, a list of parts, or nothing."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = (part.get("text") if isinstance(part, Mapping) else part for part in content)
        return "\n".join(part for part in parts if isinstance(part, str))
    return ""


def read_query(query: Query) -> QueryReading:
    """Read a query. Any message that has the wire format's shape will do, however odd."""
    full = "\n".join(content_text(message.get("content")) for message in query.messages)
    text = clipped(full)
    lower = text.casefold()
    options = {letter: option.strip() for letter, option in _OPTION.findall(text)}
    if len(options) < 2 or "A" not in options:
        options = {}
    found = NUMBER.findall(text)
    stem = _stem(text, bool(options))
    expected = _expected(lower, text, query.response_format, bool(options))
    return QueryReading(
        text=text,
        expected=expected,
        options=options,
        numbers=frozenset(map(number_key, found)),
        words=frozenset(_WORD.findall(lower)[:4000]),
        values=_values(query, full, text, stem, options, found, expected),
        stem=stem,
    )


def _stem(text: str, has_options: bool) -> str:
    """What stands before the first option; the whole text where there are none."""
    first = _OPTION.search(text) if has_options else None
    return text if first is None else text[: first.start()]


def _asked(stem: str) -> tuple[float, ...]:
    """How a question is put: what stands before its options, or all of it."""
    bare, lower = stem.rstrip(), stem.casefold()
    return (
        log1p(len(bare)),
        float("___" in stem),
        float(bare.endswith((":", "…", "...", ","))),
        float(bare.endswith("?")),
        log1p(len(NUMBER.findall(stem))),
        float(_ROMAN.search(stem) is not None),
        float("following" in lower),
        float("statement" in lower),
        float(" not " in lower),
        float("except" in lower),
        log1p(stem.count('"') + stem.count("“")),
        log1p(len(_CAPITAL.findall(stem))),
    )


def _options(options: list[str]) -> tuple[float, ...]:
    if not options:
        return (0.0,) * 6
    lower = [option.casefold() for option in options]
    return (
        log1p(max(map(len, options))),
        log1p(min(map(len, options))),
        float(sum(_NUMERIC.fullmatch(option) is not None for option in options)),
        float(sum(option[:1].isupper() for option in options)),
        float(any("all of the above" in option for option in lower)),
        float(any("none of" in option for option in lower)),
    )


def _expected(lower: str, text: str, response_format: Mapping[str, Any] | None, has_options: bool) -> Expected:
    kind = response_format.get("type") if response_format is not None else None
    literal = "assert " in lower and "==" in lower
    asks_number = any(phrase in lower for phrase in ("how many", "how much", "what is the value", "calculate", "find "))
    asks_number = asks_number or ("?" in lower and _DIGIT.search(lower) is not None)
    return Expected(
        json=kind in ("json_object", "json_schema") or '"answer"' in lower or "json format" in lower,
        boxed="\\boxed" in text,
        verdict="[yes]" in lower or "yes or no" in lower or "true or false" in lower,
        literal=literal,
        number=asks_number and not has_options and not literal,
        hashes="####" in text,
    )


def _values(
    query: Query,
    full: str,
    text: str,
    stem: str,
    options: Mapping[str, str],
    found: list[str],
    expected: Expected,
) -> tuple[float, ...]:
    lower = text.casefold()
    roles = [message.get("role") for message in query.messages]
    length = max(len(text), 1)
    largest = max((len(number.partition(".")[0].replace(",", "")) for number in found), default=0)
    return (
        log1p(len(full)),
        log1p(len(text.split())),
        float(len(roles)),
        float("system" in roles or "developer" in roles),
        float(roles.count("user")),
        float(bool(query.tools)),
        log1p(len(found)),
        float(largest),
        sum(map(len, found)) / length,
        float(len(options)),
        log10(1 + sum(map(len, options.values())) / max(len(options), 1)),
        log1p(text.count("\n")),
        float("```" in text or "def " in text or "[PYTHON]" in text),
        log1p(text.count("$") + text.count("\\")),
        1 - len(text.encode("ascii", "ignore")) / length,
        log1p(text.count("?")),
        log1p(lower.count(" not ") + lower.count("except") + lower.count("n't ")),
        *_options(list(options.values())),
        *_asked(stem),
        float(expected.json),
        float(expected.boxed),
        float(expected.verdict),
        float(expected.literal),
        float(expected.number),
    )
