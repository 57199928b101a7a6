"""Training: a known signal is found, nothing sees the fold that it scores, small and odd logs are handled."""

from dataclasses import replace

import numpy as np
import pytest

from scorer.dataset import LoggedQuery
from scorer.errors import ScorerError, TooLittleData
from scorer.member import Head, Member, Trained
from scorer.registry import Artifact
from scorer.scoring import Scorer
from scorer.training import train
from tests.unit.scorer import synthetic

LINEAR = ("linear",)


def content(member: Member) -> list[object]:
    """Everything that was fitted, comparable."""
    parts: list[object] = [getattr(member.experience, name).tolist() for name in ("accuracy", "typical_log_chars")]
    for head in (member.alone, member.together):
        if isinstance(head, Head):
            parts += [sorted(head.weights.items()), head.calibrator.as_json()]
            parts += [model.dump() for _, model in sorted(head.models.items())]
    return parts


def scorer_of(trained: Trained) -> Scorer:
    return Scorer(Artifact(version="test", trained=trained))


def test_the_known_signal_is_found(trained: Trained) -> None:
    alone, together = trained.report["out_of_fold"]["alone"], trained.report["out_of_fold"]["together"]
    assert alone["overall"]["auroc"] > 0.7
    assert together["overall"]["auroc"] > alone["overall"]["auroc"] + 0.1
    assert together["overall"]["brier"] < alone["overall"]["brier"] < alone["overall"]["brier_of_mean"]
    assert set(alone["models"]) == set(synthetic.SKILLS)


def test_progress_runs_from_nothing_to_everything() -> None:
    told: list[tuple[str, int, int]] = []
    train(synthetic.log(20), kinds=LINEAR, progress=lambda doing, done, total: told.append((doing, done, total)))
    for doing in ("reading answers", "fitting"):
        steps = [(done, total) for what, done, total in told if what == doing]
        assert steps[0][0] == 0
        assert steps[-1][0] == steps[-1][1]
        assert [done for done, _ in steps] == sorted(done for done, _ in steps)


def test_a_member_does_not_depend_on_its_own_fold(log: tuple[LoggedQuery, ...], trained: Trained) -> None:
    """Other answers and turned labels in fold 2 leave member 2 as it was, to the last bit, and change all others."""
    spoiled = []
    for query in log:
        if trained.folds[query.hash] == 2:
            turned = synthetic.relabelled(query, {model: 1.0 - quality for model, quality in query.labels.items()})
            answers = {
                model: replace(entry, answer=replace(entry.answer, text=f"No idea, {model}. The answer is 7."))
                for model, entry in turned.answers.items()
            }
            query = replace(turned, answers=answers)
        spoiled.append(query)
    other = train(spoiled)
    same = [content(one) == content(two) for one, two in zip(trained.members, other.members, strict=True)]
    assert same == [False, False, True, False, False]


def test_labels_that_mean_nothing_are_not_learned() -> None:
    random = np.random.default_rng(5)
    noise = [
        synthetic.relabelled(query, {model: float(random.random() < 0.5) for model in query.labels})
        for query in synthetic.log(130, seed=3)
    ]
    sections = train(noise).report["out_of_fold"]
    for section in (sections["alone"], sections["together"]):
        assert 0.38 < section["overall"]["auroc"] < 0.6
        assert section["overall"]["brier"] < 0.27


def test_the_same_seed_gives_the_same_scorer_and_another_one_another(log: tuple[LoggedQuery, ...]) -> None:
    few = log[:40]
    first, again, other = (train(few, kinds=LINEAR, seed=seed) for seed in (1, 1, 2))
    assert [content(member) for member in first.members] == [content(member) for member in again.members]
    assert [content(member) for member in first.members] != [content(member) for member in other.members]


@pytest.mark.parametrize("kinds", [("linear",), ("boosted",), ("linear", "boosted")])
def test_fifty_rows_are_enough_to_say_something(kinds: tuple[str, ...]) -> None:
    few = synthetic.log(25, skills={"small": 0.5, "large": 0.9})
    scorer = scorer_of(train(few, kinds=kinds))
    scores = scorer.score_log(synthetic.log(100, seed=8, skills={"small": 0.5, "large": 0.9}), "large")
    assert ((scores > 0) & (scores < 1)).all()
    assert scores.mean() > 0.6


def test_one_class_only_is_said() -> None:
    right = [synthetic.relabelled(query, dict.fromkeys(query.labels, 1.0)) for query in synthetic.log(20)]
    with pytest.raises(TooLittleData, match="every answer of the log has the quality 1; a scorer needs good and bad"):
        train(right)


def test_one_class_but_for_one_answer_is_survived() -> None:
    queries = list(synthetic.log(30, skills={"only": 1.0}))
    queries[3] = synthetic.relabelled(queries[3], {"only": 0.0})
    scores = scorer_of(train(queries)).score_log(queries, "only")
    assert (scores > 0.5).all()


def test_one_model_only_has_no_company() -> None:
    queries = synthetic.log(40, skills={"only": 0.6})
    trained = train(queries, kinds=LINEAR)
    assert all(member.together is None for member in trained.members)
    assert set(trained.report["out_of_fold"]) == {"expected", "alone"}
    scorer = scorer_of(trained)
    asked, said = queries[0].query, queries[0].answers["only"].answer
    stranger = synthetic.answer("stranger", said.text)
    assert scorer.score(asked, said, [stranger]) == scorer.score(asked, said)


def test_labels_alone_teach_what_to_expect_and_nothing_else() -> None:
    bare = [replace(query, answers={}) for query in synthetic.log(60)]
    trained = train(bare)
    assert set(trained.report["out_of_fold"]) == {"expected"}
    scorer = scorer_of(trained)
    p, tokens = scorer.expect_log(bare)
    assert p.mean(axis=0) == pytest.approx([scorer.priors[model] for model in scorer.columns], abs=0.1)
    assert np.isnan(tokens).all()
    assert np.array_equal(scorer.believe_log(bare, []), p)
    said = synthetic.answer("small", "The answer is 4.")
    for judged in (
        lambda: scorer.score(bare[0].query, said),
        lambda: scorer.score_log(bare, "small"),
        lambda: scorer.believe(bare[0].query, [said]),
        lambda: scorer.believe_log(bare, ["small"]),
    ):
        with pytest.raises(ScorerError, match="trained on labels alone: it expects, but it can judge no answer"):
            judged()


def test_queries_with_labels_alone_may_stand_among_others() -> None:
    queries = [replace(query, answers={}) if i % 3 else query for i, query in enumerate(synthetic.log(60))]
    scorer = scorer_of(train(queries, kinds=LINEAR))
    assert scorer.judges
    assert scorer.score_log(queries[:1], "large").shape == (1,)


def test_no_queries_cannot_train() -> None:
    with pytest.raises(TooLittleData, match="the log has no labels"):
        train([])


def test_answers_may_be_missing_here_and_there() -> None:
    queries = []
    for index, query in enumerate(synthetic.log(45)):
        kept = [model for place, model in enumerate(query.answers) if place != index % 4]
        queries.append(
            replace(query, answers={m: query.answers[m] for m in kept}, labels={m: query.labels[m] for m in kept})
        )
    assert train(queries, kinds=LINEAR).report["n_answers"] == sum(len(query.answers) for query in queries)


def test_odd_answers_train_and_score() -> None:
    texts = ["", "日本語の答え", "x" * 100_000, "{" * 500, "The answer is 4.", "null"]
    calls = ({"type": "function", "function": {"name": "f", "arguments": "{}"}},)
    parts = [{"type": "text", "text": "Hello"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    queries = []
    for index, query in enumerate(synthetic.log(30)):
        odd = replace(query.answers["small"].answer, text=texts[index % 6], tool_calls=calls if index % 5 == 0 else ())
        answers = dict(query.answers) | {"small": replace(query.answers["small"], answer=odd)}
        asked = {"role": "user", "content": parts if index % 3 == 0 else None if index % 3 == 1 else f"case {index}"}
        messages = (*query.query.messages, asked)
        queries.append(replace(query, query=replace(query.query, messages=messages, task=None), answers=answers))
    scorer = scorer_of(train(queries, kinds=LINEAR))
    for other in ([], ["large"], ["large", "middle"]):
        scores = scorer.score_log(queries, "small", other)
        assert ((scores >= 0) & (scores <= 1)).all()


def test_fractional_qualities_are_learned() -> None:
    graded = [
        synthetic.relabelled(query, {model: 0.2 + 0.7 * quality for model, quality in query.labels.items()})
        for query in synthetic.log(100, seed=4)
    ]
    overall = train(graded, kinds=LINEAR).report["out_of_fold"]["together"]["overall"]
    assert overall["brier"] < overall["brier_of_mean"]
    assert overall["good"] == pytest.approx(np.mean([list(query.labels.values()) for query in graded]))


def test_logprobs_are_used_where_there_are_any() -> None:
    with_them = synthetic.log(150, skills={"only": 0.6}, logprobs=True)
    without = synthetic.log(150, skills={"only": 0.6})
    auroc = [
        train(queries, kinds=LINEAR).report["out_of_fold"]["alone"]["overall"]["auroc"]
        for queries in (with_them, without)
    ]
    assert auroc[0] > auroc[1] + 0.05
