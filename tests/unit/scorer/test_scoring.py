"""Scores: the same alone and in a log, whatever the order of the others, out of fold where the scorer was trained."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from scorer import registry
from scorer.answer import Answer, Usage
from scorer.dataset import LoggedQuery
from scorer.errors import ScorerError, UnknownModel
from scorer.logline import LoggedProposal
from scorer.scoring import Scorer
from scorer.training import train
from tests.unit.scorer import synthetic

MODELS = list(synthetic.SKILLS)
UNSEEN = synthetic.log(60, seed=9)


def said(query: LoggedQuery, model: str) -> Answer:
    return query.answers[model].answer


@pytest.mark.parametrize("others", [[], ["small"], ["large", "small"]])
def test_an_unseen_answer_scores_the_same_alone_and_in_a_log(scorer: Scorer, others: list[str]) -> None:
    in_log = scorer.score_log(UNSEEN, "middle", others)
    one_by_one = [
        scorer.score(query.query, said(query, "middle"), [said(query, other) for other in others]) for query in UNSEEN
    ]
    assert in_log.tolist() == pytest.approx(one_by_one, abs=1.1e-6)


def test_training_queries_are_scored_by_the_member_that_did_not_see_them(
    scorer: Scorer, log: tuple[LoggedQuery, ...]
) -> None:
    out_of_fold = scorer.score_log(log, "middle", ["small"])
    served = np.array([scorer.score(q.query, said(q, "middle"), [said(q, "small")]) for q in log])
    assert not np.allclose(out_of_fold, served)
    assert all(scorer.trained_on(query.hash) for query in log)
    assert not any(scorer.trained_on(query.hash) for query in UNSEEN)


def test_seen_and_unseen_queries_may_be_mixed(scorer: Scorer, log: tuple[LoggedQuery, ...]) -> None:
    mixed = [*log[:10], *UNSEEN[:10]]
    parts = [scorer.score_log(log[:10], "large"), scorer.score_log(UNSEEN[:10], "large")]
    assert np.array_equal(scorer.score_log(mixed, "large"), np.concatenate(parts))


@given(st.integers(0, 59), st.permutations(MODELS), st.integers(0, 2))
def test_the_others_are_a_set(scorer: Scorer, row: int, order: list[str], n: int) -> None:
    query = UNSEEN[row]
    scored, *rest = order
    others = [said(query, other) for other in rest[:n]]
    score = scorer.score(query.query, said(query, scored), others)
    assert 0 <= score <= 1
    assert scorer.score(query.query, said(query, scored), others[::-1]) == score
    assert scorer.score(query.query, said(query, scored), [*others, *others]) == score


def test_two_answers_of_one_model_count_once_whatever_their_order(scorer: Scorer) -> None:
    query = UNSEEN[0]
    others = [said(query, "large"), replace(said(query, "large"), text="The answer is 1."), said(query, "small")]
    scores = set()
    for seed in range(6):
        random.Random(seed).shuffle(others)
        scores.add(scorer.score(query.query, said(query, "middle"), list(others)))
    assert len(scores) == 1


def test_an_answer_is_no_company_for_itself(scorer: Scorer) -> None:
    query = UNSEEN[0]
    own = said(query, "middle")
    assert scorer.score(query.query, own, [own]) == scorer.score(query.query, own)


def test_agreement_with_the_strong_raises_a_score(scorer: Scorer) -> None:
    higher = 0
    for query in UNSEEN:
        weak, strong = said(query, "small"), said(query, "large")
        agreeing = replace(strong, text=weak.text)
        differing = replace(strong, text="The answer is 3.")
        higher += scorer.score(query.query, weak, [agreeing]) > scorer.score(query.query, weak, [differing])
    assert higher == len(UNSEEN)


def test_models_that_were_not_trained_on_are_unknown(scorer: Scorer) -> None:
    stranger = synthetic.answer("stranger", "The answer is 4.")
    with pytest.raises(
        UnknownModel, match="stranger was not in the training log; the scorer knows large, middle, small"
    ):
        scorer.score(UNSEEN[0].query, stranger)
    with pytest.raises(UnknownModel):
        scorer.score_log(UNSEEN, "stranger")
    with pytest.raises(UnknownModel):
        scorer.score_log(UNSEEN, "small", ["stranger"])
    known = said(UNSEEN[0], "small")
    assert scorer.score(UNSEEN[0].query, known, [stranger]) == scorer.score(UNSEEN[0].query, known)


def test_a_missing_answer_is_named(scorer: Scorer) -> None:
    query = UNSEEN[0]
    lacking = replace(query, answers={"small": query.answers["small"]}, labels={"small": 1.0})
    with pytest.raises(ScorerError, match=f"query '{query.query.id}' has no answer of large"):
        scorer.score_log([lacking], "small", ["large"])
    assert len(scorer.score_log([lacking], "small")) == 1


def test_no_queries_have_no_scores(scorer: Scorer) -> None:
    assert scorer.score_log([], "small").shape == (0,)


def test_kept_readings_do_not_mix_up_requests(scorer: Scorer) -> None:
    """The same words under another query, model or finish are another answer."""
    query, text = UNSEEN[0], said(UNSEEN[0], "small").text
    fresh = Scorer(scorer._artifact)
    for asked in (query.query, UNSEEN[1].query, replace(query.query, task="a task that the log did not have")):
        for model in MODELS:
            for finish in ("stop", "length"):
                answer = synthetic.answer(model, text, finish_reason=finish)
                assert scorer.score(asked, answer) == Scorer(fresh._artifact).score(asked, answer)


def test_priors_are_the_mean_quality(scorer: Scorer, log: tuple[LoggedQuery, ...]) -> None:
    for model in MODELS:
        assert scorer.priors[model] == pytest.approx(np.mean([query.labels[model] for query in log]))
    assert scorer.models == frozenset(MODELS)


@given(st.text(max_size=200))
def test_any_text_has_a_score(scorer: Scorer, text: str) -> None:
    query = UNSEEN[0]
    for others in ([], [said(query, "large")]):
        assert 0 <= scorer.score(query.query, synthetic.answer("small", text), others) <= 1


def test_a_label_of_the_log_that_no_request_carries_changes_no_score(scorer: Scorer) -> None:
    logged, answer = UNSEEN[0].query, said(UNSEEN[0], "small")
    assert logged.task is not None
    assert scorer.score(logged, answer) == scorer.score(replace(logged, task=None, id="another"), answer)


SAMPLED = {"small": 0.6, "small#2": 0.6, "small#3": 0.6, "panel": 0.7}


def made_of_samples(queries: Sequence[LoggedQuery]) -> list[LoggedQuery]:
    """The same log, its panel's answers made of the samples."""
    usage = Usage(prompt_tokens=1, completion_tokens=1)
    proposals = tuple(LoggedProposal(model=name, usage=usage) for name in list(SAMPLED)[:3])
    return [
        replace(query, answers={**query.answers, "panel": replace(query.answers["panel"], proposals=proposals)})
        for query in queries
    ]


def test_what_an_answer_was_made_of_is_among_the_others_in_a_log_as_live(tmp_path: Path) -> None:
    registry.write(train(synthetic.log(200, skills=SAMPLED)), tmp_path / "artifact")
    scorer, plain = Scorer.load(tmp_path / "artifact"), synthetic.log(200, skills=SAMPLED, seed=9)
    sampled = made_of_samples(plain)
    in_log = scorer.score_log(sampled, "panel")
    samples = list(SAMPLED)[:3]
    live = [scorer.score(q.query, said(q, "panel"), [said(q, name) for name in samples]) for q in plain]
    assert in_log.tolist() == pytest.approx(live, abs=1.1e-6)
    labels = [query.answers["panel"].quality for query in plain]
    alone = scorer.score_log(plain, "panel")
    assert roc_auc_score(labels, in_log) > roc_auc_score(labels, alone) + 0.1  # samples that agree tell much
    unknown = [
        replace(q, answers={**q.answers, "panel": replace(q.answers["panel"], proposals=(STRANGER,))})
        for q in plain[:5]
    ]
    assert scorer.score_log(unknown, "panel").tolist() == alone[:5].tolist()


STRANGER = LoggedProposal(model="stranger", usage=Usage(prompt_tokens=1, completion_tokens=1))
