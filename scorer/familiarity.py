"""Is this query like those that a scorer was trained on? Fitted on the training queries alone: no label, no answer.

Knows queries and how odd the training queries look to each other. Knows no score and no policy.

A query is measured by what its words and word pairs have in common with the training queries, and by its characters
and length. Two numbers say how odd the measures are: their distance from the training queries' (Mahalanobis, on scales
taken from quantiles), and how far out each measure of the words is, added up (Fisher's combination of p-values). The
larger of the two is compared with what it is for training queries left out in turn, with their conversations; the
share of those that are at least as odd is a conformal p-value (Vovk, Gammerman and Shafer, 2005): of queries from the
same source, a share ``rate`` is taken to be unlike, whatever the distribution.
"""

import io
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from math import ceil
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from scorer.answer import Message, Query
from scorer.features.wording import BUCKETS, SCRIPTS, SURFACE, Wording, read_wording

RATE = 0.01
"""The share of queries like the training queries that may be taken to be unlike them."""

Floats = NDArray[np.float64]
Reason = Literal["tools", "images", "audio", "unlike_script", "unlike_length", "unlike_text"]

_FOLDS = 5
_N_WORDING = 8  # measures of words; those of characters and length follow
_FAR = np.log(2.0)  # a length beyond twice, or below half of what was seen is no longer like it
_SHARE = 0.2  # of a query's letters that makes a script matter
_TAIL = 1.645  # standard deviations from a normal distribution's median to its 95 % quantile
_MEDIA = {"image_url": "images", "input_image": "images", "image_file": "images", "input_audio": "audio"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Why no score of an answer to a query would be trusted. detail : in words."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What the measures of training queries are like: (M,) centre, spread below and above, mean; (M, M) precision;
    (m, _N_WORDING) sorted measures of the words; (2,) what the two numbers are divided by."""

    centre: Floats
    below: Floats
    above: Floats
    mean: Floats
    precision: Floats
    ranked: Floats
    unit: Floats

    @classmethod
    def fit(cls, measures: Floats) -> Self:
        """measures : (m, M) of training queries."""
        low, centre, high = np.quantile(measures, (0.05, 0.5, 0.95), axis=0)
        least = 1e-3 + 0.01 * np.abs(centre)
        scale = cls(
            centre=centre,
            below=np.maximum((centre - low) / _TAIL, least),
            above=np.maximum((high - centre) / _TAIL, least),
            mean=np.zeros(measures.shape[1]),
            precision=np.eye(measures.shape[1]),
            ranked=np.sort(measures[:, :_N_WORDING], axis=0),
            unit=np.ones(2),
        )
        z = scale._standardised(measures)
        mean, covariance = z.mean(axis=0), np.cov(z, rowvar=False, bias=True) + 0.1 * np.eye(z.shape[1])
        scale.mean[:], scale.precision[:] = mean, np.linalg.inv(covariance)
        scale.unit[:] = np.maximum(np.quantile(scale._pair(measures), 0.95, axis=0), 1e-6)
        return scale

    def oddity(self, measures: Floats) -> Floats:
        """(q,) how odd (q, M) measures are."""
        return np.asarray((self._pair(measures) / self.unit).max(axis=1))

    def _pair(self, measures: Floats) -> Floats:
        off = self._standardised(measures) - self.mean
        distance = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", off, self.precision, off), 0))
        n = len(self.ranked)
        tails = np.column_stack([n + 1 - np.searchsorted(self.ranked[:, j], measures[:, j]) for j in range(_N_WORDING)])
        return np.column_stack([distance, np.log((n + 1) / tails).sum(axis=1)])

    def _standardised(self, measures: Floats) -> Floats:
        off = measures - self.centre
        z = off / np.where(off > 0, self.above, self.below)
        size = np.abs(z)  # beyond three spreads on a log scale: single wild queries must not hide all others
        return np.asarray(np.sign(z) * np.where(size > 3, 3 + 2 * np.log1p(np.maximum(size - 3, 0)), size))


@dataclass(frozen=True, slots=True, kw_only=True)
class Familiarity:
    """The training queries, as far as it takes to know their like.

    words, pairs : (BUCKETS,) how many training queries have them.   lengths : least and greatest, log characters.
    oddities : (n,) of the training queries, each left out with its conversation, sorted.
    own : the same by query hash.   seen : kinds of traffic that occurred: tools, images, audio, scripts.
    """

    n: int
    words: NDArray[np.uint32]
    pairs: NDArray[np.uint32]
    lengths: Floats
    scale: Scale
    oddities: Floats
    own: Mapping[str, float]
    seen: frozenset[str]
    usual: NDArray[np.bool_]  # (BUCKETS,) word pairs of at least half of them: their template, where they have one

    @classmethod
    def fit(cls, queries: Sequence[Query], hashes: Sequence[str], sources: Sequence[str]) -> Self:
        """hashes : by which training queries are known again.   sources : equal for queries of one conversation."""
        wordings = [read_wording(query.messages) for query in queries]
        words, pairs = (_counts([getattr(each, name) for each in wordings]) for name in ("words", "pairs"))
        named = (("words", words), ("pairs", pairs))
        members: dict[str, list[int]] = {}
        for index, source in enumerate(sources):
            members.setdefault(source, []).append(index)
        usual = _usual(pairs, len(queries))
        measures = np.empty((len(queries), _N_WORDING + len(SURFACE)))
        for indices in members.values():
            own = [wordings[index] for index in indices]
            for index in indices:
                left = [_without(own, wordings[index], counts, name) for name, counts in named]
                measures[index] = _measures(wordings[index], left[0], left[1], len(queries) - len(indices), usual)
        folds = np.array([zlib.crc32(source.encode()) % _FOLDS for source in sources])
        scale = Scale.fit(measures)
        oddities = scale.oddity(measures)
        for fold in range(_FOLDS):
            apart = folds == fold
            if apart.any() and (~apart).sum() >= 2:
                oddities[apart] = Scale.fit(measures[~apart]).oddity(measures[apart])
        chars = np.log1p([wording.n_chars for wording in wordings])
        return cls(
            n=len(queries),
            words=words,
            pairs=pairs,
            lengths=np.array([chars.min(), chars.max()]),
            scale=scale,
            usual=usual,
            oddities=np.sort(oddities),
            own=dict(zip(hashes, oddities.tolist(), strict=True)),
            seen=frozenset().union(*(_kinds(query, w) for query, w in zip(queries, wordings, strict=True))),
        )

    def doubt(self, query: Query, rate: float = RATE) -> Doubt | None:
        """Why this query is unlike the training queries, None if it is not. rate : 0 doubts nothing."""
        if rate <= 0:
            return None
        wording = read_wording(query.messages)
        strange = sorted(_kinds(query, wording) - self.seen, key=_ORDER.index)
        if strange:
            reason, detail = _named(strange[0])
            return Doubt(reason=reason, detail=detail)
        length, (least, greatest) = np.log1p(wording.n_chars), self.lengths
        if not least - _FAR <= length <= greatest + _FAR:
            span = f"{np.expm1(least):.0f} to {np.expm1(greatest):.0f}"
            return Doubt(reason="unlike_length", detail=f"{wording.n_chars} characters; training queries have {span}")
        return self._doubt(self._oddity(wording), rate)

    def doubt_of(self, query: Query, query_hash: str, rate: float = RATE) -> Doubt | None:
        """The same for a query of a log: one that this was fitted on is judged as it looked when it was left out."""
        own = self.own.get(query_hash)
        if own is None:
            return self.doubt(query, rate)
        return self._doubt(own, rate) if rate > 0 else None

    def limit(self, rate: float) -> float:
        """The oddity above which a query is unlike. With fewer than 1 / rate training queries: the greatest of them."""
        place = min(ceil((self.n + 1) * (1 - rate)), self.n)
        return float(self.oddities[max(place, 1) - 1])

    def share(self, rate: float) -> float:
        """The share of training queries that are taken to be unlike the others."""
        return float(np.mean(self.oddities > self.limit(rate)))

    def _oddity(self, wording: Wording) -> float:
        known = self.words[wording.words].astype(np.float64), self.pairs[wording.pairs].astype(np.float64)
        measures = _measures(wording, *known, self.n, self.usual)
        return float(self.scale.oddity(measures[None, :])[0])

    def _doubt(self, odd: float, rate: float) -> Doubt | None:
        if odd <= self.limit(rate):
            return None
        share = (1 + self.n - int(np.searchsorted(self.oddities, odd))) / (1 + self.n)
        said = f"its wording is odder than {1 - share:.1%} of the training queries'; the rate allows for {rate:g}"
        return Doubt(reason="unlike_text", detail=said)

    def dump(self) -> bytes:
        """As npz, without pickles."""
        buffer = io.BytesIO()
        hashes = sorted(self.own)
        np.savez_compressed(
            buffer,
            n=np.array(self.n),
            words=self.words,
            pairs=self.pairs,
            lengths=self.lengths,
            hashes=np.array(hashes),
            own=np.array([self.own[query_hash] for query_hash in hashes]),
            seen=np.array(sorted(self.seen)),
            **{f"scale_{field.name}": getattr(self.scale, field.name) for field in fields(Scale)},
        )
        return buffer.getvalue()

    @classmethod
    def load(cls, data: bytes) -> Self:
        """Read what ``dump`` wrote. Raises ValueError, KeyError and the like where it is something else."""
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            own, n = arrays["own"].astype(np.float64), int(arrays["n"])
            return cls(
                n=n,
                usual=_usual(arrays["pairs"], n),
                words=arrays["words"].astype(np.uint32),
                pairs=arrays["pairs"].astype(np.uint32),
                lengths=arrays["lengths"].astype(np.float64),
                scale=Scale(**{f.name: arrays[f"scale_{f.name}"].astype(np.float64) for f in fields(Scale)}),
                oddities=np.sort(own),
                own=dict(zip(arrays["hashes"].tolist(), own.tolist(), strict=True)),
                seen=frozenset(arrays["seen"].tolist()),
            )


_ORDER = ("tools", "images", "audio", *(f"script {script}" for script in SCRIPTS))


def _kinds(query: Query, wording: Wording) -> frozenset[str]:
    """What occurs in a query that either occurred in training or did not."""
    kinds = {f"script {script}" for script, share in wording.scripts.items() if share >= _SHARE}
    if query.tools or any(message.get("tool_calls") or message.get("role") == "tool" for message in query.messages):
        kinds.add("tools")
    return frozenset(kinds.union(*map(_media, query.messages)))


def _media(message: Message) -> set[str]:
    content = message.get("content")
    if not isinstance(content, list):
        return set()
    told = {part.get("type") for part in content if isinstance(part, Mapping) and isinstance(part.get("type"), str)}
    return {_MEDIA[kind] for kind in told if kind in _MEDIA}


def _named(kind: str) -> tuple[Reason, str]:
    if kind in ("tools", "images", "audio"):
        reason: Reason = "tools" if kind == "tools" else "images" if kind == "images" else "audio"
        return reason, f"there were no {kind} in the training queries"
    return "unlike_script", f"the training queries were not written in {kind.removeprefix('script ')} letters"


def _counts(parts: Iterable[NDArray[np.int64]]) -> NDArray[np.uint32]:
    counts = np.zeros(BUCKETS, dtype=np.uint32)
    for part in parts:
        counts[part] += 1  # each bucket once
    return counts


def _usual(pairs: NDArray[np.uint32], n: int) -> NDArray[np.bool_]:
    return np.asarray(pairs > n / 2)


def _without(own: Sequence[Wording], wording: Wording, counts: NDArray[np.uint32], name: str) -> Floats:
    """How many training queries outside a conversation have each of a query's buckets."""
    buckets: NDArray[np.int64] = getattr(wording, name)
    left = counts[buckets].astype(np.float64)
    for each in own:
        left -= np.isin(buckets, getattr(each, name), assume_unique=True)
    return left


def _measures(wording: Wording, words: Floats, pairs: Floats, n: int, usual: NDArray[np.bool_]) -> Floats:
    """(M,) measures. words, pairs : how many of ``n`` training queries have each of the query's buckets."""
    rare_words, rare_pairs = words[words <= n / 2], pairs[pairs <= n / 2]
    strange, strange_pairs = (words == 0).sum(), (pairs == 0).sum()
    n_usual = int(np.count_nonzero(usual))
    missing = 1 - np.count_nonzero(usual[wording.pairs]) / n_usual if n_usual else 0.0
    told = (
        -np.log((rare_words + 0.5) / (n + 1)).sum() / (len(rare_words) + 5),
        -np.log((rare_pairs + 0.5) / (n + 1)).sum() / (len(rare_pairs) + 5),
        strange / (len(rare_words) + 3),
        strange_pairs / (len(rare_pairs) + 3),
        (rare_words <= 0.01 * n).sum() / (len(rare_words) + 3),
        strange_pairs / (len(pairs) + 3),
        missing,
        np.log1p(strange),
    )
    return np.concatenate([told, wording.surface])
