"""Orders on their way: sent again octet for octet, from the address that the NAS knows, and why no answer came."""

import pytest
from free_ports import free_port
from order_nas import SECRET, OrderNas

from aaad.radius.dynauth import NoAnswer, Order, Outcome, SessionName, Verdict, session_attributes
from aaad.radius.dynauth_client import DynauthClient, Way
from aaad.radius.integrity import SecretKeys
from aaad.radius.kinds import KINDS

MIKROTIK = KINDS["mikrotik"]
KEYS = SecretKeys(SECRET)
NAME = session_attributes(MIKROTIK, SessionName("alice", "81a00001", "100.64.0.1"))
QUICK_S = (0.05, 0.05, 0.05)


@pytest.fixture
async def client():
    client = DynauthClient()
    yield client
    client.close()


async def carry(client, port: int, *, order=Order.DISCONNECT, local="127.0.0.1", keys=KEYS, name=NAME):
    way = Way(local, ("127.0.0.1", port), keys, MIKROTIK)
    return await client.carry(order, name, way, tries_s=QUICK_S)


async def test_what_is_sent_again_is_the_same_octets_of_the_same_port(client) -> None:
    with OrderNas() as nas:
        nas.begin("81a00001", "alice")
        nas.unheard = 2
        assert await carry(client, nas.port) == Verdict(Outcome.DONE)
        assert len(nas.heard) == 3
        assert len(set(nas.heard)) == 1
        assert not nas.sessions


async def test_r2_6_it_is_sent_from_the_address_that_the_router_has_as_its_server(client) -> None:
    with OrderNas() as nas:
        nas.begin("81a00001", "alice")
        assert await carry(client, nas.port, local="127.0.0.77") == Verdict(Outcome.DONE)
        assert nas.sources == ["127.0.0.77"]


async def test_a_nas_that_hears_and_says_nothing_is_silent_and_one_that_does_not_listen_rejected(client) -> None:
    with OrderNas() as nas:
        nas.is_silent = True
        assert await carry(client, nas.port) is NoAnswer.SILENT
        port = nas.port
    assert await carry(client, port) is NoAnswer.REJECTED
    assert client.in_work_count == 0


async def test_another_secret_is_silence_since_no_answer_is_signed(client) -> None:
    """field.md 37: all requests are bad ones, and none is answered."""
    with OrderNas() as nas:
        nas.begin("81a00001", "alice")
        assert await carry(client, nas.port, keys=SecretKeys(b"another")) is NoAnswer.SILENT
        assert nas.counters.bad_requests == len(nas.heard) == 4
        assert nas.sessions


async def test_an_address_that_is_not_ours_sends_nothing(client) -> None:
    with OrderNas() as nas:
        assert await carry(client, nas.port, local="192.0.2.77") is NoAnswer.UNSENT
        assert not nas.heard


async def test_an_answer_to_the_knock_counts(client) -> None:
    with OrderNas() as nas:
        nas.begin("81a00001", "alice")
        nas.unheard = 3
        assert await carry(client, nas.port) == Verdict(Outcome.DONE)


async def test_a_socket_that_the_network_refused_goes_on(client) -> None:
    assert await carry(client, free_port()) is NoAnswer.REJECTED
    with OrderNas() as nas:
        nas.begin("81a00001", "alice")
        assert await carry(client, nas.port) == Verdict(Outcome.DONE)
