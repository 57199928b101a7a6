"""When a breaker opens, when it probes, and what it does not let itself be told."""

from hypothesis import given
from hypothesis import strategies as st

from router.backends.breaker import Breaker, BreakerRules

RULES = BreakerRules(failures=3, share=0.5, window_s=30.0, pause_s=10.0, longest_pause_s=25.0)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def broken(clock: Clock) -> Breaker:
    breaker = Breaker(RULES, clock=clock)
    for _ in range(RULES.failures):
        breaker.failed(breaker.enter())
    return breaker


def test_it_opens_on_enough_failures_and_not_before() -> None:
    breaker = Breaker(RULES, clock=Clock())
    for _ in range(2):
        breaker.failed(breaker.enter())
        assert breaker.admits
    breaker.failed(breaker.enter())
    assert (breaker.state, breaker.admits, breaker.wait_s) == ("open", False, 10.0)


def test_few_failures_among_many_calls_do_not_open_it() -> None:
    breaker = Breaker(RULES, clock=Clock())
    for n in range(100):
        ticket = breaker.enter()
        breaker.failed(ticket) if n % 4 == 3 else breaker.succeeded(ticket)
    assert breaker.state == "closed"


def test_old_failures_are_forgotten() -> None:
    clock = Clock()
    breaker = Breaker(RULES, clock=clock)
    for _ in range(10):
        breaker.failed(breaker.enter())
        clock.now += 16.0
    assert breaker.state == "closed"


def test_half_open_lets_one_probe_through_and_its_success_closes() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now += 10.0
    assert (breaker.state, breaker.admits) == ("half_open", True)
    probe = breaker.enter()
    assert not breaker.admits
    breaker.succeeded(probe)
    assert (breaker.state, breaker.admits) == ("closed", True)
    breaker.failed(breaker.enter())
    assert breaker.state == "closed"  # what was before is forgotten


def test_a_vain_probe_opens_it_for_longer_up_to_the_longest() -> None:
    clock = Clock()
    breaker = broken(clock)
    for pause in (10.0, 20.0, 25.0, 25.0):
        assert breaker.wait_s == pause
        clock.now += pause
        breaker.failed(breaker.enter())
    clock.now += 25.0
    breaker.succeeded(breaker.enter())
    for _ in range(RULES.failures):
        breaker.failed(breaker.enter())
    assert breaker.wait_s == 10.0


def test_a_probe_that_was_given_up_lets_another_one_through() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now += 10.0
    breaker.neither(breaker.enter())
    assert breaker.admits
    breaker.succeeded(breaker.enter())
    assert breaker.state == "closed"


def test_a_call_from_before_it_opened_says_nothing_after() -> None:
    clock = Clock()
    breaker = Breaker(RULES, clock=clock)
    slow = [breaker.enter() for _ in range(3)]
    for _ in range(RULES.failures):
        breaker.failed(breaker.enter())
    clock.now += 10.0
    probe = breaker.enter()
    breaker.succeeded(slow[0])
    breaker.failed(slow[1])
    breaker.neither(slow[2])
    assert not breaker.admits
    breaker.succeeded(probe)
    assert breaker.state == "closed"


@given(st.lists(st.sampled_from(["enter", "succeeded", "failed", "neither", "wait"]), max_size=60))
def test_there_is_never_more_than_one_probe_and_it_always_comes_back(steps: list[str]) -> None:
    clock = Clock()
    breaker = Breaker(RULES, clock=clock)
    under_way: list[tuple[int, bool]] = []
    for step in steps:
        if step == "wait":
            clock.now += 7.0
        elif step == "enter" and breaker.admits:
            probe = breaker.state == "half_open"
            under_way.append((breaker.enter(), probe))
        elif step != "enter" and under_way:
            getattr(breaker, step)(under_way.pop(0)[0])
        assert breaker.admits or breaker.state != "closed"
    for ticket, _ in under_way:
        breaker.neither(ticket)
    clock.now += 1000.0
    assert breaker.admits


def test_a_hint_makes_the_next_call_decide() -> None:
    clock = Clock()
    for ends_well, state in ((True, "closed"), (False, "open")):
        breaker = Breaker(RULES, clock=clock)
        assert breaker.hint()
        assert (breaker.state, breaker.admits, breaker.wait_s) == ("half_open", True, 0.0)
        ticket = breaker.enter()
        assert not breaker.admits
        breaker.succeeded(ticket) if ends_well else breaker.failed(ticket)
        assert breaker.state == state
        assert breaker.wait_s == (0.0 if ends_well else RULES.pause_s)
        assert breaker.openings == (0 if ends_well else 1)


def test_what_one_sees_oneself_outweighs_a_hint() -> None:
    clock = Clock()
    breaker = Breaker(RULES, clock=clock)
    breaker.succeeded(breaker.enter())
    assert not breaker.hint()
    clock.now += 1.0
    under_way = breaker.enter()
    assert breaker.hint()
    probe = breaker.enter()
    breaker.succeeded(under_way)  # it was there all the time
    assert breaker.state == "closed"
    breaker.failed(probe)  # begun in another state
    assert breaker.state == "closed"
    assert not broken(clock).hint()


def test_after_a_hint_breakers_open_and_close_as_ever() -> None:
    clock = Clock()
    breaker = Breaker(RULES, clock=clock)
    breaker.hint()
    breaker.failed(breaker.enter())
    clock.now += RULES.pause_s
    breaker.failed(breaker.enter())
    assert breaker.wait_s == 2 * RULES.pause_s
    clock.now += breaker.wait_s
    breaker.succeeded(breaker.enter())
    assert breaker.state == "closed"
    breaker.failed(breaker.enter())
    assert breaker.state == "closed"
