"""Which logged queries may certify a strategy, and which may place the test.

Knows queries, what a scorer and a strategy have seen, and conversations. Looks at no label and no score.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from router.errors import NotCertified, StrategyError
from router.optimize.table import LogScorer
from router.strategy import Strategy
from scorer.dataset import LoggedQuery

SELECTION_SHARE = 0.3
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The calibration queries, which alone certify, and the selection's, which place path and start of the test.

    seen, repeated : how many queries were left out because the scorer or the strategy has seen them or others of
        their conversations, and because another of their conversation counts already.
    """

    calibration: tuple[LoggedQuery, ...]
    selection: tuple[LoggedQuery, ...]
    seen: int
    repeated: int


def part(
    queries: Sequence[LoggedQuery],
    strategy: Strategy,
    scorer: LogScorer,
    *,
    selection: Sequence[LoggedQuery] = (),
    leave_out_seen: bool = False,
) -> Parts:
    """Part a log so that what certifies has been seen by nothing, and counts each conversation once.

    selection : queries that the strategy may have been chosen on. Default: the seen ones that were left out, and where
        there are none a share of the log, told by the hash of its conversations.
    Raises StrategyError counting and naming queries that were seen and not to be left out, or are in both logs.
    """
    trained = [query for query in queries if scorer.trained_on(query.hash)]
    chosen = [query for query in queries if strategy.chosen_on(query.hash)]
    if (trained or chosen) and not leave_out_seen:
        raise StrategyError(_refusal(len(queries), trained, chosen, strategy))
    touched = {_source(query) for query in (*trained, *chosen)}
    unseen = [query for query in queries if _source(query) not in touched]
    placing = {_source(query) for query in selection}
    shared = [query for query in unseen if _source(query) in placing]
    if shared:
        raise StrategyError(
            f"{len(shared)} queries ({_names(shared)}) or others of their conversations are in the selection's data too"
        )
    fresh = _one_each(unseen)
    if not selection:
        selection = [query for query in queries if _source(query) in touched]
    certifying = fresh
    if not selection:
        selection = [query for query in fresh if _drawn(query)]
        certifying = [query for query in fresh if not _drawn(query)]
    if not certifying or not selection:
        raise NotCertified(f"of {len(queries)} queries only {len(fresh)} count: too few to certify anything")
    return Parts(
        calibration=tuple(certifying),
        selection=tuple(selection),
        seen=len(queries) - len(unseen),
        repeated=len(unseen) - len(fresh),
    )


def _source(query: LoggedQuery) -> str:
    """What a query shares with those that are not independent of it."""
    return query.group or query.hash


def _one_each(queries: Sequence[LoggedQuery]) -> list[LoggedQuery]:
    """One query of each conversation, in an order that has nothing to do with the log's; both by their hashes."""
    first: dict[str, LoggedQuery] = {}
    for query in sorted(queries, key=lambda query: query.hash):
        first.setdefault(_source(query), query)
    return list(first.values())


def _drawn(query: LoggedQuery) -> bool:
    digest = hashlib.sha256(f"selection\0{_source(query)}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < SELECTION_SHARE * 2**64


def _refusal(n: int, trained: Sequence[LoggedQuery], chosen: Sequence[LoggedQuery], strategy: Strategy) -> str:
    told = []
    if trained:
        told.append(f"the scorer was trained on {len(trained)} ({_names(trained)})")
    if chosen:
        told.append(f"strategy {strategy.id} was chosen or certified on {len(chosen)} ({_names(chosen)})")
    return (
        f"of {n} queries {', '.join(told)}: they cannot certify it. Give data that neither has seen, "
        "or leave them out with --leave-out-seen"
    )


def _names(queries: Sequence[LoggedQuery]) -> str:
    more = ", …" if len(queries) > _NAMED else ""
    return ", ".join(query.query.id for query in queries[:_NAMED]) + more
