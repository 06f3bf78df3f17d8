"""What a request shows of itself: where it came from, nothing of what hides or proves a password."""

from access_world import World
from mschap_peer import attributes_2
from nas_double import access_request

from aaad.policy.facts import LoginExtras, PlanFacts, Speed
from aaad.radius import mschap
from aaad.radius.layout import Layout
from aaad.radius.request import Pending


def test_a_request_shows_none_of_its_octets() -> None:
    pending = World(must_wait=lambda *_: True).answer(access_request())
    assert isinstance(pending, Pending)
    assert repr(pending.request) == f"Request(nas_id=1, source=('192.0.2.1', 50000), length={pending.request.length})"


def test_a_handshake_shows_neither_challenge_nor_response() -> None:
    data = access_request(password=None, attributes=attributes_2(b"alice", "wonderland"))
    assert repr(mschap.find(data, Layout(data, len(data)).microsoft)) == "Handshake(version=2)"


def test_extra_attributes_show_only_how_many_octets_they_have() -> None:
    secret = b"a key that somebody gave"
    plan = PlanFacts(5, "50 mega", Speed("1M", "2M"), 0, 0, 0, attributes=secret)
    for facts in (LoginExtras(port_id="vlan7", attributes=secret), plan):
        assert "somebody" not in repr(facts)
        assert "attributes=<24 octets>" in repr(facts)
