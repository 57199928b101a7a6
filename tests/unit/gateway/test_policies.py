"""Names lead to strategies, and tiers that cannot serve a request are left out of them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.canary import Canary
from gateway.capabilities import Limits
from gateway.config.check import load_settings
from gateway.errors import ConfigError, InvalidRequest, ModelNotFound, NoCapableModel
from gateway.policies import Policy, PolicyBook, load_policies
from gateway.wishes import Wishes
from router.judging import AnswerScorer
from router.strategy import Stage, Strategy
from scorer.answer import Answer, Query
from scorer.errors import ArtifactError

ANY = {"messages": [{"role": "user", "content": "x"}]}
IMAGE = {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}
BLIND = Limits(capabilities=frozenset())


class Half:
    """Finds every answer half good."""

    version = "v1"

    def doubt(self, query: Query, rate: float) -> None: ...

    def score(self, query: Query, answer: Answer, others: Sequence[Answer]) -> float:
        return 0.5


def strategy(*models: str) -> Strategy:
    stages = [Stage(model=model, threshold=0.5) for model in models[:-1]] + [Stage(model=models[-1])]
    return Strategy.of(stages, reference_model=models[-1], safe_model=models[-1], scorer_version="v1")


def book(limits: dict[str, Limits], *, whole: Strategy | None = None, default: str | None = "p") -> PolicyBook:
    policy = Policy(name="p", safe_model="large", strategy=whole, scorer=Half(), cache="all")
    return PolicyBook([policy], default, limits)


EVERY = {"small": Limits(), "middle": Limits(), "large": Limits()}


def test_auto_and_the_policys_name_mean_the_same() -> None:
    policies = book(EVERY, whole=strategy("small", "large"))
    assert policies.choose("auto", ANY) == policies.choose("cascade/p", ANY)
    assert policies.names == ("auto", "cascade/p", "small", "middle", "large")


def test_without_a_strategy_the_safe_model_answers_alone() -> None:
    choice = book(EVERY).choose("auto", ANY)
    assert [stage.model for stage in choice.strategy.stages] == ["large"]
    assert choice.policy == "p"


def test_a_models_own_name_passes_by_every_policy_and_limit() -> None:
    choice = book({**EVERY, "small": BLIND}).choose("small", IMAGE)
    assert (choice.policy, choice.scorer, choice.cache) == (None, None, "deterministic")
    assert [stage.model for stage in choice.strategy.stages] == ["small"]


@pytest.mark.parametrize("name", ["", "nobody", "cascade/", "cascade/q", "cascade/small", "p"])
def test_other_names_are_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(ModelNotFound, match=r"there are: auto, cascade/p, small"):
        book(EVERY).choose(name, ANY)


def test_there_is_no_auto_without_a_default_policy() -> None:
    with pytest.raises(ModelNotFound):
        book(EVERY, default=None).choose("auto", ANY)


def test_a_tier_that_cannot_serve_is_left_out_and_keeps_its_number() -> None:
    whole = strategy("small", "middle", "large")
    choice = book({**EVERY, "small": BLIND}, whole=whole).choose("auto", IMAGE)
    assert choice.strategy.stages == whole.stages[1:]
    assert choice.strategy.id == whole.id
    assert [choice.tier(model) for model in ("small", "middle", "large", "elsewhere")] == [1, 2, 3, 4]


def test_a_safe_model_that_cannot_serve_gives_way_to_the_last_tier_that_can() -> None:
    choice = book({**EVERY, "large": BLIND}, whole=strategy("small", "middle", "large")).choose("auto", IMAGE)
    assert choice.strategy.safe_model == "middle"


def test_where_only_the_safe_model_can_serve_it_answers_alone() -> None:
    choice = book({**EVERY, "small": BLIND, "middle": BLIND}, whole=strategy("small", "middle")).choose("auto", IMAGE)
    assert [(stage.model, stage.threshold) for stage in choice.strategy.stages] == [("large", None)]
    assert choice.strategy.reference_model == "middle"


def test_where_nobody_can_serve_each_is_named_with_its_reason() -> None:
    with pytest.raises(NoCapableModel, match="large has no vision; small has no vision"):
        book({**EVERY, "small": BLIND, "large": BLIND}, whole=strategy("small", "large")).choose("auto", IMAGE)


CONFIG = """\
models:
  - {name: small, backend: openai_compatible, base_url: "http://127.0.0.1:1"}
  - {name: large, backend: openai_compatible, base_url: "http://127.0.0.1:1"}
policies:
  - name: p
    safe_model: large
    strategy: strategy.json
    scorer: scorer
"""


def load(folder: Path, whole: Strategy, text: str = CONFIG, scorer: AnswerScorer | None = None) -> PolicyBook:
    (folder / "scorer").mkdir()
    whole.dump(folder / "strategy.json")
    (folder / "spillway.yaml").write_text(text)
    return load_policies(load_settings(folder / "spillway.yaml", env={}), lambda _folder: scorer or Half())


def test_policies_are_loaded_with_the_configured_safe_model(tmp_path: Path) -> None:
    policies = load(tmp_path, strategy("large", "small"))
    (policy,) = policies
    assert policy.strategy is not None
    assert policy.strategy.safe_model == "large"
    assert policies.default == "p"


def test_a_strategy_of_models_that_are_not_configured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"line 7: policies\[0\]\.strategy: calls huge, which models does not have"):
        load(tmp_path, strategy("small", "huge"))


def test_thresholds_need_a_scorer(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"policies\[0\]\.scorer: is required by"):
        load(tmp_path, strategy("small", "large"), CONFIG.replace("    scorer: scorer\n", ""))


def test_a_strategy_is_not_used_with_another_scorer(tmp_path: Path) -> None:
    other = Half()
    other.version = "v2"
    with pytest.raises(ConfigError, match=r"is version v2, and strategy\.json was chosen with v1"):
        load(tmp_path, strategy("small", "large"), scorer=other)


def test_a_single_model_needs_no_scorer(tmp_path: Path) -> None:
    whole = Strategy.of([Stage(model="small")], reference_model="small", safe_model="small")
    assert load(tmp_path, whole, CONFIG.replace("    scorer: scorer\n", "")).default == "p"


def test_a_damaged_artifact_is_placed_in_the_configuration(tmp_path: Path) -> None:
    def damaged(_folder: Path) -> AnswerScorer:
        raise ArtifactError("manifest.json: hash does not match")

    (tmp_path / "scorer").mkdir()
    strategy("small", "large").dump(tmp_path / "strategy.json")
    (tmp_path / "spillway.yaml").write_text(CONFIG)
    settings = load_settings(tmp_path / "spillway.yaml", env={})
    with pytest.raises(ConfigError, match=r"line 8: policies\[0\]\.scorer: manifest\.json"):
        load_policies(settings, damaged)


def test_a_broken_strategy_is_placed_in_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "scorer").mkdir()
    (tmp_path / "strategy.json").write_text("{")
    (tmp_path / "spillway.yaml").write_text(CONFIG)
    with pytest.raises(ConfigError, match=r"line 7: policies\[0\]\.strategy: "):
        load_policies(load_settings(tmp_path / "spillway.yaml", env={}), lambda _folder: Half())


WHOLE = strategy("small", "middle", "large")


def test_tiers_are_bounded_by_wish_and_the_safe_model_with_them() -> None:
    policies = book(EVERY, whole=WHOLE)
    bounded = policies.choose("auto", ANY, Wishes(min_tier=2, max_tier=2))
    assert ([stage.model for stage in bounded.strategy.stages], bounded.strategy.safe_model) == (["middle"], "middle")
    assert (bounded.tier("middle"), bounded.altered) == (2, ("tiers",))
    assert policies.choose("auto", ANY, Wishes(max_tier=9)).strategy == policies.choose("auto", ANY).strategy
    with pytest.raises(InvalidRequest, match="has 3 tier"):
        policies.choose("auto", ANY, Wishes(min_tier=4))
    with pytest.raises(InvalidRequest, match="by its own name") as refused:
        policies.choose("small", ANY, Wishes(max_tier=1))
    assert refused.value.param == "max_tier"
    with pytest.raises(NoCapableModel, match="outside the tiers"):
        book({**EVERY, "small": BLIND}, whole=WHOLE).choose("auto", IMAGE, Wishes(max_tier=1))


def test_quality_only_raises_thresholds() -> None:
    policies = book(EVERY, whole=WHOLE)
    raised = policies.choose("auto", ANY, Wishes(quality=0.9))
    assert [stage.threshold for stage in raised.strategy.stages] == [0.9, 0.9, None]
    assert raised.altered == ("quality",)
    assert policies.choose("auto", ANY, Wishes(quality=0.1)) == policies.choose("auto", ANY)
    assert book(EVERY).choose("auto", ANY, Wishes(quality=0.9)).dropped == ("spillway.quality",)


def test_a_policy_is_wished_for_of_auto_alone() -> None:
    policies = book(EVERY, whole=WHOLE)
    assert policies.named("auto", Wishes(policy="p")) == policies.named("cascade/p", Wishes(policy="p")) == "cascade/p"
    with pytest.raises(InvalidRequest, match="Ask for auto"):
        policies.named("small", Wishes(policy="p"))


def test_what_serves_tells_choices_apart() -> None:
    policy = Policy(name="p", safe_model="large", strategy=WHOLE, scorer=Half(), cache="all")
    one, other = (PolicyBook([policy], "p", EVERY, None, {"small": name, "large": "l"}) for name in ("a", "b"))
    assert one.choose("auto", ANY).identity != other.choose("auto", ANY).identity
    assert (
        one.choose("auto", ANY, Wishes(min_tier=2)).identity == other.choose("auto", ANY, Wishes(min_tier=2)).identity
    )
    assert one.choose("auto", ANY).identity != one.choose("auto", ANY, Wishes(quality=0.9)).identity


def test_a_canary_that_was_set_meanwhile_holds_as_long_as_it_can_be_carried_out() -> None:
    tried: dict[str, Canary] = {}
    policy = Policy(name="p", safe_model="large", strategy=strategy("small", "large"), scorer=Half(), cache="all")
    limits = dict.fromkeys(("small", "middling", "large"), Limits())
    served = PolicyBook([policy], "p", limits, tried=tried)
    before = served.has_canaries
    assert not before
    wanted = strategy("middling", "large")
    tried["p"] = Canary(strategy=wanted, share=0.5)
    assert served.has_canaries
    assert served.choose("auto", ANY, lot=0.4).tiers == ("middling", "large")
    assert served.choose("auto", ANY, lot=0.4).canary == 0.5
    assert served.choose("auto", ANY, lot=0.6).tiers == ("small", "large")
    for other, why in (
        (strategy("gone", "large"), "it asks gone, which is not served"),
        (replace(wanted, scorer_version="v2"), "it goes by the scores of v2"),
    ):
        assert why in str(policy.why_not_try(other, limits))
        tried["p"] = Canary(strategy=other, share=0.5)
        assert served.choose("auto", ANY, lot=0.4).tiers == ("small", "large")
    observing = Policy(name="p", safe_model="large", strategy=None, scorer=None, cache="all")
    assert "observes" in str(observing.why_not_try(wanted, limits))
    written = replace(policy, canary=Canary(strategy=strategy("large", "small"), share=0.5))
    tried["p"] = Canary(strategy=wanted, share=0.5)
    assert PolicyBook([written], "p", limits, tried=tried).choose("auto", ANY, lot=0.4).tiers == ("large", "small")
