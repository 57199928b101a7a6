"""What certifies has been seen by nothing, counts each conversation once, and places no test."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from router.errors import NotCertified, StrategyError
from router.optimize.parts import SELECTION_SHARE, part
from router.strategy import Evidence, Stage, Strategy
from scorer.dataset import LoggedQuery
from tests.fakelog import FakeScorer, fake_log

TRAIN, FRESH = fake_log(40, seed=1), fake_log(100, seed=2, split="dev")


def strategy(chosen_on: Sequence[LoggedQuery] = ()) -> Strategy:
    digest, seen = Evidence.of_queries(query.hash for query in chosen_on)
    evidence = Evidence(
        rule="match-best",
        data_sha256=digest,
        n_queries=len(chosen_on),
        quality=0.9,
        cost_usd_per_1k=1,
        reference_quality=0.9,
        reference_cost_usd_per_1k=2,
        seen=seen,
    )
    return Strategy.of(
        [Stage(model="small", threshold=0.5), Stage(model="large")],
        reference_model="large",
        safe_model="large",
        scorer_version="sc_fake",
        evidence=evidence,
    )


def hashes(queries: Sequence[LoggedQuery]) -> set[str]:
    return {query.hash for query in queries}


def test_seen_queries_are_counted_named_and_refused() -> None:
    with pytest.raises(StrategyError) as refusal:
        part([*TRAIN, *FRESH], strategy(TRAIN[:5]), FakeScorer(trained_on=TRAIN))
    said = str(refusal.value)
    assert "of 140 queries the scorer was trained on 40 (q0, q1, q2, …)" in said
    assert "was chosen or certified on 5 (q0, q1, q2, …)" in said
    assert "--leave-out-seen" in said


def test_seen_queries_that_are_left_out_place_the_test() -> None:
    parts = part([*TRAIN, *FRESH], strategy(TRAIN), FakeScorer(trained_on=TRAIN[:20]), leave_out_seen=True)
    assert hashes(parts.calibration) == hashes(FRESH)
    assert hashes(parts.selection) == hashes(TRAIN)
    assert (parts.seen, parts.repeated) == (40, 0)


def test_data_for_the_selection_may_be_given() -> None:
    parts = part(FRESH, strategy(TRAIN), FakeScorer(trained_on=TRAIN), selection=TRAIN)
    assert hashes(parts.calibration) == hashes(FRESH)
    assert hashes(parts.selection) == hashes(TRAIN)
    with pytest.raises(StrategyError, match=r"10 queries \(q0, q1, q2, …\) or others of their conversations"):
        part(FRESH, strategy(), FakeScorer(), selection=FRESH[:10])


def test_without_any_a_share_of_the_log_places_the_test_and_certifies_nothing() -> None:
    log = fake_log(1000, seed=3)
    parts = part(log, strategy(), FakeScorer())
    assert not hashes(parts.calibration) & hashes(parts.selection)
    assert len(parts.calibration) + len(parts.selection) == 1000
    assert len(parts.selection) == pytest.approx(1000 * SELECTION_SHARE, abs=60)
    assert part(log[::-1], strategy(), FakeScorer()) == parts  # the log's order says nothing


def test_of_a_conversation_one_query_counts_and_none_if_one_was_seen() -> None:
    talks = [replace(query, group=f"talk {i // 4}") for i, query in enumerate(FRESH)]
    parts = part(talks, strategy(talks[:1]), FakeScorer(), leave_out_seen=True)
    assert parts.seen == 4
    assert hashes(parts.selection) == hashes(talks[:4])
    assert len(parts.calibration) == len({query.group for query in parts.calibration}) == 24
    assert parts.repeated == 72
    assert part([*FRESH, *FRESH], strategy(), FakeScorer()).repeated == 100


def test_nothing_left_is_refused() -> None:
    with pytest.raises(NotCertified, match="of 40 queries only 0 count"):
        part(TRAIN, strategy(TRAIN), FakeScorer(), leave_out_seen=True)
