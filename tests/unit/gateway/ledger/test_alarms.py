"""Alarms count everything and say the same thing ever more rarely."""

import logging

import pytest

from gateway.ledger.alarms import Alarms


def test_a_flood_of_the_same_is_counted_in_full_and_told_in_drops(caplog: pytest.LogCaptureFixture) -> None:
    alarms = Alarms()
    with caplog.at_level(logging.WARNING, logger="spillway.ledger"):
        for _ in range(1000):
            alarms.retry("database is locked")
            alarms.unknown_price("dear")
            alarms.over_reservation("att_1", "small", 2, 1)
    assert (alarms.counts.retries, alarms.counts.unknown_prices, alarms.counts.over_reservation) == (1000, 1000, 1000)
    assert len(caplog.records) == 10 + 1 + 10


def test_each_model_without_a_price_is_named(caplog: pytest.LogCaptureFixture) -> None:
    alarms = Alarms()
    for model in ("dear", "rare", "dear"):
        alarms.unknown_price(model)
    assert [record.getMessage().split()[0] for record in caplog.records] == ["dear", "rare"]


def test_a_model_that_has_a_price_is_not_asked_for_one(caplog: pytest.LogCaptureFixture) -> None:
    alarms = Alarms()
    for _ in range(2):
        alarms.unknown_price("dear", priced=True)
    (record,) = caplog.records
    assert "give it max_output_tokens" in record.getMessage()
    assert alarms.counts.unknown_prices == 2


def test_an_unforeseen_failure_is_told_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    try:
        int("no number")
    except ValueError:
        Alarms().unforeseen("reading")
    assert "ValueError" in caplog.text
