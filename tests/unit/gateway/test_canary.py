"""A canary answers its share of conversations, all turns of each, and says so."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis.strategies import text

from gateway.canary import Canary, lot_of
from gateway.wishes import Wishes
from tests.unit.gateway.test_policies import ANY, EVERY, book, strategy

TRIED = Canary(strategy=strategy("middle", "large"), share=0.25)


def test_the_share_is_that_of_conversations() -> None:
    took = sum(TRIED.takes(lot_of("acme", f"conversation {n}")) for n in range(8000))
    assert took / 8000 == pytest.approx(0.25, abs=0.02)


@given(text(max_size=20), text(max_size=20))
def test_a_conversation_stays_on_its_side_and_tenants_draw_for_themselves(tenant: str, conversation: str) -> None:
    lot = lot_of(tenant, conversation)
    assert 0 <= lot < 1
    assert lot == lot_of(tenant, conversation)
    assert lot != lot_of(tenant + "x", conversation)


def test_its_strategy_answers_its_conversations_alone() -> None:
    policies = book(EVERY, whole=strategy("small", "large"))
    policies._policies = {name: replace(policy, canary=TRIED) for name, policy in policies._policies.items()}
    tried, usual = policies.choose("auto", ANY, lot=0.2), policies.choose("auto", ANY, lot=0.3)
    assert (tried.strategy.id, tried.canary, tried.tiers) == (TRIED.strategy.id, 0.25, ("middle", "large"))
    assert (usual.canary, usual.tiers) == (None, ("small", "large"))
    assert tried.identity != usual.identity
    assert policies.choose("auto", ANY) == usual  # whoever draws no lot
    assert policies.choose("auto", ANY, Wishes(max_tier=1), 0.0).canary is None
    assert policies.choose("small", ANY, lot=0.0).canary is None
