"""The tables say what was counted, fit an ordinary terminal, and what is to be copied stays whole."""

import io

import pytest
from rich.console import Console

from gateway.demo.bookkeeping import Account
from gateway.demo.comparison import compare
from gateway.demo.show import in_words, show_accounts, show_comparison, show_endpoint
from router.strategy import Stage, Strategy
from tests.unit.gateway.demo.test_comparison import ALONE, SERVED, STRATEGY


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=80, force_terminal=False)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_comparison_says_what_was_counted(console: Console) -> None:
    show_comparison(console, compare(SERVED, ALONE, STRATEGY))
    text = written(console)
    assert "4 new questions" in text
    assert "40.0% of the cost saved; right answers +0.0 points" in text
    assert "1 of 2 questions asked once more" in text
    assert max(len(line) for line in text.splitlines() if "│" in line or "─" in line) <= 80


def test_accounts_that_disagree_are_not_hidden(console: Console) -> None:
    agreed = Account(
        purpose="app", requests=3, calls=4, cache_hits=1, ledger_nanousd=1_500_000, answers_nanousd=1_500_000
    )
    show_accounts(console, [agreed])
    assert "0.001500" in written(console)
    assert "to the nano-dollar" in written(console)
    other = Account(purpose="x", requests=1, calls=1, cache_hits=0, ledger_nanousd=5, answers_nanousd=6)
    show_accounts(console, [agreed, other])
    assert "something else: 0.001500006 USD" in written(console)


def test_what_is_to_be_copied_is_not_broken_into_lines(console: Console) -> None:
    key = "sk-spw-" + "x" * 43
    show_endpoint(console, base_url="http://127.0.0.1:8080/v1", key=key, config="spillway-demo/spillway.yaml")
    text = written(console)
    assert f'-H "Authorization: Bearer {key}"' in text
    assert f'OpenAI(base_url="http://127.0.0.1:8080/v1", api_key="{key}")' in text
    assert "http://127.0.0.1:8080/dashboard" in text


def test_strategies_are_told_in_words() -> None:
    assert in_words(STRATEGY) == "small if its answer scores 0.80 or more, else large"
    alone = Strategy.of([Stage(model="large")], reference_model="large", safe_model="large")
    assert in_words(alone).startswith("large alone")
