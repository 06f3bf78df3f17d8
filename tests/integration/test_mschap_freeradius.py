"""MS-CHAP as FreeRADIUS sees it: over random logins both say the same of right and wrong, and of every key."""

import random
import string
from collections.abc import Iterator
from typing import NamedTuple

import freeradius_oracle
import pytest
from mschap_peer import (
    MPPE_KEYS,
    RECEIVE_KEY,
    SEND_KEY,
    SUCCESS_2,
    nt_hash,
    of_microsoft,
    response_1,
    response_2,
    session_key,
    shown,
)
from nas_double import SECRET, attributes_of, packet, tlv, vendor

from aaad.radius import mschap
from aaad.radius.integrity import SecretKeys
from aaad.radius.layout import Layout
from aaad.radius.mschap import Verified, Verifier, find

CASES, CASES_OF_VERSION_1 = 1_000, 200
KEYS = SecretKeys(SECRET)
LETTERS = string.ascii_letters + string.digits
SIGNS = LETTERS + string.punctuation.replace("%", "") + " áéíóúãõçÁÉÃÕÇñß€Ж"

pytestmark = pytest.mark.skipif(freeradius_oracle.PROGRAM is None, reason="FreeRADIUS is not installed: NOT COMPARED")


class Case(NamedTuple):
    """One login, as it was typed at the customer's device."""

    name: str
    password: str
    request: bytes
    request_with_a_wrong_password: bytes


def made(dice: random.Random, number: int, version: int) -> Case:
    """A random login: some with a domain, names in any case, passwords of letters that need more than ASCII."""
    name = "".join(dice.choices(LETTERS, k=dice.randint(1, 20))) + str(number)
    typed = f"Provedor{dice.randint(1, 9)}\\{name}" if dice.random() < 0.2 else name
    password = "".join(dice.choices(SIGNS, k=dice.randint(1, 30)))
    requests = []
    for tried in (password, password + "x"):
        identifier = dice.randint(0, 255)
        if version == 1:
            challenge = dice.randbytes(8)
            response = vendor(311, 1, response_1(tried, challenge, identifier=identifier))
        else:
            challenge = dice.randbytes(16)
            value = response_2(name.encode(), tried, challenge, dice.randbytes(16), identifier=identifier)
            response = vendor(311, 25, value)
        attributes = tlv(1, typed.encode()) + vendor(311, 11, challenge) + response
        requests.append(packet(1, 0, dice.randbytes(16), attributes))
    return Case(typed, password, requests[0], requests[1])


def verified_by_us(case: Case, request: bytes) -> Verified | None:
    handshake = find(request, Layout(request, len(request)).microsoft)
    assert handshake is not None
    return Verifier(1).verify(handshake, case.name.encode(), nt_hash(case.password))


class Compared(NamedTuple):
    """Cases of one version with FreeRADIUS's replies."""

    cases: list[Case]
    replies: list[bytes]
    replies_to_wrong_ones: list[bytes]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Compared]]:
    dice = random.Random(2759)
    cases = {
        2: [made(dice, number, 2) for number in range(CASES)],
        1: [made(dice, number + CASES, 1) for number in range(CASES_OF_VERSION_1)],
    }
    passwords = {case.name.rpartition("\\")[2]: case.password for version in cases for case in cases[version]}
    with freeradius_oracle.freeradius(tmp_path_factory.mktemp("freeradius"), passwords) as address:
        yield {
            version: Compared(
                some,
                freeradius_oracle.ask(address, [case.request for case in some]),
                freeradius_oracle.ask(address, [case.request_with_a_wrong_password for case in some[::5]]),
            )
            for version, some in cases.items()
        }


def test_a_thousand_logins_have_the_success_and_the_keys_of_freeradius(compared: dict[int, Compared]) -> None:
    cases, replies, _ = compared[2]
    assert len(cases) == CASES
    for case, reply in zip(cases, replies, strict=True):
        assert reply[0] == 2, f"FreeRADIUS refuses {case.name!r} with {case.password!r}"
        verified = verified_by_us(case, case.request)
        assert verified is not None, f"we refuse {case.name!r} with {case.password!r}"
        theirs, authenticator = of_microsoft(attributes_of(reply)), case.request[4:20]
        made_here = mschap.success_attribute(verified) + mschap.key_attributes(verified, KEYS, authenticator, 1)
        ours = of_microsoft(attributes_of(bytes(20) + made_here))
        assert ours[SUCCESS_2] == theirs[SUCCESS_2]
        for kind in (SEND_KEY, RECEIVE_KEY):
            key = session_key(theirs[kind], authenticator, SECRET)
            assert session_key(ours[kind], authenticator, SECRET) == key
        assert len(theirs[SEND_KEY]) == len(ours[SEND_KEY])


def test_version_1_has_the_keys_of_freeradius(compared: dict[int, Compared]) -> None:
    cases, replies, _ = compared[1]
    assert len(cases) == CASES_OF_VERSION_1
    for case, reply in zip(cases, replies, strict=True):
        assert reply[0] == 2, f"FreeRADIUS refuses {case.name!r} with {case.password!r}"
        verified = verified_by_us(case, case.request)
        assert verified is not None, f"we refuse {case.name!r} with {case.password!r}"
        theirs, authenticator = of_microsoft(attributes_of(reply)), case.request[4:20]
        ours = of_microsoft(attributes_of(bytes(20) + mschap.key_attributes(verified, KEYS, authenticator, 1)))
        key = shown(theirs[MPPE_KEYS], authenticator, SECRET)
        assert shown(ours[MPPE_KEYS], authenticator, SECRET)[8:24] == key[8:24]
        assert len(theirs[MPPE_KEYS]) == len(ours[MPPE_KEYS])


@pytest.mark.parametrize("version", [1, 2])
def test_wrong_passwords_are_wrong_for_both(compared: dict[int, Compared], version: int) -> None:
    cases, _, replies = compared[version]
    for case, reply in zip(cases[::5], replies, strict=True):
        assert reply[0] == 3
        assert verified_by_us(case, case.request_with_a_wrong_password) is None
