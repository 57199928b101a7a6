"""The law of roles: nobody sees or changes what is not theirs, and nobody raises a limit that binds themselves."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.tenancy.scope import Actor, Place, Scope

ids = st.sampled_from(["a", "b"])
places = st.builds(Place, org_id=ids, team_id=st.none() | ids, key_id=st.none() | ids)
keys = st.builds(Place, org_id=ids, team_id=st.none() | ids, key_id=ids)
actors = st.builds(Actor, place=keys, role=st.sampled_from(["admin", "member", "viewer"]))


@given(actors, places)
def test_another_organisation_does_not_exist(actor: Actor, place: Place) -> None:
    assert actor.place is not None
    if place.org_id != actor.place.org_id and place.scope not in actor.place.scopes:
        assert [actor.sees(place), actor.manages(place), actor.limits(place)] == [False] * 3


@given(actors, places)
def test_each_right_includes_the_weaker_one(actor: Actor, place: Place) -> None:
    assert actor.manages(place) or not actor.limits(place)
    assert actor.sees(place) or not actor.manages(place)


@given(actors)
def test_nobody_sets_a_limit_that_binds_themselves(actor: Actor) -> None:
    assert actor.place is not None
    for place in (Place(org_id=actor.place.org_id), Place(org_id=actor.place.org_id, team_id=actor.place.team_id)):
        assert not actor.limits(place) or place.team_id not in (None, actor.place.team_id)
    assert not actor.limits(actor.place)


@given(actors, places)
def test_only_admins_change_anything(actor: Actor, place: Place) -> None:
    assert actor.role == "admin" or not actor.manages(place)


def test_a_member_sees_what_binds_its_key_and_nothing_else() -> None:
    member = Actor(place=Place(org_id="o", team_id="t", key_id="k"), role="member")
    assert all(member.sees(place) for place in (Place(org_id="o"), Place(org_id="o", team_id="t")))
    assert not member.sees(Place(org_id="o", team_id="t", key_id="other"))
    assert not member.sees(Place(org_id="o", team_id="u"))


def test_a_team_admin_stays_in_its_team() -> None:
    admin = Actor(place=Place(org_id="o", team_id="t", key_id="k"), role="admin")
    assert admin.manages(Place(org_id="o", team_id="t", key_id="other"))
    assert admin.limits(Place(org_id="o", team_id="t", key_id="other"))
    assert not admin.sees(Place(org_id="o", team_id="u", key_id="other"))
    assert not admin.manages(Place(org_id="o"))


def test_the_operator_may_everything() -> None:
    assert Actor().limits(Place(org_id="o"))


def test_what_binds_a_key_is_told_from_the_organisation_inward() -> None:
    assert Place(org_id="o", key_id="k").scopes == (Scope(level="org", id="o"), Scope(level="key", id="k"))
