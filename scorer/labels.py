"""Where labels come from, which one counts where an answer has several, and that sources are never mixed unawares.

Knows labelled queries. Knows no model and no file.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from scorer.errors import MixedLabels
from scorer.logline import SOURCES, UNNAMED, LoggedQuery

_REFUSED = "agreement"  # it is a feature: a scorer that learned from it would learn to believe itself


def by_sources(
    queries: Sequence[LoggedQuery], wanted: Collection[str] | None = None
) -> tuple[tuple[LoggedQuery, ...], Mapping[str, int]]:
    """The queries with the strongest label of the wanted sources, and how many labels are of each.

    wanted : of SOURCES; None where all labels are of one source, or of no named one. An answer without such a label
    stays as what others are compared with. Raises MixedLabels.
    """
    present = {source for query in queries for source in query.sources}
    if wanted is None:
        if len(present) > 1:
            raise MixedLabels(
                f"labels are of different sources ({', '.join(sorted(present))}), and a judge is not a check: say "
                "which ones count, e.g. --labels check,review; where an answer has several, the strongest does"
            )
        wanted = present
    unknown = sorted(set(wanted) - {*SOURCES, UNNAMED})
    if unknown:
        raise MixedLabels(f"labels: must be of {', '.join((*SOURCES, UNNAMED))}, not {', '.join(unknown)}")
    if _REFUSED in wanted:
        raise MixedLabels("labels by agreement cannot be learned from: agreement is what answers are judged by")
    order = [source for source in (*SOURCES, UNNAMED) if source in wanted]
    counts: Counter[str] = Counter()
    chosen = []
    for query in queries:
        labels = {}
        for model, qualities in query.qualities.items():
            source = next((source for source in order if source in qualities), None)
            if source is not None:
                labels[model], counts[source] = qualities[source], counts[source] + 1
        chosen.append(query if labels == query.labels else replace(query, labels=labels))
    return tuple(chosen), dict(counts)
