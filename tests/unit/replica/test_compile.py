"""Rows become records; a row that cannot is marked and hurts nobody else."""

from datetime import UTC, date, datetime
from hashlib import md5
from ipaddress import IPv4Address, IPv4Interface, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaad.errors import ReplicaError
from aaad.policy.codes import AccessStatus, ContractStatus, LoginFlag
from aaad.policy.facts import LoginExtras
from aaad.replica import compile as compiling
from aaad.replica.compile import compile_login, facts_of, md4_pure, nt_hash
from aaad.replica.record import decode, login_id_of

ROW: dict[str, object] = {
    "login_id": 7,
    "contract_id": 8,
    "client_id": 9,
    "plan_id": 10,
    "branch_id": 11,
    "name": "Joe@Provider",
    "password": "clientPass",
    "password_md5": False,
    "login_active": True,
    "deleted": False,
    "client_active": True,
    "suspended": False,
    "contract_status": "A",
    "access_status": "FA",
    "ipv4": IPv4Address("100.64.1.2"),
    "mac": None,
    "auto_fill_mac": "N",
    "bind_mac": "P",
    "nas_id": None,
    "auto_fill_nas": "N",
    "bind_nas": "P",
    "port_id": None,
    "auto_fill_port": "N",
    "bind_port": "P",
    "circuit_id": None,
    "contest_until": None,
    "contest_mac": None,
    "auto_fill_circuit": "N",
    "bind_circuit": "P",
    "mac_login": False,
    "hours": 0,
    "cap_reached": False,
    "suspended_from": None,
    "suspended_until": None,
    "oldest_open_due": None,
    "not_reduced_until": None,
    "access_ends_at": None,
    "trust_unlock_active": False,
    "trust_unlock_until": None,
    "late_speed": "P",
    "speed_status": "N",
    "upload": None,
    "download": None,
    "ipv4_pool": None,
    "ipv6_pool": None,
    "delegated_ipv6_pool": None,
    "ipv6_prefix": None,
    "delegated_ipv6_prefix": None,
    "routes": [],
    "address_list": None,
    "address_list_ipv6": None,
    "dns": [],
    "attributes": None,
    "digest": -2,
}


BOUND_AS_THE_BRANCH_SAYS = (
    LoginFlag.MAC_BIND_DEFAULT
    | LoginFlag.NAS_BIND_DEFAULT
    | LoginFlag.PORT_BIND_DEFAULT
    | LoginFlag.CIRCUIT_BIND_DEFAULT
)


def test_a_row_becomes_a_record() -> None:
    compiled = compile_login(ROW)
    assert compiled.problem == ""
    assert (compiled.login_id, compiled.name, compiled.digest) == (7, b"joe@provider", 2**64 - 2)
    facts = decode(compiled.record)
    assert (facts.login_id, facts.contract_id, facts.client_id, facts.plan_id, facts.branch_id) == (7, 8, 9, 10, 11)
    assert facts.flags == LoginFlag.LOGIN_ACTIVE | LoginFlag.CLIENT_ACTIVE | BOUND_AS_THE_BRANCH_SAYS
    assert facts.extras is None
    assert (facts.contract_status, facts.access_status) == (ContractStatus.ACTIVE, AccessStatus.PAYMENT_LATE)
    assert facts.ipv4 == 0x64400102
    assert (facts.password, facts.nt_hash) == (b"clientPass", nt_hash("clientPass"))
    assert "clientPass" not in repr(compiled) + repr(facts)


@pytest.mark.parametrize(
    ("changed", "flag"),
    [
        ({"deleted": True}, LoginFlag.LOGIN_DELETED),
        ({"suspended": True}, LoginFlag.CONTRACT_SUSPENDED),
        ({"mac_login": True}, LoginFlag.IS_MAC_LOGIN),
        ({"trust_unlock_active": True}, LoginFlag.ON_TRUST),
        ({"cap_reached": True}, LoginFlag.CAP_REACHED),
        ({"speed_status": "R"}, LoginFlag.SPEED_REDUCED),
        ({"late_speed": "N"}, LoginFlag.NEVER_REDUCED),
        ({"bind_mac": "S"}, LoginFlag.MAC_BIND),
        ({"bind_nas": "S"}, LoginFlag.NAS_BIND),
        ({"bind_port": "S"}, LoginFlag.PORT_BIND),
        ({"bind_circuit": "S"}, LoginFlag.CIRCUIT_BIND),
        ({"auto_fill_mac": "S"}, LoginFlag.MAC_LEARN),
        ({"auto_fill_mac": "P"}, LoginFlag.MAC_LEARN_DEFAULT),
        ({"auto_fill_nas": "S"}, LoginFlag.NAS_LEARN),
        ({"auto_fill_nas": "P"}, LoginFlag.NAS_LEARN_DEFAULT),
        ({"auto_fill_port": "S"}, LoginFlag.PORT_LEARN),
        ({"auto_fill_port": "P"}, LoginFlag.PORT_LEARN_DEFAULT),
        ({"auto_fill_circuit": "S"}, LoginFlag.CIRCUIT_LEARN),
        ({"auto_fill_circuit": "P"}, LoginFlag.CIRCUIT_LEARN_DEFAULT),
    ],
)
def test_flags_are_set(changed: dict[str, object], flag: LoginFlag) -> None:
    assert decode(compile_login(ROW | changed).record).flags & flag


@pytest.mark.parametrize(
    ("changed", "flag"),
    [
        ({"login_active": False}, LoginFlag.LOGIN_ACTIVE),
        ({"client_active": False}, LoginFlag.CLIENT_ACTIVE),
        ({"auto_fill_mac": "S", "mac": "AA:BB:CC:DD:EE:FF"}, LoginFlag.MAC_LEARN),
        ({"auto_fill_nas": "P", "nas_id": 3}, LoginFlag.NAS_LEARN_DEFAULT),
        ({"auto_fill_port": "S", "port_id": "p"}, LoginFlag.PORT_LEARN),
        ({"auto_fill_circuit": "P", "circuit_id": "c"}, LoginFlag.CIRCUIT_LEARN_DEFAULT),
        ({"bind_mac": "N"}, LoginFlag.MAC_BIND | LoginFlag.MAC_BIND_DEFAULT),
        ({"late_speed": "S"}, LoginFlag.NEVER_REDUCED),
        ({}, LoginFlag.CONDITIONAL),
        ({"bind_mac": "N", "mac": "AA:BB:CC:DD:EE:FF"}, LoginFlag.CONDITIONAL),
        ({"auto_fill_mac": "P"}, LoginFlag.CONDITIONAL),
    ],
)
def test_flags_are_not_set(changed: dict[str, object], flag: LoginFlag) -> None:
    assert not decode(compile_login(ROW | changed).record).flags & flag


def test_a_stored_md5_has_no_nt_hash() -> None:
    digest = md5(b"secret").digest()
    facts = decode(compile_login(ROW | {"password": digest.hex(), "password_md5": True}).record)
    assert (facts.password, facts.nt_hash) == (digest, b"")
    assert facts.flags & LoginFlag.PASSWORD_IS_MD5


@pytest.mark.parametrize(
    ("ipv4", "number"),
    [
        (None, 0),
        (IPv4Interface("10.0.0.1/24"), 0x0A000001),
        ("10.0.0.1/32", 0x0A000001),
    ],
)
def test_addresses_are_numbers(ipv4: object, number: int) -> None:
    assert decode(compile_login(ROW | {"ipv4": ipv4}).record).ipv4 == number


def test_what_may_be_missing() -> None:
    facts = decode(compile_login(ROW | {"plan_id": None, "branch_id": None, "password": None}).record)
    assert (facts.plan_id, facts.branch_id, facts.password) == (0, 0, b"")


@pytest.mark.parametrize(
    ("changed", "field", "value"),
    [
        ({"mac": "AA:BB:CC:DD:EE:0F"}, "mac", 0xAABBCCDDEE0F),
        ({"nas_id": 3}, "nas_id", 3),
        ({"hours": 0xFFF000}, "hours", 0xFFF000),
        ({"oldest_open_due": date(2026, 7, 10)}, "oldest_due_day", 20644),
        ({"access_ends_at": datetime(2026, 7, 11, 3, 0, 0, 5, tzinfo=UTC)}, "access_ends_at_s", 1783738801),
        ({"port_id": "vlan 10"}, "extras", LoginExtras(port_id="vlan 10")),
        ({"upload": "5M", "download": "9M"}, "extras", LoginExtras(upload="5M", download="9M")),
        ({"ipv6_prefix": "2001:db8::/64"}, "extras", LoginExtras(ipv6_prefix="2001:db8::/64")),
        ({"routes": ["10.0.0.0/24"]}, "extras", LoginExtras(routes=("10.0.0.0/24",))),
        ({"dns": ["192.0.2.1/32", "2001:db8::1"]}, "extras", LoginExtras(dns=("192.0.2.1", "2001:db8::1"))),
        ({"attributes": b"\x0b\x03x"}, "extras", LoginExtras(attributes=b"\x0b\x03x")),
    ],
)
def test_what_only_some_logins_have_is_compiled(changed: dict[str, object], field: str, value: object) -> None:
    facts = decode(compile_login(ROW | changed).record)
    assert getattr(facts, field) == value
    # An open receivable has a way of its own in `decide`.
    assert bool(facts.flags & LoginFlag.CONDITIONAL) == (field != "oldest_due_day")


def test_days_and_instants_that_decide_only_with_others() -> None:
    row = ROW | {
        "suspended_from": date(1970, 1, 2),
        "suspended_until": date(2099, 12, 31),
        "not_reduced_until": date(2026, 1, 1),
        "trust_unlock_until": datetime(2026, 1, 1, tzinfo=UTC),
    }
    facts = decode(compile_login(row).record)
    assert (facts.suspended_from_day, facts.suspended_until_day, facts.not_reduced_until_day) == (1, 47481, 20454)
    assert facts.trust_until_s == 1767225600


@pytest.mark.parametrize(
    "changed",
    [
        {"auto_fill_mac": True},
        {"bind_nas": "X"},
        {"late_speed": None},
        {"mac": "AA:BB"},
        {"mac": "ZZ:BB:CC:DD:EE:FF"},
        {"suspended_from": date(1969, 12, 31)},
        {"access_ends_at": datetime(9999, 12, 31, tzinfo=UTC)},
        {"attributes": bytes(5000)},
        {"attributes": b"\x0b\x03x" + b"\x1a\x0f\0\0\x3a\x8c\x10\x09hushhus"},  # Mikrotik-Wireless-PSK
        {"contract_status": "?"},
        {"access_status": None},
        {"password_md5": True},
        {"password_md5": True, "password": "00"},
        {"password": "\ud800"},
        {"ipv4": IPv6Address("::1")},
        {"ipv4": "nonsense"},
        {"plan_id": -1},
        {"contract_id": 2**40},
    ],
)
def test_a_row_that_cannot_be_compiled_is_marked(changed: dict[str, object]) -> None:
    compiled = compile_login(ROW | changed)
    assert compiled.problem
    assert compiled.name == b"joe@provider"
    assert login_id_of(compiled.record) == 7
    assert facts_of(compiled.record) is None
    with pytest.raises(ReplicaError):
        decode(compiled.record)
    for value in changed.values():
        assert repr(value) not in compiled.problem  # it may be a password


@pytest.mark.parametrize("name", ["", None, "x" * 254, "\ud800"])
def test_a_login_without_a_usable_name_is_left_out(name: str | None) -> None:
    compiled = compile_login(ROW | {"name": name})
    assert compiled.problem.startswith("name:")
    assert (compiled.name, compiled.record, compiled.digest) == (b"", b"", 2**64 - 2)


@pytest.mark.parametrize(
    ("password", "expected"),
    [  # RFC 2433, B.1 and network.md's vectors
        ("MyPw", "fc156af7edcd6c0edde3337d427f4eac"),
        ("testing_123", "fa782604f85eb3564f555648341b53e4"),
        ("clientPass", "44ebba8d5312b8d611474411f56989ae"),
        ("", "31d6cfe0d16ae931b73c59d7e0c089c0"),
    ],
)
def test_nt_hashes(password: str, expected: str) -> None:
    assert nt_hash(password).hex() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [  # RFC 1320, A.5
        (b"", "31d6cfe0d16ae931b73c59d7e0c089c0"),
        (b"a", "bde52cb31de33e46245e05fbdbd6fb24"),
        (b"abc", "a448017aaf21d8525fc10ae87aa6729d"),
        (b"message digest", "d9130a8164549fe818874806e1c7014b"),
        (b"abcdefghijklmnopqrstuvwxyz", "d79e1c308aa5bbcdeea8ed63df412da9"),
        (b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "043f8582f241db351ce627e153e7f0e4"),
        (b"1234567890" * 8, "e33b4ddc9c38f2199c3e7b164fcc0536"),
    ],
)
def test_md4(text: bytes, expected: str) -> None:
    assert md4_pure(text).hex() == expected
    assert compiling.md4(text).hex() == expected


@given(st.binary(max_size=300))
def test_both_md4_agree(data: bytes) -> None:
    assert compiling.md4(data) == md4_pure(data)


values = st.one_of(
    st.none(), st.text(max_size=300), st.integers(-(2**70), 2**70), st.booleans(), st.binary(max_size=8)
)


@given(st.dictionaries(st.sampled_from(sorted(set(ROW) - {"login_id", "digest"})), values))
def test_no_row_stops_the_feed(changed: dict[str, object]) -> None:
    compiled = compile_login(ROW | changed)
    assert compiled.login_id == 7
    assert (facts_of(compiled.record) is not None) == (compiled.problem == "")
