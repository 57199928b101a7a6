"""A canary answers its share of conversations beside the policy's strategy, and every trace says which one it was."""

from pathlib import Path

import pytest

from gateway.config.check import load_settings
from gateway.errors import ConfigError
from gateway.ledger.reports import Reports
from router.strategy import Stage, Strategy
from tests.gateway_server import models, serving, written
from tests.upstream import BadUpstream, answer

TRIED = Strategy.of(
    (Stage(model="small", threshold=0.1), Stage(model="large")),
    reference_model="large", safe_model="large", scorer_version="stub",
)  # fmt: skip
POLICY = (
    "policies: [{name: default, safe_model: large, strategy: strategy.json, scorer: scorer, "
    "canary: {strategy: second.json, share: 0.5}}]\n"
)


async def test_some_conversations_are_the_canarys_and_stay_so(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("it is 0.31"))
        large.will(answer("the large answer"))
        TRIED.dump(tmp_path / "second.json")
        sections = models(small=small.base_url, large=large.base_url)
        async with serving(tmp_path, sections, POLICY) as gateway:
            told: dict[int, tuple[str, str]] = {}
            for n in range(12):
                first = [{"role": "user", "content": f"question {n}"}]
                more = [{"role": "assistant", "content": "…"}, {"role": "user", "content": "and then?"}]
                for turns in (first, first + more):
                    response = await gateway.chat(messages=turns, temperature=1)
                    said = (response.headers["x-spillway-strategy"], response.headers["x-spillway-model"])
                    assert told.setdefault(n, said) == said
                    decision = await gateway.closed(response.headers["x-request-id"])
                    tried = said == (TRIED.id, "small")
                    assert tried or said[1] == "large"
                    assert decision.tags.get("spillway.canary") == ("0.5" if tried else None)
                    assert decision.strategy_id == said[0]
            assert len(set(told.values())) == 2
            rows = {row.heading: row for row in await Reports(gateway.database).spend("tag:spillway.canary")}
            assert rows["0.5"].requests == 2 * sum(one == (TRIED.id, "small") for one in told.values())


@pytest.mark.parametrize(
    ("canary", "words"),
    [
        ("{strategy: none.json}", r"policies\[0\]\.canary\.strategy: there is no file"),
        ("{strategy: second.json, share: 0.9}", r"policies\[0\]\.canary\.share"),
        ("{share: 0.1}", r"policies\[0\]\.canary\.strategy"),
    ],
)
def test_a_canary_that_cannot_be_is_refused_where_it_is_written(tmp_path: Path, canary: str, words: str) -> None:
    policy = f"policies: [{{name: default, safe_model: large, canary: {canary}}}]\n"
    TRIED.dump(tmp_path / "second.json")
    with pytest.raises(ConfigError, match=words):
        load_settings(written(tmp_path, models(large="http://127.0.0.1:9/v1"), policy), env={})
