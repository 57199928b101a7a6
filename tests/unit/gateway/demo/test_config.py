"""What the demo writes, the gateway accepts."""

from pathlib import Path

from gateway.config.check import load_settings
from gateway.demo import config
from gateway.demo.folder import take
from gateway.demo.simulated import MODELS
from router.pricing import PriceBook


def test_the_gateway_accepts_the_configuration(tmp_path: Path) -> None:
    folder = take(tmp_path)
    config.write(folder, port=1234, models_url="http://127.0.0.1:9/v1")
    settings = load_settings(folder.config)
    assert settings.server.port == 1234
    assert [model.name for model in settings.models] == list(MODELS)
    assert settings.default is not None
    assert settings.default.strategy is None
    assert settings.default.safe_model == "simulated-large"
    assert settings.database_url == folder.database_url


def test_once_something_is_learnt_the_policy_says_so(tmp_path: Path) -> None:
    folder = take(tmp_path)
    folder.strategy.write_text("{}")
    folder.scorer.mkdir()
    config.write(folder, port=1234, models_url="http://127.0.0.1:9/v1", learnt=True)
    policy = load_settings(folder.config).default
    assert policy is not None
    assert (policy.strategy, policy.scorer) == (Path("strategy.json"), Path("scorer"))


def test_prices_are_those_of_the_models(tmp_path: Path) -> None:
    folder = take(tmp_path)
    config.write(folder, port=1234, models_url="http://127.0.0.1:9/v1")
    book = PriceBook.load(folder.prices)
    for model in MODELS.values():
        price = book.price(model.name)
        assert price is not None
        assert price.rates == {"input": model.input_usd_per_mtok, "output": model.output_usd_per_mtok}
