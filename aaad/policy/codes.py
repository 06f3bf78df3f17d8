"""Closed sets of codes: statuses as IXC and the seeds know them, reasons of decisions, causes of silence.

Every refusal carries one Reason that an operator can read (texts in aaad.words); every datagram that is not
answered carries one Discard. Numbers are stored in journals and records: never change or reuse one.
"""

from enum import IntEnum


class ContractStatus(IntEnum):
    """`contract.status`. The letter in the database stands in CONTRACT_STATUS_LETTERS."""

    PRE_CONTRACT = 1
    ACTIVE = 2
    INACTIVE = 3
    BLACKLISTED = 4
    WITHDRAWN = 5


CONTRACT_STATUS_LETTERS: dict[str, ContractStatus] = {
    "P": ContractStatus.PRE_CONTRACT,
    "A": ContractStatus.ACTIVE,
    "I": ContractStatus.INACTIVE,
    "N": ContractStatus.BLACKLISTED,
    "D": ContractStatus.WITHDRAWN,
}


class AccessStatus(IntEnum):
    """`contract.access_status` ("status acesso"). The letters stand in ACCESS_STATUS_LETTERS."""

    ACTIVE = 1
    DISABLED = 2
    BLOCKED_MANUALLY = 3
    BLOCKED_AUTOMATICALLY = 4
    PAYMENT_LATE = 5
    AWAITING_SIGNATURE = 6
    AWAITING_SIGNATURE_LEGACY = 7


ACCESS_STATUS_LETTERS: dict[str, AccessStatus] = {
    "A": AccessStatus.ACTIVE,
    "D": AccessStatus.DISABLED,
    "CM": AccessStatus.BLOCKED_MANUALLY,
    "CA": AccessStatus.BLOCKED_AUTOMATICALLY,
    "FA": AccessStatus.PAYMENT_LATE,
    "AA": AccessStatus.AWAITING_SIGNATURE,
    "CE": AccessStatus.AWAITING_SIGNATURE_LEGACY,
}


class Reason(IntEnum):
    """Why a decision is what it is. `label` is its name in metrics, SQL and words."""

    GRANTED = 1

    UNKNOWN_LOGIN = 10
    WRONG_PASSWORD = 11
    LOGIN_INACTIVE = 12
    LOGIN_DELETED = 13
    CLIENT_INACTIVE = 14
    NAME_INVALID = 15
    PASSWORD_MISSING = 16
    METHOD_UNSUPPORTED = 17

    CONTRACT_NOT_SIGNED_YET = 20
    CONTRACT_INACTIVE = 21
    CONTRACT_BLACKLISTED = 22
    CONTRACT_WITHDRAWN = 23
    CONTRACT_SUSPENDED_VOLUNTARILY = 24
    ACCESS_DISABLED = 25
    BLOCKED_MANUALLY = 26
    BLOCKED_AUTOMATICALLY = 27
    AWAITING_SIGNATURE = 28

    PLAN_MISSING = 40
    RECORD_DAMAGED = 41
    REPLY_TOO_LONG = 42

    @property
    def label(self) -> str:
        """The name in metrics, SQL and word lists: lower case, snake case."""
        return self.name.lower()


class Discard(IntEnum):
    """Why a datagram got no answer. `label` is its name in metrics and logs. 7, 12 and 14 were never written."""

    MALFORMED = 1
    UNKNOWN_NAS = 2
    NAS_DISABLED = 3
    CODE_NOT_SERVED = 4
    BAD_MESSAGE_AUTHENTICATOR = 5
    MESSAGE_AUTHENTICATOR_MISSING = 6
    DUPLICATE_IN_WORK = 8
    LATE = 9
    NO_REPLICA = 10
    OVERLOAD = 11
    CLAIM_IMPOSSIBLE = 13
    BUG = 15

    @property
    def label(self) -> str:
        """The name in metrics and logs: lower case, snake case."""
        return self.name.lower()


class Credential(IntEnum):
    """What the request's proof of the password came to."""

    RIGHT = 1
    WRONG = 2
    MISSING = 3
    UNSUPPORTED = 4


class LoginFlag(IntEnum):
    """Bits of `LoginFacts.flags`."""

    LOGIN_ACTIVE = 1
    LOGIN_DELETED = 2
    CLIENT_ACTIVE = 4
    CONTRACT_SUSPENDED = 8
    PASSWORD_IS_MD5 = 16
    LEARN_MAC = 32
