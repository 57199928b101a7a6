"""A ledger of made-up traffic for the dashboard's tests: rows as the ledger's writer leaves them, by a seeded plan.

Knows the tables. Every amount is set here, so that a test can add them up by itself.
"""

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import insert

from gateway.database import Database
from gateway.ledger import tables

NOW = datetime(2026, 10, 21, 14, 35, 12, tzinfo=UTC)
RATES = {
    "small": (50, 400),
    "middling": (400, 1600),
    "large": (1250, 10_000),
    "plain-9b": (100, 100),
}  # nano-USD a token
UNPRICED = "qwen3-coder-480b-a35b-instruct-fp8-on-our-own-cluster"
ROWS = ("writers", "requests", "attempts", "settlements", "line_items", "closings")


@dataclass(kw_only=True)
class Call:
    """One attempt. ``state`` None leaves it under way; ``priced`` False leaves its cost unknown."""

    model: str
    state: str | None = "accepted"
    score: float | None = None
    threshold: float | None = None
    prompt: int = 400
    completion: int = 120
    priced: bool = True
    error_kind: str | None = None
    latency_s: float = 0.8
    kind: str = "answer"

    @property
    def lines(self) -> list[tuple[str, int, int]]:
        """Meter, quantity and rate in nano-USD."""
        if self.state in (None, "failed"):
            return []
        rate_in, rate_out = RATES.get(self.model, (0, 0))
        return [("input", self.prompt, rate_in), ("output", self.completion, rate_out)]

    @property
    def amount(self) -> int | None:
        """In nano-USD."""
        return sum(quantity * rate for _, quantity, rate in self.lines) if self.priced else None


@dataclass
class Ledger:
    """Rows to be written, by table."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {name: [] for name in ROWS})

    def __post_init__(self) -> None:
        writer = {"writer_id": "w", "number": 1, "started_us": 0, "seen_us": 0, "place": "", "process": ""}
        self.rows["writers"].append(writer)

    def request(
        self,
        when: datetime,
        calls: Sequence[Call],
        *,
        tenant: str = "default",
        team: str | None = None,
        key: str = "key_1",
        policy: str | None = "support",
        status: str | None = "answered",
        stop_reason: str | None = "last_stage",
        cache: str = "MISS",
        reference: tuple[int, str] | None = None,
        model: str = "auto",
        tags: str = "{}",
        abstention: str | None = None,
    ) -> str:
        """Add a request; returns its decision id."""
        number = len(self.rows["requests"])
        decision = f"dec_{uuid.UUID(int=int(when.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62 | number).hex}"
        moment = int(when.timestamp() * 1_000_000)
        self.rows["requests"].append(
            {
                "decision_id": decision,
                "created_us": moment,
                "writer_id": "w",
                "tenant_id": tenant,
                "team_id": team,
                "key_id": key,
                "policy": policy,
                "requested_model": model,
                "endpoint": "/v1/chat/completions",
                "streamed": False,
                "strategy_id": "st_4f0c7719ab21" if policy else None,
                "scorer_version": "sc_9d1e" if policy else None,
                "reference_model": "large" if policy else None,
                "tags": tags,
            }
        )
        for n, call in enumerate(calls):
            self._attempt(decision, f"att_{decision[4:]}{n}", n, call, moment + n * 1000, (tenant, team, key, policy))
        if status is not None:
            ended = [n for n, call in enumerate(calls) if call.state in ("accepted", "rejected")]
            answered = ended[-1] if ended and status == "answered" else None
            self.rows["closings"].append(
                {
                    "decision_id": decision,
                    "closed_us": moment + 900_000,
                    "status": status,
                    "stop_reason": stop_reason,
                    "abstention": abstention,
                    "answered_attempt": None if answered is None else f"att_{decision[4:]}{answered}",
                    "answered_model": None if answered is None else calls[answered].model,
                    "cache_status": cache,
                    "saved_nanousd": None,
                    "reference_nanousd": reference[0] if reference else None,
                    "reference_source": reference[1] if reference else None,
                }
            )
        return decision

    def _attempt(
        self,
        decision: str,
        attempt: str,
        stage: int,
        call: Call,
        moment: int,
        owner: tuple[str, str | None, str, str | None],
    ) -> None:
        version = "pr_0a1b2c3d4e5f" if call.priced else None
        self.rows["attempts"].append(
            {
                "attempt_id": attempt,
                "decision_id": decision,
                "writer_id": "w",
                "kind": call.kind,
                "stage": stage,
                "model": call.model,
                **dict(zip(("tenant_id", "team_id", "key_id", "policy"), owner, strict=True)),
                "opened_us": moment,
                "reserved_nanousd": 40_000_000 if call.priced else None,
                "price_version": version,
            }
        )
        if call.state is None:
            return
        counted = bool(call.lines)
        self.rows["settlements"].append(
            {
                "attempt_id": attempt,
                "settled_us": moment + 500,
                "state": call.state,
                "prompt_tokens": call.prompt if counted else None,
                "cached_prompt_tokens": 0 if counted else None,
                "cache_write_tokens": 0 if counted else None,
                "completion_tokens": call.completion if counted else None,
                "reasoning_tokens": 0 if counted else None,
                "usage_source": "provider" if counted else None,
                "amount_nanousd": call.amount,
                "latency_s": call.latency_s,
                "first_token_s": call.latency_s / 3,
                "score": call.score,
                "threshold": call.threshold,
                "finish_reason": "stop" if counted else None,
                "error_kind": call.error_kind,
                "error_status": 503 if call.error_kind else None,
            }
        )
        for meter, quantity, rate in call.lines:
            self.rows["line_items"].append(
                {
                    "attempt_id": attempt,
                    "meter": meter,
                    "seq": 0,
                    "quantity": quantity,
                    "rate_usd": Decimal(rate) / 1000 if call.priced else None,
                    "price_version": version,
                    "amount_nanousd": quantity * rate if call.priced else None,
                }
            )

    async def write(self, database: Database) -> None:
        """Into a database at its newest schema."""
        async with database.write() as connection:
            for name in ROWS:
                table = getattr(tables, name)
                for start in range(0, len(self.rows[name]), 1000):
                    await connection.execute(insert(table), self.rows[name][start : start + 1000])


def reference_for(call: Call) -> tuple[int, str]:
    """What the large model would have cost on a call's counts, or did."""
    rate_in, rate_out = RATES["large"]
    return call.prompt * rate_in + call.completion * rate_out, "observed" if call.model == "large" else "modelled"


def month(requests: int = 2000, *, seed: int = 7, days: int = 30) -> Ledger:
    """A month as a small company sees it: busy on weekdays, two policies, hits, failures, a model without a price."""
    pick = random.Random(seed)
    ledger = Ledger()
    moments: list[datetime] = []
    while len(moments) < requests:
        when = NOW - timedelta(seconds=pick.uniform(60, days * 86_400 - 60_000))
        if pick.random() < (0.25 if when.weekday() >= 5 else 1) * (0.3 if when.hour < 7 else 1):
            moments.append(when)
    for when in sorted(moments):
        _one(ledger, when, pick)
    ledger.request(NOW - timedelta(seconds=20), [Call(model="small", state=None)], status=None, stop_reason=None)
    ledger.request(
        NOW - timedelta(days=1), [Call(model="large")], tenant="another", reference=(9_999_999_999, "observed")
    )
    return ledger


def _one(ledger: Ledger, when: datetime, pick: random.Random) -> None:
    prompt, completion = int(pick.lognormvariate(6.2, 0.7)), int(pick.lognormvariate(4.9, 0.8))

    def call(model: str, state: str, threshold: float | None = None, **more: Any) -> Call:
        score = None
        if threshold is not None:
            score = pick.uniform(threshold, 0.99) if state == "accepted" else pick.uniform(0.03, threshold)
        latency = {"small": 0.4, "middling": 0.9, "large": 2.6}.get(model, 1.2) * pick.uniform(0.6, 1.8)
        return Call(
            model=model, state=state, score=score, threshold=threshold, prompt=prompt, completion=completion,
            latency_s=latency, **more,
        )  # fmt: skip

    large, unpriced = call("large", "accepted"), call(UNPRICED, "accepted", priced=False)
    spilled = [call("small", "rejected", 0.62), call("middling", "rejected", 0.71), large]
    modelled, observed = reference_for(call("small", "accepted")), reference_for(large)
    plans: list[tuple[int, list[Call], dict[str, Any]]] = [
        (110, [], {"status": "cached", "stop_reason": None, "cache": "HIT", "reference": modelled}),
        (30, [call("plain-9b", "accepted")], {"policy": None, "model": "plain-9b", "cache": "DISABLED"}),
        (5, [unpriced], {"policy": None, "model": UNPRICED, "cache": "DISABLED"}),
        (55, [large], {"policy": "contracts-review", "reference": observed}),
        (470, [call("small", "accepted", 0.62)], {"stop_reason": "accepted", "reference": modelled}),
        (180, [spilled[0], call("middling", "accepted", 0.71)], {"stop_reason": "accepted", "reference": modelled}),
        (120, spilled, {"reference": observed}),
        (
            15,
            [call("small", "failed", error_kind="BackendBusy"), call("middling", "accepted", 0.71)],
            {"reference": modelled},
        ),
        (
            15,
            [*spilled[:2], call("large", "failed", error_kind="BackendTimeout")],
            {"status": "failed", "stop_reason": "failed"},
        ),
    ]
    _, calls, ending = pick.choices(plans, weights=[weight for weight, *_ in plans])[0]
    ledger.request(when, calls, **ending)
