"""The path of a request: who gets which answer and why, and what else is written.

Copies, waiting and signatures have modules of their own beside this one.
"""

import hashlib

import pytest
from access_world import CLASS_KEY, IN_ORDER, NOW_S, PLANS, SOURCE, World, login, nas_row
from nas_double import (
    ACCESS_ACCEPT,
    CALLING_STATION_ID,
    CLASS,
    FRAMED_IP,
    MAC,
    PROXY_STATE,
    REPLY_MESSAGE,
    SECRET,
    SESSION_TIMEOUT,
    access_request,
    chap,
    fresh_authenticator,
    packet,
    sign,
    status_server,
    tlv,
    vendor,
)

from aaad.policy.codes import (
    ACCESS_STATUS_LETTERS,
    CONTRACT_STATUS_LETTERS,
    Credential,
    Discard,
    LoginFlag,
    Reason,
)
from aaad.policy.decide import standing
from aaad.policy.facts import LoginFacts, PlanFacts, Speed
from aaad.policy.parameters import BranchPolicy
from aaad.radius import routers
from aaad.radius.explain import subject_of_name
from aaad.radius.integrity import SecretKeys
from aaad.radius.reply import ClassSigner
from aaad.replica.record import encode, encode_damaged
from aaad.spool.records import BindingLearned, LoginRefused, NameRefused, RouterSeen

# --- a grant --------------------------------------------------------------------------------------------------------


def test_a_login_in_order_gets_its_whole_grant() -> None:
    world = World()
    reply = world.check_decided(access_request(), Reason.GRANTED)
    kinds = [kind for kind, _ in reply.attributes]
    assert kinds == [CLASS, 6, 7, 26, SESSION_TIMEOUT, 85, FRAMED_IP]
    assert reply[FRAMED_IP] == b"\xc0\0\x02\x80"
    assert reply[26] == vendor(14988, 8, b"25M/50M")[2:]
    facts = ClassSigner(CLASS_KEY, node=0, slot=0, serial=0).verify(reply[CLASS])
    assert facts is not None
    assert (facts.node, facts.slot, facts.serial) == (3, 1, 1001)
    assert (facts.login_id, facts.contract_id, facts.plan_id) == (1, 2, 5)


def test_what_is_not_ppp_gets_no_ppp() -> None:
    reply = World().check_decided(access_request(framed=False), Reason.GRANTED)
    assert reply.all(6) == reply.all(7) == []


def test_without_a_fixed_address_the_profile_of_the_router_gives_one() -> None:
    reply = World({b"alice": login(ipv4=0)}).check_decided(access_request(), Reason.GRANTED)
    assert reply.all(FRAMED_IP) == []


def test_a_grant_is_explained_and_counted_at_its_router() -> None:
    world = World()
    world.answer(access_request(), arrived_s=NOW_S - 0.25)
    explained = world.explained()
    assert (explained.queued_s, explained.signed, explained.credential) == (0.25, True, Credential.RIGHT)
    assert (explained.nas_id, explained.source_address, explained.user_name) == (1, "192.0.2.1", "alice")
    assert explained.facts == login(nt_hash=b"", password=b"")
    assert world.router.statistics.as_dict() | {"requests": 1, "granted": 1} == world.router.statistics.as_dict()


def test_r4_6_every_grant_has_a_class_of_its_own() -> None:
    world = World()
    classes = {world.reply(access_request(identifier=number))[CLASS] for number in range(20)}
    assert len(classes) == 20


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [b"ALICE", b"aLiCe", b"alice"])
def test_r3_4_a_name_is_looked_up_as_typed_case_folded(name: bytes) -> None:
    World().check_decided(access_request(name), Reason.GRANTED)


@pytest.mark.parametrize("typed", ["joão", "JOÃO", "joa\u0303o"])
def test_a_name_with_accents_is_one_name_in_each_form(typed: str) -> None:
    World({"João".encode(): login()}).check_decided(access_request(typed.encode()), Reason.GRANTED)


STRANGE_NAMES = [
    b"mallory",
    b"x" * 253,
    b"\xff\xfe\xfd",
    b"alice\0",
    b"\0",
    b" alice",
    b"alice ",
    b"'; DROP TABLE erp.login; --",
    b"alice' OR '1'='1",
    b"%s%s%n",
    b"\r\n\x1b[2J",
    "💣".encode() * 60,
]


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_any_other_name_is_an_unknown_login(name: bytes) -> None:
    world = World()
    subject = subject_of_name(name.lower(), CLASS_KEY)
    world.check_decided(access_request(name), Reason.UNKNOWN_LOGIN, subject=subject)
    assert world.router.statistics.refused == 1


@pytest.mark.parametrize("name", [None, b""])
def test_no_name_is_refused_as_such(name: bytes | None) -> None:
    World().check_decided(access_request(name), Reason.NAME_INVALID, subject=None)


def test_r3_1_an_unknown_login_needs_a_complete_replica() -> None:
    world = World(complete=False)
    world.check_silent(access_request(b"mallory"), Discard.NO_REPLICA)
    world.check_decided(access_request(), Reason.GRANTED)


# --- passwords ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", [b"Wonderland", b"wonderlan", b"wonderland1", b"x" * 16, b"x" * 17, b"x" * 128])
def test_a_wrong_password_is_refused(password: bytes) -> None:
    world = World()
    world.check_decided(access_request(password=password), Reason.WRONG_PASSWORD)
    assert world.explained().credential is Credential.WRONG
    assert (world.router.statistics.granted, world.router.statistics.refused) == (0, 1)


@pytest.mark.parametrize("password", [b"wonderland", b"x" * 16, b"x" * 17, b"x" * 128, "sěnha".encode()])
def test_a_right_password_of_any_length_is_right(password: bytes) -> None:
    World({b"alice": login(password=password)}).check_decided(access_request(password=password), Reason.GRANTED)


@pytest.mark.parametrize("octets", [b"", bytes(15), bytes(17), bytes(144)])
def test_a_user_password_of_another_size_is_a_wrong_one(octets: bytes) -> None:
    request = access_request(password=None, attributes=tlv(2, octets))
    World().check_decided(request, Reason.WRONG_PASSWORD)


def test_a_password_stored_as_md5_is_verified() -> None:
    md5 = login(flags=IN_ORDER | LoginFlag.PASSWORD_IS_MD5, nt_hash=b"", password=hashlib.md5(b"wonderland").digest())
    world = World({b"alice": md5})
    world.check_decided(access_request(), Reason.GRANTED)
    world.check_decided(access_request(password=b"other"), Reason.WRONG_PASSWORD)


def test_an_empty_stored_password_lets_nobody_in() -> None:
    world = World({b"alice": login(password=b"")})
    world.check_decided(access_request(password=b""), Reason.WRONG_PASSWORD)


AUTHENTICATOR = fresh_authenticator()
EAP = tlv(79, b"\x02\x01\0\x0a\x01alice")


def test_eap_is_refused_as_a_method_that_is_not_served() -> None:
    world = World()
    world.check_decided(access_request(password=None, attributes=EAP), Reason.METHOD_UNSUPPORTED)


def test_chap_is_verified() -> None:
    world = World()
    right, wrong = (chap(AUTHENTICATOR, password) for password in (b"wonderland", b"other"))
    for number, (attributes, reason) in enumerate(((right, Reason.GRANTED), (wrong, Reason.WRONG_PASSWORD))):
        request = access_request(
            password=None, attributes=attributes, authenticator=AUTHENTICATOR, identifier=number, signed=False
        )
        world.check_decided(request, reason)


def test_a_request_without_any_password_is_refused_as_such() -> None:
    World().check_decided(access_request(password=None), Reason.PASSWORD_MISSING)


def test_r3_5_what_is_said_never_tells_an_unknown_login_from_a_wrong_password() -> None:
    world = World({b"alice": login(), b"damaged": encode_damaged(9), b"gone": login(flags=LoginFlag.LOGIN_DELETED)})
    replies = [
        world.reply(request)
        for request in (
            access_request(b"mallory"),
            access_request(password=b"wrong"),
            access_request(password=None),
            access_request(password=None, attributes=chap(AUTHENTICATOR)),
            access_request(b"damaged"),
            access_request(b"gone"),
            access_request(None),
        )
    ]
    assert all(reply.code == 3 for reply in replies)
    assert len({tuple(reply.attributes) for reply in replies}) == 1
    assert replies[0][REPLY_MESSAGE]


# --- statuses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("contract", CONTRACT_STATUS_LETTERS.values())
@pytest.mark.parametrize("access", ACCESS_STATUS_LETTERS.values())
def test_r4_1_the_answer_is_what_the_decision_says_for_every_pair(contract: int, access: int) -> None:
    facts = login(contract_status=contract, access_status=access)
    world = World({b"alice": facts})
    world.check_decided(access_request(), standing(facts, BranchPolicy(1), NOW_S))
    world.check_decided(access_request(password=b"wrong"), Reason.WRONG_PASSWORD)


def test_a_login_whose_plan_is_missing_is_refused() -> None:
    World({b"alice": login(plan_id=77)}).check_decided(access_request(), Reason.PLAN_MISSING)


def test_a_plan_that_cannot_be_sent_costs_its_logins_only_and_is_told() -> None:
    good, bad = PLANS[0], PlanFacts(6, "bad", Speed("1M", "1M"), 2**32, 0, 0)
    world = World({b"alice": login(), b"bob": login(login_id=8, plan_id=6)})
    (problem,) = world.load(plans=[good, bad])
    assert problem.startswith("plan 6:")
    world.check_decided(access_request(), Reason.GRANTED)
    world.check_decided(access_request(b"bob"), Reason.PLAN_MISSING, subject=8)


@pytest.mark.parametrize("name", [b"alice", b"mallory", b"damaged"])
@pytest.mark.parametrize("signed", [True, False])
def test_why_can_tell_whether_a_request_was_signed(name: bytes, signed: bool) -> None:
    world = World({b"alice": login(), b"damaged": encode_damaged(9)})
    world.reply(access_request(name, signed=signed))
    assert world.explained().signed is signed


# --- damaged records ------------------------------------------------------------------------------------------------

DAMAGED = {
    "could not be compiled": encode_damaged(9),
    "another version": b"\x09" + encode(login(login_id=9))[1:],
    "cut off": encode(login(login_id=9))[:40],
}


@pytest.mark.parametrize("record", DAMAGED.values(), ids=DAMAGED.keys())
def test_r3_1_a_record_that_cannot_be_read_is_refused_as_its_own_login(record: bytes) -> None:
    world = World({b"alice": record})
    reply = world.check_decided(access_request(), Reason.RECORD_DAMAGED, subject=9)
    assert reply[REPLY_MESSAGE]
    assert (world.explained().facts, world.explained().user_name) == (None, "alice")
    assert LoginRefused(9, "record_damaged", int(NOW_S // 60), 1) in world.records()


@pytest.mark.parametrize("record", DAMAGED.values(), ids=DAMAGED.keys())
def test_an_unsigned_request_for_a_damaged_record_is_dropped_as_any_other(record: bytes) -> None:
    world = World({b"alice": record}, nases=[nas_row(message_authenticator="yes")])
    world.check_silent(access_request(signed=False), Discard.MESSAGE_AUTHENTICATOR_MISSING)
    assert world.journal[-1][0] == 9
    assert world.explained().discard is Discard.MESSAGE_AUTHENTICATOR_MISSING


# --- silence --------------------------------------------------------------------------------------------------------


def test_an_unknown_nas_gets_silence_and_leaves_nothing_behind() -> None:
    world = World()
    world.check_silent(access_request(), Discard.UNKNOWN_NAS, source=("203.0.113.1", 1))
    assert (world.hood.peers, world.hood.routers, world.journal, world.records()) == ({}, {}, [], [])


def test_before_any_tables_nobody_is_known() -> None:
    World(loaded=False).check_silent(access_request(), Discard.NO_REPLICA)


def test_a_disabled_nas_gets_silence() -> None:
    world = World(nases=[nas_row(enabled=False)])
    world.check_silent(access_request(), Discard.NAS_DISABLED)
    world.check_silent(status_server(), Discard.NAS_DISABLED)


SILENT = {
    "no octets": (b"", Discard.MALFORMED),
    "a header cut off": (access_request()[:19], Discard.MALFORMED),
    "cut off": (access_request()[:-1], Discard.MALFORMED),
    "4097 octets": (b"\x01\x01\x10\x01" + bytes(4093), Discard.MALFORMED),
    "two Message-Authenticators": (
        sign(access_request(signed=True)),
        Discard.MALFORMED,
    ),
    "two User-Names": (access_request(attributes=tlv(1, b"bob")), Discard.MALFORMED),
    "a signature of another secret": (access_request(secret=b"other"), Discard.BAD_MESSAGE_AUTHENTICATOR),
    "a changed octet": (access_request()[:-1] + b"X", Discard.BAD_MESSAGE_AUTHENTICATOR),
    "Access-Accept": (access_request(code=2), Discard.CODE_NOT_SERVED),
    "Accounting-Request": (access_request(code=4), Discard.CODE_NOT_SERVED),
    "CoA-Request": (access_request(code=43), Discard.CODE_NOT_SERVED),
    "code 0": (access_request(code=0), Discard.CODE_NOT_SERVED),
    "EAP, unsigned": (
        access_request(password=None, signed=False, attributes=tlv(79, b"\x02\x01\0\x05\x01")),
        Discard.MESSAGE_AUTHENTICATOR_MISSING,
    ),
    "Proxy-State, unsigned": (
        access_request(signed=False, attributes=tlv(33, b"state")),
        Discard.MESSAGE_AUTHENTICATOR_MISSING,
    ),
}


@pytest.mark.parametrize(("data", "cause"), SILENT.values(), ids=SILENT.keys())
def test_what_the_rfcs_forbid_to_answer_gets_silence(data: bytes, cause: Discard) -> None:
    world = World()
    world.check_silent(data, cause)
    assert not any(isinstance(record, RouterSeen) for record in world.records())


def test_bad_signatures_are_counted_at_their_router() -> None:
    world = World()
    world.check_silent(access_request(secret=b"other"), Discard.BAD_MESSAGE_AUTHENTICATOR)
    assert world.router.statistics.bad_authenticators == 1


def test_octets_behind_the_packet_change_nothing() -> None:
    request = access_request()
    padded = request + b"padding of some octets"
    World().check_decided(padded, Reason.GRANTED)


def test_peers_are_bounded_and_a_genuine_one_always_finds_room() -> None:
    world = World(nases=[nas_row(address="192.0.2.0/24")], peers_max=2)
    for port in range(5):
        world.check_decided(access_request(), Reason.GRANTED, source=("192.0.2.1", port))
    assert list(world.hood.peers) == [("192.0.2.1", 3), ("192.0.2.1", 4)]


def test_a_flood_that_proves_nothing_silences_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routers, "UNPROVEN_PEERS_MAX", 10)
    world = World(nases=[nas_row(address="192.0.2.0/24")], peers_max=2)
    for port in range(50):
        forged = access_request(b"mallory", signed=False, secret=b"other", nas_identifier=b"made up %d" % port)
        world.answer(forged, source=("192.0.2.66", port))
    assert len(world.hood.unproven_peers) == 10
    assert (world.hood.peers, world.hood.routers) == ({}, {})
    world.check_decided(access_request(), Reason.GRANTED, source=("192.0.2.1", 7))
    (refused,) = [record for record in world.records() if isinstance(record, NameRefused)]
    assert (refused.source_address, refused.nas_identifier, refused.count) == ("192.0.2.0", b"", 50)


@pytest.mark.parametrize(
    ("world", "data", "when", "cause"),
    [
        (World(), access_request(secret=b"other"), {}, Discard.BAD_MESSAGE_AUTHENTICATOR),
        (World(), access_request(), {"arrived_s": NOW_S - 5}, Discard.LATE),
        (World(nases=[nas_row(enabled=False)]), access_request(), {}, Discard.NAS_DISABLED),
    ],
)
def test_a_known_logins_request_without_an_answer_stands_in_the_journal(
    world: World, data: bytes, when: dict, cause: Discard
) -> None:
    world.check_silent(data, cause, **when)
    explanation = world.explained()
    assert (explanation.discard, explanation.reason, explanation.user_name) == (cause, None, "alice")


@pytest.mark.parametrize("data", [b"garbage", access_request(secret=b"other"), access_request(code=2)])
def test_who_proves_nothing_holds_no_place_for_long(data: bytes) -> None:
    world = World(peers_max=1)
    world.answer(data, source=("192.0.2.1", 1))
    world.path.tick(NOW_S + 1)
    world.check_decided(access_request(), Reason.GRANTED, source=("192.0.2.1", 2))


# --- Status-Server --------------------------------------------------------------------------------------------------


def test_status_server_is_answered() -> None:
    world = World()
    reply = world.reply(status_server())
    assert (reply.code, reply.attributes) == (ACCESS_ACCEPT, [])
    assert world.path.status_answered == 1
    assert (world.journal, world.records(), world.hood.routers) == ([], [], {})


def test_r3_2_status_server_is_answered_only_while_requests_would_be() -> None:
    world = World(complete=False)
    world.check_silent(status_server(), Discard.NO_REPLICA)
    world.replica.complete = True
    world.check_silent(status_server(), Discard.LATE, arrived_s=NOW_S - 1)
    world.reply(status_server(), arrived_s=NOW_S - 0.8)


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (status_server(signed=False), Discard.MESSAGE_AUTHENTICATOR_MISSING),
        (status_server(secret=b"other"), Discard.BAD_MESSAGE_AUTHENTICATOR),
        (sign(status_server()), Discard.MALFORMED),
    ],
)
def test_a_status_server_that_is_not_genuine_gets_silence(data: bytes, cause: Discard) -> None:
    World().check_silent(data, cause)


def test_status_server_with_the_previous_secret_is_answered_with_it() -> None:
    world = World(nases=[nas_row(secret=b"new", secret_previous=SECRET, secret_previous_until_s=NOW_S + 9)])
    assert world.reply(status_server()).code == ACCESS_ACCEPT
    assert world.reply(status_server(secret=b"new"), secret=b"new").code == ACCESS_ACCEPT


# --- Proxy-State ----------------------------------------------------------------------------------------------------

STATES = tlv(PROXY_STATE, b"") + tlv(PROXY_STATE, b"first") + tlv(PROXY_STATE, b"x" * 253) + tlv(PROXY_STATE, b"\0")


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (access_request(attributes=STATES), Reason.GRANTED),
        (access_request(attributes=STATES, password=b"wrong"), Reason.WRONG_PASSWORD),
        (access_request(b"mallory", attributes=STATES), Reason.UNKNOWN_LOGIN),
        (access_request(b"damaged", attributes=STATES), Reason.RECORD_DAMAGED),
    ],
    ids=["granted", "wrong password", "unknown", "damaged"],
)
def test_proxy_states_come_back_unchanged_and_in_order(request_: bytes, reason: Reason) -> None:
    world = World({b"alice": login(), b"damaged": encode_damaged(9)})
    reply = world.check_decided(request_, reason, subject=None)
    assert reply.all(PROXY_STATE) == [b"", b"first", b"x" * 253, b"\0"]


def states_of(octets: int) -> bytes:
    """Proxy-States of so many octets together."""
    states = tlv(PROXY_STATE, b"s" * 253) * (octets // 255 - 1)
    rest = octets - len(states)
    return states + tlv(PROXY_STATE, b"t" * (rest // 2 - 2)) + tlv(PROXY_STATE, b"u" * (rest - rest // 2 - 2))


def bare(name: bytes, password: bytes = b"wonderland", *, attributes: bytes = b"") -> bytes:
    """A signed request with hardly anything in it but these attributes."""
    return access_request(
        name, password, nas_identifier=None, calling_station_id=None, framed=False, attributes=attributes
    )


def longest(name: bytes, password: bytes = b"wonderland") -> bytes:
    """A signed request of 4096 octets, nearly all of them Proxy-States."""
    request = bare(name, password, attributes=states_of(4096 - len(bare(name, password))))
    assert len(request) == 4096
    return request


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (longest(b"alice"), Reason.REPLY_TOO_LONG),
        (longest(b"alice", b"wrong"), Reason.WRONG_PASSWORD),
        (longest(b"mallory"), Reason.UNKNOWN_LOGIN),
        (longest(b"damaged"), Reason.RECORD_DAMAGED),
    ],
    ids=["granted", "wrong password", "unknown", "damaged"],
)
def test_r3_1_a_reply_over_4096_octets_is_a_refusal_that_still_has_every_proxy_state(
    request_: bytes, reason: Reason
) -> None:
    world = World({b"alice": login(), b"damaged": encode_damaged(9)})
    reply = world.check_decided(request_, reason, subject=None)
    asked = [value for kind, value in _attributes(request_) if kind == PROXY_STATE]
    assert reply.all(PROXY_STATE) == asked
    assert reply.all(REPLY_MESSAGE) == reply.all(CLASS) == []


@pytest.mark.parametrize(("spare", "reason"), [(0, Reason.GRANTED), (-1, Reason.REPLY_TOO_LONG)])
def test_a_reply_of_exactly_4096_octets_is_sent(spare: int, reason: Reason) -> None:
    world = World()
    states = states_of(4096 - len(world.answer(bare(b"alice"))) - spare)
    request = bare(b"alice", attributes=states)
    assert len(request) <= 4096
    world.check_decided(request, reason)
    assert (len(world.answer(request)) == 4096) == (reason is Reason.GRANTED)


def _attributes(data: bytes) -> list[tuple[int, bytes]]:
    from nas_double import attributes_of

    return attributes_of(data)


# --- what is learned ------------------------------------------------------------------------------------------------


def test_r3_6_refusals_of_known_logins_and_of_names_are_counted_per_minute() -> None:
    world = World()
    for name, count in ((b"alice", 3), (b"mallory", 2)):
        for number in range(count):
            world.answer(access_request(name, b"wrong", identifier=number))
    minute = int(NOW_S // 60)
    records = [record for record in world.learned.take() if not isinstance(record, RouterSeen)]
    records = [record for record in records if isinstance(record, LoginRefused | NameRefused)]
    assert records == [
        LoginRefused(1, "wrong_password", minute, 3),
        NameRefused(1, "192.0.2.1", b"bras-01", "unknown_login", minute, 2, ("ma***(7)",)),
    ]


@pytest.mark.parametrize(
    ("flags", "request_", "learned"),
    [
        (IN_ORDER | LoginFlag.MAC_LEARN, access_request(), True),
        (IN_ORDER | LoginFlag.MAC_LEARN, access_request(password=b"wrong"), False),
        (IN_ORDER | LoginFlag.MAC_LEARN, access_request(calling_station_id=None), False),
        (IN_ORDER | LoginFlag.MAC_LEARN, access_request(calling_station_id=b"192.0.2.77"), False),
        (IN_ORDER, access_request(), False),
        (LoginFlag.MAC_LEARN, access_request(), False),
    ],
)
def test_a_device_is_learned_from_a_grant_that_asks_for_it(flags: int, request_: bytes, learned: bool) -> None:
    world = World({b"alice": login(flags=flags)})
    world.answer(request_)
    expected = [BindingLearned(1, "mac", MAC.decode(), NOW_S)] if learned else []
    assert [record for record in world.records() if isinstance(record, BindingLearned)] == expected


def test_r2_1_a_router_is_told_of_when_it_proves_its_secret() -> None:
    world = World()
    world.learned.local_address = "192.0.2.250"
    world.answer(access_request(signed=False, password=b"wrong"))
    assert not [record for record in world.records() if isinstance(record, RouterSeen)]
    world.answer(access_request(identifier=1))
    world.answer(access_request(identifier=2))
    expected = RouterSeen(1, "192.0.2.1", b"bras-01", "192.0.2.250", NOW_S, SecretKeys(SECRET, CLASS_KEY).fingerprint)
    assert [record for record in world.records() if isinstance(record, RouterSeen)] == [expected]


def test_a_router_that_is_heard_is_told_of_every_few_minutes() -> None:
    world = World()
    for delay_s in (0.0, 299.0, 300.0, 301.0):
        world.answer(access_request(), now_s=NOW_S + delay_s)
        assert world.router.last_heard_s == NOW_S + delay_s
    told = [record.at_s for record in world.records() if isinstance(record, RouterSeen)]
    assert told == [NOW_S, NOW_S + 300]


def test_r2_1_a_router_is_kept_for_good_once_it_proved_its_secret() -> None:
    world = World()
    world.answer(access_request(signed=False, password=b"wrong", nas_identifier=b"made up"))
    assert world.hood.routers == {}
    world.answer(access_request())
    assert world.router.identifier == b"bras-01"


# --- secrets --------------------------------------------------------------------------------------------------------


def test_no_secret_and_no_unknown_name_gets_into_the_journal_or_a_record() -> None:
    world = World({b"alice": login(), b"md5": login(flags=IN_ORDER | 16, nt_hash=b"", password=b"md5 of 16 octets")})
    authenticator = fresh_authenticator()
    requests = [
        access_request(signed=False),
        access_request(b"MySecretTypedHere", signed=False),
        access_request(),
        access_request(password=b"my other password"),
        access_request(b"MySecretTypedHere", b"alice"),
        access_request(b"md5"),
        access_request(password=None, attributes=chap(authenticator), authenticator=authenticator),
        access_request(b"MySecretTypedHere", None, attributes=vendor(311, 25, b"ms-chap response")),
    ]
    for number, request in enumerate(requests):
        world.answer(request, source=("192.0.2.1", number))
    written = b"".join(body for _, _, body in world.journal) + repr(world.records()).encode()
    assert len(world.journal) == len(requests)
    hidden_octets = [value for request in requests for kind, value in _attributes(request) if kind in (2, 3, 26, 80)]
    for secret in [
        SECRET,
        CLASS_KEY,
        b"wonderland",
        b"my other password",
        b"nt hash of 16 oc",
        b"md5 of 16 octets",
        b"MySecretTypedHere",
        b"mysecrettypedhere",
        *hidden_octets,
    ]:
        assert secret not in written, secret


def test_no_repr_shows_a_secret() -> None:
    world = World(must_wait=lambda *_: True)
    pending = world.pending(access_request())
    keys = pending.proven.keys
    for value in (pending, pending.request, pending.decision, keys, world.router, world.hood, world.path):
        for secret in ("wonderland", "nt hash of", "testing123", CLASS_KEY.decode()):
            assert secret not in repr(value)


# --- new tables -----------------------------------------------------------------------------------------------------


def class_of(world: World) -> bytes:
    return world.reply(access_request())[CLASS]


def test_a_node_that_gets_its_number_later_signs_with_it() -> None:
    world = World(loaded=False)
    world.load(node_number=0)
    before = class_of(world)
    world.load(node_number=70_000)
    verifier = ClassSigner(CLASS_KEY, node=0, slot=0, serial=0)
    assert verifier.verify(before).node == 0
    assert verifier.verify(class_of(world)).node == 70_000


def test_r4_6_a_serial_never_comes_twice_whatever_keys_come_and_go() -> None:
    world = World()
    seen = []
    for key in (CLASS_KEY, b"another key of c", CLASS_KEY, CLASS_KEY):
        world.load(class_key=key)
        facts = ClassSigner(key, node=0, slot=0, serial=0).verify(class_of(world))
        assert facts is not None
        seen.append(facts.serial)
    assert len(set(seen)) == len(seen)


def test_a_changed_plan_is_granted_from_the_next_request_on() -> None:
    world = World()
    world.load(plans=[PLANS[0]._replace(speed=Speed("1M", "2M"))])
    assert world.reply(access_request())[26].endswith(b"1M/2M")


def test_a_packet_that_is_all_attributes_of_one_kind_is_answered() -> None:
    body = tlv(1, b"alice") + tlv(26, bytes(4)) * 600
    request = sign(packet(1, 1, fresh_authenticator(), body))
    World().check_decided(request, Reason.PASSWORD_MISSING)


def test_calling_station_ids_of_any_octets_do_no_harm() -> None:
    facts: LoginFacts = login(flags=IN_ORDER | LoginFlag.MAC_LEARN)
    for value in (b"", b"\xff" * 12, b"\0" * 17, b"A" * 253):
        request = access_request(calling_station_id=None, attributes=tlv(CALLING_STATION_ID, value))
        World({b"alice": facts}).check_decided(request, Reason.GRANTED)


def test_another_source_port_is_another_peer_of_the_same_router() -> None:
    world = World()
    world.answer(access_request())
    world.answer(access_request(), source=(SOURCE[0], 50_001))
    assert len(world.hood.peers) == 2
    assert world.router.statistics.requests == 2
