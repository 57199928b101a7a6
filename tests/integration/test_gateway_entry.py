"""A cascade is entered by a request's category: tiers before that are not called, and the decision says why."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.errors import ConfigError
from router.entry import Entry
from router.strategy import Stage, Strategy
from scorer.answer import Query
from scorer.categories import Category
from tests.gateway_server import NumberScorer, Running, models, serving
from tests.upstream import BadUpstream, answer

OPERATOR = "operator-of-the-tests-0123"
POLICY = f"""
policies: [{{name: default, safe_model: large, strategy: entered.json, scorer: scorer}}]
admin: {{token: {OPERATOR}}}
"""


class Sorting(NumberScorer):
    """The category is the question's first word, as likely as its second says."""

    categories = ("law", "sums")

    def categorise(self, query: Query) -> Category | None:
        name, p = str(query.messages[-1]["content"]).split()[:2]
        return None if name == "odd" else Category(name=name, p=float(p))


def entered(folder: Path) -> Strategy:
    strategy = Strategy.of(
        (Stage(model="small", threshold=0.8), Stage(model="large")),
        reference_model="large",
        safe_model="large",
        scorer_version="stub",
        entry=Entry(skips={"law": ("small",)}, least=0.7),
    )
    strategy.dump(folder / "entered.json")
    return strategy


async def asked(gateway: Running, words: str, *, stream: bool = False) -> tuple[str, dict[str, Any], httpx.Response]:
    """Who answered, the decision's entry, and the response."""
    messages = [{"role": "user", "content": words}]
    response = await gateway.chat("auto", messages=messages, stream=stream)
    assert response.status_code == 200, response.text
    await gateway.closed(response.headers["x-request-id"])
    decision = await gateway.decision(response)
    return decision["answered_by"]["model"], decision["steps"][0], response


async def test_tiers_before_the_entry_are_not_called_and_the_decision_says_why(tmp_path: Path) -> None:
    entered(tmp_path)
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("it is 0.93"))
        large.will(answer("the large answer"))
        listed = models(small=small.base_url, large=large.base_url)
        async with serving(tmp_path, listed, POLICY, load_scorer=lambda _folder: Sorting()) as gateway:
            model, entry, response = await asked(gateway, "law 0.93 whose is it")
            assert (model, len(small.asked), len(large.asked)) == ("large", 0, 1)
            assert entry == {
                "entered_at_tier": 2,
                "model": "large",
                "category": "law",
                "probability": 0.93,
                "skipped": ["small"],
                "why": None,
            }
            assert response.headers["x-spillway-tier"] == "2"
            for words, why in (("law 0.5", "unsure"), ("sums 0.9", "asks_all"), ("odd 1.0", "unlike")):
                model, entry, _ = await asked(gateway, words)
                assert (model, entry["entered_at_tier"], entry["why"]) == ("small", 1, why)
            model, entry, _ = await asked(gateway, "law 0.99 of streams", stream=True)
            assert (model, entry["entered_at_tier"]) == ("large", 2)
            assert (len(small.asked), len(large.asked)) == (3, 2)
            async with httpx.AsyncClient(base_url=gateway.url, follow_redirects=True) as person:
                await person.post("/dashboard/login", data={"key": OPERATOR})
                page = await person.get(f"/dashboard/decisions/{response.headers['x-request-id']}")
                assert "Entered at tier 2: category law, p=0.93" in page.text
                assert "law skips small" in (await person.get("/dashboard/strategy")).text


async def test_a_scorer_that_tells_no_categories_is_refused_at_its_place(tmp_path: Path) -> None:
    entered(tmp_path)
    with pytest.raises(ConfigError, match=r"scorer.*tells no categories.*--categories"):
        async with serving(tmp_path, models(small="http://127.0.0.1:1", large="http://127.0.0.1:1"), POLICY):
            raise AssertionError("it serves")
