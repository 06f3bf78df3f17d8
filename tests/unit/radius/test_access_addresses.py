"""Addresses of our own pools on the request path: found, wanted, said, written down (rules R7.2 and R4.3)."""

import pytest
from access_world import IN_ORDER, NOW_S, PLANS, World, login, nas_row
from nas_double import FRAMED_IP, MAC, access_request, checked, tlv

from aaad.policy.codes import AccessStatus, Discard, LoginFlag, Reason
from aaad.policy.decide import is_conditional
from aaad.policy.facts import LoginExtras
from aaad.policy.lease import Lease, device_of, encode_leases
from aaad.pools.want import Lack, Want
from aaad.radius.addresses import Counted
from aaad.radius.simulation import simulate
from aaad.replica.record import ParameterRow, PoolRow, Tables
from aaad.spool.records import Granted

FRAMED_POOL, FRAMED_IPV6_PREFIX, DELEGATED_IPV6_PREFIX, NAS_PORT_ID, CLASS = 88, 97, 123, 87, 25
DEVICE = int(MAC.replace(b":", b""), 16)
FAR_S = int(NOW_S) + 3600


def pool(pool_id: int = 1, name: str = "cgnat", family: str = "ipv4", **changes: object) -> PoolRow:
    values = {"prefix_length": {"ipv4": 32, "ipv6": 64, "delegated": 56}[family], "kind": "radius", "state": "active"}
    values |= {"address_space": 1, "adopting": False, "valid_s": 3600, "reserve_size": 8} | changes
    return PoolRow(pool_id=pool_id, name=name, family=family, **values)


HOME = pool(2, "home", "delegated")


def world(who: dict[str, object] | None = None, **words: object) -> World:
    """Alice has no address of her own; the branch names our pool."""
    facts = login(ipv4=0, **(who or {}))
    words = {"pools": [pool(), HOME], "parameters": {"ipv4_pool": "cgnat"}} | words
    return World({b"alice": facts}, **words)


def leased(address: int = 0x64400005, **changes: object) -> dict[int, bytes]:
    return {1: encode_leases([Lease(1, DEVICE, FAR_S, 4, address, 32)._replace(**changes)])}


def test_r7_2_a_standing_lease_is_said_at_once_and_the_journal_tells_its_pool() -> None:
    w = world(leases=leased())
    reply = w.check_decided(access_request(), Reason.GRANTED)
    assert reply[FRAMED_IP] == bytes((100, 64, 0, 5))
    assert reply.all(FRAMED_POOL) == []
    assert w.explained().pool_ids == (1,)
    assert ("Framed-IP-Address", "100.64.0.5") in w.explained().reply
    assert w.addresses.counts[Counted.STANDING] == 1


@pytest.mark.parametrize(
    "changes",
    [{"device": DEVICE + 1}, {"pool_id": 2}, {"valid_until_s": int(NOW_S) + 60}, {"device": 0}],
    ids=["device", "pool", "over", "unknown device"],
)
def test_r7_2_any_other_lease_is_not(changes: dict[str, int]) -> None:
    want = world(leases=leased(**changes)).wanting(access_request())
    assert (want.login_id, want.device, want.nas_id) == (1, DEVICE, 1)
    assert [(place, wanted.pool_id) for place, wanted in want.missing] == [(0, 1)]


def test_of_several_leases_that_of_the_device_is_said() -> None:
    both = [Lease(1, DEVICE + 1, FAR_S, 4, 1, 32), Lease(1, DEVICE, FAR_S, 4, 0x64400009, 32)]
    w = world(leases={1: encode_leases(both)})
    assert w.reply(access_request())[FRAMED_IP] == bytes((100, 64, 0, 9))


def test_what_waits_is_answered_once_it_is_given_and_copies_join_it() -> None:
    w, request = world(), access_request()
    want = w.wanting(request)
    w.check_silent(request, Discard.DUPLICATE_IN_WORK)
    want.give(0, 1, (0x64400007, 32))
    reply = w.path.leased(want, NOW_S)
    assert checked(reply, request)[FRAMED_IP] == bytes((100, 64, 0, 7))
    assert w.answer(request) == reply
    assert w.counted(Reason.GRANTED) == 1
    assert w.explained().pool_ids == (1,)


def test_which_address_it_is_does_not_change_the_grants_fingerprint_and_the_pool_does() -> None:
    def fingerprint(w: World) -> bytes:
        return w.reply(access_request())[CLASS][26:30]

    one, other = fingerprint(world(leases=leased())), fingerprint(world(leases=leased(0x64400009)))
    elsewhere = world(leases=leased(pool_id=7), pools=[pool(7)])
    assert one == other != fingerprint(elsewhere)


def test_r3_1_nothing_now_is_silence_and_the_next_copy_is_decided_anew() -> None:
    w, request = world(), access_request()
    want = w.wanting(request)
    want.lack(0, Lack.IMPOSSIBLE)
    assert w.path.leased(want, NOW_S) is Discard.CLAIM_IMPOSSIBLE
    assert isinstance(w.answer(request), Want)


def test_r3_1_an_exhausted_pool_is_a_reject_of_its_own() -> None:
    w, request = world(), access_request()
    want = w.wanting(request)
    want.lack(0, Lack.EXHAUSTED)
    assert checked(w.path.leased(want, NOW_S), request).code == 3
    assert (w.counted(Reason.POOL_EXHAUSTED), w.explained().reason) == (1, Reason.POOL_EXHAUSTED)


def test_a_fixed_address_goes_before_any_pool() -> None:
    w = World({b"alice": login()}, pools=[pool()], parameters={"ipv4_pool": "cgnat"}, leases=leased())
    assert w.reply(access_request())[FRAMED_IP] == b"\xc0\x00\x02\x80"


def test_rules_that_changed_meanwhile_keep_the_address() -> None:
    w, request = world(), access_request()
    want = w.wanting(request)
    w.load(plans=[PLANS[0]._replace(name="another")], pools=[pool()], parameters={"ipv4_pool": "told"})
    want.give(0, 1, (0x64400007, 32))
    reply = checked(w.path.leased(want, NOW_S), request)
    assert (reply[FRAMED_IP], reply.all(FRAMED_POOL)) == (bytes((100, 64, 0, 7)), [])


def test_r4_3_who_is_blocked_gets_nothing_of_the_usual_pool_where_he_has_one_of_his_own() -> None:
    walled = {"blocked_state": "S", "blocked_ipv4_pool": "router", "ipv4_pool": "cgnat"}
    w, request = world({"access_status": AccessStatus.BLOCKED_AUTOMATICALLY}, parameters=walled), access_request()
    reply = w.reply(request)
    assert (reply[FRAMED_POOL], reply.all(FRAMED_IP)) == (b"router", [])


def test_r5_4_who_must_wait_for_other_sessions_waits_for_his_address_behind_that() -> None:
    w, request = world(must_wait=lambda login, grant: True), access_request()
    pending = w.pending(request)
    want = w.path.finish(*pending, NOW_S)
    assert isinstance(want, Want)
    want.give(0, 1, (0x64400007, 32))
    assert checked(w.path.leased(want, NOW_S), request)[FRAMED_IP] == bytes((100, 64, 0, 7))


def test_r5_4_who_is_refused_for_his_other_session_takes_no_address() -> None:
    w, request = world(must_wait=lambda login, grant: True), access_request()
    pending = w.pending(request)
    refused = pending._replace(decision=pending.decision._replace(reason=Reason.IN_USE_ELSEWHERE, grant=None))
    assert checked(w.path.finish(*refused, NOW_S), request).code == 3


# --- prefixes -------------------------------------------------------------------------------------------------------

PREFIX = 0x20010DB8 << 96 | 0x0100 << 64


def test_complaint_33_accounting_is_told_which_prefix_was_given() -> None:
    w, request = world(parameters={"ipv4_pool": "cgnat", "delegated_ipv6_pool": "home"}), access_request()
    want = w.wanting(request)
    assert [place for place, _ in want.missing] == [0, 2]
    want.give(0, 1, (0x64400007, 32))
    want.give(2, 2, (PREFIX, 56))
    reply = checked(w.path.leased(want, NOW_S), request)
    assert reply[DELEGATED_IPV6_PREFIX] == bytes((0, 56)) + bytes.fromhex("20010db8000001")
    (told,) = w.learned.take_grants()
    assert told == Granted(3, 1, told.serial, 1, NOW_S, "100.64.0.7", "", "2001:db8:0:100::/56")
    assert w.explained().pool_ids == (1, 2)


def test_a_prefix_that_cannot_be_had_refuses_nobody() -> None:
    w, request = world(parameters={"ipv4_pool": "cgnat", "delegated_ipv6_pool": "home"}), access_request()
    want = w.wanting(request)
    want.give(0, 1, (0x64400007, 32))
    want.lack(2, Lack.EXHAUSTED)
    reply = checked(w.path.leased(want, NOW_S), request)
    assert (reply.code, reply.all(DELEGATED_IPV6_PREFIX)) == (2, [])
    assert w.addresses.counts[Counted.WITHOUT_IPV6] == 1


def test_a_login_of_its_own_pools_and_prefix() -> None:
    extras = LoginExtras(ipv4_pool="home", ipv6_pool="told", delegated_ipv6_prefix="2001:db8:ffff::/56")
    w = world({"extras": extras})
    want = w.wanting(access_request())
    assert [(place, wanted.name) for place, wanted in want.missing] == [(0, "cgnat")], "home is no pool of addresses"
    assert is_conditional(login(extras=extras))


# --- the blocked state ----------------------------------------------------------------------------------------------

WALLED = {"blocked_state": "S", "blocked_ipv4_pool": "walled", "blocked_address_list": "debt", "ipv4_pool": "cgnat"}
BLOCKED = {"access_status": AccessStatus.BLOCKED_AUTOMATICALLY}


def blocked(**words: object) -> tuple[World, bytes, Want]:
    w, request = world(**{"pools": [pool(), pool(5, "walled")], "parameters": WALLED} | words), access_request()
    return w, request, w.wanting(request)


def test_r4_3_a_full_pool_of_blocked_addresses_falls_back_to_the_usual_one() -> None:
    w, request, want = blocked(who=BLOCKED)
    assert [wanted.name for _, wanted in want.missing] == ["walled"]
    want.lack(0, Lack.EXHAUSTED)
    assert w.path.leased(want, NOW_S) is want
    assert [wanted.name for _, wanted in want.missing] == ["cgnat"]
    want.give(0, 1, (0x64400007, 32))
    reply = checked(w.path.leased(want, NOW_S), request)
    assert reply[FRAMED_IP] == bytes((100, 64, 0, 7))
    assert any(b"debt" in value for value in reply.all(26))
    assert w.addresses.counts[Counted.BLOCKED_FULL] == 1


def test_r4_3_the_normal_lease_is_said_at_once_if_it_stands() -> None:
    w, request, want = blocked(who=BLOCKED, leases=leased())
    want.lack(0, Lack.IMPOSSIBLE)
    assert checked(w.path.leased(want, NOW_S), request)[FRAMED_IP] == bytes((100, 64, 0, 5))


def test_r4_3_the_fallback_is_the_logins_own_address_or_a_pool_of_the_concentrator() -> None:
    w, request, want = blocked(who=BLOCKED | {"extras": LoginExtras(ipv4_pool="routers")})
    want.lack(0, Lack.EXHAUSTED)
    reply = checked(w.path.leased(want, NOW_S), request)
    assert (reply[FRAMED_POOL], reply.all(FRAMED_IP)) == (b"routers", [])
    w = World({b"alice": login(**BLOCKED)}, pools=[pool(), pool(5, "walled")], parameters=WALLED)
    want = w.wanting(request := access_request())
    want.lack(0, Lack.EXHAUSTED)
    assert checked(w.path.leased(want, NOW_S), request)[FRAMED_IP] == b"\xc0\x00\x02\x80"


def test_r3_1_pool_and_fallback_exhausted_is_a_refusal() -> None:
    w, request, want = blocked(who=BLOCKED)
    for _ in range(2):
        want.lack(0, Lack.EXHAUSTED)
        answer = w.path.leased(want, NOW_S)
    assert checked(answer, request).code == 3
    assert w.counted(Reason.POOL_EXHAUSTED) == 1


# --- where and who --------------------------------------------------------------------------------------------------


def test_a_nas_names_pools_and_its_address_space() -> None:
    there = pool(6, "theirs", address_space=7)
    w = world(pools=[pool(), there], nases=[nas_row(address_space=7, ipv4_pool="theirs")], parameters={})
    assert [wanted.pool_id for _, wanted in w.wanting(access_request()).missing] == [6]
    w = world(pools=[pool(), there], nases=[nas_row(ipv4_pool="theirs")], parameters={})
    assert w.reply(access_request())[FRAMED_POOL] == b"theirs", "in its own space there is no such pool"


def test_a_plan_goes_before_the_nas() -> None:
    plan = PLANS[0]._replace(ipv4_pool="cgnat")
    w = world(nases=[nas_row(ipv4_pool="routers")], plans=[plan], parameters={})
    assert [wanted.name for _, wanted in w.wanting(access_request()).missing] == ["cgnat"]


@pytest.mark.parametrize("calling", [b"02-00-00-00-00-01", b"020000000001", b"1:2:0:0:0:0:1", b"0200.0000.0001"])
def test_a_device_is_told_in_any_form(calling: bytes) -> None:
    assert world().wanting(access_request(calling_station_id=calling)).device == 0x020000000001


def test_a_device_without_an_address_of_its_own_is_told_by_what_it_says_or_by_its_port() -> None:
    said = world().wanting(access_request(calling_station_id=b"sip:alice")).device
    assert said == device_of(0, "sip:alice", 1, "")
    port = world().wanting(access_request(calling_station_id=None, attributes=tlv(NAS_PORT_ID, b"vlan7"))).device
    assert port == device_of(0, "", 1, "vlan7")
    assert world().wanting(access_request(calling_station_id=None)).device == 0


def test_problems_of_names_are_told_once() -> None:
    w = world(loaded=False)
    problems = w.load(
        pools=[pool(), HOME], parameters={"ipv4_pool": "home"}, nases=[nas_row(), nas_row(2, "192.0.2.2/32")]
    )
    assert problems == ["pool home is of family delegated and named for ipv4"]


def test_a_simulation_names_the_pools_and_takes_nothing() -> None:
    facts = login(ipv4=0, flags=IN_ORDER | LoginFlag.CONDITIONAL, extras=LoginExtras(delegated_ipv6_pool="home"))
    tables = Tables(
        1, [nas_row()], [], PLANS, [ParameterRow("ipv4_pool", 0, "cgnat")], b"k" * 16, 3, pools=[pool(), HOME]
    )
    found = simulate(tables, facts, now_s=NOW_S, utc_offset_s=lambda zone, at_s: 0, nas_id=1)
    assert found.pools == ["cgnat", "home"]
    assert not any(name.startswith("Framed-IP") for name, _ in found.attributes)
