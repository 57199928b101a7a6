"""Everything that a page of the dashboard can show, in one database: see ``furnish``.

Knows the tables of the ledger, of tenancy and of budgets. Every amount is set here or in ``tests/dashboard_seed.py``.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import insert

from gateway.budgets.tables import budget_windows, budgets
from gateway.dashboard.facts import DeploymentFacts, Facts, PolicyFacts
from gateway.dashboard.strategy_page import at_slider
from gateway.database import Database
from gateway.ledger import tables
from gateway.ledger.idle import subjects_of
from gateway.ledger.reconcile.compare import Variance
from gateway.ledger.reconcile.store import Reconciliations
from gateway.ledger.reviews import reviews
from gateway.tenancy.tables import organisations, teams, virtual_keys
from gateway.transcripts.store import QUESTION, Text, TranscriptStore
from router.plan import Plan
from router.strategy import AtExchange, Evidence, Stage, Strategy
from tests.dashboard_seed import NOW, UNPRICED, Ledger, month

LONG = "team_of_those_who_answer_what_is_asked_in_the_evening_and_later"
PROVIDERS = {"small": "openai", "middling": "openai", "large": "anthropic", "plain-9b": "our-own-gpus"}
OWNERS = (("team_search", "key_1"), ("team_search", "key_2"), (LONG, "key_3"), (None, "key_4"))
_OCTOBER, _NOVEMBER = (datetime(2026, n, 1, tzinfo=UTC) for n in (10, 11))
_CREATED = {"created_us": 1}

EVIDENCE = Evidence(
    rule="match-best", data_sha256="0" * 64, n_queries=3119, quality=0.871, cost_usd_per_1k=0.62,
    reference_quality=0.874, reference_cost_usd_per_1k=2.4, held_out_saving=0.71, held_out_quality_delta=-0.002,
)  # fmt: skip
STRATEGY = Strategy.of(
    [Stage(model="small", threshold=0.62), Stage(model="middling", threshold=0.71), Stage(model="large")],
    reference_model="large", safe_model="large", scorer_version="sc_9d1e", evidence=EVIDENCE,
    created="2026-09-01T00:00:00+00:00",
)  # fmt: skip
CANARY = at_slider(STRATEGY, 70)
PLAN = Plan(
    models=("small", "large"), reference="large", exchange=40.0,
    rates=((0.15, 0.6), (2.5, 10.0)), depth=1,
    spread=(0.2, 0.1), values={},
)  # fmt: skip
TRIED = tuple(
    AtExchange(
        exchange=exchange, quality=quality, quality_ci95=(quality - 0.02, quality + 0.02),
        cost_usd_per_1k=cost, cost_ci95=(0.9 * cost, 1.1 * cost),
    )
    for exchange, quality, cost in ((400.0, 0.79, 0.2), (120.0, 0.84, 0.4), (40.0, 0.871, 0.62), (12.0, 0.874, 1.1))
)  # fmt: skip
PLANNED = Strategy.planned(
    PLAN, safe_model="large", scorer_version="sc_9d1e", evidence=replace(EVIDENCE, frontier=TRIED),
    created="2026-09-01T00:00:00+00:00",
)  # fmt: skip
FACTS = Facts(
    models=("small", "middling", "large", "plain-9b", UNPRICED),
    policies=(
        PolicyFacts(
            name="support", safe_model="large", strategy=STRATEGY, canary=CANARY, canary_share=0.1, unlike_rate=0.01
        ),
        PolicyFacts(name="contracts-review", safe_model="large"),
        PolicyFacts(name="research", safe_model="large", strategy=PLANNED),
    ),
    undated=("plain-9b",),
    unpriced=(UNPRICED,),
    deployments=(
        DeploymentFacts(model="plain-9b", name="rack-1", running=3, waiting=1, most_at_once=8, state="closed"),
        DeploymentFacts(model="plain-9b", name="rack-2", running=0, waiting=1, most_at_once=8, state="open"),
        DeploymentFacts(model="large", name="1", running=2, waiting=0, most_at_once=None, state="closed"),
    ),
    hourly_nanousd={"our-own-gpus": 2_400_000},
    providers=PROVIDERS,
)
DIFFERS = tuple(
    Variance(
        day=date(2026, 10, day), model="small", meter="*", cause="quantity differs", note="", ledger_quantity=10,
        invoice_quantity=11, ledger_nanousd=None, invoice_nanousd=None,
    )
    for day in (3, 4)
)  # fmt: skip


async def furnish(database: Database, requests: int = 600) -> Facts:
    """A month of teams and keys, with budgets, bills that differ and idle capacity; returns the configuration."""
    await furnished_month(requests).write(database)
    async with database.write() as connection:
        await connection.execute(insert(organisations), _CREATED | {"org_id": "another", "name": "another"})
        named = {"team_search": "search", LONG: "evening and night support, all countries"}
        of_default = [_CREATED | {"team_id": team, "org_id": "default", "name": name} for team, name in named.items()]
        await connection.execute(insert(teams), of_default)
        await connection.execute(insert(virtual_keys), [_key(team, key) for team, key in OWNERS])
        await connection.execute(insert(budgets), [_budget(*told) for told in _BUDGETS])
        await connection.execute(insert(budget_windows), list(_windows()))
        await connection.execute(insert(tables.entries), list(_idle()))
    await TranscriptStore(database).keep([one.row() for one in _texts(furnished_month(requests))])
    await Reconciliations(database).keep("openai", "october.csv", (date(2026, 10, 1), date(2026, 10, 20)), 20, DIFFERS)
    return FACTS


def _texts(ledger: Ledger) -> Iterator[Text]:
    """Questions and answers of every request of which an answer was rejected."""
    states = {row["attempt_id"]: row["state"] for row in ledger.rows["settlements"]}
    calls: dict[str, list[dict[str, Any]]] = {}
    for row in ledger.rows["attempts"]:
        calls.setdefault(row["decision_id"], []).append(row)
    question = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why? " * 40}]}
    for decision_id, listed in calls.items():
        if not any(states.get(call["attempt_id"]) == "rejected" for call in listed):
            continue
        said = {call["attempt_id"]: {"text": f"{call['model']} says: because.\n" * 9} for call in listed}
        for attempt_id, content in ({QUESTION: question} | said).items():
            written, created = json.dumps(content).encode(), listed[0]["opened_us"]
            yield Text(decision_id=decision_id, attempt_id=attempt_id, created_us=created, content=written)


def furnished_month(requests: int) -> Ledger:
    """The month of the other seed, with owners, providers, tags and abstentions."""
    ledger, pick = month(requests), random.Random(11)
    owner: dict[str, dict[str, Any]] = {}
    for row in ledger.rows["requests"]:
        owner[row["decision_id"]] = row
        if row["policy"] == "support":
            row["strategy_id"] = CANARY.id if pick.random() < 0.1 else STRATEGY.id
        if row["tenant_id"] == "default":
            row["team_id"], row["key_id"] = pick.choices(OWNERS, weights=[5, 3, 2, 1])[0]
            row["tags"] = pick.choice(['{"app": "mail", "stage": "production"}', '{"app": "chat"}', "{}"])
            if row["policy"] == "support" and pick.random() < 0.1:
                why = pick.choice(["tiers", "pressure"])
                row["tags"] = json.dumps({"app": "chat", "spillway.certificate": f"void: {why}"})
    for row in ledger.rows["attempts"]:
        row["team_id"], row["key_id"] = (owner[row["decision_id"]][name] for name in ("team_id", "key_id"))
        row["provider"] = PROVIDERS.get(row["model"])
    for row in ledger.rows["closings"]:
        if row["status"] == "answered" and row["stop_reason"] == "last_stage" and pick.random() < 0.1:
            row["abstention"], row["stop_reason"] = pick.choice(["unlike_text", "tools"]), "scorer_abstained"
    return ledger


async def label(database: Database, most: int = 250) -> int:
    """Labels of answers of the month, as likely to be good as their scores say; returns how many."""
    pick, made = random.Random(5), 0
    ledger = furnished_month(600)
    scores = {row["attempt_id"]: row["score"] for row in ledger.rows["settlements"]}
    tenants = {row["decision_id"]: row["tenant_id"] for row in ledger.rows["requests"]}
    rows = []
    for closing in ledger.rows["closings"]:
        if closing["answered_attempt"] is None or tenants[closing["decision_id"]] != "default" or made >= most:
            continue
        score = scores[closing["answered_attempt"]]
        good = pick.random() < (0.9 if score is None else score)
        told = {"reviewer": "operator", "tenant_id": "default", "label": float(good), "note": "", "reviewed_us": 1}
        rows.append(told | {"decision_id": closing["decision_id"]})
        made += 1
    async with database.write() as connection:
        await connection.execute(insert(reviews), rows)
    return made


def _key(team: str | None, key: str) -> dict[str, Any]:
    told = {"tenant_id": "default", "display_prefix": "sk-spw-", "secret_sha256": f"none-{key}", "role": "member"}
    name = (
        "a key with a name that somebody was pleased with and never shortened" if key == "key_3" else f"app {key[-1]}"
    )
    return _CREATED | told | {"key_id": key, "team_id": team, "name": name}


_BUDGETS = (
    ("bud_org", "org", "default", "monthly", 600_000_000, True),
    ("bud_search", "team", "team_search", "monthly", 200_000_000, False),
    ("bud_night", "team", LONG, "weekly", 5_000_000, True),
    ("bud_key", "key", "key_1", "daily", 90_000_000, True),
    ("bud_total", "key", "key_4", "total", 10_000_000_000, False),
)


def _budget(name: str, level: str, scope: str, period: str, amount: int, hard: bool) -> dict[str, Any]:
    told = {"budget_id": name, "level": level, "scope_id": scope, "period": period, "amount_nanousd": amount}
    return _CREATED | told | {"hard": hard, "paced": False, "alert_percents": "[50, 80, 100]"}


def _windows() -> Iterator[dict[str, Any]]:
    used = {"bud_org": (310_000_000, 40_000_000), "bud_search": (150_000_000, 0), "bud_night": (5_200_000, 0)}
    monday = datetime(2026, 10, 19, tzinfo=UTC)
    spans = {
        "bud_org": (_OCTOBER, _NOVEMBER),
        "bud_search": (_OCTOBER, _NOVEMBER),
        "bud_night": (monday, monday + timedelta(days=7)),
    }
    for name, (settled, reserved) in used.items():
        starts, ends = (int(moment.timestamp()) * 1_000_000 for moment in spans[name])
        yield {
            "budget_id": name, "starts_us": starts, "ends_us": ends, "reserved_nanousd": reserved,
            "settled_nanousd": settled, "unknown": 0, "alerted_percent": 50,
        }  # fmt: skip


def _idle() -> Iterator[dict[str, Any]]:
    """A hundred hours, each booked with what its calls did not pay."""
    for n in range(1, 101):
        hour = NOW.replace(minute=0, second=0, microsecond=0) - timedelta(hours=n)
        yield {
            "subject_id": f"{subjects_of(hour)}0123456789abcdef0123", "month": 202610, "event": "allocate", "seq": 0,
            "posted_us": int(hour.timestamp()) * 1_000_000, "debit": "gpu_idle", "credit": "provider",
            "amount_nanousd": 1_900_000, "tenant_id": None, "provider": "our-own-gpus",
        }  # fmt: skip
