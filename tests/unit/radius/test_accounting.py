"""The accounting path: what is recorded and answered, and when; copies, room, shares (RFC 2866, R2.4, R3.3)."""

import hmac

import pytest
from access_world import NOW_S, SOURCE, nas_row
from accounting_world import (
    INTERIM,
    OFF,
    ON,
    START,
    STOP,
    AccountingWorld,
    accounting_packet,
    accounting_request,
    check_response,
    own_class,
)
from nas_double import (
    MESSAGE_AUTHENTICATOR,
    PROXY_STATE,
    SECRET,
    access_request,
    attributes_of,
    checked,
    status_server,
    tlv,
    vendor,
)

from aaad.policy.codes import Discard
from aaad.radius import accounting as module
from aaad.radius.accounting import Waiting
from aaad.radius.routers import Source
from aaad.spool.records import RouterSeen

MIKROTIK_INTERIM = bytes.fromhex(
    "040600baa4618d60be256d1d249a2131b4a9e112060600000002070600000001050600f000083d060000000f0106557365721f1341413a"
    "42423a43433a44443a45453a30311e0c7070706f652d737276315709766c616e3130302c0a38316130303030310806644001022d060000"
    "000137066553f1002e0600000e102a060001e2403406000000012f06000003e82b060009fbf13506000000023006000007d02806000000"
    "032008425241532d3104060a000001290600000000"
)


def signed(body: bytes, *, secret: bytes = SECRET) -> bytes:
    """An Accounting-Request with Message-Authenticator, made before the Request Authenticator."""
    whole = tlv(MESSAGE_AUTHENTICATOR, bytes(16)) + body
    head = b"\x04\x09" + (20 + len(whole)).to_bytes(2, "big")
    signature = hmac.digest(secret, head + bytes(16) + whole, "md5")
    return accounting_packet(tlv(MESSAGE_AUTHENTICATOR, signature) + body)


# --- what is recorded -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [START, STOP, INTERIM, ON, OFF])
def test_each_kind_of_record_is_kept_as_it_was_received_and_then_answered(status: int) -> None:
    world = AccountingWorld()
    request = accounting_request(status)
    record = world.record(request, arrived_s=NOW_S - 0.05)
    assert record.attributes == request[20:]
    assert (record.nas_id, record.source_address, record.nas_identifier) == (1, SOURCE[0], b"bras-01")
    assert record.received_at_s == NOW_S - 0.05
    assert (record.has_own_class, record.octets_swapped) == (False, False)
    assert world.path.in_work == 0


def test_nothing_is_answered_before_the_disk_has_it() -> None:
    """RFC 2866, 2: an answer says that the record is safe."""
    world = AccountingWorld()
    request = accounting_request()
    waiting = world.waiting(request)
    assert world.path.in_work == 1
    check_response(world.path.recorded(waiting, NOW_S), request)


def test_a_mikrotik_interim_as_it_goes_over_the_wire_is_recorded() -> None:
    world = AccountingWorld()
    record = world.record(MIKROTIK_INTERIM)
    assert record.attributes == MIKROTIK_INTERIM[20:]
    assert record.nas_identifier == b"BRAS-1"


@pytest.mark.parametrize(
    "request_",
    [
        accounting_request(name=b"nobody knows this name"),
        accounting_request(name=b"admin", attributes=tlv(6, b"\0\0\0\6")),  # a router's own login
        accounting_request(name=None),
        accounting_request(ON, name=None, session=None),
        accounting_request(INTERIM, session=None, attributes=own_class()),
        accounting_request(nas_identifier=None),
    ],
    ids=[
        "unknown login",
        "local login",
        "no name",
        "restart without session",
        "session by its Class",
        "nameless NAS",
    ],
)
def test_r2_4_what_no_contract_stands_behind_is_recorded_too(request_: bytes) -> None:
    assert AccountingWorld().record(request_).attributes == request_[20:]


def test_r2_4_a_disabled_nas_is_recorded_and_asked_as_any() -> None:
    world = AccountingWorld([nas_row(enabled=False)])
    world.record(accounting_request())
    request = status_server()
    assert checked(world.answer(request), request).code == 5


def test_octets_swapped_is_what_the_nas_entry_says() -> None:
    assert AccountingWorld([nas_row(octets_swapped=True)]).record(accounting_request()).octets_swapped


@pytest.mark.parametrize(
    ("classes", "is_own"),
    [
        (own_class(), True),
        (own_class(b"key of another cluster"), False),
        (tlv(25, b"a proxy's") + own_class(), True),
        (own_class() + tlv(25, b"a proxy's"), True),
        (tlv(25, b"a proxy's"), False),
        (own_class()[:-1] + b"\0", False),
        (b"", False),
    ],
)
def test_r4_6_a_class_of_ours_is_known_by_its_signature(classes: bytes, is_own: bool) -> None:
    world = AccountingWorld()
    for _ in range(2):  # the second time by its layout
        assert world.record(accounting_request(attributes=classes)).has_own_class is is_own


def test_what_hides_or_proves_a_password_is_not_recorded() -> None:
    secrets = tlv(2, bytes(16)) + tlv(3, bytes(17)) + tlv(60, b"challenge") + tlv(69, b"tunnel") + tlv(79, b"eap")
    world = AccountingWorld()
    request = accounting_request(attributes=secrets + vendor(311, 25, bytes(50)) + tlv(5, b"\0\0\0\1"))
    kinds = [kind for kind, _ in attributes_of(bytes(20) + world.record(request).attributes)]
    assert kinds == [40, 1, 44, 32, 41, 5]


def test_a_message_authenticator_need_not_be_there_and_must_fit() -> None:
    world = AccountingWorld()
    body = accounting_request()[20:]
    record = world.record(signed(body))
    assert record.attributes == body
    world.check_silent(signed(body, secret=b"other"), Discard.BAD_MESSAGE_AUTHENTICATOR)


def test_proxy_states_come_back_unchanged_and_in_order() -> None:
    world = AccountingWorld()
    request = accounting_request(attributes=tlv(PROXY_STATE, b"first") + tlv(5, b"\0\0\0\1") + tlv(PROXY_STATE, b""))
    reply = world.path.recorded(world.waiting(request), NOW_S)
    assert check_response(reply, request) == [(PROXY_STATE, b"first"), (PROXY_STATE, b"")]


# --- what cannot be recorded ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "missing"),
    [
        (accounting_request(9), "status_type"),  # Tunnel-Start (RFC 2867)
        (accounting_request(15), "status_type"),  # Failed
        (accounting_request(0), "status_type"),
        (accounting_request(None), "status_type"),
        (accounting_packet(tlv(40, b"\0\1") + tlv(44, b"s")), "status_type"),
        (accounting_request(START, session=None), "session_id"),
        (accounting_request(STOP, session=b""), "session_id"),
        (accounting_request(INTERIM, session=None, attributes=own_class(b"another cluster")), "session_id"),
    ],
)
def test_what_no_server_could_ever_record_is_acknowledged_and_counted(request_: bytes, missing: str) -> None:
    world = AccountingWorld()
    for copies in (0, 1):
        check_response(world.answer(request_), request_)
        assert world.path.copies == copies
    assert world.path.unrecordable == {"status_type": 0, "session_id": 0} | {missing: 1}
    assert world.path.in_work == 0


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", Discard.MALFORMED),
        (accounting_request()[:19], Discard.MALFORMED),
        (accounting_request()[:-1], Discard.MALFORMED),
        (accounting_packet(tlv(40, b"\0\0\0\1") + b"\x2c\x01"), Discard.MALFORMED),
        (accounting_packet(tlv(40, b"\0\0\0\1") + tlv(44, b"a") + tlv(44, b"b")), Discard.MALFORMED),
        (accounting_request(secret=b"other"), Discard.BAD_MESSAGE_AUTHENTICATOR),
        (access_request(), Discard.CODE_NOT_SERVED),
        (accounting_packet(b"", code=40), Discard.CODE_NOT_SERVED),
    ],
)
def test_what_is_no_genuine_request_gets_no_answer(data: bytes, cause: Discard) -> None:
    world = AccountingWorld()
    world.check_silent(data, cause)
    assert world.hood.routers == {}


def test_who_is_no_nas_gets_no_answer_and_nobody_does_before_the_tables_are_there() -> None:
    AccountingWorld().check_silent(accounting_request(), Discard.UNKNOWN_NAS, source=("198.51.100.1", 9))
    AccountingWorld(loaded=False).check_silent(accounting_request(), Discard.NO_REPLICA)


# --- copies ---------------------------------------------------------------------------------------------------------


def test_copies_join_the_one_in_work_and_get_the_same_answer_afterwards() -> None:
    world = AccountingWorld()
    request = accounting_request()
    waiting = world.waiting(request)
    world.check_silent(request, Discard.DUPLICATE_IN_WORK)
    reply = world.path.recorded(waiting, NOW_S + 0.01)
    assert world.answer(request, now_s=NOW_S + 9) == reply
    assert world.path.copies == 1
    assert world.record(request, now_s=NOW_S + 11), "a NAS may use its Identifier and octets again"


def test_a_copy_from_elsewhere_is_not_a_copy() -> None:
    world = AccountingWorld()
    request = accounting_request()
    world.record(request)
    assert isinstance(world.answer(request, source=(SOURCE[0], 1)), Waiting)


def test_each_identifier_is_remembered_apart_from_the_logins_of_the_same_port() -> None:
    world = AccountingWorld()
    requests = [accounting_request(INTERIM, identifier=identifier) for identifier in range(256)]
    waiting = [world.waiting(request) for request in requests]
    peer = world.hood.peers[SOURCE]
    assert peer.remembered == [None] * 256
    replies = [world.path.recorded(one, NOW_S) for one in reversed(waiting)][::-1]
    assert [world.answer(request) for request in requests] == replies


def test_a_record_with_another_delay_is_another_request() -> None:
    """RFC 2866, 5.2: the fold of the session counts it once."""
    world = AccountingWorld()
    one, other = accounting_request(STOP, identifier=1), accounting_request(STOP, identifier=2)
    assert world.record(one).attributes != world.record(other).attributes


def test_what_the_disk_refused_is_silent_and_recorded_anew_at_the_next_copy() -> None:
    world = AccountingWorld()
    request = accounting_request()
    world.path.refused(world.waiting(request))
    assert world.path.in_work == 0
    assert world.record(request)


def test_an_identifier_used_again_before_the_disk_answered_keeps_what_came_last() -> None:
    world = AccountingWorld()
    first, second = accounting_request(), accounting_request()
    slow, quick = world.waiting(first), world.waiting(second)
    check_response(world.path.recorded(quick, NOW_S), second)
    check_response(world.path.recorded(slow, NOW_S), first)
    assert world.answer(second) == quick.reply
    world.path.refused(world.waiting(first))
    world.check_silent(accounting_request(secret=b"other"), Discard.BAD_MESSAGE_AUTHENTICATOR)
    assert world.path.in_work == 0


def test_late_accounting_is_recorded_and_answered() -> None:
    """A record is never too late to be true."""
    world = AccountingWorld()
    record = world.record(accounting_request(), arrived_s=NOW_S - 3_600)
    assert record.received_at_s == NOW_S - 3_600


# --- Status-Server --------------------------------------------------------------------------------------------------


def test_r3_2_status_server_is_answered_only_while_accounting_would_be(monkeypatch: pytest.MonkeyPatch) -> None:
    world = AccountingWorld()
    request = status_server()
    assert checked(world.answer(request), request).code == 5  # RFC 5997, 4.2
    assert world.path.status_answered == 1
    world.is_recording = False
    world.check_silent(request, Discard.NOT_RECORDED)
    world.is_recording = True
    monkeypatch.setattr(module, "IN_WORK_MAX", 1)
    waiting = world.waiting(accounting_request())
    world.check_silent(request, Discard.NOT_RECORDED)
    world.path.recorded(waiting, NOW_S)
    assert checked(world.answer(request), request).code == 5
    world.check_silent(status_server(signed=False), Discard.MESSAGE_AUTHENTICATOR_MISSING)
    world.check_silent(status_server(secret=b"other"), Discard.BAD_MESSAGE_AUTHENTICATOR)


# --- room -----------------------------------------------------------------------------------------------------------


def test_r3_3_what_waits_for_the_disk_is_bounded_for_each_source_and_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_WORK_MAX", 5)
    monkeypatch.setattr(module, "IN_WORK_OF_PEER_MAX", 3)
    world = AccountingWorld([nas_row(address="192.0.2.0/24")])

    def ask(last: int, count: int) -> list[object]:
        source = (f"192.0.2.{last}", 9)
        return [world.answer(accounting_request(identifier=number), source=source) for number in range(count)]

    greedy, other, last = ask(1, 6), ask(2, 1), ask(3, 2)
    assert [isinstance(answer, Waiting) for answer in greedy] == [True] * 3 + [False] * 3
    assert greedy[3:] == [Discard.OVERLOAD] * 3
    assert isinstance(other[0], Waiting)
    assert isinstance(last[0], Waiting)
    assert last[1] is Discard.OVERLOAD
    for waiting in (*greedy, *other, *last):
        if isinstance(waiting, Waiting):
            world.path.recorded(waiting, NOW_S)
    assert isinstance(ask(3, 1)[0], Waiting), "what was dropped is recorded when it comes again"


def test_r3_3_in_a_backlog_each_router_gets_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BACKLOG_PER_S", 10)
    world = AccountingWorld([nas_row(address="192.0.2.0/24")])
    sources: list[Source] = [("192.0.2.1", 9), ("192.0.2.2", 9)]
    for source in sources:
        world.record(accounting_request(), source=source)

    def recorded(source: Source, count: int) -> int:
        answers = [
            world.answer(accounting_request(identifier=number), source=source, arrived_s=NOW_S - 1)
            for number in range(count)
        ]
        return sum(isinstance(answer, Waiting) for answer in answers)

    assert recorded(sources[1], 2) == 2
    assert recorded(sources[0], 50) < 12
    assert recorded(sources[1], 2) == 2, "a router that sends little loses nothing by one that floods"
    world.path.tick(NOW_S)
    assert recorded(sources[0], 5) == 5


def test_a_proven_secret_is_told_once_and_then_every_few_minutes() -> None:
    world = AccountingWorld()
    for number in range(10):
        world.record(accounting_request(identifier=number), now_s=NOW_S + 10 * number)
    world.record(accounting_request(), now_s=NOW_S + 301)
    told = world.learned.take()
    assert [type(record) for record in told] == [RouterSeen, RouterSeen]
    (router,) = world.hood.routers.values()
    assert (router.statistics.accounting_heard, router.statistics.proven_at_s) == (11, NOW_S + 301)
    assert router.last_heard_s == NOW_S + 301
