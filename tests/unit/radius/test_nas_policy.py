"""What a NAS entry means on the request path: several secrets (R2.1, R2.2), their end by the clock, R10."""

import hashlib
import math

import msgspec
import pytest
from access_world import NOW_S, SOURCE, World, login, nas_row
from nas_double import access_request, chap, fresh_authenticator, packet, tlv

from aaad.daemon.router_facts import RouterFacts
from aaad.daemon.router_problems import ProblemKind, RouterProblem, find_router_problems
from aaad.policy.codes import Discard, LoginFlag, Reason
from aaad.radius.accounting import AccountingPath, Waiting
from aaad.radius.starts import WAIT_S
from aaad.replica.record import RouterRow
from aaad.spool.records import RouterSeen

FIRST, SECOND = b"first", b"second"
ENTRIES = {
    "address": nas_row(secret=FIRST, secrets=((SECOND, math.inf),)),
    "prefix": nas_row(address="192.0.2.0/24", secret=FIRST, secrets=((SECOND, math.inf),)),
    "disabled for a moment": nas_row(secret=FIRST, secrets=((SECOND, math.inf),)),
}


def chap_request(
    identifier: int, *, nas_identifier: bytes = b"bras-02", session: bytes | None = b"81a00001"
) -> bytes:
    """An unsigned CHAP login: nothing in it proves a secret. `session` None: without Acct-Session-Id."""
    authenticator = fresh_authenticator()
    return access_request(
        password=None,
        signed=False,
        identifier=identifier,
        authenticator=authenticator,
        nas_identifier=nas_identifier,
        attributes=chap(authenticator) + (b"" if session is None else tlv(44, session)),
    )


def accounting_start(secret: bytes, *, nas_identifier: bytes = b"bras-02", session: bytes = b"81a00001") -> bytes:
    body = tlv(40, b"\0\0\0\1") + tlv(44, session) + tlv(32, nas_identifier)
    unsigned = packet(4, 1, bytes(16), body)
    return unsigned[:4] + hashlib.md5(unsigned + secret).digest() + body


def hear(world: World, data: bytes, source: tuple[str, int], now_s: float) -> None:
    """Let the accounting port of a world record this."""
    path = AccountingPath(
        neighbourhood=world.hood, learned=world.learned, starts=world.path.starts, is_recording=lambda: True
    )
    answer = path.answer(data, source, now_s, now_s)
    assert isinstance(answer, Waiting)
    path.recorded(answer, now_s)


def problems_of(world: World, now_s: float = NOW_S) -> list[RouterProblem]:
    """What the counts of all routers and addresses amount to."""
    rows = [
        {"nas_id": 1, "nas": "bras", "source_address": SOURCE[0], "nas_identifier": "", "proven": proven,
         "armed": False, "last_heard_s": found.last_heard_s, **found.statistics.as_dict()}
        for proven, group in ((True, world.hood.routers), (False, world.hood.strangers))
        for found in group.values()
    ]  # fmt: skip
    return find_router_problems([msgspec.convert(row, RouterFacts) for row in rows], now_s)


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
        hear(world, accounting_start(SECOND), (SOURCE[0], 40_000), NOW_S)
    else:
        asked = access_request(nas_identifier=b"bras-02", secret=SECOND, identifier=2, signed=proof == "signature")
        world.reply(asked, secret=SECOND)
    assert world.reply(chap_request(3), secret=SECOND).code == 2
    assert world.reply(chap_request(4, nas_identifier=b"bras-01"), secret=FIRST).code == 2


SEVERAL = nas_row(secret=b"s1", secrets=tuple((secret, math.inf) for secret in (b"s2", b"s3", b"s4")))


def rows_of(world: World) -> list[RouterRow]:
    """What all processes read of the routers that this one told of."""
    told = [record for record in world.records() if isinstance(record, RouterSeen)]
    return [
        RouterRow(one.nas_id, one.source_address, one.nas_identifier, 0.0, 0.0, one.secret_fingerprint, one.at_s)
        for one in told
    ]


def test_r2_2_a_secret_that_one_process_saw_proven_signs_at_all_and_after_a_restart() -> None:
    heard, other = World(nases=[SEVERAL]), World(nases=[SEVERAL])
    other.reply(chap_request(1), secret=b"s1")
    hear(heard, accounting_start(b"s4"), (SOURCE[0], 1813), NOW_S)
    rows = rows_of(heard)
    assert all(b"s4" not in row.secret_fingerprint and len(row.secret_fingerprint) == 8 for row in rows)
    other.load(nases=[SEVERAL], routers=rows)
    other.reply(chap_request(2), secret=b"s4")
    restarted = World(nases=[SEVERAL], routers=rows)
    restarted.reply(chap_request(3), secret=b"s4")
    hear(heard, accounting_start(b"s2"), (SOURCE[0], 1813), NOW_S + 30)
    other.load(nases=[SEVERAL], routers=rows_of(heard))
    other.reply(chap_request(4), secret=b"s2", now_s=NOW_S + 31)


def test_r2_2_what_a_process_saw_proven_itself_since_counts_more_than_what_another_told() -> None:
    one, other = World(nases=[SEVERAL]), World(nases=[SEVERAL])
    hear(other, accounting_start(b"s4"), (SOURCE[0], 1813), NOW_S - 9)
    rows = rows_of(other)
    hear(one, accounting_start(b"s3"), (SOURCE[0], 1813), NOW_S)
    assert len(rows_of(one)) == 1
    one.load(nases=[SEVERAL], routers=rows)
    one.reply(chap_request(1), secret=b"s3")
    hear(one, accounting_start(b"s3"), (SOURCE[0], 1813), NOW_S + 31)
    other.load(nases=[SEVERAL], routers=rows_of(one))
    other.reply(chap_request(1), secret=b"s3")
    one.load(nases=[nas_row(secret=b"s1", secrets=((b"s4", math.inf),))], routers=rows)
    one.reply(chap_request(2), secret=b"s4")


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
    hear(world, accounting_start(SECOND), (SOURCE[0], 40_000), NOW_S)
    world.load(nases=[nas_row(secret=FIRST, secrets=((SECOND, math.inf),))])
    assert world.reply(chap_request(3), secret=SECOND).code == 2


def test_r10_a_wrong_secret_behind_chap_shows_in_accepts_without_start_and_resends() -> None:
    world = World()
    for number in range(4):
        asked = chap_request(number, session=b"%d" % number)
        for _ in range(3):  # the NAS cannot read our answers and asks again
            assert world.answer(asked).__class__ is bytes
    world.path.starts.tick(NOW_S + WAIT_S)
    (stranger,) = world.hood.strangers.values()
    counts = stranger.statistics
    assert (counts.accepts_without_start, counts.doubted_accepts, counts.doubted_resent) == (4, 4, 8)
    assert world.counted(Reason.GRANTED) == 4


KNOWN = {b"ana": login(login_id=1), b"bia": login(login_id=2, flags=login().flags | LoginFlag.PASSWORD_IS_MD5)}


def nonce(number: int) -> bytes:
    """Always the same: by one of a hundred at random, garbage looks like a password."""
    return hashlib.md5(b"nonce %d" % number).digest()


@pytest.mark.parametrize("name", [b"ana", b"bia"])
@pytest.mark.parametrize("row", [nas_row(secret=FIRST), nas_row(secret=FIRST, secrets=((SECOND, math.inf),))])
def test_r10_a_wrong_secret_behind_unsigned_pap_shows_in_passwords_that_nobody_can_read(
    row: object, name: bytes
) -> None:
    world = World(KNOWN, nases=[row])
    for number in range(3):
        asked = access_request(name, secret=b"third", signed=False, identifier=number, authenticator=nonce(number))
        world.check_decided(asked, Reason.WRONG_PASSWORD, subject=None, secret=FIRST)
    (problem,) = problems_of(world)
    assert (problem.kind, problem.count, problem.unreadable_passwords) == (ProblemKind.SECRET_SEEMS_WRONG, 3, 3)
    world.answer(access_request(b"ana", secret=FIRST, signed=False, identifier=9), now_s=NOW_S + 1)
    assert problems_of(world, NOW_S + 1) == [], "put right"
    asked = access_request(name, secret=b"third", signed=False, identifier=10, authenticator=nonce(10))
    world.answer(asked, now_s=NOW_S + 2)
    (problem,) = problems_of(world, NOW_S + 2)
    assert (problem.kind, problem.count) == (ProblemKind.SECRET_SEEMS_WRONG, 1), "a new row of signs"


@pytest.mark.parametrize(
    "asked",
    [
        *(
            access_request(password=typed, signed=False)
            for typed in (b"", b"wrong", "çã".encode(), b"\xe7\xe3", b"x" * 40)
        ),
        access_request(b"mallory", secret=b"third", signed=False),
        access_request(password=None, signed=False),
        access_request(password=None, signed=False, attributes=tlv(2, b"odd")),
        access_request(password=b"\x01\x02"),
    ],
)
def test_r10_wrong_passwords_alone_say_nothing_of_the_secret(asked: bytes) -> None:
    world = World()
    world.answer(asked)
    assert problems_of(world) == []


def ask_without_session(world: World, copies: int, *, accepts: int, now_s: float, nth: int = 0) -> None:
    """Logins by CHAP without Acct-Session-Id, one a second, each asked again so many times."""
    for number in range(accepts):
        asked = chap_request(nth + number, session=None)
        for _ in range(1 + copies):
            assert world.answer(asked, now_s=now_s + number).__class__ is bytes


@pytest.mark.parametrize(
    ("secrets", "copies", "is_wrong"), [((), 2, True), ((), 0, False), ((SECOND,), 2, True), ((SECOND,), 1, False)]
)
def test_r10_without_acct_session_id_a_wrong_secret_shows_in_accepts_that_are_all_asked_again(
    secrets: tuple[bytes, ...], copies: int, is_wrong: bool
) -> None:
    world = World(nases=[nas_row(secret=FIRST, secrets=tuple((secret, math.inf) for secret in secrets))])
    ask_without_session(world, 0, accepts=30, now_s=NOW_S - 99)  # it fitted once
    ask_without_session(world, copies, accepts=9, now_s=NOW_S, nth=50)
    found = [(problem.kind, problem.count) for problem in problems_of(world, NOW_S + 9)]
    assert found == ([(ProblemKind.SECRET_SEEMS_WRONG, 9)] if is_wrong else [])
    ask_without_session(world, 0, accepts=70, now_s=NOW_S + 70, nth=100)
    assert problems_of(world, NOW_S + 140) == [], "put right, although nothing ever proves it"


def test_r10_without_acct_session_id_some_copies_are_lost_answers() -> None:
    world = World()
    for turn in range(20):
        ask_without_session(world, 1, accepts=1, now_s=NOW_S + 10 * turn, nth=10 * turn)
        ask_without_session(world, 0, accepts=9, now_s=NOW_S + 10 * turn + 1, nth=10 * turn + 1)
    assert problems_of(world, NOW_S + 200) == []


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
    world.path.starts.tick(NOW_S + WAIT_S)
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
