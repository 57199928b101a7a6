"""The demo's tables and its parting words.

Knows how they look. Everything in them was counted elsewhere.
"""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from gateway.demo.bookkeeping import Account
from gateway.demo.comparison import Comparison, Side, Tier
from router.strategy import Strategy

_CURL = """\
curl {base_url}/chat/completions \\
  -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \\
  -d '{{"model": "auto", "messages": [{{"role": "user", "content": "What is (17 + 25) * 8 - 30?"}}]}}'"""

_PYTHON = """\
from openai import OpenAI
client = OpenAI(base_url="{base_url}", api_key="{key}")
answer = client.chat.completions.create(
    model="auto", messages=[{{"role": "user", "content": "What is (17 + 25) * 8 - 30?"}}]
)
print(answer.model, answer.choices[0].message.content)"""


def show_comparison(console: Console, comparison: Comparison) -> None:
    """Quality and cost against every model alone, then the tiers, then the cache."""
    console.print(_quality_and_cost(comparison))
    low, high = comparison.difference_ci95
    saved = _saving(comparison.cascade.saving(comparison.reference))
    say(
        console,
        f"Against {comparison.reference.name}: {saved}; right answers "
        f"{100 * comparison.difference:+.1f} points (95 % interval {100 * low:+.1f} to {100 * high:+.1f}).",
    )
    say(console, "Measured: each model alone was asked the same questions through the gateway, with another key.")
    console.print(_tiers(comparison.tiers))
    saved = _saving(comparison.with_repeats.saving(comparison.reference_with_repeats))
    say(
        console,
        f"Cache: {comparison.hits} of {comparison.repeats} questions asked once more were answered from it, at no "
        f"cost.\nOver all {comparison.with_repeats.questions} requests: {saved}.",
    )


def show_endpoint(console: Console, *, base_url: str, key: str, config: str) -> None:
    """Where the gateway is and how to talk to it."""
    say(console, "")
    console.rule("The gateway keeps running", align="left", characters="─")
    dashboard = base_url.removesuffix("/v1") + "/dashboard"
    say(console, f"base_url   {base_url}\napi key    {key}\ndashboard  {dashboard} (sign in with the api key)")
    say(console, f"config     {config}\n")
    say(console, _CURL.format(base_url=base_url, key=key) + "\n")
    say(console, _PYTHON.format(base_url=base_url, key=key) + "\n")
    say(console, "Ctrl-C stops the gateway and the simulated models.")


def say(console: Console, text: str) -> None:
    """Plain text, never broken where it was not: it may be copied."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _saving(share: float) -> str:
    return f"{share:.1%} of the cost saved" if share >= 0 else f"{-share:.1%} more spent"


def _quality_and_cost(comparison: Comparison) -> Table:
    questions = comparison.cascade.questions
    table = Table(
        title=f"\nThe same {questions} new questions, answered in {len(comparison.alone) + 1} ways",
        box=box.SIMPLE,
        title_justify="left",
        title_style="bold",
    )
    table.add_column("")
    for heading in ("right", "USD per 1,000", f"cost vs. {comparison.reference.name.removeprefix('always ')}"):
        table.add_column(heading, justify="right")
    for one in comparison.alone:
        table.add_row(*_row(one, comparison.reference))
    table.add_row(*_row(comparison.cascade, comparison.reference), style="bold")
    return table


def _row(one: Side, reference: Side) -> tuple[str, str, str, str]:
    relative = "" if one is reference else f"{-one.saving(reference):+.1%}"
    return one.name, f"{one.quality:.1%}", f"{one.usd_per_1k:.4f}", relative


def _tiers(tiers: tuple[Tier, ...]) -> Table:
    table = Table(title="\nHow the cascade answered them", box=box.SIMPLE, title_justify="left", title_style="bold")
    table.add_column("tier")
    for heading in ("accepts from", "asked", "accepted", "right of these"):
        table.add_column(heading, justify="right")
    for number, tier in enumerate(tiers, start=1):
        table.add_row(
            f"{number} {tier.model}",
            "any score" if tier.threshold is None else f"{tier.threshold:.2f}",
            str(tier.asked),
            f"{tier.accepted} ({tier.accepted / tier.asked:.0%})" if tier.asked else "0",
            f"{tier.right / tier.accepted:.1%}" if tier.accepted else "—",
        )
    return table


def in_words(strategy: Strategy) -> str:
    """The strategy as a sentence."""
    *earlier, last = strategy.stages
    if not earlier:
        return f"{last.model} alone: no cascade was found to pay"
    ways = [f"{stage.model} if its answer scores {stage.threshold:.2f} or more" for stage in earlier]
    return ", else ".join([*ways, last.model])


def show_accounts(console: Console, accounts: Sequence[Account]) -> None:
    """What the ledger says, and whether the answers said the same."""
    table = Table(title="\nWhat the ledger holds", box=box.SIMPLE, title_justify="left", title_style="bold")
    table.add_column("key")
    for heading in ("requests", "calls to models", "cache hits", "USD"):
        table.add_column(heading, justify="right")
    for account in accounts:
        amount = f"{account.ledger_nanousd / 1e9:.6f}"
        table.add_row(account.purpose, str(account.requests), str(account.calls), str(account.cache_hits), amount)
    console.print(table)
    if all(account.ledger_nanousd == account.answers_nanousd for account in accounts):
        say(console, "The answers' own cost headers add up to the same, to the nano-dollar.")
        say(console, "The savings above are the app's; they do not count what training and comparison took.")
    else:
        told = sum(account.answers_nanousd for account in accounts)
        say(console, f"The answers' own headers add up to something else: {told / 1e9:.9f} USD.")
