"""Sessions as they come and go: how long they stay, power cuts, a bad network, and what came of each report."""

import dataclasses
from collections import Counter

import pytest
from simulator_world import octets, reply

from aaad.simulator.accounting import Record, Status
from aaad.simulator.fleet import Nases, Subscribers
from aaad.simulator.nas import Concentrator, Exchange
from aaad.simulator.simulation import Plan, PowerCut, Simulation
from aaad.simulator.wire import Weather, Wire

START, STOP, INTERIM, ON, OFF = 1, 2, 3, 7, 8
EPOCH_S = 1_700_000_000.0


class Told:
    """One record, and what came of it."""

    def __init__(self, concentrator: Concentrator, record: Record, exchange: Exchange) -> None:
        self.nas, self.record, self.exchange = concentrator.nas.name, record, exchange
        self.session = None if record.session is None else record.session.number


class Clockwork:
    """A simulation in its own time, before a server that answers at once unless `silent(request, now)`."""

    def __init__(
        self,
        plan: Plan,
        *,
        subscribers: int = 3,
        nases: int = 1,
        kind: str = "mikrotik-old",
        grant: bytes = b"",
        **nas,
    ) -> None:
        self.told: list[Told] = []
        self.simulation = Simulation(
            dataclasses.replace(plan, has_accounting=True),
            Nases(count=nases, kind=kind, changes=nas).make(),
            Subscribers(count=subscribers, methods=("pap",)).make(),
            1,
            octets(),
            epoch_s=EPOCH_S,
            tell=lambda *told: self.told.append(Told(*told)),
        )
        self.now_s, self.grant = 1000.0, grant
        self.silent_from_s, self.silent_to_s, self.is_refusing = 0.0, 0.0, False
        self.received: list[tuple[float, int, bytes]] = []  # when, Acct-Status-Type, datagram

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
            if request[0] == 4:
                self.received.append((self.now_s - 1000, request[request.index(b"\x28\x06\0\0\0") + 5], request))
            if not self.silent_from_s <= self.now_s - 1000 < self.silent_to_s:
                code = 5 if request[0] == 4 else 3 if self.is_refusing else 2
                self.simulation.receive(line, reply(request, code, self.grant if code == 2 else b""), self.now_s)
        self.now_s += 0.005

    def statuses(self) -> list[tuple[int, int]]:
        """What was received, at which second."""
        return [(round(at_s), status) for at_s, status, _ in self.received]


def test_sessions_stay_up_report_and_leave() -> None:
    done = Clockwork(Plan(rate=100, interim_s=2, stay_s=5), subscribers=2).run()
    assert done.statuses() == [(0, START)] * 2 + [(2, INTERIM)] * 2 + [(4, INTERIM)] * 2 + [(5, STOP)] * 2
    sums = done.report.accounting
    assert {status: (one.sent, one.acknowledged, one.resent, one.given_up) for status, one in sums.items()} == {
        "start": (2, 2, 0, 0),
        "interim": (4, 4, 0, 0),
        "stop": (2, 2, 0, 0),
    }
    assert done.report.as_json()["accounting"]["stop"]["latency_ms"]["max"] == 0.0


def test_the_interval_is_that_of_the_accept_or_of_the_plan() -> None:
    done = Clockwork(Plan(stay_s=10), subscribers=1, grant=b"\x55\x06\0\0\0\4").run()
    assert done.statuses() == [(0, START), (4, INTERIM), (8, INTERIM), (10, STOP)]
    done = Clockwork(Plan(stay_s=10, interim_s=6), subscribers=1, grant=b"\x55\x06\0\0\0\4").run()
    assert done.statuses() == [(0, START), (6, INTERIM), (10, STOP)]
    assert Clockwork(Plan(stay_s=10), subscribers=1).run().statuses() == [(0, START), (10, STOP)]


def test_session_timeout_ends_a_session_and_its_subscriber_dials_again() -> None:
    plan = Plan(stay_s=8, redial_first_s=1, redials_max=1)
    done = Clockwork(plan, subscribers=1, grant=b"\x1b\x06\0\0\0\3").run()
    assert done.statuses() == [(0, START), (3, STOP), (4, START), (7, STOP), (8, START), (8, STOP)]
    causes = [one.record.cause.value for one in done.told if one.record.cause is not None]
    assert causes == [5, 5, 1]


def test_octets_never_go_down_and_are_those_of_the_session() -> None:
    done = Clockwork(Plan(interim_s=1, stay_s=4.5, octets_per_s=(10, 2_000_000_000)), subscribers=2).run()
    for session in (1, 2):
        records = [one.record for one in done.told if one.session == session]
        counters = [(record.octets_in, record.octets_out) for record in records]
        assert counters == sorted(counters)
        assert counters[0] == (0, 0)
        assert counters[-1][1] > 2**32, "more than 32 bits hold"
    lasts = {one.session: one.record.octets_in for one in done.told}
    assert len(set(lasts.values())) == 2, "no two sessions have the same"


def test_a_report_that_nobody_answers_is_sent_again_and_given_up() -> None:
    world = Clockwork(Plan(interim_s=2, stay_s=4.9), subscribers=1)
    world.silent_from_s, world.silent_to_s = 1.5, 3
    done = world.run()
    assert done.statuses() == [(0, START), (2, INTERIM), (2, INTERIM), (3, INTERIM), (4, INTERIM), (5, STOP)]
    interims = done.report.accounting["interim"]
    assert (interims.sent, interims.acknowledged, interims.resent, interims.given_up) == (2, 1, 2, 1)
    assert [(one.record.status.name, one.exchange.is_answered) for one in done.told] == [
        ("START", True),
        ("INTERIM", False),
        ("INTERIM", True),
        ("STOP", True),
    ]


def test_accel_ppp_drops_a_session_that_nobody_wants_to_hear_of() -> None:
    """Field, 1: a silent accounting server disconnects every subscriber of an accel-ppp."""
    world = Clockwork(Plan(interim_s=5, stay_s=30, redial_first_s=1), subscribers=1, kind="accel-ppp")
    world.silent_from_s, world.silent_to_s = 4, 14.5
    done = world.run()
    assert [one.record.cause.value for one in done.told if one.record.cause is not None] == [9, 1]
    assert done.report.all_methods.accepts == 2
    world = Clockwork(Plan(interim_s=5, stay_s=30, redial_first_s=1), subscribers=1, kind="mikrotik-old")
    world.silent_from_s, world.silent_to_s = 4, 14.5
    assert world.run().report.all_methods.accepts == 1


def test_a_power_cut_ends_sessions_without_a_word_and_all_dial_again() -> None:
    plan = Plan(interim_s=4, stay_s=20, power_cuts=[PowerCut(at_s=6, off_s=3, back_within_s=2)])
    done = Clockwork(plan, subscribers=20).run()
    counts = Counter(status for _, status in done.statuses())
    assert counts == {START: 40, STOP: 20, INTERIM: 20 + 20 * 2}
    assert not [at_s for at_s, _, _ in done.received if 6 < at_s < 9]
    (cut,) = done.report.power_cuts
    assert (cut.cut_off, cut.refused, cut.missing) == (20, 0, set())
    told = done.report.as_json()["power_cuts"][0]
    assert told["cut_at_s"] == pytest.approx(6, abs=0.01)
    assert told["restored_at_s"] == pytest.approx(9, abs=0.02)
    assert 1 < told["all_back_after_s"] < 2.1
    ended = {one.session for one in done.told if one.record.status is Status.STOP}
    assert len({one.session for one in done.told} - ended) == 20
    again = [at_s for at_s, status, _ in done.received if status == START and at_s > 9]
    assert max(again) - min(again) > 1, "they are spread over the time"


def test_after_a_power_cut_ids_are_new_or_the_same_and_the_start_is_said_or_not() -> None:
    cuts = [PowerCut(at_s=2, off_s=1)]
    done = Clockwork(Plan(stay_s=5, power_cuts=cuts), subscribers=1).run()
    ids = [one.record.session.session_id for one in done.told if one.record.session]
    assert ids == [b"81a00001", b"81b00001", b"81b00001"]
    assert done.statuses() == [(0, START), (3, START), (5, STOP)]
    done = Clockwork(
        Plan(stay_s=5, power_cuts=cuts), subscribers=1, counts_boots=False, says_restarts=True, starts_in_1970=True
    ).run()
    ids = [one.record.session.session_id for one in done.told if one.record.session]
    assert set(ids) == {b"81a00001"}
    assert sorted({one.session for one in done.told if one.session}) == [1, 2]
    assert done.statuses() == [(0, START), (3, ON), (3, START), (5, STOP)]
    assert done.report.accounting["on"].acknowledged == 1


def test_a_restart_that_is_announced_says_so_before() -> None:
    plan = Plan(stay_s=6, power_cuts=[PowerCut(at_s=3, off_s=1, is_announced=True)])
    done = Clockwork(plan, subscribers=1, says_restarts=True).run()
    assert done.statuses() == [(0, START), (2, OFF), (4, ON), (4, START), (6, STOP)]


def test_one_of_several_concentrators_loses_its_power() -> None:
    plan = Plan(stay_s=6, power_cuts=[PowerCut(at_s=2, nas=1)])
    done = Clockwork(plan, subscribers=9, nases=3).run()
    (cut,) = done.report.power_cuts
    assert (cut.nas, cut.cut_off) == ("simulated-01", 3)
    assert Counter(status for _, status in done.statuses()) == {START: 12, STOP: 9}


def test_what_was_in_work_when_the_power_failed_is_told_as_not_acknowledged() -> None:
    world = Clockwork(Plan(interim_s=2, stay_s=8, power_cuts=[PowerCut(at_s=2.1, off_s=1)]), subscribers=2)
    world.silent_from_s, world.silent_to_s = 1.9, 2.5
    done = world.run()
    interims = done.report.accounting["interim"]
    assert (interims.sent - interims.acknowledged, interims.given_up) == (2, 2)
    assert sum(not one.exchange.is_answered for one in done.told) == 2


def test_who_dials_amid_a_power_cut_is_no_failure_of_the_server() -> None:
    world = Clockwork(Plan(rate=10, stay_s=4, power_cuts=[PowerCut(at_s=0.55, off_s=2)]), subscribers=10)
    world.silent_from_s, world.silent_to_s = 0.35, 0.6
    done = world.run()
    assert done.report.all_methods.given_up == 0
    assert done.report.dials_cut_off == 2
    assert done.report.all_methods.accepts == 10 + 4, "four were up, and dialled twice"
    assert done.report.power_cuts[0].cut_off == 6


def test_refusals_after_a_power_cut_are_counted_and_who_is_not_back_is_told() -> None:
    world = Clockwork(Plan(stay_s=4, power_cuts=[PowerCut(at_s=2, off_s=1)]), subscribers=3)
    while world.now_s < 1002.5:
        world.step()
    world.is_refusing = True
    cut = world.run().report.power_cuts[0]
    assert (cut.refused, len(cut.missing)) == (3, 3)
    assert cut.as_json(1000.0)["all_back_after_s"] is None


def test_stopping_amid_a_power_cut_comes_to_an_end() -> None:
    world = Clockwork(Plan(stay_s=100, power_cuts=[PowerCut(at_s=1, off_s=50)]), subscribers=3)
    while world.now_s < 1003:
        world.step()
    world.simulation.stop()
    assert world.run(limit_s=5).report.power_cuts[0].as_json(1000.0)["missing"] == 3


def test_a_bad_network_loses_repeats_and_reorders_both_ways() -> None:
    plan = Plan(interim_s=1, stay_s=20, weather=Weather(0.1, 0.1, 0.2), redial_first_s=1)
    done = Clockwork(plan, subscribers=20).run()
    sums = done.report.accounting
    assert sum(one.sent for one in sums.values()) == len(done.told) >= 20 * 19
    assert sum(one.acknowledged for one in sums.values()) == sum(one.exchange.is_answered for one in done.told)
    assert sum(one.resent for one in sums.values()) > 40
    assert done.report.unexpected_replies > 10
    datagrams = [datagram for _, _, datagram in done.received]
    assert len(datagrams) - len(set(datagrams)) > 20, "some came more than once"
    events = [int.from_bytes(datagram[datagram.index(b"\x37\x06") + 2 :][:4], "big") for datagram in datagrams]
    assert events != sorted(events), "some were overtaken"


@pytest.mark.parametrize(
    ("weather", "least", "most"),
    [
        (Weather(), 1000, 1000),
        (Weather(lost=0.2), 700, 900),
        (Weather(repeated=0.2), 1100, 1300),
        (Weather(lost=1.0), 0, 0),
    ],
)
def test_a_wire_carries_what_its_weather_lets_through(weather: Weather, least: int, most: int) -> None:
    random = octets()
    wire = Wire(weather, lambda: int.from_bytes(random(4), "big") / 2**32)
    for number in range(1000):
        wire.put(None, b"%d" % number, 0.0)
    assert least <= len(list(wire.arrived(0.0))) <= most
    assert wire.next_at_s is None


def test_what_is_late_on_a_wire_arrives_in_time() -> None:
    random = octets()
    wire = Wire(Weather(reordered=0.3, late_s=2.0), lambda: int.from_bytes(random(4), "big") / 2**32)
    for number in range(1000):
        wire.put(None, b"%d" % number, 0.0)
    prompt = list(wire.arrived(0.0))
    assert 600 < len(prompt) < 800
    assert wire.next_at_s is not None
    amid = list(wire.arrived(1.0))
    assert 70 < len(amid) < 230
    assert len(prompt) + len(amid) + len(list(wire.arrived(2.0))) == 1000
