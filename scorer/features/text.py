"""The surface of an answer: its size, its make-up, its tone, whether it runs in circles or breaks off.

Knows one reading. Knows no other answer and nothing fitted.
"""

from math import log1p

from scorer.features.reading import Reading

NAMES = (
    *("log_chars", "log_words", "log_lines", "mean_word_chars", "digit_share", "foreign_share", "symbol_share"),
    *("numbers", "equations", "code_fences", "latex", "questions", "exclamations", "bullets"),
    *("hedges", "turns", "refusals", "apologies", "conclusives", "empty", "has_calls"),
    *("new_words", "repeated_ngrams", "repeated_tail", "ends_well", "cut_off", "brackets_open"),
    *("query_word_overlap", "words_from_query", "chars_per_query_char"),
)

_HEDGES = (
    *("perhaps", "probably", "might ", "may be", "likely", "seems", "appears", "approximately", "roughly", "assum"),
    *("not sure", "unclear", "uncertain", "ambig", "if we consider", "suppose", "closest", "best guess", "none of"),
)
_TURNS = ("however", "wait", "actually", "but ", "let me re", "mistake", "incorrect", "on second", "alternatively")
_REFUSALS = ("i cannot", "i can't", "unable to", "i'm not able", "as an ai", "not possible to", "cannot be determined")
_APOLOGIES = ("sorry", "apolog")
_CONCLUSIVES = ("therefore", "thus", "hence", "so,", "finally", "in conclusion", "the answer is")
_ENDINGS = frozenset(".!?)]}\"'`*>:|$。！？」』）…»”’")  # full stops of several scripts, and what closes a block
_NGRAM = 5
_TAIL_WORDS = 400


def measure(reading: Reading) -> tuple[float, ...]:
    """Values named by NAMES."""
    text, words = reading.text, reading.words
    length = max(len(text), 1)
    ascii_letters = text.encode("ascii", "ignore")
    digits = sum(map(len, reading.numbers))
    looping = _repeated(words[:_TAIL_WORDS])
    distinct = frozenset(words)
    known = reading.query.words
    return (
        log1p(reading.n_chars),
        log1p(len(words)),
        log1p(text.count("\n") + text.count("\\n")),
        length / max(len(words), 1) if words else 0.0,
        digits / length,
        1 - len(ascii_letters) / length if text else 0.0,
        1 - sum(map(len, words)) / length,
        log1p(len(reading.numbers)),
        log1p(text.count("=")),
        float(text.count("```")),
        log1p(text.count("\\") + text.count("$")),
        log1p(text.count("?")),
        log1p(text.count("!")),
        log1p(text.count("\n- ") + text.count("\n* ") + text.count("\n1.")),
        _hits(reading.lower, _HEDGES),
        _hits(reading.lower, _TURNS),
        _hits(reading.lower, _REFUSALS),
        _hits(reading.lower, _APOLOGIES),
        _hits(reading.lower, _CONCLUSIVES),
        float(not text.strip()),
        float(bool(reading.answer.tool_calls)),
        len(distinct) / max(len(words), 1),
        looping,
        looping if len(words) <= _TAIL_WORDS else _repeated(words[-_TAIL_WORDS:]),
        float(_ends_well(text)),
        float(reading.answer.finish_reason == "length"),
        float(text.count("{") - text.count("}") + text.count("(") - text.count(")")),
        len(distinct & known) / max(len(distinct), 1),
        len(distinct & known) / max(len(known), 1),
        log1p(reading.n_chars) - log1p(len(reading.query.text)),
    )


def _hits(lower: str, phrases: tuple[str, ...]) -> float:
    return log1p(sum(map(lower.count, phrases)))


def _repeated(words: tuple[str, ...]) -> float:
    """Share of the runs of words that were there before: near 1 in an endless loop."""
    n = len(words) - _NGRAM + 1
    if n < 1:
        return 0.0
    return 1 - len(set(zip(*(words[i:] for i in range(_NGRAM)), strict=False))) / n


def _ends_well(text: str) -> bool:
    stripped = text.rstrip()
    return bool(stripped) and stripped[-1] in _ENDINGS
