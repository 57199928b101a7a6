"""Training contexts: sets of other answers that are there, never the answer itself, the same for the same seed."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from scorer import contexts

presence = arrays.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 6)))


@given(presence, st.integers(0, 1000))
def test_contexts_hold_only_other_answers_that_are_there(present: np.ndarray, seed: int) -> None:
    drawn = contexts.together(present, present, seed)
    each = np.arange(len(drawn))
    assert present[drawn.rows, drawn.models].all()
    assert not drawn.context[each, drawn.models].any()
    assert not (drawn.context & ~present[drawn.rows]).any()
    assert (drawn.context.sum(axis=1) >= 1).all()
    again = contexts.together(present, present, seed)
    assert np.array_equal(drawn.context, again.context)


@given(presence)
def test_every_answer_is_there_alone_once(present: np.ndarray) -> None:
    drawn = contexts.alone(present)
    assert len(drawn) == present.sum()
    assert not drawn.context.any()


def test_one_model_alone_has_no_company() -> None:
    only = np.ones((5, 1), dtype=np.bool_)
    assert len(contexts.together(only, only, 0)) == 0


def test_small_sets_are_drawn_more_often() -> None:
    full = np.ones((500, 6), dtype=np.bool_)
    sizes = np.bincount(contexts.together(full, full, 0).context.sum(axis=1), minlength=6)
    assert sizes[1] > sizes[2] > sizes[5] > 0
