"""Facts that decisions are made from: values only, as the replica compiles them.

NamedTuples, because the request path builds one per request (DESIGN: a frozen dataclass of this size costs
twice as much). `repr` never shows a password.
"""

from typing import NamedTuple


class LoginFacts(NamedTuple):
    """One login with what its contract and client say about it. Identifiers are those of schema `erp`."""

    login_id: int
    contract_id: int
    client_id: int
    plan_id: int  # 0: none
    branch_id: int
    flags: int  # LoginFlag bits
    contract_status: int  # ContractStatus
    access_status: int  # AccessStatus
    ipv4: int  # fixed address as a number, 0: none
    nt_hash: bytes  # 16 octets; empty when the password is stored as MD5
    password: bytes  # UTF-8, or 16 octets of MD5 when PASSWORD_IS_MD5 is set

    def __repr__(self) -> str:
        """Show identifiers and statuses, never the password."""
        return (
            f"LoginFacts(login_id={self.login_id}, contract_id={self.contract_id}, client_id={self.client_id}, "
            f"plan_id={self.plan_id}, branch_id={self.branch_id}, flags={self.flags:#x}, "
            f"contract_status={self.contract_status}, access_status={self.access_status}, ipv4={self.ipv4:#x})"
        )


class PlanFacts(NamedTuple):
    """What a plan gives. Rates are texts like `50M`; seconds of 0 mean that the attribute is left out."""

    plan_id: int
    name: str
    upload: str
    download: str
    session_timeout_s: int
    idle_timeout_s: int
    interim_interval_s: int
