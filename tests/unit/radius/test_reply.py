"""Replies: exact octets of a plan, Class by rule R4.6, a fingerprint that is equal when the grant is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nas_double import tlv, vendor

from aaad.policy.facts import PlanFacts
from aaad.policy.grant import Grant
from aaad.radius.reply import (
    CLASS_SIZE,
    ClassFacts,
    ClassSigner,
    accept_attributes,
    compile_plan,
    grant_fingerprint,
    reject_attributes,
)

KEY = b"k" * 16
numbers = st.integers(0, 2**31 - 1)


def plan(**changes: object) -> PlanFacts:
    """A plan, with changes."""
    return PlanFacts(5, "50 mega", "25M", "50M", 0, 0, 0)._replace(**changes)


def signer(key: bytes = KEY, *, node: int = 3, slot: int = 1, serial: int = 1000) -> ClassSigner:
    """What signs Class values, with changes."""
    return ClassSigner(key, node=node, slot=slot, serial=serial)


RATE = vendor(14988, 8, b"25M/50M")
PPP = tlv(6, b"\0\0\0\2") + tlv(7, b"\0\0\0\1")


@pytest.mark.parametrize(
    ("changes", "common"),
    [
        ({}, RATE),
        ({"interim_interval_s": 300}, RATE + tlv(85, b"\0\0\x01\x2c")),
        ({"session_timeout_s": 86400}, RATE + tlv(27, b"\0\x01\x51\x80")),
        ({"idle_timeout_s": 600}, RATE + tlv(28, b"\0\0\x02\x58")),
        (
            {"interim_interval_s": 60, "session_timeout_s": 1, "idle_timeout_s": 2**32 - 1},
            RATE + tlv(85, b"\0\0\0\x3c") + tlv(27, b"\0\0\0\1") + tlv(28, b"\xff" * 4),
        ),
        ({"upload": "512k", "download": "1000M"}, vendor(14988, 8, b"512k/1000M")),
    ],
)
def test_a_plan_is_these_octets(changes: dict[str, object], common: bytes) -> None:
    compiled = compile_plan(plan(**changes))
    assert compiled.other == common
    assert compiled.ppp == PPP + common


def test_upload_stands_before_download_as_the_router_sees_it() -> None:
    assert b"1M/9M" in compile_plan(plan(upload="1M", download="9M")).other


@pytest.mark.parametrize(
    "changes",
    [
        {"session_timeout_s": 2**32},
        {"interim_interval_s": -1},
        {"upload": "9" * 240, "download": "9" * 240},
    ],
)
def test_a_plan_that_does_not_fit_is_an_error_of_that_plan(changes: dict[str, object]) -> None:
    with pytest.raises((ValueError, OverflowError)):
        compile_plan(plan(**changes))


def test_an_accept_has_the_address_only_if_there_is_one() -> None:
    compiled = compile_plan(plan())
    assert accept_attributes(compiled, Grant(plan(), 0), True) == PPP + RATE
    assert accept_attributes(compiled, Grant(plan(), 0xC0000201), True) == PPP + RATE + tlv(8, b"\xc0\0\x02\1")
    assert accept_attributes(compiled, Grant(plan(), 1), False) == RATE + tlv(8, b"\0\0\0\1")


@given(numbers, numbers, numbers, st.integers(0, 2**32 - 1), numbers, st.integers(0, 255))
def test_r4_6_a_class_says_what_was_granted(
    login: int, contract: int, plan_id: int, fingerprint: int, node: int, slot: int
) -> None:
    made = signer(node=node, slot=slot).class_attribute(login, contract, plan_id, fingerprint)
    assert made[0] == 25
    assert made[1] == len(made) == CLASS_SIZE + 2
    assert signer(node=9, slot=9).verify(made[2:]) == ClassFacts(
        version=1,
        slot=slot,
        node=node,
        serial=1001,
        login_id=login,
        contract_id=contract,
        plan_id=plan_id,
        fingerprint=fingerprint,
        leases=0,
    )


def test_r4_6_a_class_has_at_most_60_octets() -> None:
    assert CLASS_SIZE <= 60


def test_every_class_has_a_serial_of_its_own() -> None:
    ours = signer()
    made = [ours.verify(ours.class_attribute(1, 2, 3, 4)[2:]) for _ in range(100)]
    assert [facts.serial for facts in made if facts] == list(range(1001, 1101))


def test_a_forged_class_is_refused() -> None:
    genuine = signer().class_attribute(1, 2, 3, 4)[2:]
    for place in range(len(genuine)):
        for bit in range(8):
            forged = bytearray(genuine)
            forged[place] ^= 1 << bit
            assert signer().verify(bytes(forged)) is None


@pytest.mark.parametrize("value", [b"", b"x", bytes(CLASS_SIZE), bytes(CLASS_SIZE - 1), bytes(253)])
def test_what_was_never_a_class_of_ours_is_refused(value: bytes) -> None:
    assert signer().verify(value) is None


def test_the_class_of_another_cluster_is_refused() -> None:
    assert signer().verify(signer(b"K" * 16).class_attribute(1, 2, 3, 4)[2:]) is None
    genuine = signer().class_attribute(1, 2, 3, 4)[2:]
    assert signer().verify(genuine + b"x") is None
    assert signer().verify(genuine[:-1]) is None


VARIANTS = {
    "as it is": Grant(plan(), 1),
    "other address": Grant(plan(), 2),
    "no address": Grant(plan(), 0),
    "high address": Grant(plan(), 0xFFFFFFFF),
    "other upload": Grant(plan(upload="26M"), 1),
    "other download": Grant(plan(download="51M"), 1),
    "exchanged": Grant(plan(upload="50M", download="25M"), 1),
    "interim": Grant(plan(interim_interval_s=300), 1),
    "session timeout": Grant(plan(session_timeout_s=300), 1),
    "idle timeout": Grant(plan(idle_timeout_s=300), 1),
}


def fingerprint(grant: Grant) -> int:
    return grant_fingerprint(compile_plan(grant.plan), grant)


def test_the_fingerprint_differs_when_the_grant_does() -> None:
    assert len({fingerprint(grant) for grant in VARIANTS.values()}) == len(VARIANTS)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_of_one_plan_every_address_has_a_fingerprint_of_its_own(one: int, other: int) -> None:
    assert (fingerprint(Grant(plan(), one)) == fingerprint(Grant(plan(), other))) == (one == other)


@pytest.mark.parametrize("grant", VARIANTS.values(), ids=VARIANTS.keys())
def test_the_fingerprint_is_equal_when_what_is_given_is(grant: Grant) -> None:
    renamed = Grant(grant.plan._replace(plan_id=77, name="another name"), grant.ipv4)
    assert fingerprint(renamed) == fingerprint(grant)
    assert 0 <= fingerprint(grant) < 2**32


def test_a_reject_says_its_text_and_nothing_for_no_text() -> None:
    assert reject_attributes("Não") == tlv(18, "Não".encode())
    assert reject_attributes("") == b""


def test_a_text_that_is_too_long_ends_with_a_whole_letter() -> None:
    assert reject_attributes("a" * 252 + "ção") == tlv(18, b"a" * 252)
    assert reject_attributes("a" * 300) == tlv(18, b"a" * 253)


def test_the_key_shows_nowhere() -> None:
    assert "kkk" not in repr(signer())
    assert repr(signer()) == "ClassSigner(node=3, slot=1)"
