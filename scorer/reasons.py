"""What moved a judgement: how much each feature of an answer adds to its log-odds.

By a linear model's terms, and by TreeSHAP of trees (Lundberg et al., 2020): both add up to the model's log-odds over
those of an average answer. Knows members and names of features. Knows no page.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scorer.contexts import Samples
from scorer.features.experience import facts_of
from scorer.features.matrix import alone_names, together_names
from scorer.features.table import AnswerTable
from scorer.member import Member, features_of, in_company

_IDENTITY = "is:"
MODEL = "model"
"""What an answer is taken to be worth for being its model's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """log_odds : what the feature adds, before calibration; below 0 it speaks against the answer."""

    feature: str
    log_odds: float


def reasons_of(members: Sequence[Member], table: AnswerTable, column: int) -> tuple[Reason, ...]:
    """Of the answer of one model in a table of one query, beside all others there; the weightiest first.

    The mean over the members, which is what a score is made of. Empty where the members judge no answers.
    """
    sample = Samples(rows=np.zeros(1, dtype=np.int64), models=np.array([column]), context=table.present)
    company = bool(in_company(table, sample)[0])
    added: dict[str, float] = {}
    for member in members:
        together = company and member.together is not None
        head, name = (member.together, "together") if together else (member.alone, "alone")
        if head is None:
            return ()
        names = (together_names if together else alone_names)(table.models)
        X = features_of(name, table, sample, facts_of(member.experience, sample.models))
        parts = sum(head.weights[kind] * model.parts(X)[0] for kind, model in head.models.items())
        for feature, part in zip(names, np.broadcast_to(parts, len(names)), strict=True):
            known = MODEL if feature.startswith(_IDENTITY) else feature
            added[known] = added.get(known, 0.0) + float(part) / len(members)
    found = (Reason(feature=feature, log_odds=value) for feature, value in added.items() if value)
    return tuple(sorted(found, key=lambda reason: -abs(reason.log_odds)))
