"""Sentences with slots that can be both written and read back.

Knows what may stand in a slot of each kind. Knows nothing of what the sentences mean.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from gateway.demo.families.move import Value, written

_SLOT = re.compile(r"\{(\w+)\}")

KINDS: Mapping[str, str] = {
    "x": r"-?\d+(?:\.\d+)?",  # the value that a task starts from, as a number
    "items": r"\[-?\d+(?:, ?-?\d+)*\]",
    "text": r"\"[A-Za-z]+\"",
    "a": r"\d+(?:\.\d+)?",
    "b": r"\d+(?:\.\d+)?",
    "letter": r"\"[a-z]\"",
    "other": r"\"[a-z]\"",
    "suffix": r"\"[a-z]+\"",
    "unit": r"[a-z]+(?: [a-z]+)?",
    "into": r"[a-z]+(?: [a-z]+)?",
    "noun": r"[a-z]+",
    "name": r"[A-Z][a-z]+",
}
"""What a slot of each name matches. A slot's name says its kind, so a phrase is readable as it stands."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A sentence such as ``{a} more {noun} arrive.``"""

    text: str

    def write(self, slots: Mapping[str, Value]) -> str:
        """The sentence with its slots filled. KeyError where ``slots`` lacks one."""
        return _SLOT.sub(lambda match: _quoted(match[1], slots[match[1]]), self.text)

    @property
    def pattern(self) -> str:
        """A regular expression with a named group for each slot, blind to the case of the other letters."""
        parts, end = [], 0
        for slot in _SLOT.finditer(self.text):
            parts += [_literal(self.text[end : slot.start()]), f"(?P<{slot[1]}>{KINDS[slot[1]]})"]
            end = slot.end()
        return "".join([*parts, _literal(self.text[end:])])


def value_of(kind: str, text: str) -> Value:
    """What the text found in a slot of this kind stands for."""
    if kind in ("x", "a", "b"):
        return Fraction(text)
    if kind == "items":
        return tuple(int(item) for item in text.strip("[]").split(","))
    return text.strip('"')


def _quoted(kind: str, value: Value) -> str:
    text = written(value)
    return f'"{text}"' if kind in ("text", "letter", "other", "suffix") else text


def _literal(text: str) -> str:
    return "".join(r"\s+" if part.isspace() else f"(?i:{re.escape(part)})" for part in re.split(r"(\s+)", text) if part)
