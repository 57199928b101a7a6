"""What moved a score: parts that add up to it, and the words for them."""

import numpy as np
import pytest

from scorer.models import boosted, linear
from scorer.models.boosted import BoostedModel
from scorer.models.scorer import logit
from scorer.reasons import MODEL
from scorer.scoring import Scorer
from tests.unit.scorer import synthetic

UNSEEN = synthetic.log(20, seed=11)


@pytest.mark.parametrize("module", [linear, boosted])
def test_parts_add_up_to_the_log_odds(module: object) -> None:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(400, 5)).astype(np.float32)
    X[::7, 2] = np.nan
    y = (X[:, 0] + rng.normal(size=400) > 0).astype(np.float64)
    model = module.fit(X, y, seed=1)  # type: ignore[attr-defined] # one of the two
    parts = model.parts(X)
    assert parts.shape == X.shape
    rest = model.logits(X) - parts.sum(axis=1)
    assert rest == pytest.approx(np.full(400, rest[0]), abs=1e-6)
    assert np.abs(parts[:, 0]).mean() > 3 * np.abs(parts[:, 4]).mean()
    assert isinstance(model, BoostedModel) == (module is boosted)


def test_the_weightiest_reasons_come_first_and_tell_answers_apart(scorer: Scorer) -> None:
    query = UNSEEN[0]
    answers = {model: logged.answer for model, logged in query.answers.items()}
    others = [answer for model, answer in answers.items() if model != "middle"]
    found = scorer.reasons(query.query, answers["middle"], others)
    weights = [abs(reason.log_odds) for reason in found]
    assert weights == sorted(weights, reverse=True)
    names = [reason.feature for reason in found]
    assert len(set(names)) == len(names)
    assert MODEL in names
    assert not any(name.startswith("is:") for name in names)


def test_reasons_differ_between_answers_as_their_scores_do(scorer: Scorer) -> None:
    """The sum of the parts is the log-odds up to a constant and the calibration, so it orders answers as scores do."""
    told = []
    for query in UNSEEN:
        answer = query.answers["middle"].answer
        told.append((scorer.score(query.query, answer), sum(r.log_odds for r in scorer.reasons(query.query, answer))))
    scores, sums = np.array(told).T
    assert np.corrcoef(logit(scores), sums)[0, 1] > 0.9
