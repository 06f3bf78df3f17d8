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
    """Why a decision is what it is. `label` is its name in metrics, SQL and words. Up to 9 are grants."""

    GRANTED = 1
    GRANTED_WITH_NOTICE = 2  # in full, and told that a payment is late (FA)
    GRANTED_BLOCKED = 3  # let into the blocked state
    GRANTED_LATE_PLAN = 4  # with the plan for who is late
    GRANTED_CAP_PLAN = 5  # with the plan for who used up the cap
    GRANTED_ON_TRUST = 6  # unblocked on a promise
    GRANTED_ROUTER_ADMINISTRATOR = 7

    UNKNOWN_LOGIN = 10
    WRONG_PASSWORD = 11
    LOGIN_INACTIVE = 12
    LOGIN_DELETED = 13
    CLIENT_INACTIVE = 14
    NAME_INVALID = 15
    PASSWORD_MISSING = 16
    METHOD_UNSUPPORTED = 17
    PASSWORD_STORED_AS_MD5 = 18  # CHAP and MS-CHAP need it in clear
    NOT_FOR_ROUTER_ADMINISTRATION = 19  # a customer's login in a router-administration request (rule R2.5)

    CONTRACT_NOT_SIGNED_YET = 20
    CONTRACT_INACTIVE = 21
    CONTRACT_BLACKLISTED = 22
    CONTRACT_WITHDRAWN = 23
    CONTRACT_SUSPENDED_VOLUNTARILY = 24
    ACCESS_DISABLED = 25
    BLOCKED_MANUALLY = 26
    BLOCKED_AUTOMATICALLY = 27
    AWAITING_SIGNATURE = 28
    PREPAID_ENDED = 29
    TRUST_UNLOCK_ENDED = 30
    OUTSIDE_HOURS = 31
    DEVICE_NOT_ALLOWED = 32  # another MAC than the login's
    NAS_NOT_ALLOWED = 33
    PORT_NOT_ALLOWED = 34
    CIRCUIT_NOT_ALLOWED = 35
    MAC_LOGIN_FROM_OTHER_DEVICE = 36  # a MAC typed as a user name (rule R3.4)
    IN_USE_ELSEWHERE = 37  # rule R5.4

    PLAN_MISSING = 40
    RECORD_DAMAGED = 41
    REPLY_TOO_LONG = 42
    POOL_EXHAUSTED = 43  # PostgreSQL says that nothing of it is free

    @property
    def label(self) -> str:
        """The name in metrics, SQL and word lists: lower case, snake case."""
        return self.name.lower()

    @property
    def is_grant(self) -> bool:
        """Whether it lets in."""
        return self < Reason.UNKNOWN_LOGIN


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
    NOT_RECORDED = 16  # accounting that neither the disk nor PostgreSQL takes

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
    NEEDS_CLEAR_PASSWORD = 5  # CHAP or MS-CHAP, and the password is stored as MD5
    OTHER_DEVICE = 6  # a MAC login whose User-Name is not its Calling-Station-Id


class LoginFlag(IntEnum):
    """Bits of `LoginFacts.flags`. A binding is enforced, or learned, always, or as the branch says (…_DEFAULT)."""

    LOGIN_ACTIVE = 1 << 0
    LOGIN_DELETED = 1 << 1
    CLIENT_ACTIVE = 1 << 2
    CONTRACT_SUSPENDED = 1 << 3
    PASSWORD_IS_MD5 = 1 << 4
    CONDITIONAL = 1 << 5  # more than statuses and password may decide: see `is_conditional`
    IS_MAC_LOGIN = 1 << 6  # its device's address is its name
    ON_TRUST = 1 << 7  # unblocked on a promise, until trust_until_s
    CAP_REACHED = 1 << 8
    SPEED_REDUCED = 1 << 9  # by an operator: the plan for who is late holds at once
    NEVER_REDUCED = 1 << 10

    MAC_BIND = 1 << 16
    MAC_BIND_DEFAULT = 1 << 17
    MAC_LEARN = 1 << 18  # only while there is none; so the others
    MAC_LEARN_DEFAULT = 1 << 19
    NAS_BIND = 1 << 20
    NAS_BIND_DEFAULT = 1 << 21
    NAS_LEARN = 1 << 22
    NAS_LEARN_DEFAULT = 1 << 23
    PORT_BIND = 1 << 24
    PORT_BIND_DEFAULT = 1 << 25
    PORT_LEARN = 1 << 26
    PORT_LEARN_DEFAULT = 1 << 27
    CIRCUIT_BIND = 1 << 28
    CIRCUIT_BIND_DEFAULT = 1 << 29
    CIRCUIT_LEARN = 1 << 30
    CIRCUIT_LEARN_DEFAULT = 1 << 31


class GrantState(IntEnum):
    """How much a grant gives."""

    FULL = 1
    NOTICE = 2  # in full, with the notice list
    BLOCKED = 3


class SpeedPhase(IntEnum):
    """Which of a plan's speeds holds at this hour."""

    NORMAL = 1
    REDUCED = 2  # night and the like ("reduzido")
    TURBO = 3


class MppePolicy(IntEnum):
    """Whether a PPP session is encrypted (MS-MPPE-Encryption-Policy, RFC 2548, 2.4.4). 0: nothing is said."""

    UNSAID = 0
    ALLOWED = 1
    REQUIRED = 2
