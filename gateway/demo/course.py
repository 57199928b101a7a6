"""The demo's course: each step with its progress, and what it hands on to the next.

Knows what is asked of whom with which key. Compares nothing and shows no table.
"""

import asyncio
from collections.abc import Callable, Sequence
from random import Random

from gateway.demo.bookkeeping import Account, Key, accounts, new_keys
from gateway.demo.logbook import how_well_it_judges, logged
from gateway.demo.progress import Steps
from gateway.demo.show import in_words
from gateway.demo.simulated import MODELS
from gateway.demo.stage import Stage
from gateway.demo.tasks import Task
from gateway.demo.traffic import Exchange, send
from router.strategy import Strategy
from scorer.dataset import write_log

_TRAINING, _APP, _COMPARISON = "demo: training", "demo: app", "demo: comparison"
_REPEATED_SHARE = 0.2
_REPEAT_AFTER = 50  # requests later at the earliest, so that the first answer is there


class Course:
    """One demo's steps, to be taken in order."""

    def __init__(self, stage: Stage, steps: Steps, *, seed: int) -> None:
        self._stage, self._steps, self._rng = stage, steps, Random(seed)
        self._keys: dict[str, Key] = {}
        self._exchanges: dict[str, list[Exchange]] = {_TRAINING: [], _APP: [], _COMPARISON: []}

    @property
    def app_key(self) -> str:
        """The key that is left to the user."""
        return self._keys[_APP].secret

    def start(self) -> None:
        with self._steps.step("Starting models and gateway"):
            self._stage.start()
            self._keys = new_keys(self._stage.folder.database_url, app=_APP, others=(_TRAINING, _COMPARISON))

    def gather(self, tasks: Sequence[Task]) -> None:
        """Every model's answers to the tasks, with the right ones marked, as a log."""
        exchanges = self._ask_all(f"Asking each model {len(tasks)} questions", _TRAINING, tasks)
        write_log(self._stage.folder.traffic, logged(exchanges))

    def train(self) -> None:
        folder = self._stage.folder
        with self._steps.step("Training the scorer"):
            self._stage.do("train", "--data", folder.traffic.name, "--out", folder.scorer.name)
        self._steps.note(how_well_it_judges(folder.scorer))

    def choose(self) -> Strategy:
        """The strategy that the gateway then serves."""
        folder = self._stage.folder
        data = ["--scorer", folder.scorer.name, "--data", folder.traffic.name, "--prices", folder.prices.name]
        with self._steps.step("Choosing a strategy"):
            self._stage.do("optimize", *data, "--match-best", "--kind", "threshold", "--out", folder.strategy.name)
            strategy = Strategy.load(folder.strategy)
            self._stage.restart()
        self._steps.note(in_words(strategy))
        return strategy

    def serve(self, tasks: Sequence[Task]) -> list[Exchange]:
        """New questions, some of them asked once more later, answered by the cascade."""
        asked = _with_repeats(tasks, self._rng)
        with self._steps.step(f"Serving {len(asked)} requests by cascade", total=len(asked)) as done:
            return self._send(_APP, "auto", asked, done)

    def ask_each_model(self, tasks: Sequence[Task]) -> dict[str, list[Exchange]]:
        """The same new questions to every model alone."""
        return self._ask_all("Asking each model the same, to compare", _COMPARISON, tasks)

    def accounts(self) -> tuple[Account, ...]:
        """What the ledger has under each key, beside what the answers said."""
        return accounts(self._stage.folder.database_url, self._keys, self._exchanges)

    def _ask_all(self, title: str, key: str, tasks: Sequence[Task]) -> dict[str, list[Exchange]]:
        with self._steps.step(title, total=len(tasks) * len(MODELS)) as done:
            return {model: self._send(key, model, tasks, done) for model in MODELS}

    def _send(self, key: str, model: str, tasks: Sequence[Task], done: Callable[[], None]) -> list[Exchange]:
        exchanges = asyncio.run(send(self._stage.base_url, self._keys[key].secret, model, tasks, done=done))
        self._exchanges[key] += exchanges
        return exchanges


def _with_repeats(tasks: Sequence[Task], rng: Random) -> list[Task]:
    """The tasks in order, a share of them once more at a distance."""
    early = tasks[: max(1, len(tasks) - _REPEAT_AFTER)]
    asked = list(tasks)
    for task in rng.sample(early, min(len(early), round(_REPEATED_SHARE * len(tasks)))):
        earliest = asked.index(task) + _REPEAT_AFTER
        asked.insert(rng.randint(min(earliest, len(asked)), len(asked)), task)
    return asked
