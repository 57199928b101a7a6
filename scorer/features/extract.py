"""The final answer of an answer: where it says what it concludes, and what that is.

Knows the customs by which models mark a conclusion (JSON field, box, "the answer is", hashes, yes or no, a lone value).
Knows no label and no model. Every pattern is linear in the text.
"""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from scorer.features.canonical import Canonical, canonical, number_key
from scorer.features.query import NUMBER, QueryReading

_FENCE = re.compile(r"```(?:json|JSON)?[ \t]{0,8}\n?")
_FIELD = re.compile(r'nswer"\s{0,8}:\s{0,8}(?:"((?:[^"\\]|\\.){0,600})"|([^\s"][^\n]{0,400}))', re.DOTALL)
_CHOICE = re.compile(
    r"(?:nswer|NSWER|hoice|ption)(?:\s{1,3}(?:is|would be|should be|must be))?\s{0,3}:?\s{0,3}(?:[Oo]ption\s)?"
    r"\**\$?(?:\\boxed\{)?(?:\\text\{)?\(?([A-P])(?![\w'])",
)
_LETTERED = re.compile(r"\(([A-P])\)")
_LONE_LETTER = re.compile(r"^\s{0,4}\**\(?([A-P])\)?(?:[.):]|\**\s{0,4}$)", re.MULTILINE)
_HASHES = re.compile(r"####\s{0,4}([^\n]{1,100})")
_BRACKETED = re.compile(r"\[(yes|no)\]", re.IGNORECASE)
_VERDICT = re.compile(r"\b(yes|no)\b", re.IGNORECASE)
_PHRASES = ("final answer", "answer is", "answer:", "result is", "output is", "evaluates to", ", the answer")
_PHRASE = re.compile(rf"(?:{'|'.join(_PHRASES)})[\s:*=]{{0,6}}([^\n]{{1,200}})", re.IGNORECASE)
_SHORT = 80  # an answer of at most so many characters is its own conclusion


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """A final answer and how it was found.

    how : the custom that marked it, as in HOWS; the earlier in that list, the plainer.
    start : where it begins in the text, in characters; what stands before is the reasoning.
    n_stated : how many different final answers the same custom marks in the text (1 where the answer is of one mind).
    """

    value: Canonical
    how: str
    start: int
    n_stated: int = 1


HOWS = ("calls", "json", "boxed", "choice", "hashes", "verdict", "phrase", "whole", "guess")

JSON_STRICT, JSON_LENIENT, JSON_NONE = 1.0, 0.5, 0.0


def parsed_json(text: str) -> tuple[object, float]:
    """The JSON value that a text is, or holds in a fence or between its outer braces, and how strictly it parses."""
    if "{" not in text:
        return None, JSON_NONE
    candidates = [text.strip(), *(part.strip() for part in reversed(_FENCE.split(text)[-4:]) if "{" in part)]
    first, last = text.find("{"), text.rfind("}")
    if first < last:
        candidates.append(text[first : last + 1])
    for candidate in candidates:
        if candidate.startswith("{"):
            try:
                return orjson.loads(candidate), JSON_STRICT
            except orjson.JSONDecodeError:
                continue
    for candidate in candidates[-1:]:
        try:
            return json.loads(candidate, strict=False), JSON_LENIENT
        except (ValueError, RecursionError):
            continue
    return None, JSON_NONE


def conclude(
    query: QueryReading, text: str, tool_calls: Sequence[Mapping[str, Any]] = (), parsed: object = None
) -> Conclusion | None:
    """The conclusion of an answer, by the plainest custom that it follows; None if it follows none.

    parsed : what ``parsed_json`` found in the text.
    """
    if tool_calls:
        return Conclusion(value=Canonical("calls", _calls_key(tool_calls)), how="calls", start=0)
    expected = query.expected
    found = _from_field(text, parsed, query) if expected.json or '"answer"' in text else None
    found = found or _from_box(text, query)
    if query.options:
        found = found or _from_choice(text, query)
    found = found or _last(_HASHES, text, "hashes")
    if expected.verdict:
        found = found or _last(_BRACKETED, text, "verdict") or _last(_VERDICT, text, "verdict")
    found = found or _from_phrase(text, query)
    if found is None and 0 < len(text.strip()) <= _SHORT and (value := _fitted(canonical(text), query)):
        found = Conclusion(value=value, how="whole", start=0)
    return found or (_last_number(text) if expected.number else None)


def _calls_key(tool_calls: Sequence[Mapping[str, Any]]) -> str:
    keys = []
    for call in tool_calls:
        function = call.get("function")
        function = function if isinstance(function, Mapping) else {}
        arguments = function.get("arguments")
        with contextlib.suppress(orjson.JSONDecodeError):  # a call that is no JSON is compared as it was written
            arguments = orjson.loads(arguments) if isinstance(arguments, str) else arguments
        keys.append(json.dumps([function.get("name"), arguments], sort_keys=True, default=str))
    return "\n".join(sorted(keys))


def _fitted(value: Canonical | None, query: QueryReading) -> Canonical | None:
    """An answer as its query means it: an option by its letter or words is that choice, a lone number that number."""
    if value is not None and value.kind == "text" and query.expected.number:
        numbers = NUMBER.findall(value.key)
        return Canonical("number", number_key(numbers[0])) if len(numbers) == 1 else value
    if value is None or not query.options or value.kind == "choice":
        return value
    letter = value.key.strip("() .").upper()
    if letter in query.options:
        return Canonical("choice", letter)
    head = _LONE_LETTER.match(value.key.upper())
    if head and head[1] in query.options:
        return Canonical("choice", head[1])
    for option, words in query.options.items():
        if (said := canonical(words)) is not None and said.key == value.key:
            return Canonical("choice", option)
    return value


def _from_field(text: str, parsed: object, query: QueryReading) -> Conclusion | None:
    matches = list(_FIELD.finditer(text))
    stated = parsed.get("answer") if isinstance(parsed, dict) else None
    if isinstance(stated, int | float | list | dict):
        raw = json.dumps(stated, ensure_ascii=False)
    elif matches:
        raw = matches[-1][1] if matches[-1][1] is not None else matches[-1][2].rstrip(" ,}`")
        raw = raw.replace('\\"', '"')
    else:
        return None
    value = _fitted(canonical(raw, exact=query.expected.literal), query)
    if value is None:
        return None
    start = matches[-1].start() if matches else len(text)
    return Conclusion(value=value, how="json", start=start, n_stated=len({m[1] or m[2] for m in matches}) or 1)


def _from_box(text: str, query: QueryReading) -> Conclusion | None:
    contents: list[tuple[int, str]] = []
    position = text.rfind("\\boxed{")
    while position >= 0 and len(contents) < 8:
        contents.append((position, _braced(text, position + 7)))
        position = text.rfind("\\boxed{", 0, position)
    values = [(start, value) for start, raw in contents if (value := _fitted(canonical(raw), query)) is not None]
    if not values:
        return None
    return Conclusion(value=values[0][1], how="boxed", start=values[0][0], n_stated=len({v.key for _, v in values}))


def _braced(text: str, start: int) -> str:
    depth = 1
    for position in range(start, min(len(text), start + 400)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if not depth:
            return text[start:position]
    return text[start : start + 100]


def _from_choice(text: str, query: QueryReading) -> Conclusion | None:
    for pattern in (_CHOICE, _LETTERED, _LONE_LETTER):
        matches = [match for match in pattern.finditer(text) if match[1] in query.options]
        if matches:
            value = Canonical("choice", matches[-1][1])
            how = "choice" if pattern is _CHOICE else "guess"
            return Conclusion(
                value=value, how=how, start=matches[-1].start(), n_stated=len({match[1] for match in matches})
            )
    return None


def _last(pattern: re.Pattern[str], text: str, how: str) -> Conclusion | None:
    matches = list(pattern.finditer(text))
    value = canonical(matches[-1][1]) if matches else None
    if value is None:
        return None
    stated = len({match[1].casefold().strip() for match in matches})
    return Conclusion(value=value, how=how, start=matches[-1].start(), n_stated=stated)


def _from_phrase(text: str, query: QueryReading) -> Conclusion | None:
    matches = _phrased(text)
    if not matches:
        return None
    raw = re.split(r"(?:\.\s|,\s(?=[a-z])|;\s)", matches[-1][1], maxsplit=1)[0]
    if query.expected.number and (number := NUMBER.search(raw)):
        raw = number[0]
    value = _fitted(canonical(raw, exact=query.expected.literal), query)
    if value is None:
        return None
    return Conclusion(value=value, how="phrase", start=matches[-1].start(), n_stated=len({m[1] for m in matches}))


def _phrased(text: str) -> list[re.Match[str]]:
    """Every match of ``_PHRASE``. Words are found in a tenth of the time that an expression that ignores case takes."""
    lower = text.lower()
    if len(lower) != len(text):  # some capitals have two small letters: places would be others
        return list(_PHRASE.finditer(text))
    places = sorted(place for phrase in _PHRASES for place in _places(lower, phrase))
    matches: list[re.Match[str]] = []
    for place in places:
        if not matches or place >= matches[-1].end():
            match = _PHRASE.match(text, place)
            matches += [match] if match else []
    return matches


def _places(text: str, words: str) -> Iterator[int]:
    place = text.find(words)
    while place >= 0:
        yield place
        place = text.find(words, place + 1)


def _last_number(text: str) -> Conclusion | None:
    numbers = list(NUMBER.finditer(text, max(0, len(text) - 600)))
    if not numbers:
        return None
    return Conclusion(value=Canonical("number", number_key(numbers[-1][0])), how="guess", start=numbers[-1].start())
