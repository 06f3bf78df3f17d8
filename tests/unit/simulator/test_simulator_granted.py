"""What orders make of a simulated session, and the tempers of concentrators that take them otherwise."""

import hashlib
import hmac
import struct

import pytest
from simulator_world import SECRET, octets, reply

from aaad.simulator.fleet import Nases, Subscribers
from aaad.simulator.granted import Granted
from aaad.simulator.packet import attribute, number, vendor_attribute
from aaad.simulator.simulation import Plan, Simulation
from aaad.simulator.temper import OBEDIENT, Temper, tempers_of

MIKROTIK = 14988
DISCONNECT, COA = 40, 43
RATE = vendor_attribute(MIKROTIK, 8, b"5M/50M")
FASTER = vendor_attribute(MIKROTIK, 8, b"9M/90M")
LIST = vendor_attribute(MIKROTIK, 19, b"late")
ACCEPT = attribute(8, b"\x64\x40\0\1") + RATE + LIST + number(27, 3600) + attribute(11, b"512/1024")


def order(code: int, attributes: bytes) -> bytes:
    head = struct.pack("!BBH", code, 7, 20 + len(attributes))
    return head + hashlib.md5(head + bytes(16) + attributes + SECRET).digest() + attributes


class Alone:
    """One concentrator with one session, without a network."""

    def __init__(
        self, kind: str = "mikrotik", method: str = "pap", accept: bytes = ACCEPT, **changes: object
    ) -> None:
        plan = Plan(has_accounting=True, stay_s=10_000, redial_first_s=5)
        nases = Nases(kind=kind, changes=changes).make()
        self.simulation = Simulation(plan, nases, Subscribers(count=1, methods=(method,)).make(), 1, octets())
        self.accept = accept
        self.now_s = 1000.0
        self.stops = 0
        self.concentrator = self.simulation.concentrators[0]
        self.pass_s(0.1)
        self.session = self.simulation.online.at(self.concentrator)[0]

    def pass_s(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.simulation.advance(self.now_s)
            while self.simulation.outbox:
                line, request = self.simulation.outbox.popleft()
                self.stops += request[0] == 4 and b"\x28\x06\0\0\0\2" in request
                back = reply(request, 2, self.accept, signed=True) if request[0] == 1 else reply(request, 5)
                self.simulation.receive(line, back, self.now_s)
            self.now_s += 0.02

    def names(self, *kinds: int) -> bytes:
        own = {1: self.session.subscriber.name.encode(), 44: self.session.session_id, 8: self.session.address}
        return b"".join(attribute(kind, own[kind]) for kind in kinds or own)

    def tell(self, code: int, attributes: bytes, sender: str = "") -> tuple[int, int | None] | None:
        """Return the answer's code and Error-Cause."""
        answered = self.simulation.order(self.concentrator, order(code, attributes), self.now_s, sender)
        if answered is None:
            return None
        answer = answered[0]
        cause = int.from_bytes(answer[22:26], "big") if len(answer) >= 26 and answer[20] == 101 else None
        return answer[0], cause

    @property
    def granted(self) -> Granted:
        return self.session.granted


def test_an_accept_is_what_a_session_begins_with() -> None:
    granted = Alone().granted
    assert (granted.rate_limit, granted.address_lists) == ("5M/50M", ("late",))
    assert (granted.session_timeout_s, granted.filter_id) == (3600, "512/1024")


def test_routeros_changes_what_its_manual_lists() -> None:
    alone = Alone()
    more = FASTER + attribute(11, b"walled") + vendor_attribute(MIKROTIK, 3, b"slow") + number(28, 60) + number(62, 2)
    assert alone.tell(COA, alone.names() + more) == (44, None)
    assert alone.granted == alone.granted._replace(
        rate_limit="9M/90M", filter_id="walled", group="slow", idle_timeout_s=60, port_limit=2
    )
    assert alone.tell(COA, alone.names() + vendor_attribute(MIKROTIK, 19, b"blocked")) == (44, None)
    assert alone.granted.address_lists == ("late",), "it says yes, and the list stays"
    assert alone.tell(COA, alone.names()) == (44, None), "a probe changes nothing"
    assert alone.granted.rate_limit == "9M/90M"


def test_a_list_is_changed_where_it_is_said_to_be() -> None:
    alone = Alone(coa_takes_lists=True)
    assert alone.tell(COA, alone.names() + vendor_attribute(MIKROTIK, 19, b"blocked")) == (44, None)
    assert alone.granted.address_lists == ("blocked",)
    assert alone.tell(COA, alone.names() + FASTER) == (44, None)
    assert alone.granted.address_lists == ("blocked",)


def test_a_session_timeout_of_an_order_counts_from_then() -> None:
    alone = Alone()
    assert alone.tell(COA, alone.names() + number(27, 60)) == (44, None)
    alone.pass_s(59)
    assert alone.simulation.online.is_up(alone.session)
    alone.pass_s(2)
    assert not alone.simulation.online.is_up(alone.session)
    assert alone.stops == 1


def test_accel_ppp_takes_class_or_the_timeout_and_not_both() -> None:
    alone = Alone("accel-ppp")
    assert alone.tell(COA, alone.names(44) + attribute(25, b"new") + number(27, 60)) == (44, None)
    assert (alone.granted.state, alone.granted.session_timeout_s) == (b"new", 3600)
    alone.pass_s(120)
    assert alone.simulation.online.is_up(alone.session)
    assert alone.tell(COA, alone.names(44) + number(27, 60)) == (44, None)
    assert alone.granted.session_timeout_s == 60
    assert alone.tell(COA, alone.names(44) + attribute(11, b"2048/4096")) == (44, None)
    assert alone.granted.filter_id == "2048/4096"
    assert alone.tell(COA, alone.names(44) + attribute(11, b"fast")) == (45, None), "without a cause"
    assert alone.granted.filter_id == "2048/4096"


def test_accel_ppp_wants_every_name_to_fit() -> None:
    alone = Alone("accel-ppp")
    assert alone.tell(COA, alone.names(1)) == (44, None)
    assert alone.tell(COA, alone.names(44) + attribute(31, b"00:00:00:00:00:99")) == (45, 503)
    assert alone.tell(COA, alone.names(44) + attribute(8, b"\1\2\3\4")) == (45, 503)
    assert alone.tell(COA, b"") == (45, 503)
    assert alone.tell(COA, alone.names(44) + attribute(4, b"\x7f\0\0\1")) == (44, None)
    assert alone.tell(COA, alone.names(44) + attribute(4, b"\x7f\0\0\2")) == (45, 403)
    assert alone.tell(COA, alone.names(44) + attribute(32, b"another")) == (45, 403)


def test_accel_ppp_is_silent_while_an_order_is_not_answered() -> None:
    alone = Alone("accel-ppp", coa=Temper(late_s=2.0))
    assert alone.tell(COA, alone.names(44)) == (44, None)
    assert alone.tell(DISCONNECT, alone.names(44)) is None
    alone.pass_s(2.1)
    assert alone.tell(DISCONNECT, alone.names(44)) == (41, None)


def test_a_hotspot_session_is_found_by_its_address_only() -> None:
    alone = Alone(method="hotspot")
    assert alone.tell(COA, alone.names(1, 44) + FASTER) == (45, 406)
    assert alone.granted.rate_limit == "5M/50M"
    assert alone.tell(COA, alone.names(1, 44, 8) + FASTER) == (44, None)
    assert alone.granted.rate_limit == "9M/90M"
    guest = Alone(method="mac")
    assert guest.tell(COA, guest.names(1, 44, 8)) == (45, 406), "its name is taken for a wireless client's"
    assert guest.tell(COA, guest.names(44, 8)) == (44, None)


def test_a_disconnect_ends_it_with_a_stop_and_he_redials_after_a_pause() -> None:
    alone = Alone()
    assert alone.tell(DISCONNECT, alone.names()) == (41, None)
    alone.pass_s(1)
    assert (alone.stops, len(alone.simulation.online)) == (1, 0)
    assert alone.tell(DISCONNECT, alone.names()) == (42, 406)
    alone.pass_s(5)
    again = alone.simulation.online.at(alone.concentrator)[0]
    assert again.session_id != alone.session.session_id


def test_without_his_cookie_a_guest_stays_away() -> None:
    for has_cookie in (True, False):
        alone = Alone(method="hotspot", has_cookies=True)
        assert alone.concentrator.cookies == {alone.session.subscriber.name: alone.session.subscriber.mac}
        if not has_cookie:
            alone.concentrator.cookies.clear()
        assert alone.tell(DISCONNECT, alone.names()) == (41, None)
        alone.pass_s(8)
        assert len(alone.simulation.online) == has_cookie


@pytest.mark.parametrize("cause", [401, 402, 403, 404, 406, 503])
def test_each_nak_leaves_the_session_as_it_is(cause: int) -> None:
    alone = Alone(coa=Temper(nak=cause), disconnect=Temper(nak=cause))
    assert alone.tell(COA, alone.names() + FASTER) == (45, cause)
    assert alone.tell(DISCONNECT, alone.names()) == (42, cause)
    assert alone.granted.rate_limit == "5M/50M"
    assert alone.simulation.online.is_up(alone.session)
    assert alone.concentrator.orders.causes == [cause, cause]


def test_other_tempers() -> None:
    alone = Alone(coa=Temper(nak=0), disconnect=Temper(is_idle=True))
    assert alone.tell(COA, alone.names() + FASTER) == (45, None)
    assert alone.tell(DISCONNECT, alone.names()) == (41, None)
    assert alone.simulation.online.is_up(alone.session), "it said yes, and did nothing"
    idle = Alone(coa=Temper(is_idle=True), disconnect=Temper(is_silent=True, times=1))
    assert idle.tell(COA, idle.names() + FASTER) == (44, None)
    assert idle.granted.rate_limit == "5M/50M"
    assert idle.tell(DISCONNECT, idle.names()) is None
    assert idle.tell(DISCONNECT, idle.names()) == (41, None), "it was silent once"
    late = Alone(coa=Temper(late_s=3.0))
    answered = late.simulation.order(late.concentrator, order(COA, late.names() + FASTER), late.now_s)
    assert answered is not None
    assert answered[1] == late.now_s + 3.0
    assert late.granted.rate_limit == "9M/90M", "done, and said later"


def test_who_is_no_server_of_its_gets_no_answer() -> None:
    alone = Alone(order_sources=frozenset({"192.0.2.1"}))
    assert alone.tell(COA, alone.names(), "192.0.2.2") is None
    assert alone.tell(COA, alone.names(), "192.0.2.1") == (44, None)
    alone.concentrator.hears_orders = False
    assert alone.tell(COA, alone.names(), "192.0.2.1") is None


def test_tempers_by_their_words() -> None:
    assert tempers_of("nak=503") == {"coa": Temper(nak=503), "disconnect": Temper(nak=503)}
    assert tempers_of("nak") == {"coa": Temper(nak=0), "disconnect": Temper(nak=0)}
    assert tempers_of("coa:idle") == {"coa": Temper(is_idle=True)}
    assert tempers_of("disconnect:silent*2") == {"disconnect": Temper(is_silent=True, times=2)}
    assert tempers_of("late=1.5")["coa"].late_s == 1.5
    assert Nases().make()[0].coa == OBEDIENT
    for word in ("", "nak=x", "deaf", "coa:", "late", "idle*"):
        with pytest.raises(ValueError, match="allowed are"):
            tempers_of(word)


def test_a_signature_that_is_wrong_gets_no_answer() -> None:
    alone = Alone()
    signed = b"\x50\x12" + bytes(16) + alone.names()
    head = struct.pack("!BBH", COA, 7, 20 + len(signed))
    body = b"\x50\x12" + hmac.digest(b"wrong", head + bytes(16) + signed, "md5") + alone.names()
    datagram = head + hashlib.md5(head + bytes(16) + body + SECRET).digest() + body
    assert alone.simulation.order(alone.concentrator, datagram, alone.now_s) is None
    assert alone.concentrator.orders.bad_requests == 1
