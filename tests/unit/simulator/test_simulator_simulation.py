"""Who dials when, what follows from how it went, and that it comes to an end."""

from collections.abc import Callable

import pytest
from simulator_world import octets, reply

from aaad.simulator.fleet import Nases, Subscribers, fill, mac_octets
from aaad.simulator.methods import METHODS
from aaad.simulator.report import Latencies
from aaad.simulator.simulation import Plan, Simulation

Behaviour = Callable[[int, bytes, float], list[bytes]]


class Clockwork:
    """A simulation in its own time; a server replies at once, as `behave(datagrams so far, request, now)` says."""

    def __init__(
        self, plan: Plan, behave: Behaviour, *, subscribers: int = 3, nases: int = 1, method: str = "pap"
    ) -> None:
        who = Subscribers(count=subscribers, methods=(method,)).make()
        self.simulation = Simulation(plan, Nases(count=nases, kind="mikrotik-old").make(), who, 1, octets())
        self.behave = behave
        self.now_s = 1000.0
        self.requests: list[tuple[float, str, bytes]] = []

    def run(self, limit_s: float = 500.0) -> "Clockwork":
        while not self.simulation.is_over(self.now_s):
            assert self.now_s < 1000 + limit_s, "it does not end"
            self.step()
        self.report = self.simulation.finish(self.now_s, 0)
        return self

    def step(self) -> None:
        self.simulation.advance(self.now_s)
        while self.simulation.outbox:
            line, request = self.simulation.outbox.popleft()
            self.requests.append((round(self.now_s - 1000, 3), line.owner.nas.name, request))
            for datagram in self.behave(len(self.requests), request, self.now_s):
                self.simulation.receive(line, datagram, self.now_s)
        self.now_s += 0.005

    def times(self, code: int = 1) -> list[float]:
        return [at_s for at_s, _, request in self.requests if request[0] == code]


def accepting(_count: int, request: bytes, _now_s: float) -> list[bytes]:
    return [reply(request, 2 if request[0] == 1 else 5)]


def refusing(_count: int, request: bytes, _now_s: float) -> list[bytes]:
    return [reply(request, 3, b"\x12\x04no")]


def silent(_count: int, _request: bytes, _now_s: float) -> list[bytes]:
    return []


def test_each_dials_once_at_its_rate() -> None:
    done = Clockwork(Plan(rate=10), accepting, subscribers=4).run()
    assert done.times() == pytest.approx([0.0, 0.1, 0.2, 0.3], abs=0.011)
    assert done.report.methods["pap"].accepts == 4
    assert sorted(done.simulation.last) == [0, 1, 2, 3]


def test_without_a_rate_the_next_dials_when_one_has_his_answer() -> None:
    done = Clockwork(Plan(in_work_max=2), silent, subscribers=4).run()
    first_copies = [
        at_s for at_s, _, request in done.requests if request not in {r for t, _, r in done.requests if t < at_s}
    ]
    assert first_copies == pytest.approx([0.0, 0.0, 0.9, 0.9], abs=0.03)
    assert done.report.methods["pap"].given_up == 4
    assert done.report.methods["pap"].resends == 8


def test_subscribers_dial_in_turn_for_as_long_as_the_plan_says() -> None:
    done = Clockwork(Plan(rate=10, cycles_for_s=1), accepting, subscribers=3).run()
    assert len(done.times()) == 10
    assert done.report.all_methods.dials == 10


def test_who_still_dials_is_passed_over() -> None:
    done = Clockwork(Plan(rate=10, cycles_for_s=0.5), silent, subscribers=1).run()
    assert done.report.skipped == 4
    assert done.report.all_methods.dials == 1


def test_who_was_refused_dials_again_and_gives_up_in_the_end() -> None:
    plan = Plan(redial_first_s=1.0, redial_longest_s=4.0, redials_max=4)
    done = Clockwork(plan, refusing, subscribers=1).run()
    waits = [round(b - a) for a, b in zip(done.times(), done.times()[1:], strict=False)]
    assert waits == [1, 2, 4, 4]
    assert done.report.methods["pap"].rejects == 5
    assert done.report.refused["reply_message"] == {"no": 5}


def test_a_success_ends_the_redials() -> None:
    done = Clockwork(
        Plan(redial_first_s=0.1), lambda n, request, _: [reply(request, 3 if n < 3 else 2)], subscribers=1
    ).run()
    assert (done.report.methods["pap"].rejects, done.report.methods["pap"].accepts) == (2, 1)


def test_stopping_lets_nobody_begin_any_more_and_forgets_who_waits() -> None:
    world = Clockwork(Plan(rate=10, cycles_for_s=1000, redial_first_s=50), refusing)
    for _ in range(50):
        world.step()
    world.simulation.stop()
    begun = len(world.requests)
    world.run(limit_s=5)
    assert len(world.requests) == begun


def test_nobody_subscribed_is_over_at_once() -> None:
    assert Clockwork(Plan(), accepting, subscribers=0).run().requests == []


def test_subscribers_are_spread_over_the_concentrators() -> None:
    done = Clockwork(Plan(), accepting, subscribers=6, nases=3).run()
    assert sorted(name for _, name, _ in done.requests) == sorted([f"simulated-{n:02d}" for n in range(3)] * 2)


def statuses(done: Clockwork) -> list[tuple[float, int]]:
    return [
        (at_s, request[request.index(b"\x28\x06\0\0\0") + 5]) for at_s, _, request in done.requests if request[0] == 4
    ]


def test_accounting_is_start_interims_as_granted_and_stop() -> None:
    def granting(_count: int, request: bytes, _now_s: float) -> list[bytes]:
        return [reply(request, 2, b"\x55\x06\0\0\0\2") if request[0] == 1 else reply(request, 5)]

    done = Clockwork(Plan(rate=1, cycles_for_s=3.5, has_accounting=True), granting, subscribers=1).run()
    # He dials each second, so each of his sessions ends before its first Interim is due.
    assert [status for _, status in statuses(done)] == [1, 2, 1, 2, 1, 2, 1, 2]
    done = Clockwork(Plan(rate=0.2, cycles_for_s=5, has_accounting=True), granting, subscribers=1).run()
    assert [(round(at_s), status) for at_s, status in statuses(done)] == [(0, 1), (2, 3), (4, 3), (5, 2)]
    assert {name: one.acknowledged for name, one in done.report.accounting.items()} == {
        "start": 1,
        "interim": 2,
        "stop": 1,
    }


def test_accounting_that_nobody_answers_is_counted_and_ends() -> None:
    only_access: Behaviour = lambda _count, request, _now_s: [reply(request)] if request[0] == 1 else []  # noqa: E731
    done = Clockwork(Plan(has_accounting=True), only_access, subscribers=2).run()
    assert {name: (one.sent, one.given_up) for name, one in done.report.accounting.items()} == {
        "start": (2, 2),
        "stop": (2, 2),
    }


def test_an_accept_that_proves_nothing_brings_nobody_up() -> None:
    done = Clockwork(Plan(has_accounting=True), accepting, subscribers=1, method="mschapv2").run()
    assert done.report.methods["mschapv2"].flaws == {"no MS-CHAP2-Success": 1}
    assert not done.simulation.last[0].is_up
    assert [status for _, status in statuses(done)] == [1, 2], "it drops just after its Start"


def test_an_address_granted_to_two_is_told() -> None:
    def same(_count: int, request: bytes, _now_s: float) -> list[bytes]:
        return [reply(request, 2, b"\x08\x06\x64\x40\0\1" + b"\x1a\x0f\0\0\x3a\x8c\x08\x0910M/20M")]

    done = Clockwork(Plan(), same, subscribers=3).run()
    assert done.report.addresses_granted_twice == {"100.64.0.1": 2}
    assert done.report.granted["rate_limit"] == {"10M/20M": 3}
    found = done.report.as_json()
    assert found["addresses"] == {"granted": 3, "different": 1, "granted_to_two": {"100.64.0.1": 2}}


def test_latencies_are_told_to_two_per_cent() -> None:
    latencies = Latencies()
    assert latencies.percentile_s(50) is None
    for milliseconds in range(1, 1001):
        latencies.add(milliseconds / 1000)
    latencies.add(0.0)
    for percent, expected_s in ((50, 0.5), (90, 0.9), (99, 0.99), (99.9, 0.999)):
        found = latencies.percentile_s(percent)
        assert found is not None
        assert expected_s <= found <= expected_s * 1.021
    assert latencies.percentile_s(100) == 1.0


@pytest.mark.parametrize(
    ("pattern", "filled"),
    [
        ("user%06d", "user000042"),
        ("%d@isp", "42@isp"),
        ("same", "same"),
        ("100%", "100%"),
        ("%s%d", "%s42"),
        ("%01d", "42"),
    ],
)
def test_patterns(pattern: str, filled: str) -> None:
    assert fill(pattern, 42) == filled


def test_mac_logins_are_named_by_their_device() -> None:
    made = Subscribers(count=2, methods=("mac",), first_mac="aa-bb-cc-dd-ee-ff", mac_format="xxxxxxxxxxxx").make()
    assert [one.name for one in made] == ["aabbccddeeff", "aabbccddef00"]
    assert made[0].secret.password == ""
    assert Subscribers(count=1, methods=("mac",), mac_password=None).make()[0].secret.password == "02:00:00:00:00:00"
    assert Subscribers(count=1, methods=("dhcp",)).make()[0].secret.password == " "
    with pytest.raises(ValueError, match="no MAC"):
        mac_octets("00:11:22")


def test_nases_have_addresses_and_secrets_of_their_own() -> None:
    made = Nases(count=3, first_source="127.0.1.254", secrets="secret%d", names="bras-%02d").make()
    assert [nas.source for nas in made] == ["127.0.1.254", "127.0.1.255", "127.0.2.0"]
    assert [nas.secret for nas in made] == [b"secret0", b"secret1", b"secret2"]
    assert made[2].name == "bras-02"
    assert "secret" not in repr(made[0])


def test_nothing_that_holds_a_password_shows_it() -> None:
    subscriber = Subscribers(count=1, passwords="hush").make()[0]
    assert "hush" not in repr(subscriber)
    assert set(METHODS) >= {"pap", "chap", "mschap", "mschapv2", "mac", "hotspot", "dhcp", "router"}
