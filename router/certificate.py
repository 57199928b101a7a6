"""A certificate: what is promised of a strategy's quality, on which data, and what the promise rests on.

Knows its words and its JSON. Knows nothing of how it is earned (``router.optimize.certify``).
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

from router.errors import StrategyError
from router.fields import Fields

Kind = Literal["wrong_accepted", "quality_drop"]
Method = Literal["learn_then_test", "conformal"]
Test = Literal["binomial", "betting", "conformal"]

_MARK_DIGITS = 16  # of a query's sha256: enough to tell queries apart, and a file that is still read with ease


def mark(query_hash: str) -> str:
    """What a file keeps of a query's hash, to know the query again."""
    return query_hash[:_MARK_DIGITS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What is to be promised. Raises StrategyError naming the field that cannot be.

    wrong_accepted : by learn_then_test, the share of wrong ones among the answers that a judged stage accepts;
        by conformal, the probability that a query is answered by an accepted wrong answer.
    quality_drop : the mean quality below the reference model's on the same queries.
    alpha : at most this.   delta : except with this probability; None for conformal, which promises an expectation.
    """

    kind: Kind
    method: Method = "learn_then_test"
    alpha: float
    delta: float | None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise StrategyError(f"kind: must be one of {', '.join(get_args(Kind))}, not {self.kind!r}")
        if self.method not in get_args(Method):
            raise StrategyError(f"method: must be one of {', '.join(get_args(Method))}, not {self.method!r}")
        if not 0 < self.alpha < 1:
            raise StrategyError(f"alpha: must be between 0 and 1, not {self.alpha:g}")
        if self.method == "conformal":
            if self.delta is not None:
                raise StrategyError("delta: means nothing to conformal risk control, which promises an expectation")
            if self.kind != "wrong_accepted":
                raise StrategyError(f"kind: conformal risk control can promise wrong_accepted only, not {self.kind}")
        elif self.delta is None or not 0 < self.delta < 1:
            said = "is missing" if self.delta is None else f"must be between 0 and 1, not {self.delta:g}"
            raise StrategyError(f"delta: {said}; 0.1 means that one certificate in ten may be wrong")

    def in_words(self, reference: str, *, fractional: bool) -> str:
        """What is controlled, in a sentence or two. fractional : labels other than 0 and 1 occur."""
        if self.method == "conformal":
            what = "the quality that it lacks" if fractional else "the probability that it is wrong"
            return (
                "On average over calibration sets and the next query, which counts as right unless its answer was "
                f"judged and accepted, {what} is at most {self.alpha:g}. This is an expectation: the risk of the "
                "strategy that these very data led to may be higher, and nothing bounds how often. It is counted over "
                "all queries, not over the accepted answers."
            )
        sure = f"With probability {1 - (self.delta or 0):g} over the draw of the calibration queries, "
        if self.kind == "quality_drop":
            return f"{sure}the mean quality is at most {self.alpha:g} below that of {reference} on the same queries."
        if fractional:
            return f"{sure}the answers that a judged stage accepts lack at most {self.alpha:g} of quality on average."
        return f"{sure}at most a share of {self.alpha:g} of the answers that a judged stage accepts is wrong."


def assumptions(test: Test) -> tuple[str, ...]:
    """What a certificate rests on, in words."""
    drawn = "exchangeable with" if test == "conformal" else "drawn independently from the same source as"
    labels = "; they are 0 or 1, never between" if test == "binomial" else ""
    return (
        f"exchangeability: the queries to come are {drawn} those of the calibration, one counted per conversation",
        f"labels: the quality labels of the calibration queries are what is meant by quality{labels}",
        "same parts: models, scorer and strategy are those of the calibration",
        "whole way: every stage called can answer and be scored; requests that a stage cannot serve are not covered",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A promise that held on data which neither fitted the scorer nor chose the strategy or the test's path.

    controlled, assumptions : in words.
    n, n_accepted : calibration queries, and those of them that a judged stage answered.
    observed : the mean loss that was seen.   p_value : of "the risk is above alpha"; None for conformal.
    bound : what the loss may be at most, judged by this strategy's numbers alone: an upper confidence bound, for
        conformal the mean loss as if one more query had been lost. At most alpha. Only alpha is promised.
    steps, tested : of the path, and how many of them were tested.   n_selection : queries that placed path and start.
    strategy_id : of the strategy without its certificate.   made_from : of the strategy that was handed in.
    data_sha256 : of the calibration queries' hashes and labels, see ``router.optimize.certify.data_sha256``.
    seen : marks of the calibration queries, so that nothing is later evaluated on them unknowingly.
    """

    promise: Promise
    controlled: str
    assumptions: tuple[str, ...]
    test: Test
    n: int
    n_accepted: int
    observed: float
    p_value: float | None
    bound: float
    steps: int
    tested: int
    n_selection: int
    strategy_id: str
    made_from: str
    reference_model: str
    scorer_version: str | None
    data_sha256: str
    date: str  # ISO 8601, UTC
    seen: frozenset[str]

    def told(self) -> dict[str, Any]:
        """Plain JSON values for a reader: everything but the marks of queries."""
        document = asdict(self)
        del document["seen"]
        return {**document, "assumptions": list(self.assumptions)}

    def to_document(self) -> dict[str, Any]:
        """Plain JSON values for a strategy's file."""
        return {**self.told(), "seen": " ".join(sorted(self.seen))}

    @classmethod
    def from_document(cls, document: object) -> Self:
        """Raises StrategyError naming the field."""
        where = "certificate."
        fields = Fields(document, where)
        test = fields.take("test", str)
        if test not in get_args(Test):
            raise StrategyError(f"{where}test: must be one of {', '.join(get_args(Test))}, not {test!r}")
        certificate = cls(
            promise=_promise(Fields(fields.take("promise", dict), f"{where}promise.")),
            assumptions=tuple(_texts(fields.take("assumptions", list), f"{where}assumptions")),
            test=test,
            p_value=fields.take("p_value", float, None),
            scorer_version=fields.take("scorer_version", str, None),
            seen=frozenset(fields.take("seen", str).split()),
            **{name: fields.take(name, int) for name in ("n", "n_accepted", "steps", "tested", "n_selection")},
            **{name: fields.take(name, float) for name in ("observed", "bound")},
            **{name: fields.take(name, str) for name in ("controlled", "strategy_id", "made_from", "reference_model")},
            **{name: fields.take(name, str) for name in ("data_sha256", "date")},
        )
        fields.done()
        return certificate


def _promise(fields: Fields) -> Promise:
    promise = Promise(
        kind=fields.take("kind", str),
        method=fields.take("method", str),
        alpha=fields.take("alpha", float),
        delta=fields.take("delta", float, None),
    )
    fields.done()
    return promise


def _texts(values: Iterable[object], where: str) -> Iterable[str]:
    for value in values:
        if not isinstance(value, str):
            raise StrategyError(f"{where}: must be a list of strings")
        yield value
