"""The trained scorer: P(an answer is good), for one answer as it arrives and for whole logs out of fold.

Knows an artifact's members and how their scores are put together. Knows no training and no file format.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from scorer.analysing import beginnings_of, table_of
from scorer.answer import Answer, Expectation, Query
from scorer.categories import Category, likeliest
from scorer.contexts import Samples
from scorer.dataset import LoggedQuery
from scorer.ensemble import Ensemble
from scorer.errors import ScorerError, UnknownModel
from scorer.familiarity import RATE, Doubt
from scorer.features.analysis import Analysis, analyse
from scorer.features.query import QueryReading, content_text, read_query
from scorer.features.table import AnswerTable, tabulate
from scorer.member import Member
from scorer.reasons import Reason, reasons_of
from scorer.registry import Artifact, read

_KEPT_READINGS = 512  # queries and answers of requests in flight
_KEPT_TABLES = 2  # logs being replayed
_DECIMALS = 6  # so that an answer scores the same alone and in a log, whatever the order of the sums


class Scorer:
    """A calibrated judge of answers, made by ``spillway train``.

    version : content hash of the artifact.
    models : the models whose answers it can score.
    report : what training found on answers out of fold, see ``scorer.evaluation``.
    """

    def __init__(self, artifact: Artifact) -> None:
        trained = artifact.trained
        self._artifact = artifact
        self.version: str = artifact.version
        self.models: frozenset[str] = frozenset(trained.models)
        self.report: Mapping[str, Any] = trained.report
        self._trained = trained
        self._ensemble = Ensemble(trained.members)
        self._columns = {model: index for index, model in enumerate(trained.models)}
        self._readings: _Recent[bytes, QueryReading] = _Recent(_KEPT_READINGS)
        self._analyses: _Recent[bytes, Analysis] = _Recent(_KEPT_READINGS)
        self._expectations: _Recent[bytes, tuple[NDArray[np.float64], NDArray[np.float64]]] = _Recent(_KEPT_READINGS)
        self._tables: _Recent[tuple[int, ...], tuple[Sequence[LoggedQuery], AnswerTable]] = _Recent(_KEPT_TABLES)

    @classmethod
    def load(cls, directory: Path | str) -> "Scorer":
        """Read an artifact directory. Every file is verified by its hash before any is parsed. Raises ArtifactError."""
        return cls(read(Path(directory)))

    def score(self, query: Query, answer: Answer, others: Sequence[Answer] = ()) -> float:
        """Calibrated P(answer is good), in [0, 1].

        others : the other answers that were already paid for in this request; their order does not matter. Those of
        models that the scorer does not know say nothing to it; of several by one model it looks at one.
        Raises UnknownModel if the answer's model was not in the training log.
        """
        column, table = self._beside(query, answer, others)
        return round(float(self._ensemble.score(table, np.array([column])).mean()), _DECIMALS)

    def reasons(self, query: Query, answer: Answer, others: Sequence[Answer] = ()) -> tuple[Reason, ...]:
        """What moved the score of an answer, the weightiest first; see ``scorer.reasons``. Raises UnknownModel."""
        column, table = self._beside(query, answer, others)
        return reasons_of(self._trained.members, table, column)

    def score_log(self, queries: Sequence[LoggedQuery], model: str, others: Sequence[str] = ()) -> NDArray[np.float64]:
        """(n,) scores of one model's logged answers, given the logged answers of ``others``.

        A query on which the artifact was trained is scored by the member that did not see it (out of fold); any other
        query gets the same number as from ``score``. What an answer was made of counts among the others. Raises
        UnknownModel for a model that was not in the training log, ScorerError if a query lacks an answer of ``model``
        or of one of ``others``.
        """
        column, beside = self._column(model), [self._column(other) for other in others]
        self._check_judges()
        table = self._table(queries)
        needed = [column, *beside]
        self._check_present(table, queries, needed)
        context = np.zeros((len(queries), len(self._columns)), dtype=np.bool_)
        context[:, beside] = True
        for row, query in enumerate(queries):
            context[row, list(self._proposed(query, (model, *others)))] = True
        samples = Samples(
            rows=np.arange(len(queries)), models=np.full(len(queries), column, dtype=np.int64), context=context
        )
        return self._averaged(
            self._folds(queries), (len(queries),), lambda member, mask: member.score(table, samples.where(mask))
        )

    @property
    def prefix_lengths(self) -> tuple[int, ...]:
        """The lengths, in characters and ascending, at which beginnings of answers can be judged; maybe none."""
        return self._ensemble.lengths

    def score_prefix(self, query: Query, model: str, text: str) -> float:
        """Calibrated P(the answer that begins so is good). text : at least as long as the first of the lengths; what
        goes beyond the longest that it fills is not looked at. Raises UnknownModel."""
        column = self._column(model)
        place = max(n for n, length in enumerate(self.prefix_lengths) if length <= len(text))
        _, reading = self._reading(query)
        begun = analyse(reading, Answer(model=model, text=text[: self.prefix_lengths[place]]))
        table = tabulate([(reading, [begun])], self._trained.models, 1, terms=False)
        return round(float(self._ensemble.score_beginning(table, column, place).mean()), _DECIMALS)

    def score_prefix_log(self, queries: Sequence[LoggedQuery], model: str) -> NDArray[np.float64]:
        """(n, lengths) scores of the beginnings of one model's logged answers, nan where the answer was no longer;
        out of fold where trained on. Raises UnknownModel."""
        column, folds = self._column(model), self._folds(queries)
        scores = np.full((len(queries), len(self.prefix_lengths)), np.nan)
        for place, length in enumerate(self.prefix_lengths):
            table = beginnings_of(queries, self._trained.models, length, only=model)
            there = table.present[:, column]
            part, rows = table.take(there), int(there.sum())
            samples = Samples(
                rows=np.arange(rows),
                models=np.full(rows, column, dtype=np.int64),
                context=np.zeros((rows, len(self._columns)), dtype=np.bool_),
            )

            if rows:
                said = partial(_of_beginnings, part, samples, place)
                scores[there, place] = self._averaged(folds[there], (rows,), said)
        return scores

    def expect(self, query: Query) -> Mapping[str, Expectation]:
        """Before any call, from the query alone: P(good) and expected completion tokens of every model's answer."""
        key, reading = self._reading(query)
        p, tokens = (np.round(each.mean(axis=0), _DECIMALS) for each in self._expectation(key, reading))
        return {
            model: Expectation(p_good=float(p[column]), completion_tokens=float(tokens[column]))
            for model, column in self._columns.items()
        }

    def expect_log(self, queries: Sequence[LoggedQuery]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n, k) P(good) and (n, k) expected completion tokens, as ``expect`` gives them; out of fold where trained on.

        Columns are in the order of ``columns``.
        """
        return self._expected(self._table(queries), self._folds(queries))

    def believe(self, query: Query, answers: Sequence[Answer]) -> Mapping[str, float]:
        """P(good) of the answer of every model, given all answers that were paid for in this request.

        Of a model that answered: of its answer, beside all the others; answers that conclude the same share one number.
        Of a model that did not: of the answer that it would give. Answers of models that the scorer does not know say
        nothing to it; of several by one model it looks at one.
        """
        known = sorted((answer for answer in answers if answer.model in self._columns), key=_order)
        if known:
            self._check_judges()
        key, reading = self._reading(query)
        analyses = [self._analysis(key, reading, each) for each in {each.model: each for each in known}.values()]
        table = tabulate([(reading, analyses)], self._trained.models, 1, terms=False)
        expected, _ = self._expectation(key, reading)
        beliefs = np.round(self._ensemble.believe(table, expected).mean(axis=0), _DECIMALS)
        return {model: float(beliefs[column]) for model, column in self._columns.items()}

    def believe_log(self, queries: Sequence[LoggedQuery], context: Sequence[str]) -> NDArray[np.float64]:
        """(n, k) beliefs, as ``believe`` gives them, given the logged answers of ``context``; out of fold where trained
        on. Columns are in the order of ``columns``. Raises UnknownModel, and ScorerError if an answer is missing."""
        given = [self._column(model) for model in context]
        if given:
            self._check_judges()
        table = self._table(queries)
        self._check_present(table, queries, given)
        mask = np.zeros(len(self._columns), dtype=np.bool_)
        mask[given] = True
        return self._believed(table, self._folds(queries), mask)

    @property
    def judges(self) -> bool:
        """Whether it can score answers; not so where its log had labels alone."""
        return all(member.alone is not None for member in self._trained.members)

    @property
    def columns(self) -> tuple[str, ...]:
        """The models in the order in which arrays have them."""
        return self._trained.models

    def doubt(self, query: Query, rate: float = RATE) -> Doubt | None:
        """Why no score of an answer to this query would be trusted: it is unlike the training queries. Else None.

        rate : the share of queries from the same source that may be taken to be unlike; 0 doubts nothing.
        """
        return self._trained.familiarity.doubt(query, rate)

    def doubts_log(self, queries: Sequence[LoggedQuery], rate: float = RATE) -> NDArray[np.bool_]:
        """(n,) whether ``doubt`` has something to say; of training queries, as they look when they are left out."""
        familiarity = self._trained.familiarity
        return np.array([familiarity.doubt_of(each.query, each.hash, rate) is not None for each in queries], np.bool_)

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories of queries that it tells apart; none where training was not told to find any."""
        return self._trained.categories

    def categorise(self, query: Query) -> Category | None:
        """A query's likeliest category; None of a query that is unlike the training queries.

        Raises ScorerError where it knows no categories.
        """
        self._check_categories()
        if self.doubt(query) is not None:
            return None
        table = tabulate([(self._reading(query)[1], [])], self._trained.models, 1)
        return likeliest(self.categories, self._sorted(table, np.array([-1]))[0])

    def categorise_log(self, queries: Sequence[LoggedQuery]) -> tuple[Category | None, ...]:
        """The same of a log's queries; out of fold where trained on. Raises ScorerError where it knows none."""
        self._check_categories()
        p, doubted = self._sorted(self._table(queries), self._folds(queries)), self.doubts_log(queries)
        return tuple(None if odd else likeliest(self.categories, row) for row, odd in zip(p, doubted, strict=True))

    def trained_on(self, query_hash: str) -> bool:
        """Whether a query (see ``scorer.dataset.query_hash``) was among those that the artifact was trained on."""
        return query_hash in self._trained.folds

    @property
    def priors(self) -> Mapping[str, float]:
        """Mean quality by model on the training queries."""
        return self._trained.priors

    def _proposed(self, query: LoggedQuery, models: Sequence[str]) -> Iterator[int]:
        """The columns of what the models' answers were made of: live these are among the others that were paid for."""
        for model in models:
            logged = query.answers.get(model)
            for proposal in logged.proposals if logged is not None else ():
                if proposal.model in self._columns:
                    yield self._columns[proposal.model]

    def _beside(self, query: Query, answer: Answer, others: Sequence[Answer]) -> tuple[int, AnswerTable]:
        """Which column of the table of one query is the answer's, and the table."""
        column = self._column(answer.model)
        self._check_judges()
        known = sorted((other for other in others if other.model in self._columns), key=_order)
        beside = {other.model: other for other in known} | {answer.model: answer}
        key, reading = self._reading(query)
        analyses = [self._analysis(key, reading, each) for each in beside.values()]
        return column, tabulate([(reading, analyses)], self._trained.models, 1, terms=False)

    def _folds(self, queries: Sequence[LoggedQuery]) -> NDArray[np.int64]:
        """(n,) the member that did not see a query; −1 where none did."""
        return np.array([self._trained.folds.get(query.hash, -1) for query in queries], dtype=np.int64)

    def _averaged(
        self,
        folds: NDArray[np.int64],
        shape: tuple[int, ...],
        said: Callable[[Member, NDArray[np.bool_]], NDArray[np.float64]],
    ) -> NDArray[np.float64]:
        """What the members say of the rows that they may judge, averaged. said : (member, mask (n,)) → values."""
        total, count = np.zeros(shape), np.zeros((len(folds), *(1 for _ in shape[1:])))
        for fold, member in enumerate(self._trained.members):
            mask = (folds == fold) | (folds < 0)
            if mask.any():
                total[mask] += said(member, mask)
                count[mask] += 1
        values: NDArray[np.float64] = np.round(total / np.maximum(count, 1), _DECIMALS)
        return values

    def _expected(
        self, table: AnswerTable, folds: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        def said(member: Member, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
            part = table.take(mask)
            return np.concatenate(member.forecast.expect(part.terms, part.query_values), axis=1)

        k = len(self._columns)
        both = self._averaged(folds, (len(table), 2 * k), said)
        return both[:, :k], both[:, k:]

    def _believed(
        self, table: AnswerTable, folds: NDArray[np.int64], context: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        shape = (len(table), len(self._columns))
        return self._averaged(folds, shape, lambda member, mask: member.believe(table.take(mask), context))

    def _sorted(self, table: AnswerTable, folds: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n, c) probabilities of the categories."""
        return self._averaged(
            folds, (len(table), len(self.categories)), lambda member, mask: member.sort(table.take(mask))
        )

    def _check_categories(self) -> None:
        if not self.categories:
            raise ScorerError("the scorer knows no categories; `spillway train --categories` makes one that does")

    def _check_judges(self) -> None:
        if not self.judges:
            raise ScorerError("the scorer was trained on labels alone: it expects, but it can judge no answer")

    def _check_present(self, table: AnswerTable, queries: Sequence[LoggedQuery], needed: Sequence[int]) -> None:
        if not table.present[:, needed].all():
            row, place = np.argwhere(~table.present[:, needed])[0]
            raise ScorerError(f"query {queries[row].query.id!r} has no answer of {self._trained.models[needed[place]]}")

    def _column(self, model: str) -> int:
        column = self._columns.get(model)
        if column is None:
            raise UnknownModel(f"{model} was not in the training log; the scorer knows {', '.join(self._columns)}")
        return column

    def _reading(self, query: Query) -> tuple[bytes, QueryReading]:
        parts = [repr(query.response_format), str(bool(query.tools))]
        parts += [f"{message.get('role')}\0{content_text(message.get('content'))}" for message in query.messages]
        key = _digest(parts)
        reading = self._readings.get(key)
        return key, reading if reading is not None else self._readings.put(key, read_query(query))

    def _analysis(self, query_key: bytes, query: QueryReading, answer: Answer) -> Analysis:
        logprobs = b"" if answer.token_logprobs is None else np.asarray(answer.token_logprobs).tobytes()
        calls = repr(answer.tool_calls) if answer.tool_calls else ""
        key = _digest([answer.model, answer.text, str(answer.finish_reason), calls], query_key, logprobs)
        analysis = self._analyses.get(key)
        return analysis if analysis is not None else self._analyses.put(key, analyse(query, answer))

    def _expectation(self, key: bytes, reading: QueryReading) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(m, k) P(good) and (m, k) expected tokens by member; kept, for every answer to the query asks again."""
        expected = self._expectations.get(key)
        if expected is None:
            table = tabulate([(reading, [])], self._trained.models, 1)
            expected = self._expectations.put(key, self._ensemble.expect(table))
        return expected

    def _table(self, queries: Sequence[LoggedQuery]) -> AnswerTable:
        key = tuple(map(id, queries))
        kept = self._tables.get(key)
        if kept is None:  # the queries are kept beside it, so that no id is used again
            table = table_of(queries, self._trained.models)
            kept = self._tables.put(key, (tuple(queries), table))
        return kept[1]


def _of_beginnings(
    table: AnswerTable, samples: Samples, place: int, member: Member, mask: NDArray[np.bool_]
) -> NDArray[np.float64]:
    return member.judge_beginnings(table, samples.where(mask), place)


def _order(answer: Answer) -> tuple[str, ...]:
    return answer.text, repr(answer.tool_calls), str(answer.finish_reason), repr(answer.token_logprobs)


def _digest(parts: Sequence[str], *more: bytes) -> bytes:
    state = hashlib.blake2b(digest_size=16)
    for part in (*(part.encode("utf-8", "surrogatepass") for part in parts), *more):
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.digest()


Key = TypeVar("Key")
Value = TypeVar("Value")


class _Recent(Generic[Key, Value]):
    """The values that were put last, a bounded number of them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        return self._values.get(key)

    def put(self, key: Key, value: Value) -> Value:
        self._values[key] = value
        while len(self._values) > self._size:
            self._values.popitem(last=False)
        return value
