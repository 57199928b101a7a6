"""The table holds what the log, the prices and the scorer say, and says what it had to leave out."""

from dataclasses import replace

import numpy as np
import pytest

from router.errors import StrategyError
from router.optimize.table import ScoreTable, costs
from router.pricing import PriceBook, price_of
from scorer.answer import Answer, Usage
from scorer.logline import LoggedProposal
from tests.fakelog import MODELS, FakeScorer, fake_log, fake_prices, random_table


def test_it_holds_labels_exact_costs_and_scores_in_context() -> None:
    queries, prices, scorer = fake_log(20), fake_prices(), FakeScorer()
    table = ScoreTable.build(queries, scorer, prices)
    assert table.models == tuple(sorted(MODELS))
    assert table.query_hashes == tuple(query.hash for query in queries)
    for row, query in enumerate(queries):
        for column, model in enumerate(table.models):
            price = prices.price(model)
            assert price is not None
            assert table.cost_nanousd[row, column] == price_of(query.answers[model].usage, price).nanousd
            assert table.quality[row, column] == query.answers[model].quality
    large, small = table.models.index("large"), table.models.index("small")
    assert table.scores(large, (small,)).tolist() == scorer.score_log(queries, "large", ["small"]).tolist()


def test_a_score_is_asked_for_once_whatever_the_order_of_the_context() -> None:
    asked = []

    class Counting(FakeScorer):
        def score_log(self, queries, model, others=()):  # type: ignore[no-untyped-def]  # counts, then does as its base
            asked.append((model, tuple(others)))
            return super().score_log(queries, model, others)

    table = ScoreTable.build(fake_log(5), Counting(), fake_prices())
    assert table.scores(0, (1, 2)) is table.scores(0, (2, 1))
    assert len(asked) == 1


def test_models_that_cannot_be_compared_are_left_out_with_the_reason() -> None:
    queries = fake_log(4)
    partly = replace(queries[0], answers={m: a for m, a in queries[0].answers.items() if m != "small"})
    table = ScoreTable.build([partly, *queries[1:]], FakeScorer(["small", "large"]), fake_prices())
    assert table.models == ("large",)
    assert table.left_out["small"] == "answered only 3 of 4 queries"
    assert "not trained" in table.left_out["middling"]
    unpriced = ScoreTable.build(queries, FakeScorer(), fake_prices(["small"]))
    assert "price is not known" in unpriced.left_out["large"]
    assert ScoreTable.build(queries, FakeScorer(["large"]), fake_prices(), only_scored=False).left_out == {}


def test_nothing_to_work_on_is_an_error() -> None:
    with pytest.raises(StrategyError, match="no query to work on"):
        ScoreTable.build([], FakeScorer(), fake_prices())
    with pytest.raises(StrategyError, match=r"no model can be used.*its price is not known"):
        ScoreTable.build(fake_log(3), FakeScorer(), PriceBook())
    labels_only = [replace(query, answers={}) for query in fake_log(3)]
    with pytest.raises(StrategyError, match="no answers at all"):
        ScoreTable.build(labels_only, FakeScorer(), fake_prices())
    with pytest.raises(StrategyError, match="'small': its price is not known"):
        costs(fake_log(3), ["small"], PriceBook())


def test_a_score_that_is_no_number_is_an_error() -> None:
    table = random_table(4, 2, 0)
    broken = ScoreTable(
        models=table.models,
        query_hashes=table.query_hashes,
        quality=table.quality,
        cost_nanousd=table.cost_nanousd,
        scores=lambda _model, _context: np.full(4, np.nan),
    )
    with pytest.raises(StrategyError, match="no finite score for every answer of 'm1'"):
        broken.scores(1)
    without = ScoreTable.build(fake_log(3), None, fake_prices())
    with pytest.raises(StrategyError, match="there is no scorer"):
        without.scores(0)


def test_some_rows_of_it_are_a_table_too() -> None:
    table, rows = random_table(10, 3, 1), np.array([7, 2])
    part = table.take(rows)
    assert part.query_hashes == (table.query_hashes[7], table.query_hashes[2])
    assert part.scores(1, (0,)).tolist() == table.scores(1, (0,))[rows].tolist()


def test_the_reference_is_the_best_model_and_among_equals_the_cheapest() -> None:
    def reference(quality: list[list[float]], cost: list[list[int]]) -> int:
        return ScoreTable(
            models=("a", "b", "c"),
            query_hashes=("x", "y"),
            quality=np.array(quality),
            cost_nanousd=np.array(cost),
            scores=lambda _model, _context: np.zeros(2),
        ).reference()

    assert reference([[0, 1, 1], [1, 0, 1]], [[1, 1, 9], [1, 1, 9]]) == 2
    assert reference([[0, 1, 1], [1, 1, 1]], [[1, 5, 9], [1, 5, 9]]) == 1


def test_shapes_must_fit() -> None:
    def build(queries: tuple[str, ...], models: tuple[str, ...]) -> None:
        ScoreTable(
            models=models,
            query_hashes=queries,
            quality=np.zeros((1, 1)),
            cost_nanousd=np.zeros((1, 1), dtype=np.int64),
            scores=lambda _model, _context: np.zeros(1),
        )

    with pytest.raises(StrategyError, match="of that shape"):
        build(("x",), ("a", "b"))


def test_groups_are_kept() -> None:
    grouped = [replace(query, group="talk") for query in fake_log(3)]
    assert set(ScoreTable.build(grouped, FakeScorer(), fake_prices()).groups) == {"talk"}


def test_a_mixture_costs_all_its_calls_and_no_sample_is_a_tier() -> None:
    usage = Usage(prompt_tokens=7, completion_tokens=3)
    proposals = tuple(LoggedProposal(model=name, usage=usage) for name in ("small", "small#2"))
    queries = [
        replace(
            query,
            answers={
                **query.answers,
                "large": replace(query.answers["large"], proposals=proposals),
                "small#2": replace(query.answers["small"], answer=Answer(model="small#2", text="?")),
            },
        )
        for query in fake_log(4)
    ]
    prices = fake_prices()
    small, large = prices.price("small"), prices.price("large")
    assert small is not None
    assert large is not None
    table = ScoreTable.build(queries, FakeScorer([*MODELS, "small#2"]), prices)
    own = [price_of(query.answers["large"].usage, large).nanousd for query in queries]
    each = price_of(usage, small).nanousd
    assert table.cost_nanousd[:, table.models.index("large")].tolist() == [amount + 2 * each for amount in own]
    assert "a sample of another model" in table.left_out["small#2"]
    unpriced = ScoreTable.build(queries, FakeScorer(), fake_prices(["large", "middling"]))
    assert unpriced.models == ("middling",)
    assert "made of answers of small, whose price is not known" in unpriced.left_out["large"]
