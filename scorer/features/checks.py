"""What can be checked again at no cost: sums in the text, the asked-for form, the conclusion against its own reasoning.

Knows one reading. Knows no other answer, no reference and nothing fitted. A check that does not apply is missing (nan).
"""

from math import log1p, log10, nan

from scorer.features.arithmetic import statements
from scorer.features.canonical import KINDS, number_key
from scorer.features.extract import HOWS
from scorer.features.query import NUMBER
from scorer.features.reading import Reading

NAMES = (
    *("sums", "sums_wrong", "sums_wrong_share", "last_sum_wrong", "ends_in_sum"),
    *("form_kept", "json_strictness", "json_unasked", "conclusion_found", "conclusion_rank", "conclusion_position"),
    *("conclusions_stated", "conclusion_log_chars", "conclusion_repeated", "conclusion_last_number"),
    *("conclusion_in_query", "conclusion_digits", "conclusion_decimals", "conclusion_negative"),
    *("option_index", "option_named", "options_named", "option_words_said"),
    *("numbers_from_query", "query_numbers_used"),
    *(f"conclusion_is_{kind}" for kind in KINDS),
)


def measure(reading: Reading) -> tuple[float, ...]:
    """Values named by NAMES."""
    return (
        *_sums(reading),
        *_form(reading),
        *_conclusion(reading),
        *_number(reading),
        *_option(reading),
        *_numbers_shared(reading),
        *_kind(reading),
    )


def _sums(reading: Reading) -> tuple[float, ...]:
    found = statements(reading.text)
    if not found:
        return (0.0, 0.0, nan, nan, nan)
    wrong = sum(not statement.holds for statement in found)
    key = reading.conclusion.value.key if reading.conclusion is not None else None
    ends = float(number_key(f"{found[-1].right:.12g}") == key) if abs(found[-1].right) < 1e12 else 0.0
    return (log1p(len(found)), log1p(wrong), wrong / len(found), float(not found[-1].holds), ends)


def _form(reading: Reading) -> tuple[float, ...]:
    expected, conclusion = reading.query.expected, reading.conclusion
    how = conclusion.how if conclusion is not None else None
    wanted = {
        "json": expected.json,
        "boxed": expected.boxed,
        "choice": bool(reading.query.options),
        "verdict": expected.verdict,
        "hashes": expected.hashes,
    }
    kept = nan if not any(wanted.values()) else float(how is not None and wanted.get(how, False))
    return (
        kept,
        reading.json_strictness if expected.json else nan,
        float(reading.json_strictness > 0 and not expected.json),
    )


def _conclusion(reading: Reading) -> tuple[float, ...]:
    conclusion = reading.conclusion
    if conclusion is None:
        return (0.0, float(len(HOWS)), nan, 0.0, nan, nan)
    key = conclusion.value.key
    return (
        1.0,
        float(HOWS.index(conclusion.how)),
        conclusion.start / max(len(reading.text), 1),
        float(conclusion.n_stated),
        log1p(len(key)),
        log1p(reading.reasoning.count(key)) if len(key) > 1 else nan,
    )


def _number(reading: Reading) -> tuple[float, ...]:
    conclusion = reading.conclusion
    if conclusion is None or conclusion.value.kind != "number":
        return (nan,) * 5
    key = conclusion.value.key
    before = NUMBER.findall(reading.reasoning[-400:])
    return (
        float(number_key(before[-1]) == key.lstrip("-")) if before else nan,
        float(key in reading.query.numbers),
        log10(1 + min(abs(float(key)), 1e15)),
        float(len(key.partition(".")[2])),
        float(key.startswith("-")),
    )


def _option(reading: Reading) -> tuple[float, ...]:
    options, conclusion = reading.query.options, reading.conclusion
    if not options:
        return (nan,) * 4
    named = {letter for letter in options if f"({letter})" in reading.text or f"{letter}. " in reading.text}
    if conclusion is None or conclusion.value.kind != "choice":
        return (nan, nan, float(len(named)), nan)
    letter = conclusion.value.key
    words = options.get(letter, "").casefold()
    said = float(words in reading.reasoning.casefold()) if words else nan
    return (float(ord(letter) - ord("A")), float(letter in named), float(len(named)), said)


def _numbers_shared(reading: Reading) -> tuple[float, ...]:
    said, asked = frozenset(reading.numbers), reading.query.numbers
    return (
        len(said & asked) / len(said) if said else nan,
        len(said & asked) / len(asked) if asked else nan,
    )


def _kind(reading: Reading) -> tuple[float, ...]:
    kind = reading.conclusion.value.kind if reading.conclusion is not None else None
    return tuple(float(kind == name) for name in KINDS)
