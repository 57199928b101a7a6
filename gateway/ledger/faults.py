"""Named points on the way of a row, at which a test can end the process: what is left then must still add up.

Nothing happens at them otherwise, and nothing outside the process can set one off.
"""

from collections.abc import Callable

POINTS = (
    *("request-queued", "opening-queued", "group-taken", "transaction-begun", "counters-posted"),
    *("requests-inserted", "attempts-inserted", "settlements-inserted", "line_items-inserted"),
    *("closings-inserted", "entries-inserted", "link-inserted", "committed", "opening-answered"),
    *("settlement-queued", "closing-queued", "orphans-found", "orphans-settled", "lost-requests-closed"),
    *("spool-written", "spool-synced", "spool-drained", "spool-removed"),
)
RETENTION_POINTS = (
    *("tags-folded", "details-scrubbed", "details-noted", "drop-announced", "checkpointed", "rows-dropped"),
    *("links-dropped", "drop-noted"),
)

hooks: list[Callable[[str], None]] = []


def reach(point: str) -> None:
    """Say that a point is reached."""
    for hook in hooks:
        hook(point)
