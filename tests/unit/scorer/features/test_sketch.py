"""Likeness from fingerprints is symmetric, between 0 and 1, and follows the overlap of the texts."""

from hypothesis import given
from hypothesis import strategies as st

from scorer.features.sketch import EMPTY, SLOTS, resemblance, sketch

texts = st.text(max_size=300)


@given(texts, texts)
def test_likeness_is_symmetric_and_bounded(one: str, other: str) -> None:
    there, back = resemblance(sketch(one), sketch(other)), resemblance(sketch(other), sketch(one))
    assert there == back
    assert 0 <= there <= 1


@given(texts)
def test_a_text_is_like_itself(text: str) -> None:
    own = sketch(text)
    assert own.shape == (SLOTS,)
    assert resemblance(own, own) == (0 if (own == EMPTY).all() else 1)


def test_likeness_follows_the_overlap() -> None:
    text = " ".join(f"word{i}" for i in range(200))
    half = " ".join(f"word{i}" for i in range(100)) + " " + " ".join(f"other{i}" for i in range(100))
    none = " ".join(f"thing{i * 31}" for i in range(200))
    alike = [float(resemblance(sketch(text), sketch(other))) for other in (text, half, none)]
    assert alike[0] == 1
    assert 0.1 < alike[1] < 0.7
    assert alike[2] < 0.2
