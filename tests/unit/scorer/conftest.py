"""A small synthetic log and the scorer trained on it, made once."""

from pathlib import Path

import pytest

from scorer import registry
from scorer.dataset import LoggedQuery
from scorer.member import Trained
from scorer.scoring import Scorer
from scorer.training import train
from tests.unit.scorer import synthetic


@pytest.fixture(scope="session")
def log() -> tuple[LoggedQuery, ...]:
    return synthetic.log(120)


@pytest.fixture(scope="session")
def unseen() -> tuple[LoggedQuery, ...]:
    return synthetic.log(60, seed=9, split="dev")


@pytest.fixture(scope="session")
def trained(log: tuple[LoggedQuery, ...]) -> Trained:
    return train(log)


@pytest.fixture(scope="session")
def artifact(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("scorer") / "artifact"
    registry.write(trained, directory)
    return directory


@pytest.fixture(scope="session")
def scorer(artifact: Path) -> Scorer:
    return Scorer.load(artifact)
