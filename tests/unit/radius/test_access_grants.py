"""The path of a request, the whole decision: administrators, the blocked state, ends, extras, bindings, MS-CHAP."""

import math

import pytest
from access_world import CLASS_KEY, IN_ORDER, NOW_S, NT_HASH, PLANS, World, login, nas_row
from mschap_peer import (
    RECEIVE_KEY,
    SEND_KEY,
    SUCCESS_2,
    attributes_1,
    attributes_2,
    nt_hash,
    of_microsoft,
    session_key,
)
from nas_double import (
    CLASS,
    FRAMED_IP,
    MAC,
    REPLY_MESSAGE,
    SECRET,
    SESSION_TIMEOUT,
    access_request,
    attributes_of,
    chap,
    fresh_authenticator,
    is_signed_with,
    tlv,
    vendor,
)

from aaad.policy.codes import AccessStatus, Credential, Discard, LoginFlag, MppePolicy, Reason
from aaad.policy.facts import LoginExtras, PhaseFacts, PlanFacts, Speed
from aaad.radius.explain import subject_of_name
from aaad.radius.kinds import KINDS
from aaad.radius.reply import ClassSigner
from aaad.replica.record import AdministratorRow
from aaad.spool.records import BindingLearned, Granted, LoginRefused, NameRefused

PREFIX, ROUTE = "2001:db8::/56", "198.51.100.0/24"
WRONG = b"not the password"


def test_the_hash_of_the_tests_login_is_its_passwords() -> None:
    assert nt_hash("wonderland") == NT_HASH


# --- router administrators ------------------------------------------------------------------------------------------

LOGIN_TO_ROUTER = tlv(6, b"\0\0\0\1")
ADMIN = AdministratorRow(4, b"root", b"wonderland", NT_HASH, "full", 0)
ELSEWHERE = AdministratorRow(5, b"remote", b"wonderland", NT_HASH, "read", 2)


def administration(name: bytes = b"root", password: bytes | None = b"wonderland", **more: object) -> bytes:
    """What RouterOS sends when somebody opens Winbox."""
    attributes = LOGIN_TO_ROUTER + more.pop("attributes", b"")
    return access_request(name, password, framed=False, calling_station_id=None, attributes=attributes, **more)


def routers_world(**changes: object) -> World:
    return World(administrators=[ADMIN, ELSEWHERE], **changes)


def subject(name: bytes) -> int:
    return subject_of_name(name, CLASS_KEY)


def test_r2_5_an_administrator_gets_his_group_and_nothing_else() -> None:
    world = routers_world()
    reply = world.check_decided(
        administration(b"ROOT"), Reason.GRANTED_ROUTER_ADMINISTRATOR, subject=subject(b"root")
    )
    assert [kind for kind, _ in reply.attributes] == [CLASS, 26]
    assert reply[26] == vendor(14988, 3, b"full")[2:]
    facts = ClassSigner(CLASS_KEY, node=0, slot=0, serial=0).verify(reply[CLASS])
    assert facts is not None
    assert facts.login_id == facts.contract_id == facts.plan_id == 0
    assert world.explained().reply == (("Mikrotik-Group", "full"),)
    assert world.router.statistics.granted == 1


def test_r2_5_an_administrator_needs_his_password() -> None:
    world = routers_world()
    reply = world.check_decided(administration(password=b"guess"), Reason.WRONG_PASSWORD, subject=subject(b"root"))
    assert reply[REPLY_MESSAGE]
    assert [one.reason for one in world.records() if isinstance(one, NameRefused)] == ["wrong_password"]
    world.check_decided(administration(password=None), Reason.PASSWORD_MISSING, subject=subject(b"root"))


def test_r2_5_an_administrator_proves_himself_by_ms_chap_and_gets_no_session_keys() -> None:
    world = routers_world()
    request = administration(password=None, attributes=attributes_2(b"root", "wonderland"))
    reply = world.check_decided(request, Reason.GRANTED_ROUTER_ADMINISTRATOR, subject=subject(b"root"))
    assert set(of_microsoft(reply.attributes)) == {SUCCESS_2}


def test_r2_5_a_customers_login_opens_no_router_whatever_its_password() -> None:
    world = routers_world()
    replies = [
        world.check_decided(administration(b"alice", password, identifier=number), reason)
        for number, password in enumerate((b"wonderland", b"guess"))
        for reason in (Reason.NOT_FOR_ROUTER_ADMINISTRATION,)
    ]
    assert world.explained().facts == login(nt_hash=b"", password=b"")
    assert [one for one in world.records() if isinstance(one, LoginRefused)] == [
        LoginRefused(1, "not_for_router_administration", int(NOW_S // 60), 2)
    ]
    assert replies[0].attributes == replies[1].attributes


def test_r2_5_and_r3_5_who_is_refused_a_router_is_told_the_same_as_with_a_wrong_password() -> None:
    world = routers_world()
    told = {
        tuple(world.reply(request).attributes)
        for request in (
            administration(b"mallory", identifier=1),
            administration(b"root", b"guess", identifier=2),
            administration(b"alice", identifier=3),
            administration(b"remote", identifier=4),
        )
    }
    assert len(told) == 1


@pytest.mark.parametrize(("name", "reason"), [(b"mallory", Reason.UNKNOWN_LOGIN), (b"remote", Reason.UNKNOWN_LOGIN)])
def test_r2_5_who_is_no_administrator_here_is_unknown(name: bytes, reason: Reason) -> None:
    routers_world().check_decided(administration(name), reason, subject=subject(name))


def test_r2_5_an_administrator_of_one_nas_is_one_there_alone_and_goes_before_all() -> None:
    own = AdministratorRow(6, b"root", b"other", nt_hash("other"), "read", 1)
    world = World(administrators=[ADMIN, own, ELSEWHERE], nases=[nas_row(), nas_row(2, "192.0.2.2/32")])
    away = {"source": ("192.0.2.2", 1)}
    granted = Reason.GRANTED_ROUTER_ADMINISTRATOR
    world.check_decided(administration(b"remote"), granted, subject=subject(b"remote"), **away)
    world.check_decided(administration(b"root"), granted, subject=subject(b"root"), **away)
    reply = world.check_decided(administration(b"root", b"other"), granted, subject=subject(b"root"))
    assert reply[26] == vendor(14988, 3, b"read")[2:]


def test_r2_5_an_administrators_name_is_no_subscriber() -> None:
    world = routers_world()
    world.check_decided(access_request(b"root"), Reason.UNKNOWN_LOGIN, subject=subject(b"root"))


def test_r3_1_an_unknown_administrator_needs_a_complete_replica_and_a_known_one_does_not() -> None:
    world = routers_world(complete=False)
    world.check_silent(administration(b"mallory"), Discard.NO_REPLICA)
    world.check_decided(administration(), Reason.GRANTED_ROUTER_ADMINISTRATOR, subject=subject(b"root"))


def test_r2_5_where_a_kind_cannot_be_told_the_group_nobody_gets_in() -> None:
    world = routers_world(nases=[nas_row(kind="other")])
    world.check_decided(administration(), Reason.NOT_FOR_ROUTER_ADMINISTRATION, subject=subject(b"root"))


@pytest.mark.parametrize("kind", ["cisco", "juniper", "huawei", "other", "accel_ppp"])
def test_r2_5_a_line_of_the_router_itself_is_no_subscribers_without_service_type(kind: str) -> None:
    world = World(nases=[nas_row(kind=kind)])
    line = tlv(61, b"\0\0\0\5") + tlv(87, b"tty2")
    world.check_decided(access_request(framed=False, attributes=line), Reason.NOT_FOR_ROUTER_ADMINISTRATION)


# --- the blocked state and the notice -------------------------------------------------------------------------------

BLOCKED_STATE = {
    "blocked_state": "S",
    "blocked_upload": "128k",
    "blocked_download": "256k",
    "blocked_ipv4_pool": "blocked",
    "blocked_group": "no-ipv6",
    "blocked_address_list": "blocked-list",
}
CUT_OFF = (AccessStatus.BLOCKED_MANUALLY, AccessStatus.BLOCKED_AUTOMATICALLY)


@pytest.mark.parametrize("access", CUT_OFF)
def test_r4_3_a_blocked_login_is_let_into_a_blocked_state_that_is_whole(access: AccessStatus) -> None:
    extras = LoginExtras(routes=(ROUTE,), delegated_ipv6_prefix=PREFIX, attributes=tlv(18, b"hi"))
    world = World({b"alice": login(access_status=access, extras=extras)}, parameters=BLOCKED_STATE)
    world.check_decided(access_request(), Reason.GRANTED_BLOCKED)
    assert world.explained().reply == (
        ("Service-Type", "Framed-User"),
        ("Framed-Protocol", "PPP"),
        ("Mikrotik-Rate-Limit", "128k/256k"),
        ("Mikrotik-Address-List", "blocked-list"),
        ("Mikrotik-Group", "no-ipv6"),
        ("Session-Timeout", "86400"),
        ("Acct-Interim-Interval", "271"),
        ("Framed-Pool", "blocked"),
    )


@pytest.mark.parametrize("access", CUT_OFF)
def test_r4_1_without_the_parameter_a_blocked_login_is_refused(access: AccessStatus) -> None:
    reason = {CUT_OFF[0]: Reason.BLOCKED_MANUALLY, CUT_OFF[1]: Reason.BLOCKED_AUTOMATICALLY}[access]
    World({b"alice": login(access_status=access)}).check_decided(access_request(), reason)


@pytest.mark.parametrize("kind", KINDS)
def test_r4_3_a_blocked_state_without_pool_or_list_is_a_refusal_whatever_the_rate(kind: str) -> None:
    logins = {b"alice": login(access_status=AccessStatus.BLOCKED_MANUALLY)}
    unsaid = {"blocked_state": "S", "blocked_group": "blocked", "blocked_address_list_ipv6": "blocked"}
    if kind != "mikrotik":
        unsaid["blocked_address_list"] = "blocked"
    world = World(logins, nases=[nas_row(kind=kind)], parameters=unsaid)
    world.check_decided(access_request(), Reason.BLOCKED_MANUALLY)
    world.load(nases=[nas_row(kind=kind)], parameters={"blocked_state": "S", "blocked_ipv4_pool": "blocked"})
    assert world.check_decided(access_request(identifier=8), Reason.GRANTED_BLOCKED)[88] == b"blocked"


def test_who_pays_late_gets_all_and_the_notice_list() -> None:
    world = World(
        {b"alice": login(access_status=AccessStatus.PAYMENT_LATE)}, parameters={"notice_address_list": "notice"}
    )
    reply = world.check_decided(access_request(), Reason.GRANTED_WITH_NOTICE)
    assert reply.all(26) == [vendor(14988, 8, b"25M/50M")[2:], vendor(14988, 19, b"notice")[2:]]


# --- ends -----------------------------------------------------------------------------------------------------------


def test_r4_4_prepaid_time_ends_the_session_and_the_journal_says_until_when() -> None:
    world = World({b"alice": login(access_ends_at_s=int(NOW_S) + 3600)})
    reply = world.check_decided(access_request(), Reason.GRANTED)
    assert 3300 <= int.from_bytes(reply[SESSION_TIMEOUT], "big") <= 3600
    assert world.explained().until_s == NOW_S + 3600
    world.check_decided(access_request(identifier=8), Reason.PREPAID_ENDED, now_s=NOW_S + 3600)


def test_a_decision_that_nothing_but_facts_changes_holds_for_ever() -> None:
    world = World()
    world.check_decided(access_request(), Reason.GRANTED)
    assert world.explained().until_s == math.inf


def test_r4_4_a_phase_of_the_plan_ends_no_session() -> None:
    plan = PLANS[0]._replace(session_timeout_s=0, reduced=PhaseFacts((1 << 24) - 1 >> 1, Speed("1M", "2M"), 0))
    world = World(plans=[plan])
    reply = world.check_decided(access_request(), Reason.GRANTED)
    assert reply.all(SESSION_TIMEOUT) == []
    assert NOW_S < world.explained().until_s <= NOW_S + 86_400


# --- what is a login's own ------------------------------------------------------------------------------------------


def test_a_login_with_extras_gets_them() -> None:
    extras = LoginExtras(upload="1M", download="2M", delegated_ipv6_prefix=PREFIX, routes=(ROUTE,))
    world = World({b"alice": login(extras=extras)})
    world.check_decided(access_request(), Reason.GRANTED)
    found = dict(world.explained().reply)
    assert found["Mikrotik-Rate-Limit"] == "1M/2M"
    assert found["Delegated-IPv6-Prefix"] == "2001:db8::/56"
    assert found["Framed-Route"] == "198.51.100.0/24 0.0.0.0 1"
    assert found["Framed-IP-Address"] == "192.0.2.128"
    assert world.explained().facts == login(extras=extras, nt_hash=b"", password=b"")


def test_a_login_with_extras_and_one_without_share_no_template() -> None:
    world = World({b"alice": login(extras=LoginExtras(upload="1M", download="2M")), b"bob": login(login_id=8)})
    for _ in range(2):
        for name, rate in ((b"alice", b"1M/2M"), (b"bob", b"25M/50M")):
            assert world.reply(access_request(name))[26] == vendor(14988, 8, rate)[2:]


def test_r3_1_a_login_whose_extras_cannot_be_said_is_refused_and_nobody_else() -> None:
    bad = login(extras=LoginExtras(routes=("everywhere",)))
    world = World({b"alice": bad, b"bob": login(login_id=8)})
    world.check_decided(access_request(), Reason.RECORD_DAMAGED)
    world.check_decided(access_request(b"bob"), Reason.GRANTED, subject=8)


def test_r3_1_a_reply_over_4096_octets_is_its_own_reason() -> None:
    routes = tuple(f"10.{number >> 8}.{number & 255}.0/24" for number in range(180))
    world = World({b"alice": login(extras=LoginExtras(routes=routes))})
    world.check_decided(access_request(), Reason.REPLY_TOO_LONG)
    assert world.router.statistics.granted == 0


def test_no_key_that_is_given_gets_into_the_journal() -> None:
    key = vendor(14988, 16, b"wireless secret")
    plan = PLANS[0]._replace(attributes=key)
    world = World(plans=[plan])
    reply = world.check_decided(access_request(), Reason.GRANTED)
    assert key[2:] in reply.all(26)
    assert all(b"wireless secret" not in body for _, _, body in world.journal)


# --- kinds, branches, new tables ------------------------------------------------------------------------------------


def test_each_nas_is_answered_in_its_own_attributes() -> None:
    world = World(nases=[nas_row(), nas_row(2, "192.0.2.2/32", kind="accel_ppp")])
    assert world.reply(access_request())[26] == vendor(14988, 8, b"25M/50M")[2:]
    reply = world.reply(access_request(), source=("192.0.2.2", 1))
    assert (reply.all(26), reply[11]) == ([], b"50000/25000")


def test_changed_parameters_and_plans_count_from_the_next_request_on() -> None:
    world = World({b"alice": login(ipv4=0)}, parameters={"ipv4_pool": "first"})
    assert world.reply(access_request())[88] == b"first"
    world.load(parameters={"ipv4_pool": "second"})
    assert world.reply(access_request())[88] == b"second"
    world.load(plans=[PLANS[0]._replace(ipv4_pool="third")], parameters={"ipv4_pool": "second"})
    assert world.reply(access_request())[88] == b"third"


def test_a_wrong_parameter_is_told_and_refuses_nobody() -> None:
    world = World()
    (problem,) = world.load(parameters={"blocked_upload": "fast"})
    assert "blocked_upload" in problem
    world.check_decided(access_request(), Reason.GRANTED)


def test_what_waited_over_a_change_of_its_plan_gets_the_plan_of_now() -> None:
    world = World(must_wait=lambda *_: True)
    pending = world.pending(access_request())
    claimed = pending.decision._replace(grant=pending.decision.grant._replace(ipv4=0xC0000299))
    world.load(plans=[PLANS[0]._replace(speed=Speed("1M", "2M"))])
    world.path.finish(*pending._replace(decision=claimed), NOW_S)
    shown = dict(world.explained().reply)
    assert (shown["Mikrotik-Rate-Limit"], shown["Framed-IP-Address"]) == ("1M/2M", "192.0.2.153")


# --- bindings -------------------------------------------------------------------------------------------------------

ALL_LEARNED = {
    ("mac", MAC.decode()),
    ("nas", "1"),
    ("port", "vlan100"),
    ("circuit", "olt 1/2/3"),
}
LINE = tlv(87, b"vlan100") + vendor(3561, 1, b"olt 1/2/3")
LEARN = LoginFlag.MAC_LEARN | LoginFlag.NAS_LEARN | LoginFlag.PORT_LEARN | LoginFlag.CIRCUIT_LEARN
LEARN_DEFAULT = (
    LoginFlag.MAC_LEARN_DEFAULT
    | LoginFlag.NAS_LEARN_DEFAULT
    | LoginFlag.PORT_LEARN_DEFAULT
    | LoginFlag.CIRCUIT_LEARN_DEFAULT
)
LEARNING = {"mac_learn": "S", "nas_learn": "S", "port_learn": "S", "circuit_learn": "S"}


@pytest.mark.parametrize(
    ("flags", "parameters", "expected"),
    [(LEARN, {}, ALL_LEARNED), (LEARN_DEFAULT, LEARNING, ALL_LEARNED), (LEARN_DEFAULT, {}, set())],
)
def test_bindings_are_learned_from_an_accept(flags: int, parameters: dict[str, str], expected: set) -> None:
    world = World({b"alice": login(flags=IN_ORDER | flags)}, parameters=parameters)
    world.check_decided(access_request(password=WRONG, attributes=LINE, identifier=1), Reason.WRONG_PASSWORD)
    assert not [one for one in world.records() if isinstance(one, BindingLearned)]
    world.check_decided(access_request(attributes=LINE, identifier=2), Reason.GRANTED)
    assert {(one.kind, one.value) for one in world.records() if isinstance(one, BindingLearned)} == expected


BOUND = {
    "MAC": ({"mac": 0xAABBCCDDEE02, "flags": LoginFlag.MAC_BIND}, Reason.DEVICE_NOT_ALLOWED),
    "NAS": ({"nas_id": 2, "flags": LoginFlag.NAS_BIND}, Reason.NAS_NOT_ALLOWED),
    "port": ({"extras": LoginExtras(port_id="vlan7"), "flags": LoginFlag.PORT_BIND}, Reason.PORT_NOT_ALLOWED),
    "circuit": (
        {"extras": LoginExtras(circuit_id="olt 9"), "flags": LoginFlag.CIRCUIT_BIND},
        Reason.CIRCUIT_NOT_ALLOWED,
    ),
}


@pytest.mark.parametrize(("facts", "reason"), BOUND.values(), ids=BOUND.keys())
def test_a_login_that_is_bound_elsewhere_is_refused(facts: dict, reason: Reason) -> None:
    bound = login(**facts | {"flags": IN_ORDER | facts["flags"]})
    World({b"alice": bound}).check_decided(access_request(attributes=LINE), reason)


@pytest.mark.parametrize(
    "line",
    [
        LINE,
        tlv(87, b"vlan100") + vendor(2352, 97, b"olt 1/2/3"),
        tlv(87, b" vlan100 ") + vendor(3561, 1, b"olt 1/2/3 "),
    ],
)
def test_a_login_that_is_bound_here_gets_in(line: bytes) -> None:
    bound = login(
        mac=0xAABBCCDDEE01,
        nas_id=1,
        extras=LoginExtras(port_id="vlan100", circuit_id="olt 1/2/3"),
        flags=IN_ORDER | LoginFlag.MAC_BIND | LoginFlag.NAS_BIND | LoginFlag.PORT_BIND | LoginFlag.CIRCUIT_BIND,
    )
    World({b"alice": bound}).check_decided(access_request(attributes=line), Reason.GRANTED)


def test_a_circuit_that_is_no_text_is_its_digits() -> None:
    bound = login(extras=LoginExtras(circuit_id="0x00ff07"), flags=IN_ORDER | LoginFlag.CIRCUIT_BIND)
    request = access_request(attributes=vendor(3561, 1, b"\x00\xff\x07"))
    World({b"alice": bound}).check_decided(request, Reason.GRANTED)


# --- devices and realms ---------------------------------------------------------------------------------------------

DEVICE = {
    b"box-7": login(flags=IN_ORDER | LoginFlag.IS_MAC_LOGIN, mac=0xAABBCCDDEE01, nt_hash=nt_hash(""), password=b"")
}


@pytest.mark.parametrize("typed", [b"AA:BB:CC:DD:EE:01", b"aabb.ccdd.ee01", b"AABBCC-DDEE01", b"1:aa:bb:cc:dd:ee:1"])
def test_r3_4_a_device_is_found_by_its_address_in_any_form(typed: bytes) -> None:
    World(DEVICE).check_decided(access_request(typed, b" ", framed=False), Reason.GRANTED)


def test_r3_4_a_devices_address_that_somebody_typed_is_no_password() -> None:
    request = access_request(b"AA:BB:CC:DD:EE:01", b" ", calling_station_id=b"AA:BB:CC:DD:EE:09")
    World(DEVICE).check_decided(request, Reason.MAC_LOGIN_FROM_OTHER_DEVICE)


def test_r3_4_a_name_as_typed_goes_before_realms() -> None:
    logins = {b"alice": login(), b"alice@isp": login(login_id=8), b"bob@isp": login(login_id=9)}
    world = World(logins, parameters={"strip_realms": "isp", "default_realm": "isp"})
    for name, login_id in ((b"alice@isp", 8), (b"alice", 1), (b"bob", 9), (b"BOB@ISP", 9)):
        world.check_decided(access_request(name), Reason.GRANTED, subject=login_id)
    world.check_decided(access_request(b"carol@isp"), Reason.UNKNOWN_LOGIN, subject=subject(b"carol@isp"))
    World({b"alice": login()}).check_decided(access_request(b"alice@isp"), Reason.UNKNOWN_LOGIN, subject=None)


# --- MS-CHAP --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signed", [True, False])
def test_a_right_ms_chap_response_gets_its_success_and_keys(signed: bool) -> None:
    world = World(plans=[PLANS[0]._replace(mppe=2)])
    request = access_request(password=None, attributes=attributes_2(b"alice", "wonderland"), signed=signed)
    reply = world.check_decided(request, Reason.GRANTED)
    found = of_microsoft(reply.attributes)
    assert set(found) == {7, 8, SUCCESS_2, SEND_KEY, RECEIVE_KEY}
    assert found[7] == b"\0\0\0\2"
    for kind in (SEND_KEY, RECEIVE_KEY):
        assert len(session_key(found[kind], request[4:20], SECRET)) == 16
    assert world.explained().credential is Credential.RIGHT


@pytest.mark.parametrize(("version", "types"), [(1, 4), (2, 6)])
def test_ms_chap_1_is_offered_128_bits_alone_as_it_has_keys_for_no_other(version: int, types: int) -> None:
    world = World(plans=[PLANS[0]._replace(mppe=MppePolicy.ALLOWED)])
    proof = attributes_1("wonderland") if version == 1 else attributes_2(b"alice", "wonderland")
    reply = world.check_decided(access_request(password=None, attributes=proof), Reason.GRANTED)
    assert of_microsoft(reply.attributes)[8] == types.to_bytes(4, "big")
    assert ("MS-MPPE-Encryption-Type", str(types)) in world.explained().reply


def test_a_copy_under_another_candidate_has_readable_keys() -> None:
    world = World(nases=[nas_row(secret=b"new", secret_previous=SECRET, secret_previous_until_s=NOW_S + 60)])
    request = access_request(password=None, attributes=attributes_2(b"alice", "wonderland"), signed=False)
    first, second = world.reply(request, secret=b"new"), world.reply(request)
    keys = [
        session_key(of_microsoft(reply.attributes)[SEND_KEY], request[4:20], secret)
        for reply, secret in ((first, b"new"), (second, SECRET))
    ]
    assert keys[0] == keys[1]
    assert is_signed_with(world.answer(request), request, b"new")


@pytest.mark.parametrize("attributes", [attributes_1("guess"), attributes_2(b"alice", "guess")], ids=["v1", "v2"])
def test_a_wrong_ms_chap_response_is_told_its_error_beside_the_message(attributes: bytes) -> None:
    world = World()
    reply = world.check_decided(access_request(password=None, attributes=attributes), Reason.WRONG_PASSWORD)
    assert b"E=691 R=0" in of_microsoft(reply.attributes)[2]
    assert reply[REPLY_MESSAGE]


def test_r3_5_ms_chap_never_tells_an_unknown_login_from_a_wrong_password() -> None:
    world = World()
    wrong, unknown = (
        world.reply(access_request(name, None, attributes=attributes_2(name, "guess"), identifier=number))
        for number, name in enumerate((b"alice", b"mallory"))
    )
    assert wrong.attributes == unknown.attributes


def test_no_octet_of_ms_chap_gets_into_the_journal() -> None:
    world = World()
    requests = [
        access_request(password=None, attributes=attributes_2(b"alice", "wonderland"), identifier=1),
        access_request(password=None, attributes=attributes_1("wonderland"), identifier=2),
        access_request(password=None, attributes=attributes_2(b"alice", "guess"), identifier=3),
        access_request(b"mallory", None, attributes=attributes_2(b"mallory", "guess"), identifier=4),
    ]
    hidden = []
    for request in requests:
        reply = world.reply(request)
        hidden += of_microsoft(reply.attributes).values()
        hidden += [value for kind, value in attributes_of(request) if kind == 26]
    written = b"".join(body for _, _, body in world.journal)
    assert len(world.journal) == 4
    assert all(value not in written for value in hidden)
    assert b"a challenge: 16." not in written


# --- what is said ---------------------------------------------------------------------------------------------------


def test_the_journal_says_what_was_answered_and_no_class() -> None:
    world = World()
    reply = world.check_decided(access_request(), Reason.GRANTED)
    assert reply[CLASS]
    assert world.explained().reply == (
        ("Service-Type", "Framed-User"),
        ("Framed-Protocol", "PPP"),
        ("Mikrotik-Rate-Limit", "25M/50M"),
        ("Session-Timeout", "86400"),
        ("Acct-Interim-Interval", "271"),
        ("Framed-IP-Address", "192.0.2.128"),
    )
    world.check_decided(access_request(password=b"wrong"), Reason.WRONG_PASSWORD)
    ((name, text),) = world.explained().reply
    assert (name, bool(text)) == ("Reply-Message", True)


def test_r4_6_a_class_names_the_plan_that_was_granted() -> None:
    late = PlanFacts(6, "late", Speed("1M", "1M"), 0, 0, 0)
    plans = [PLANS[0]._replace(cap_plan_id=6), late]
    world = World({b"alice": login(flags=IN_ORDER | LoginFlag.CAP_REACHED)}, plans=plans)
    reply = world.check_decided(access_request(), Reason.GRANTED_CAP_PLAN)
    facts = ClassSigner(CLASS_KEY, node=0, slot=0, serial=0).verify(reply[CLASS])
    assert facts is not None
    assert (facts.login_id, facts.plan_id, facts.leases) == (1, 6, 0)
    assert reply[FRAMED_IP]


# --- what teaches ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "password", "is_learned"),
    [
        ({"password": None, "signed": False}, b"", False),
        ({"password": b"guess", "signed": False}, b"", False),
        ({"password": None}, b"", True),
        ({"password": b"wonderland", "signed": False}, b"wonderland", True),
    ],
    ids=["forged", "forged, with a password that proves nothing", "signed", "unsigned, with its password"],
)
def test_r3_4_a_request_that_proves_nothing_teaches_no_binding(
    changes: dict, password: bytes, is_learned: bool
) -> None:
    flags = IN_ORDER | LEARN | LoginFlag.IS_MAC_LOGIN
    world = World({b"aabbccddee01": login(flags=flags, mac=0xAABBCCDDEE01, password=password)})
    world.check_decided(access_request(MAC, framed=False, attributes=LINE, **changes), Reason.GRANTED)
    learned = {(one.kind, one.value) for one in world.records() if isinstance(one, BindingLearned)}
    assert learned == (ALL_LEARNED if is_learned else set())


def test_r3_4_a_right_chap_response_teaches_bindings_without_a_signature() -> None:
    world = World({b"alice": login(flags=IN_ORDER | LEARN)})
    authenticator = fresh_authenticator()
    proof = chap(authenticator) + LINE
    request = access_request(password=None, signed=False, authenticator=authenticator, attributes=proof)
    world.check_decided(request, Reason.GRANTED)
    assert {(one.kind, one.value) for one in world.records() if isinstance(one, BindingLearned)} == ALL_LEARNED


# --- what accounting may leave out ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extras", "prefixes"),
    [
        (LoginExtras(ipv6_prefix=PREFIX), (PREFIX, "")),
        (LoginExtras(delegated_ipv6_prefix=PREFIX), ("", PREFIX)),
        (LoginExtras(ipv6_pool="pool6"), None),
        (None, None),
    ],
)
def test_r4_6_prefixes_of_a_logins_own_are_told_with_the_grant_that_its_class_names(
    extras: LoginExtras | None, prefixes: tuple[str, str] | None
) -> None:
    world = World({b"alice": login(extras=extras)})
    reply = world.check_decided(access_request(), Reason.GRANTED)
    told = world.learned.take_grants()
    if prefixes is None:
        assert told == []
        return
    granted = ClassSigner(CLASS_KEY, node=0, slot=0, serial=0).verify(reply[CLASS])
    assert granted is not None
    assert told == [Granted(granted.node, granted.slot, granted.serial, 1, NOW_S, "192.0.2.128", *prefixes)]
    assert world.reply(access_request(password=b"wrong", identifier=8)).code == 3
    assert world.learned.take_grants() == []


def test_a_blocked_customers_own_prefixes_are_not_granted() -> None:
    blocked = login(extras=LoginExtras(ipv6_prefix=PREFIX), access_status=AccessStatus.BLOCKED_MANUALLY)
    world = World({b"alice": blocked}, parameters={"blocked_state": "S", "blocked_address_list": "blocked"})
    world.check_decided(access_request(), Reason.GRANTED_BLOCKED)
    assert world.learned.take_grants() == []
