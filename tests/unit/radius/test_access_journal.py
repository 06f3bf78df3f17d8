"""What the journal keeps of requests that prove nothing: so many a second, so much of each, all counted."""

import pytest
from access_world import IN_ORDER, NOW_S, World, login
from nas_double import MAC, access_request, tlv

from aaad.policy.codes import AccessStatus, LoginFlag, Reason
from aaad.radius import access
from aaad.spool.records import LoginRefused, NameRefused

JUNK = b"".join(tlv(88, bytes(240)) for _ in range(14))
LIMIT = access._UNPROVEN_TO_JOURNAL_PER_S
LOGINS = {
    b"alice": login(),
    b"aabbccddee01": login(flags=IN_ORDER | LoginFlag.IS_MAC_LOGIN, mac=0xAABBCCDDEE01, password=b""),
    b"damaged": b"\0" + (1).to_bytes(4, "little"),
    b"bob": login(login_id=8),
}
FORGED = {
    "an unknown name": (b"mallory", b"x"),
    "a known login": (b"alice", b"x"),
    "a device's address": (MAC, None),
    "a damaged record": (b"damaged", b"x"),
    "no name": (None, b"x"),
}


def forge(world: World, name: bytes | None, password: bytes | None, count: int) -> None:
    for number in range(count):
        data = access_request(name, password, secret=b"other", signed=False, framed=False, attributes=JUNK)
        assert isinstance(world.answer(data, source=("192.0.2.1", number)), bytes)


@pytest.mark.parametrize(("name", "password"), FORGED.values(), ids=FORGED.keys())
def test_r3_6_forgeries_share_the_journals_room_in_a_second_and_are_counted(
    name: bytes | None, password: bytes | None
) -> None:
    world = World(LOGINS)
    forge(world, name, password, LIMIT + 7)
    assert (len(world.journal), world.path.unwritten, world.counted_in_all()) == (LIMIT, 7, LIMIT + 7)
    assert max(len(body) for _, _, body in world.journal) < 1000
    refused = [one.count for one in world.records() if isinstance(one, LoginRefused | NameRefused)]
    assert refused == ([] if name == MAC else [LIMIT + 7])
    world.path.tick(NOW_S)
    forge(world, name, password, 1)
    assert (len(world.journal), world.path.unwritten) == (LIMIT + 1, 7)


def test_what_is_forged_costs_no_customer_his_entry() -> None:
    world = World(LOGINS)
    forge(world, b"alice", b"x", LIMIT + 1)
    world.check_decided(access_request(b"bob"), Reason.GRANTED, subject=8)
    world.check_decided(access_request(b"bob", b"wrong"), Reason.WRONG_PASSWORD, subject=8)
    world.check_decided(access_request(b"mallory"), Reason.UNKNOWN_LOGIN, subject=None)


def test_who_proves_the_password_is_always_written_down_whole() -> None:
    world = World({b"alice": login(access_status=AccessStatus.DISABLED)})
    for number in range(LIMIT + 3):
        request = access_request(signed=False, attributes=JUNK)
        world.check_decided(request, Reason.ACCESS_DISABLED, source=("192.0.2.1", number))
    assert len(world.journal[-1][2]) > len(JUNK)
