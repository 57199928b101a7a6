"""Transcripts as a log that scorers are trained from: a line for each request, with all its answers.

What people said of an answer stands there as the label ``review``; an answer of which nobody said anything has none.
Knows the log's fields (``scorer/README.md``) and the tables that tell of calls and labels. Writes no file.
"""

import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.conversations import conversation_of
from gateway.database import Database
from gateway.errors import InvalidRequest
from gateway.ledger.reports import Span
from gateway.ledger.reviews import reviews
from gateway.ledger.rollups.sources import uncompiled
from gateway.ledger.tables import attempts, closings, requests, settlements
from gateway.transcripts.store import QUESTION, transcripts, unpacked
from router.mixture import SAMPLE, Mixture, model_of

_PAGE = 200
Line = dict[str, Any]


async def lines(
    database: Database,
    span: Span,
    *,
    dev_share: float = 0.2,
    labelled: bool = False,
    mixtures: Mapping[str, Mixture] | None = None,
) -> AsyncGenerator[Sequence[Line]]:
    """A page of lines at a time, oldest first. Answers have ``cost_nanousd`` besides: what the ledger has, or null.

    dev_share : of conversations, whose lines are of the split ``dev``; those of the others are ``train``.
    labelled : only answers with a label, and requests with such an answer.
    mixtures : by name; their answers name as proposals what earlier tiers had been paid for, too.
    Raises InvalidRequest for a span of some calls of requests only.
    """
    if not span.of_whole_requests:
        said = "a log has whole requests: they cannot be told apart by model, provider or kind"
        raise InvalidRequest(said, param="model", code="invalid_parameter")
    after = (0, "")
    while True:
        async with database.read() as connection:
            await uncompiled(connection)
            page = (await connection.execute(_questions(span, after))).all()
            answers = await _answers(connection, [row.decision_id for row in page], mixtures or {})
        if not page:
            return
        after = (page[-1].created_us, page[-1].decision_id)
        made = (_line(row, answers.get(row.decision_id, {}), dev_share, labelled=labelled) for row in page)
        yield [line for line in made if line["answers"]]


def _questions(span: Span, after: tuple[int, str]) -> Any:
    place = (requests.c.created_us, requests.c.decision_id)
    query = (
        select(requests.c.decision_id, requests.c.created_us, requests.c.tenant_id, requests.c.policy)
        .add_columns(transcripts.c.content)
        .join(transcripts, transcripts.c.decision_id == requests.c.decision_id)
        .where(transcripts.c.attempt_id == QUESTION, tuple_(*place) > after)
    )
    return query.where(*_meant(span)).order_by(*place).limit(_PAGE)


def _meant(span: Span) -> list[ColumnElement[bool]]:
    conditions = [condition(requests) for condition in span.conditions()]
    if span.since_us is not None:
        conditions.append(requests.c.created_us >= span.since_us)
    if span.until_us is not None:
        conditions.append(requests.c.created_us < span.until_us)
    return conditions


async def ids(database: Database, span: Span) -> Sequence[str]:
    """Some of the requests of which anything is kept; none if there are no more."""
    query = (
        select(transcripts.c.decision_id)
        .distinct()
        .join(requests, requests.c.decision_id == transcripts.c.decision_id)
        .where(*_meant(span))
        .limit(_PAGE * 5)
    )
    async with database.read() as connection:
        return (await connection.execute(query)).scalars().all()


async def _answers(
    connection: AsyncConnection, decision_ids: Sequence[str], mixtures: Mapping[str, Mixture]
) -> dict[str, dict[str, Line]]:
    """By request and model; of several answers of one model the one that was given, else the first."""
    label = (
        select(func.avg(reviews.c.label))
        .where(reviews.c.decision_id == transcripts.c.decision_id)
        .correlate(transcripts)
        .scalar_subquery()
    )
    same = and_(settlements.c.attempt_id == attempts.c.attempt_id, settlements.c.month == attempts.c.month)
    query = (
        select(transcripts.c.decision_id, transcripts.c.content, attempts.c.attempt_id, attempts.c.model)
        .add_columns(attempts.c.kind, attempts.c.stage)
        .add_columns(*(settlements.c[name] for name in _COUNTS), settlements.c.usage_source, settlements.c.latency_s)
        .add_columns(settlements.c.amount_nanousd)
        .add_columns(closings.c.answered_attempt, label.label("label"))
        .join(attempts, attempts.c.attempt_id == transcripts.c.attempt_id)
        .join(settlements, same)
        .outerjoin(closings, closings.c.decision_id == transcripts.c.decision_id)
        .where(transcripts.c.decision_id.in_(decision_ids), settlements.c.prompt_tokens.is_not(None))
        .order_by(attempts.c.opened_us, attempts.c.attempt_id)
    )
    found: dict[str, dict[str, Line]] = {}
    proposed: dict[tuple[str, int], list[Line]] = {}
    for row in (await connection.execute(query)).all() if decision_ids else ():
        by_model = found.setdefault(row.decision_id, {})
        proposals = proposed.setdefault((row.decision_id, row.stage), [])
        if row.kind == "proposal":
            name = _sample(row.model, by_model)
            by_model[name] = _answer(row)
            proposals.append({"model": name, **_counts(row), "cost_nanousd": row.amount_nanousd})
        elif row.model not in by_model or row.attempt_id == row.answered_attempt:
            made_of = [*_reused(mixtures.get(row.model), by_model, proposals), *proposals]
            by_model[row.model] = _answer(row) | ({"proposals": made_of} if made_of else {})
    return found


def _reused(mixture: Mixture | None, before: Mapping[str, Line], proposals: Sequence[Line]) -> Iterator[Line]:
    """What a mixture did not ask for again: answers of earlier tiers, each instead of one of its model's samples."""
    asked = Counter(model_of(proposal["model"]) for proposal in proposals)
    for model, wanted in Counter(() if mixture is None else mixture.models).items():
        told = before.get(model)
        if told is not None and asked[model] < wanted and not any(model == one["model"] for one in proposals):
            yield {"model": model} | {name: told[name] for name in _PAID if name in told}


def _sample(model: str, taken: Collection[str]) -> str:
    """The name of the next sample of a model, as ``router.mixture`` has them."""
    names = (model if n == 1 else f"{model}{SAMPLE}{n}" for n in count(1))
    return next(name for name in names if name not in taken)


_COUNTS = ("prompt_tokens", "completion_tokens", "cached_prompt_tokens", "cache_write_tokens", "reasoning_tokens")
_PAID = (*_COUNTS, "usage_source", "cost_nanousd")


def _answer(row: Row[Any]) -> Line:
    said = unpacked(row.content)
    told: Line = {"text": said.get("text", ""), **_counts(row), "cost_nanousd": row.amount_nanousd}
    more = {name: said.get(name) for name in ("tool_calls", "finish_reason", "token_logprobs")}
    more |= {"latency_s": row.latency_s}
    if row.label is not None and row.attempt_id == row.answered_attempt:  # reviewers saw this one
        more["quality"] = {"review": float(row.label)}
    return told | {name: value for name, value in more.items() if value}


def _counts(row: Row[Any]) -> Line:
    told: Line = {"prompt_tokens": row.prompt_tokens, "completion_tokens": row.completion_tokens}
    more = {name: getattr(row, name) for name in _COUNTS[2:]}
    more |= {"usage_source": None if row.usage_source == "provider" else row.usage_source}
    return told | {name: value for name, value in more.items() if value}


def _line(row: Row[Any], answers: Mapping[str, Line], dev_share: float, *, labelled: bool) -> Line:
    asked = unpacked(row.content)
    group = hashlib.sha256(f"{row.tenant_id}\n{conversation_of(asked['messages'])}".encode()).hexdigest()[:32]
    return {
        "dataset": row.policy or "plain",
        "query_id": row.decision_id,
        "split": "dev" if int(group[:12], 16) / 16**12 < dev_share else "train",
        "group": group,
        "messages": asked["messages"],
        **({"tools": asked["tools"]} if asked["tools"] else {}),
        **({"response_format": asked["response_format"]} if asked["response_format"] else {}),
        "answers": {model: told for model, told in answers.items() if "quality" in told or not labelled},
    }
