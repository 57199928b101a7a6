"""What stands in an address is what is asked for; nonsense asks for nothing; nobody asks for what is not theirs."""

from datetime import UTC, date, datetime, timedelta
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis.strategies import dictionaries, none, one_of, sampled_from, text

from gateway.dashboard.filters import Filters
from gateway.dashboard.viewer import Viewer
from gateway.keys import Caller
from tests.dashboard_seed import NOW

NAMES = ("days", "since", "until", "org", "team", "key", "policy", "model", "tag")


@given(dictionaries(sampled_from(NAMES), text(max_size=20)))
def test_every_address_is_a_page_and_leads_back_to_itself(asked: dict[str, str]) -> None:
    filters = Filters.of(asked)
    assert Filters.of(dict(parse_qsl(filters.query().removeprefix("?")))) == filters
    assert filters.period(NOW).since < filters.period(NOW).until
    assert filters.span(NOW).since == filters.period(NOW).since


def test_days_of_ones_own_are_both_included() -> None:
    filters = Filters.of({"since": "2026-10-01", "until": "2026-10-31", "days": "7"})
    period = filters.period(NOW)
    assert (period.since, period.until) == (datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
    assert len(period.starts) == 31
    assert filters.with_days(90) == Filters(days=90)
    one = Filters(since=date(2026, 10, 1), until=date(2026, 10, 1)).period(NOW)
    assert (len(one.starts), one.slot) == (24, timedelta(hours=1))


@pytest.mark.parametrize(
    "asked",
    [
        {"since": "2026-10-02", "until": "2026-10-01"},
        {"since": "2026-10-02"},
        {"since": "1999-01-01", "until": "2026-01-01"},
        {"tag": "none"},
        {"tag": "=x"},
        {"policy": "x" * 300},
        {"key": "a\x00b"},
        {"days": "8"},
    ],
)
def test_nonsense_asks_for_nothing(asked: dict[str, str]) -> None:
    assert Filters.of(asked) == Filters()


def test_a_tag_may_have_any_value() -> None:
    assert Filters.of({"tag": "app=a=b"}).span(NOW).tag == ("app", "a=b")


@given(one_of(none(), text(max_size=5)), one_of(none(), text(max_size=5)), one_of(none(), text(max_size=5)))
def test_nobody_asks_for_what_is_not_theirs(org: str | None, team: str | None, key: str | None) -> None:
    asked = Filters(org=org, team=team, key=key)
    mine = Caller(tenant_id="o", key_id="k", name="n", team_id="t")
    for role, team_id in (("viewer", None), ("admin", "t"), ("member", "t")):
        viewer = Viewer.of(Caller(tenant_id="o", key_id="k", name="n", team_id=team_id, role=role))  # type: ignore[arg-type]
        narrowed = viewer.narrowed(asked)
        assert narrowed.org == "o"
        assert narrowed.team == (team_id or team)
        assert narrowed.key == ("k" if role == "member" else key)
        assert viewer.narrowed(viewer.chosen(asked)) in (narrowed, Filters(org="o", team=team_id, key=narrowed.key))
        assert not viewer.operates
    assert Viewer.of(mine, signed_in=False).operates
    assert Viewer(key_id="operator", name="operator", place=None).narrowed(asked) == asked


def test_who_may_say_whether_an_answer_is_good() -> None:
    def viewer(role: str, team: str | None = None) -> Viewer:
        return Viewer.of(Caller(tenant_id="o", key_id="k", name="n", team_id=team, role=role))  # type: ignore[arg-type]

    assert viewer("admin").may_review("o", "t", "other")
    assert viewer("admin", "t").may_review("o", "t", "other")
    assert not viewer("admin", "t").may_review("o", None, "other")
    assert not viewer("admin").may_review("p", None, "other")
    assert not viewer("viewer").may_review("o", None, "k")
    assert not viewer("member").may_review("o", None, "k")
    assert viewer("member").sees("o", None, "k")
    assert not viewer("member").sees("o", None, "other")
