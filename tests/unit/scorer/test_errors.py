"""Errors that another process had are the same here."""

import pickle

import pytest

from scorer.errors import BadLogLine, FolderUnreadable, ScorerError


@pytest.mark.parametrize("error", [BadLogLine("log.jsonl", 3, "no"), FolderUnreadable("folder", "torn")])
def test_an_error_comes_through_a_pipe(error: ScorerError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
