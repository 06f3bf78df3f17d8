"""Codes are closed sets whose numbers never change: journals and records keep them."""

from enum import IntEnum
from pathlib import Path

import pytest

import aaad
from aaad.policy.codes import (
    ACCESS_STATUS_LETTERS,
    CONTRACT_STATUS_LETTERS,
    AccessStatus,
    ContractStatus,
    Credential,
    Discard,
    LoginFlag,
    Reason,
)

PACKAGE = Path(aaad.__file__).parent

# What older journals hold. A line is never changed; new members are added at the end.
STORED_NUMBERS = {
    Reason: {
        "granted": 1,
        "granted_with_notice": 2,
        "granted_blocked": 3,
        "granted_late_plan": 4,
        "granted_cap_plan": 5,
        "granted_on_trust": 6,
        "granted_router_administrator": 7,
        "unknown_login": 10,
        "wrong_password": 11,
        "login_inactive": 12,
        "login_deleted": 13,
        "client_inactive": 14,
        "name_invalid": 15,
        "password_missing": 16,
        "method_unsupported": 17,
        "password_stored_as_md5": 18,
        "not_for_router_administration": 19,
        "contract_not_signed_yet": 20,
        "contract_inactive": 21,
        "contract_blacklisted": 22,
        "contract_withdrawn": 23,
        "contract_suspended_voluntarily": 24,
        "access_disabled": 25,
        "blocked_manually": 26,
        "blocked_automatically": 27,
        "awaiting_signature": 28,
        "prepaid_ended": 29,
        "trust_unlock_ended": 30,
        "outside_hours": 31,
        "device_not_allowed": 32,
        "nas_not_allowed": 33,
        "port_not_allowed": 34,
        "circuit_not_allowed": 35,
        "mac_login_from_other_device": 36,
        "in_use_elsewhere": 37,
        "plan_missing": 40,
        "record_damaged": 41,
        "reply_too_long": 42,
        "pool_exhausted": 43,
    },
    Discard: {
        "malformed": 1,
        "unknown_nas": 2,
        "nas_disabled": 3,
        "code_not_served": 4,
        "bad_message_authenticator": 5,
        "message_authenticator_missing": 6,
        "duplicate_in_work": 8,
        "late": 9,
        "no_replica": 10,
        "overload": 11,
        "claim_impossible": 13,
        "bug": 15,
        "not_recorded": 16,
    },
}


@pytest.mark.parametrize(("codes", "numbers"), STORED_NUMBERS.items())
def test_stored_numbers_mean_what_they_meant(codes: type[Reason] | type[Discard], numbers: dict[str, int]) -> None:
    assert {member.label: member.value for member in codes}.items() >= numbers.items()


@pytest.mark.parametrize("cause", Discard)
def test_every_cause_of_silence_is_given_by_somebody(cause: Discard) -> None:
    """A cause that nothing produces would be a promise in the documents that nobody keeps."""
    sources = [path.read_text() for path in (PACKAGE / "radius").glob("*.py")]
    assert any(f"Discard.{cause.name}" in text for text in sources)


@pytest.mark.parametrize("codes", [Reason, Discard, Credential, ContractStatus, AccessStatus])
def test_every_number_fits_the_octet_that_it_is_stored_in(codes: type[IntEnum]) -> None:
    assert all(0 < member <= 255 for member in codes)


def test_flags_are_single_bits_of_thirty_two() -> None:
    assert all(flag.bit_count() == 1 and flag < 1 << 32 for flag in LoginFlag)
    assert len({int(flag) for flag in LoginFlag}) == len(LoginFlag.__members__)


def test_grants_are_the_reasons_that_say_so() -> None:
    assert {reason for reason in Reason if reason.is_grant} == {
        reason for reason in Reason if reason.label.startswith("granted")
    }


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_given_by_somebody(reason: Reason) -> None:
    """A reason that nothing produces would be a promise in the documents that nobody keeps."""
    sources = [path.read_text() for room in ("radius", "policy") for path in (PACKAGE / room).glob("*.py")]
    assert any(f"Reason.{reason.name}" in text for text in sources)


def test_the_first_of_each_kind_of_reason_stays_where_it_is() -> None:
    assert min(reason for reason in Reason if not reason.is_grant) is Reason.UNKNOWN_LOGIN


def test_every_status_has_one_letter() -> None:
    assert sorted(CONTRACT_STATUS_LETTERS.values()) == sorted(ContractStatus)
    assert sorted(ACCESS_STATUS_LETTERS.values()) == sorted(AccessStatus)
    assert list(CONTRACT_STATUS_LETTERS) == ["P", "A", "I", "N", "D"]
    assert list(ACCESS_STATUS_LETTERS) == ["A", "D", "CM", "CA", "FA", "AA", "CE"]
