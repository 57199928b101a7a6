"""What a member looks at before it says what a model that has not answered would do."""

import numpy as np

from scorer.analysing import table_of
from scorer.contexts import Samples
from scorer.member import outlook_features
from tests.unit.scorer import synthetic

LOG = synthetic.log(30, seed=3)
MODELS = tuple(sorted(synthetic.SKILLS))  # large, middle, small


def test_of_the_answers_seen_the_one_that_looks_best_is_looked_at() -> None:
    table = table_of(LOG, MODELS)
    looks = np.zeros(table.present.shape)
    looks[:, 1] = -1.0  # the middle model's answers look worse than the small one's
    looks[:, 0] = 9.0  # and the large model's look best, but it is the one that has not answered
    seen = [[False, True, True], [False, True, False], [False, False, False]]
    samples = Samples(rows=np.arange(3), models=np.zeros(3, dtype=np.int64), context=np.array(seen))
    X = outlook_features(table, samples, np.zeros(looks.shape), looks, np.zeros(len(MODELS)))
    asked = table.query_values.shape[1]
    answer = X[:, asked : asked + table.values.shape[2]]
    assert np.array_equal(X[:, :asked], table.query_values[:3])
    assert np.array_equal(answer[0], table.values[0, 2], equal_nan=True)
    assert np.array_equal(answer[1], table.values[1, 1], equal_nan=True)
    assert np.isnan(answer[2]).all()
