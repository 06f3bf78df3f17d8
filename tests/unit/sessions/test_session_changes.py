"""Folding a batch: one value per key, whatever the order; what PostgreSQL could never take is found before."""

import random
from math import inf, nan

import pytest

from aaad.errors import SpoolError
from aaad.sessions.changes import KINDS, SAMPLE_MAX, Changes, check, fold
from aaad.spool.records import (
    AddressBound,
    BindingLearned,
    LoginRefused,
    MessageAuthenticatorArmed,
    NameRefused,
    Record,
    RouterSeen,
)

KEY = (1, "192.0.2.1", b"bng-1")


def seen(**changes) -> RouterSeen:
    values = {"nas_id": 1, "source_address": "192.0.2.1", "nas_identifier": b"bng-1"}
    return RouterSeen(**(values | {"local_address": "198.51.100.1", "at_s": 1000.0} | changes))


def armed(**changes) -> MessageAuthenticatorArmed:
    values = {"nas_id": 1, "source_address": "192.0.2.1", "nas_identifier": b"bng-1", "at_s": 1000.0}
    return MessageAuthenticatorArmed(**(values | changes))


def refused(**changes) -> LoginRefused:
    return LoginRefused(**({"login_id": 7, "reason": "wrong_password", "minute": 28_000_000, "count": 2} | changes))


def name_refused(**changes) -> NameRefused:
    values = {"nas_id": 1, "source_address": "192.0.2.1", "nas_identifier": b"bng-1", "reason": "unknown_login"}
    return NameRefused(**(values | {"minute": 28_000_000, "count": 3, "sample": ("jo***",)} | changes))


def binding(**changes) -> BindingLearned:
    values = {"login_id": 7, "kind": "mac", "value": "00:00:5E:00:53:01", "at_s": 1000.0}
    return BindingLearned(**(values | changes))


def bound(**changes) -> AddressBound:
    values = {"node": 1, "slot": 0, "at_s": 1000.0, "address_space": 1, "pool_id": 2, "address": "100.64.0.7/32"}
    return AddressBound(**(values | {"login_id": 7, "device": 2**63 - 1, "nas_id": 1, "valid_s": 86_400} | changes))


GOOD: list[Record] = [
    bound(),
    bound(address="2001:db8::/56", device=0),
    seen(),
    armed(),
    refused(),
    name_refused(),
    binding(),
    seen(local_address=""),
    seen(secret_fingerprint=b"\0" * 8),
    binding(kind="nas", value="7"),
    binding(kind="port", value="vlan 10 olt-1"),
    binding(kind="circuit", value="0x" + "ff" * 247),
]


@pytest.mark.parametrize("record", GOOD, ids=lambda record: type(record).__name__)
def test_what_the_request_path_writes_is_fit(record):
    check(record)
    assert type(record) in KINDS


@pytest.mark.parametrize(
    "record",
    [
        bound(address="100.64.0.7"),
        bound(address="100.64.0.7/24"),
        bound(address="2001:db8::%eth0/64"),
        bound(address_space=0),
        bound(login_id=2**31),
        bound(device=2**63),
        bound(device=-1),
        bound(slot=-1),
        bound(valid_s=0),
        bound(at_s=nan),
        seen(nas_id=0),
        seen(nas_id=2**31),
        seen(source_address=""),
        seen(source_address="not an address"),
        seen(source_address="fe80::1%eth0"),
        seen(local_address="nowhere"),
        seen(nas_identifier=b"x" * 300),
        seen(at_s=nan),
        seen(at_s=inf),
        seen(at_s=-1.0),
        seen(secret_fingerprint=b"1234567"),
        seen(secret_fingerprint=b"s" * 16),
        armed(at_s=1e18),
        armed(nas_id=-1),
        refused(login_id=2**40),
        refused(reason="Drop Table"),
        refused(reason=""),
        refused(minute=2**62),
        refused(count=0),
        refused(count=2**62),
        name_refused(source_address="x"),
        name_refused(reason="\0"),
        binding(kind="ip"),
        binding(value="00:00:00:00:00:00"),
        binding(value="01:00:5E:00:00:01"),
        binding(value="00005e005301"),
        *(binding(kind="nas", value=value) for value in ("", "0", "07", "-1", "2147483648", "bng")),
        *(
            binding(kind=kind, value=value)
            for kind in ("port", "circuit")
            for value in ("", " vlan10", "vlan10\u00a0", "a\0b", "a\x1fb", "x" * 513, "\ud800")
        ),
        binding(login_id=0),
    ],
    ids=repr,
)
def test_what_postgresql_could_never_take_is_unfit(record):
    with pytest.raises(SpoolError):
        check(record)


def test_nothing_changes_nothing():
    assert fold([]) == Changes()


def test_the_latest_sight_of_a_router_counts():
    changes = fold([seen(at_s=5.0), seen(at_s=9.0), seen(at_s=7.0, local_address="")])
    assert changes.seen == {KEY: 9.0}
    assert changes.servers == {(KEY, "198.51.100.1"): 9.0}


def test_r2_2_the_secret_proven_last_counts():
    proofs = [seen(at_s=at_s, secret_fingerprint=b"secret %d" % at_s) for at_s in (5, 9, 7)]
    assert fold([*proofs, seen(at_s=10.0)]).proven == {KEY: (9, b"secret 9")}
    assert fold([seen()]).proven == {}


def test_an_armed_router_is_one_that_was_seen():
    changes = fold([armed(at_s=4.0)])
    assert changes.seen == changes.armed == {KEY: 4.0}
    assert changes.servers == {}


def test_spellings_of_one_address_are_one_router():
    changes = fold([seen(source_address="2001:DB8::1"), seen(source_address="2001:db8:0::1")])
    assert list(changes.seen) == [(1, "2001:db8::1", b"bng-1")]


def test_refusals_add_up_per_login_reason_and_minute():
    records = [refused(), refused(count=5), refused(minute=1), refused(reason="login_inactive"), refused(login_id=8)]
    assert fold(records).refused_logins == {
        (7, "wrong_password", 28_000_000): 7,
        (7, "wrong_password", 1): 2,
        (7, "login_inactive", 28_000_000): 2,
        (8, "wrong_password", 28_000_000): 2,
    }


def test_r3_6_names_add_up_with_a_small_sample():
    records = [name_refused(sample=(f"a{number}***",)) for number in range(20)]
    count, sample = fold(records).refused_names[KEY, "unknown_login", 28_000_000]
    assert count == 60
    assert len(sample) == SAMPLE_MAX


def test_what_an_attacker_typed_fits_a_text_column():
    changes = fold([name_refused(sample=("a\0b\x1fc\n", "x" * 1000))])
    _, sample = changes.refused_names[KEY, "unknown_login", 28_000_000]
    assert sample == {"a?b?c?", "x" * 253}


def test_the_first_device_binds():
    assert fold([binding(), binding(value="00:00:5E:00:53:02")]).bindings == {("mac", 7): "00:00:5E:00:53:01"}


def test_the_order_of_records_does_not_matter():
    records = [*GOOD, seen(at_s=2.0), refused(count=9), name_refused(sample=("b***", "c***")), armed(at_s=1.0)] * 2
    expected = fold(records)
    for number in range(20):
        assert fold(random.Random(number).sample(records, len(records))) == expected
