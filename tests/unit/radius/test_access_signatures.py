"""Message-Authenticator: owed or not by policy (network facts 1.7), and the ratchet of rule R2.3."""

import pytest
from access_world import NOW_S, World, login, nas_row
from nas_double import EAP_MESSAGE, access_request, sign, status_server, tlv

from aaad.policy.codes import Discard, Reason
from aaad.radius import access
from aaad.replica.record import RouterRow
from aaad.spool.records import MessageAuthenticatorArmed

MISSING = Discard.MESSAGE_AUTHENTICATOR_MISSING


def world_with(policy: str = "auto", address: str = "192.0.2.1/32", **rows: object) -> World:
    """A world whose concentrator has this policy."""
    return World(nases=[nas_row(message_authenticator=policy, address=address)], **rows)


def router_row(*, armed_at_s: float = 0.0, reset_at_s: float = 0.0) -> RouterRow:
    """What all nodes know of the concentrator."""
    return RouterRow(1, "192.0.2.1", b"bras-01", armed_at_s, reset_at_s)


def armed(world: World) -> list[MessageAuthenticatorArmed]:
    return [record for record in world.records() if isinstance(record, MessageAuthenticatorArmed)]


@pytest.mark.parametrize(
    ("policy", "signed_before", "is_dropped"),
    [
        ("auto", False, False),
        ("auto", True, True),
        ("yes", False, True),
        ("yes", True, True),
        ("no", False, False),
        ("no", True, False),
    ],
)
def test_an_unsigned_request_under_each_policy(policy: str, signed_before: bool, is_dropped: bool) -> None:
    world = world_with(policy)
    if signed_before:
        world.check_decided(access_request(), Reason.GRANTED)
    if is_dropped:
        world.check_silent(access_request(signed=False), MISSING)
        assert world.router.statistics.unsigned_dropped == 1
    else:
        world.check_decided(access_request(signed=False), Reason.GRANTED)
        assert not world.explained().signed


@pytest.mark.parametrize("policy", ["auto", "yes", "no"])
def test_a_wrong_signature_is_dropped_under_each_policy(policy: str) -> None:
    world_with(policy).check_silent(access_request(secret=b"other"), Discard.BAD_MESSAGE_AUTHENTICATOR)


def test_r2_3_the_first_verified_signature_arms_once_and_tells_all_nodes() -> None:
    world = world_with()
    for identifier in range(3):
        world.check_decided(access_request(identifier=identifier), Reason.GRANTED)
    assert armed(world) == [MessageAuthenticatorArmed(1, "192.0.2.1", b"bras-01", NOW_S)]


def test_r2_3_a_refused_request_arms_too_because_its_signature_was_right() -> None:
    world = world_with()
    world.check_decided(access_request(password=b"wrong"), Reason.WRONG_PASSWORD)
    assert len(armed(world)) == 1


def test_r2_3_what_armed_here_stays_armed_until_all_nodes_know() -> None:
    world = world_with()
    world.answer(access_request())
    world.load(routers=[router_row()])
    world.check_silent(access_request(signed=False), MISSING)


DOES_NOT_ARM = {
    "Status-Server": (world_with, status_server()),
    "EAP": (
        world_with,
        sign(access_request(password=None, signed=False, attributes=tlv(EAP_MESSAGE, b"\x02\1\0\4"))),
    ),
    "a wrong signature": (world_with, access_request(secret=b"other")),
    "no signature": (world_with, access_request(signed=False)),
    "a prefix entry": (lambda: world_with(address="192.0.2.0/24"), access_request()),
    "policy no": (lambda: world_with("no"), access_request()),
    "policy yes": (lambda: world_with("yes"), access_request()),
}


@pytest.mark.parametrize(("make_world", "data"), DOES_NOT_ARM.values(), ids=DOES_NOT_ARM.keys())
def test_r2_3_nothing_else_arms(make_world: object, data: bytes) -> None:
    world = make_world()
    world.answer(data)
    assert armed(world) == []
    assert not any(router.armed for router in world.hood.routers.values())


def test_r2_3_an_armed_router_behind_one_entry_does_not_bind_another() -> None:
    world = world_with()
    world.answer(access_request(nas_identifier=b"bras-01"))
    world.check_decided(access_request(nas_identifier=b"bras-02", signed=False), Reason.GRANTED)
    world.check_silent(access_request(nas_identifier=b"bras-01", signed=False), MISSING)


def test_r2_3_armed_by_another_node_and_freed_by_a_reset() -> None:
    rows = [nas_row()]
    world = World(nases=rows, routers=[router_row(armed_at_s=NOW_S - 9)])
    world.check_silent(access_request(signed=False), MISSING)
    world.load(nases=rows, routers=[router_row(armed_at_s=NOW_S - 9, reset_at_s=NOW_S)])
    world.check_decided(access_request(signed=False), Reason.GRANTED)
    world.check_decided(access_request(), Reason.GRANTED)
    world.check_silent(access_request(signed=False), MISSING)


@pytest.mark.parametrize("change", [{"message_authenticator": "no"}, {"address": "192.0.2.0/31"}])
def test_an_armed_router_whose_entry_asks_for_no_signature_any_more_is_free(change: dict[str, object]) -> None:
    world = world_with()
    world.answer(access_request())
    world.load(nases=[nas_row(**change)])
    world.check_decided(access_request(signed=False), Reason.GRANTED)


@pytest.mark.parametrize("policy", ["auto", "no"])
def test_eap_and_proxy_state_owe_a_signature_under_each_policy(policy: str) -> None:
    world = world_with(policy)
    eap = access_request(password=None, signed=False, attributes=tlv(EAP_MESSAGE, b"\x02\1\0\4"))
    world.check_silent(eap, MISSING)
    world.check_silent(access_request(signed=False, attributes=tlv(33, b"state")), MISSING)


def test_why_can_tell_of_a_known_login_that_came_without_signature() -> None:
    world = world_with("yes")
    world.check_silent(access_request(signed=False), MISSING)
    ((subject, at_s, _),) = world.journal
    explained = world.explained()
    assert (subject, at_s, explained.discard, explained.reason) == (1, NOW_S, MISSING, None)
    assert explained.facts == login(nt_hash=b"", password=b"")
    assert (explained.user_name, explained.signed) == ("alice", False)


@pytest.mark.parametrize("name", [b"mallory", b"", None])
def test_unsigned_requests_of_nobody_known_are_not_written_down(name: bytes | None) -> None:
    world = world_with("yes")
    world.check_silent(access_request(name, signed=False), MISSING)
    assert world.journal == []


def test_a_flood_without_signature_does_not_flood_the_journal() -> None:
    world = world_with("yes")
    limit = access._DISCARDS_TO_JOURNAL_PER_S
    for _ in range(3 * limit):
        world.check_silent(access_request(signed=False), MISSING)
    assert len(world.journal) == limit
    world.path.tick(NOW_S)
    world.check_silent(access_request(signed=False), MISSING)
    assert len(world.journal) == limit + 1
