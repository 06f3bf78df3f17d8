"""A login's facts as people read them: what a decision saw, without any secret.

Pure. Days are ISO dates in the zone of the login's branch, instants Unix seconds; what there is none of is empty, or
None for an instant.
"""

from datetime import date, timedelta
from ipaddress import IPv4Address

import msgspec

from aaad.policy.codes import LoginFlag
from aaad.policy.facts import LoginExtras, LoginFacts
from aaad.radius.dictionary import decode

_FIRST_DAY = date(1970, 1, 1)
_HOURS = range(24)


class AccountExtras(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What only some logins have."""

    port_id: str = ""
    circuit_id: str = ""
    upload: str = ""
    download: str = ""
    ipv4_pool: str = ""
    ipv6_pool: str = ""
    delegated_ipv6_pool: str = ""
    ipv6_prefix: str = ""
    delegated_ipv6_prefix: str = ""
    routes: tuple[str, ...] = ()
    address_list: str = ""
    address_list_ipv6: str = ""
    attributes: list[tuple[str, str]] = []  # names and values
    dns: tuple[str, ...] = ()


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One login as a decision saw it; never a secret."""

    login_id: int
    contract_id: int
    client_id: int
    plan_id: int
    branch_id: int
    contract_status: int
    access_status: int
    marks: list[str] = []  # the flags that are set, by their names in lower case
    ipv4: str = ""
    mac: str = ""
    nas_id: int = 0  # it is bound to; 0: to none
    hours: list[int] = []  # in which it may connect; none: in all
    oldest_due: str = ""
    not_reduced_until: str = ""
    suspended_from: str = ""
    suspended_until: str = ""
    access_ends_at_s: int | None = None
    trust_until_s: int | None = None
    contest_until_s: int | None = None  # until then only contest_mac gets in (rule R5.4)
    contest_mac: str = ""
    extras: AccountExtras | None = None


def account_of(login: LoginFacts) -> Account:
    """Return what may be shown of a login's facts."""
    extras = login.extras if login.extras is not None else LoginExtras()
    return Account(
        login_id=login.login_id,
        contract_id=login.contract_id,
        client_id=login.client_id,
        plan_id=login.plan_id,
        branch_id=login.branch_id,
        contract_status=login.contract_status,
        access_status=login.access_status,
        marks=[flag.name.lower() for flag in LoginFlag if login.flags & flag and flag is not LoginFlag.CONDITIONAL],
        ipv4=str(IPv4Address(login.ipv4)) if login.ipv4 else "",
        mac=mac_text(login.mac),
        nas_id=login.nas_id,
        hours=[hour for hour in _HOURS if login.hours >> hour & 1],
        oldest_due=_day(login.oldest_due_day),
        not_reduced_until=_day(login.not_reduced_until_day),
        suspended_from=_day(login.suspended_from_day),
        suspended_until=_day(login.suspended_until_day),
        access_ends_at_s=login.access_ends_at_s or None,
        trust_until_s=login.trust_until_s or None,
        contest_until_s=extras.contest_until_s or None,
        contest_mac=mac_text(extras.contest_mac),
        extras=_extras(extras) if extras._replace(contest_until_s=0, contest_mac=0) != LoginExtras() else None,
    )


def mac_text(mac: int) -> str:
    """Return a device's address as AA:BB:CC:DD:EE:FF; empty for none."""
    return mac.to_bytes(6, "big").hex(":").upper() if mac else ""


def _extras(extras: LoginExtras) -> AccountExtras:
    shown = extras._asdict() | {"attributes": decode(extras.attributes)}
    return AccountExtras(**{name: shown[name] for name in AccountExtras.__struct_fields__})


def _day(day: int) -> str:
    return (_FIRST_DAY + timedelta(day)).isoformat() if day else ""
