"""What a NAS entry means on the request path: several secrets (R2.1, R2.2), their end by the clock, R10."""

import hashlib
import math

import pytest
from access_world import NOW_S, SOURCE, World, nas_row
from nas_double import access_request, chap, fresh_authenticator, packet, tlv

from aaad.policy.codes import Discard, Reason
from aaad.radius.accounting_watch import AccountingWatch
from aaad.radius.starts import WAIT_S

FIRST, SECOND = b"first", b"second"
ENTRIES = {
    "address": nas_row(secret=FIRST, secrets=((SECOND, math.inf),)),
    "prefix": nas_row(address="192.0.2.0/24", secret=FIRST, secrets=((SECOND, math.inf),)),
    "disabled for a moment": nas_row(secret=FIRST, secrets=((SECOND, math.inf),)),
}


def chap_request(identifier: int, *, nas_identifier: bytes = b"bras-02", session: bytes = b"81a00001") -> bytes:
    """An unsigned CHAP login: nothing in it proves a secret."""
    authenticator = fresh_authenticator()
    return access_request(
        password=None,
        signed=False,
        identifier=identifier,
        authenticator=authenticator,
        nas_identifier=nas_identifier,
        attributes=chap(authenticator) + tlv(44, session),
    )


def accounting_start(secret: bytes, *, nas_identifier: bytes = b"bras-02", session: bytes = b"81a00001") -> bytes:
    body = tlv(40, b"\0\0\0\1") + tlv(44, session) + tlv(32, nas_identifier)
    unsigned = packet(4, 1, bytes(16), body)
    return unsigned[:4] + hashlib.md5(unsigned + secret).digest() + body


def watch_of(world: World) -> AccountingWatch:
    return AccountingWatch(world.hood, world.learned, world.path.starts)


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES.keys())
def test_r2_1_two_routers_behind_one_entry_with_different_secrets_are_both_served(entry: object) -> None:
    world = World(nases=[entry])
    for identifier, (name, secret) in enumerate([(b"bras-01", FIRST), (b"bras-02", SECOND)] * 2):
        asked = access_request(nas_identifier=name, secret=secret, identifier=identifier)
        assert world.reply(asked, secret=secret).code == 2
    assert len(world.hood.routers) == 2
    world.check_silent(access_request(secret=b"third"), Discard.BAD_MESSAGE_AUTHENTICATOR)


@pytest.mark.parametrize("proof", ["accounting", "signature", "PAP"])
def test_r2_2_chap_is_answered_with_the_secret_that_this_router_proved_last(proof: str) -> None:
    world = World(nases=[nas_row(secret=FIRST, secrets=((SECOND, math.inf),), message_authenticator="no")])
    assert world.reply(chap_request(1), secret=FIRST).code == 2, "nothing is proven: the entry's own secret"
    if proof == "accounting":
        watch_of(world).hear(accounting_start(SECOND), (SOURCE[0], 40_000), NOW_S)
    else:
        asked = access_request(nas_identifier=b"bras-02", secret=SECOND, identifier=2, signed=proof == "signature")
        world.reply(asked, secret=SECOND)
    assert world.reply(chap_request(3), secret=SECOND).code == 2
    assert world.reply(chap_request(4, nas_identifier=b"bras-01"), secret=FIRST).code == 2


def test_r2_2_a_resent_chap_request_is_answered_with_each_candidate_in_turn() -> None:
    world = World(nases=[nas_row(secret=FIRST, secrets=((SECOND, math.inf), (b"third", math.inf)))])
    asked = chap_request(1)
    for secret in (FIRST, SECOND, b"third", FIRST):
        assert world.reply(asked, secret=secret).code == 2


def test_r2_2_the_previous_secret_ends_by_the_clock_without_new_tables() -> None:
    world = World(nases=[nas_row(secret=FIRST, secret_previous=SECOND, secret_previous_until_s=NOW_S + 2)])
    assert world.reply(access_request(secret=SECOND, identifier=1), secret=SECOND).code == 2
    assert world.reply(chap_request(2, nas_identifier=b"bras-09"), secret=FIRST).code == 2
    world.hood.expire_secrets(NOW_S + 2)
    world.check_silent(access_request(secret=SECOND, identifier=3), Discard.BAD_MESSAGE_AUTHENTICATOR)
    assert world.reply(access_request(secret=FIRST, identifier=4), secret=FIRST).code == 2


def test_r2_4_a_disabled_entry_is_silent_and_its_accounting_still_proves_its_secret() -> None:
    world = World(nases=[nas_row(secret=FIRST, secrets=((SECOND, math.inf),), enabled=False)])
    world.check_silent(access_request(secret=FIRST), Discard.NAS_DISABLED)
    watch_of(world).hear(accounting_start(SECOND), (SOURCE[0], 40_000), NOW_S)
    world.load(nases=[nas_row(secret=FIRST, secrets=((SECOND, math.inf),))])
    assert world.reply(chap_request(3), secret=SECOND).code == 2


def test_r10_a_wrong_secret_behind_chap_shows_in_accepts_without_start_and_resends() -> None:
    world = World()
    watch = watch_of(world)
    for number in range(4):
        asked = chap_request(number, session=b"%d" % number)
        for _ in range(3):  # the NAS cannot read our answers and asks again
            assert world.answer(asked).__class__ is bytes
    watch.tick(NOW_S + WAIT_S)
    (stranger,) = world.hood.strangers.values()
    counts = stranger.statistics
    assert (counts.accepts_without_start, counts.doubted_accepts, counts.doubted_resent) == (4, 4, 8)
    assert world.counted(Reason.GRANTED) == 4


@pytest.mark.parametrize(
    "asked",
    [
        access_request(attributes=tlv(44, b"1")),
        access_request(attributes=tlv(44, b"1"), signed=False),
    ],
    ids=["signed", "PAP"],
)
def test_r10_an_accept_to_who_proved_the_secret_is_waited_for_and_not_doubted(asked: bytes) -> None:
    world = World()
    world.answer(asked)
    watch_of(world).tick(NOW_S + WAIT_S)
    counts = world.router.statistics
    assert (counts.accepts_without_start, counts.doubted_accepts) == (1, 0)


@pytest.mark.parametrize(
    "asked",
    [access_request(), access_request(password=b"wrong", attributes=tlv(44, b"1"))],
    ids=["without Acct-Session-Id", "refused"],
)
def test_r10_nothing_else_is_waited_for(asked: bytes) -> None:
    world = World()
    world.answer(asked)
    assert len(world.path.starts) == 0


def test_ipv6_hosts_prefixes_zones_and_mapped_addresses_are_answered_under_one_entry_each() -> None:
    world = World(nases=[nas_row(1, "192.0.2.1/32"), nas_row(2, "2001:db8::/64"), nas_row(3, "fe80::1/128")])
    sources = [
        (("::ffff:192.0.2.1", 5000, 0, 0), "192.0.2.1"),
        (("2001:db8::99", 5000, 0, 0), "2001:db8::99"),
        (("fe80::1%eth0", 5000, 0, 2), "fe80::1"),
    ]
    for identifier, (source, plain) in enumerate(sources):
        assert world.reply(access_request(identifier=identifier), source=source).code == 2
        assert plain in {router.source_address for router in world.hood.routers.values()}
