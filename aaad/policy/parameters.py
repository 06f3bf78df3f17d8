"""What a branch of the provider has set: its parameters, ready to decide with.

Pure. A switch of a branch is S (yes), N (no) or P (as the general value says); every other parameter that a branch
does not have inherits likewise. The closed list of names with their meaning stands in PARAMETERS; PostgreSQL refuses
any other name, and wrong values (`erp.parameter_kind`, `erp.is_parameter_value`; a test holds that both agree).
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from typing import Any, NamedTuple, Protocol

from aaad.policy.calendar import BRASILIA_OFFSET_S
from aaad.policy.codes import LoginFlag

GENERAL = 0  # the number of no branch: what holds for all
INHERITED = "P"
_ALWAYS_LEARNED = int(LoginFlag.MAC_LEARN | LoginFlag.NAS_LEARN | LoginFlag.PORT_LEARN | LoginFlag.CIRCUIT_LEARN)


class ParameterKind(StrEnum):
    """What values a parameter may have. All but switches, speeds and numbers may be empty: nothing is said."""

    SWITCH = "switch"  # S, N, and for a branch P
    SPEED = "speed"  # as 512k or 50M
    NAME = "name"  # what a router calls a pool, address list or profile
    ADDRESSES = "addresses"  # of servers, IPv4 and IPv6, joined by ;
    REALM = "realm"  # what stands behind the @ of a user name
    REALMS = "realms"  # joined by ; or * for any
    DAYS = "days"  # of the week, holiday and holiday_eve, joined by ;
    NUMBER = "number"  # whole, from `minimum` to `maximum`


class Parameter(NamedTuple):
    """One parameter: what it is called, what it may be, what it does, what holds without it."""

    name: str
    kind: ParameterKind
    description: str
    default: str = ""
    minimum: int = 0
    maximum: int = 0
    is_general: bool = False  # True: no branch has a value of its own

    @property
    def allowed(self) -> str:
        """What a value may be, for people."""
        if self.kind is ParameterKind.NUMBER:
            return f"a whole number from {self.minimum} to {self.maximum}"
        return _ALLOWED[self.kind]


class ParameterValue(Protocol):
    """A row of `erp.parameter`; branch 0 is the general value."""

    @property
    def name(self) -> str:
        """Which parameter."""
        ...

    @property
    def branch_id(self) -> int:
        """Whose value."""
        ...

    @property
    def value(self) -> str:
        """What it is set to."""
        ...


class BranchPolicy(NamedTuple):
    """The parameters of one branch, resolved. Empty texts mean that nothing is said."""

    branch_id: int
    utc_offset_s: int = BRASILIA_OFFSET_S  # of the branch's zone now
    blocked_state: bool = False  # CM and CA are let into the blocked state instead of refused
    let_in_awaiting_signature: bool = False
    mac_bind: bool = True  # what P means for logins
    mac_learn: bool = False
    nas_bind: bool = True
    nas_learn: bool = False
    port_bind: bool = True
    port_learn: bool = False
    circuit_bind: bool = True
    circuit_learn: bool = False
    blocked_upload: str = "64k"
    blocked_download: str = "64k"
    blocked_ipv4_pool: str = ""
    blocked_ipv6_pool: str = ""
    blocked_delegated_ipv6_pool: str = ""
    blocked_group: str = ""  # a profile without IPv6
    blocked_address_list: str = ""
    blocked_address_list_ipv6: str = ""
    notice_address_list: str = ""
    notice_address_list_ipv6: str = ""
    ipv4_pool: str = ""
    ipv6_pool: str = ""
    delegated_ipv6_pool: str = ""
    dns: tuple[str, ...] = ()
    session_timeout_max_s: int = 86_400  # a session that must end is told so at most so long before (rule R4.4)
    strip_realms: tuple[str, ...] = ()  # `*`: any. Tried when the name as typed is unknown (rule R3.4)
    default_realm: str = ""  # appended to a name without realm when the name as typed is unknown
    simultaneous_refuse: bool = False  # a login in use elsewhere is refused, if that is proven (rule R5.4)


_DAY_NAMES = frozenset(
    {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "holiday", "holiday_eve"}
)


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


_ALLOWED: dict[ParameterKind, str] = {
    ParameterKind.SWITCH: _("S, N or, for a branch, P"),
    ParameterKind.SPEED: _("a speed as 512k or 50M"),
    ParameterKind.NAME: _("up to 128 printable ASCII characters without space at the beginning or end"),
    ParameterKind.ADDRESSES: _("one to eight IPv4 or IPv6 addresses, joined by ;"),
    ParameterKind.REALM: _("up to 62 letters, digits, . _ and -"),
    ParameterKind.REALMS: _("up to 16 realms of letters, digits, . _ and -, joined by ; or * for any"),
    ParameterKind.DAYS: _("monday to sunday, holiday and holiday_eve, joined by ;"),
}
_SPEED = re.compile(r"[1-9][0-9]{0,6}[kM]")
_NAME = re.compile(r"[!-~]([ -~]{0,126}[!-~])?")
_REALM = re.compile(r"[A-Za-z0-9._-]{1,62}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")
_ADDRESSES_MAX = 8
_REALMS_MAX = 16
_DAYS_LENGTH_MAX = 128
_NO_HOSTS = [IPv4Network(prefix) for prefix in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")]
_UNICAST_IPV6 = [IPv6Network(prefix) for prefix in ("2000::/3", "fc00::/7")]

_SWITCH, _TEXT = ParameterKind.SWITCH, ParameterKind.NAME
_NUM = ParameterKind.NUMBER
PARAMETERS: dict[str, Parameter] = {
    parameter.name: parameter
    for parameter in (
        # What logins get.
        Parameter(
            "blocked_state", _SWITCH, _("Blocked contracts connect in the blocked state; N: they are refused."), "N"
        ),
        Parameter("let_in_awaiting_signature", _SWITCH, _("Contracts that await their signature connect."), "N"),
        Parameter("mac_bind", _SWITCH, _("Logins with bind_mac P connect only from their own device."), "S"),
        Parameter(
            "mac_learn", _SWITCH, _("Logins with auto_fill_mac P keep the first device they connect from."), "N"
        ),
        Parameter("nas_bind", _SWITCH, _("Logins with bind_nas P connect only at their own NAS."), "S"),
        Parameter("nas_learn", _SWITCH, _("Logins with auto_fill_nas P keep the first NAS they connect at."), "N"),
        Parameter("port_bind", _SWITCH, _("Logins with bind_port P connect only at their own port or VLAN."), "S"),
        Parameter("port_learn", _SWITCH, _("Logins with auto_fill_port P keep the first port they connect at."), "N"),
        Parameter("circuit_bind", _SWITCH, _("Logins with bind_circuit P connect only on their own circuit."), "S"),
        Parameter(
            "circuit_learn", _SWITCH, _("Logins with auto_fill_circuit P keep the first circuit they use."), "N"
        ),
        Parameter("blocked_upload", ParameterKind.SPEED, _("Upload in the blocked state."), "64k"),
        Parameter("blocked_download", ParameterKind.SPEED, _("Download in the blocked state."), "64k"),
        Parameter("blocked_ipv4_pool", _TEXT, _("Pool of IPv4 addresses in the blocked state.")),
        Parameter("blocked_ipv6_pool", _TEXT, _("Pool of IPv6 prefixes of the link in the blocked state.")),
        Parameter("blocked_delegated_ipv6_pool", _TEXT, _("Pool of delegated IPv6 prefixes in the blocked state.")),
        Parameter("blocked_group", _TEXT, _("Profile on the router in the blocked state, such as one without IPv6.")),
        Parameter("blocked_address_list", _TEXT, _("IPv4 address list of the firewall in the blocked state.")),
        Parameter(
            "blocked_address_list_ipv6",
            _TEXT,
            _("IPv6 address list of the firewall in the blocked state, written by the router's API."),
        ),
        Parameter("notice_address_list", _TEXT, _("IPv4 address list of who is told that a payment is late.")),
        Parameter(
            "notice_address_list_ipv6",
            _TEXT,
            _("IPv6 address list of who is told that a payment is late, written by the router's API."),
        ),
        Parameter("ipv4_pool", _TEXT, _("Pool of IPv4 addresses where neither login nor plan names one.")),
        Parameter("ipv6_pool", _TEXT, _("Pool of IPv6 prefixes of the link where neither login nor plan names one.")),
        Parameter("delegated_ipv6_pool", _TEXT, _("Pool of delegated IPv6 prefixes where login and plan name none.")),
        Parameter("dns", ParameterKind.ADDRESSES, _("DNS servers where neither login nor plan names one.")),
        Parameter(
            "session_timeout_max_s",
            _NUM,
            _("Longest Session-Timeout by which the end of prepaid time is told, in seconds."),
            "86400",
            60,
            31_536_000,
        ),
        Parameter(
            "strip_realms", ParameterKind.REALMS, _("Realms left out of a user name that is unknown as it was typed.")
        ),
        Parameter(
            "default_realm",
            ParameterKind.REALM,
            _("Realm added to a user name that has none and is unknown as typed."),
        ),
        Parameter(
            "simultaneous_refuse",
            _SWITCH,
            _(
                "Who is connected as often as he may be is refused, if his other device answers; N: the newer one "
                "connects."
            ),
            "N",
        ),
        # What may be written, and what the runs of the ERP do.
        Parameter("block_accents_in_logins", _SWITCH, _("Names of logins have no accents."), "N"),
        Parameter("document_required", _SWITCH, _("Clients have a CPF or CNPJ."), "N"),
        Parameter("duplicate_address_warning", _SWITCH, _("A second client at one address is warned of."), "S"),
        Parameter("password_length", _NUM, _("Characters of a generated password."), "16", 12, 64),
        Parameter("trust_unlock", _SWITCH, _("Contracts with trust_unlock P may be unblocked on a promise."), "S"),
        Parameter("trust_unlock_days", _NUM, _("Longest trust unlock, in days."), "3", 1, 30),
        Parameter(
            "require_notice", _SWITCH, _("Nobody is blocked by the agenda without a notice of that debt before."), "S"
        ),
        Parameter(
            "days_after_notice",
            _NUM,
            _("Days between the notice and a block by the agenda; Anatel asks for 15."),
            "15",
            0,
            365,
        ),
        Parameter(
            "no_block_days",
            ParameterKind.DAYS,
            _("Days on which the agenda blocks nobody."),
            "friday;saturday;sunday;holiday;holiday_eve",
        ),
        Parameter("block_from_hour", _NUM, _("The hour from which the agenda blocks."), "8", 0, 23),
        Parameter("block_until_hour", _NUM, _("The hour at which the agenda blocks no more."), "18", 1, 24),
        Parameter(
            "block_brake_percent",
            _NUM,
            _("The agenda's blocks of 24 hours are held when they are more than this share of the active contracts."),
            "10",
            1,
            100,
            is_general=True,
        ),
        Parameter(
            "block_brake_minimum",
            _NUM,
            _("So many contracts the agenda may block in 24 hours, whatever their share."),
            "50",
            1,
            1_000_000,
            is_general=True,
        ),
        Parameter("single_receivables_block", _SWITCH, _("Receivables of no contract block, too."), "N"),
        Parameter(
            "inactivate_client_on_last_cancel", _SWITCH, _("The last cancelled contract ends the client."), "N"
        ),
        Parameter(
            "login_required_for_internet", _SWITCH, _("Internet contracts are activated with a login only."), "N"
        ),
        Parameter(
            "keep_plan_with_equipment",
            _SWITCH,
            _("Contracts with lent equipment are not cancelled."),
            "N",
        ),
        Parameter(
            "delete_nas_with_cancelled_contracts", _SWITCH, _("A NAS with cancelled contracts may be deleted."), "N"
        ),
        Parameter(
            "allow_inactive_client_with_contracts", _SWITCH, _("Clients with contracts may be made inactive."), "S"
        ),
        Parameter("allow_voluntary_suspension", _SWITCH, _("Contracts may be suspended at the client's wish."), "S"),
        Parameter(
            "suspension_needs_no_debt", _SWITCH, _("Only clients without an overdue payment suspend a contract."), "S"
        ),
        Parameter(
            "suspension_days_min", _NUM, _("Shortest suspension at the client's wish, in days."), "30", 0, 3660
        ),
        Parameter(
            "suspension_days_max",
            _NUM,
            _("Longest suspension at the client's wish, in days; 0: any."),
            "120",
            0,
            3660,
        ),
        Parameter(
            "suspension_months_between",
            _NUM,
            _("Months from the beginning of one suspension to the next; 0: any time."),
            "12",
            0,
            120,
        ),
        Parameter(
            "temporary_release_days",
            _NUM,
            _("Longest release of a blocked contract for a time, in days."),
            "1",
            1,
            30,
        ),
        Parameter(
            "reduction_release_days", _NUM, _("Longest release from the plan for who is late, in days."), "5", 1, 60
        ),
        Parameter(
            "reset_activation_date", _SWITCH, _("A contract that is activated again is active since that day."), "N"
        ),
        # Other lines of a contract (seeds S3-06 to S3-10).
        Parameter(
            "block_sip_with_contract",
            _SWITCH,
            _("SIP lines are blocked and unblocked with their contract; N: they are never touched."),
            "N",
        ),
        Parameter(
            "block_sip_when_late",
            _SWITCH,
            _("SIP lines that follow their contract are blocked already when a payment is late (FA)."),
            "N",
        ),
        Parameter(
            "mvno_total_block", _SWITCH, _("Mobile lines of blocked contracts are blocked in total (BT)."), "N"
        ),
        Parameter(
            "mvno_partial_block",
            _SWITCH,
            _("Mobile lines of blocked contracts are blocked partially (BP), unless in total."),
            "N",
        ),
        Parameter(
            "mvno_partial_block_when_late",
            _SWITCH,
            _("With mvno_partial_block mobile lines are blocked partially already when a payment is late (FA)."),
            "S",
        ),
        # What is kept of sessions.
        Parameter(
            "history_days",
            _NUM,
            _("Days for which ended sessions are kept, at least; for all branches. The law asks for a year."),
            "400",
            365,
            3660,
            is_general=True,
        ),
        Parameter(
            "session_lost_hours",
            _NUM,
            _("Hours for which a silent session is taken for connected; then it has ended when last heard."),
            "24",
            1,
            720,
        ),
    )
}


def is_valid(parameter: Parameter, value: str, branch_id: int) -> bool:
    """Whether a branch, or GENERAL, may have this value."""
    kind = parameter.kind
    if parameter.is_general and branch_id != GENERAL:
        return False
    if kind is ParameterKind.SWITCH:
        return value in ("S", "N") or (value == INHERITED and branch_id != GENERAL)
    if kind is ParameterKind.SPEED:
        return _SPEED.fullmatch(value) is not None
    if kind is ParameterKind.NUMBER:
        return _NUMBER.fullmatch(value) is not None and parameter.minimum <= int(value) <= parameter.maximum
    return not value or _is_valid_text(kind, value)


def _is_valid_text(kind: ParameterKind, value: str) -> bool:
    items = value.split(";")
    if kind is ParameterKind.NAME:
        return _NAME.fullmatch(value) is not None
    if kind is ParameterKind.REALM:
        return _REALM.fullmatch(value) is not None
    if kind is ParameterKind.REALMS:
        return value == "*" or (len(items) <= _REALMS_MAX and all(_REALM.fullmatch(item) for item in items))
    if kind is ParameterKind.DAYS:
        return len(value) <= _DAYS_LENGTH_MAX and all(item in _DAY_NAMES for item in items)
    return len(items) <= _ADDRESSES_MAX and all(map(_is_server, items))


def _is_server(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if str(address) != text or "%" in text:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NO_HOSTS)
    return any(address in network for network in _UNICAST_IPV6)


def compile_policies(rows: Iterable[ParameterValue], offsets: Mapping[int, int]) -> dict[int, BranchPolicy]:
    """Return the policy of every branch, and that of GENERAL, which also stands for branches that nobody knows.

    A value that is none of its parameter's counts as absent, since one bad row must refuse nobody;
    `parameter_problems` tells of it.

    Args:
        rows: the parameters as they are set.
        offsets: of every branch's zone from UTC now, in seconds.
    """
    values: dict[int, dict[str, str]] = {}
    for row in rows:
        parameter = PARAMETERS.get(row.name)
        if parameter is not None and row.value != INHERITED and is_valid(parameter, row.value, row.branch_id):
            values.setdefault(row.branch_id, {})[row.name] = row.value
    general = values.get(GENERAL, {})
    return {
        branch_id: _compile(branch_id, general | values.get(branch_id, {}), offsets.get(branch_id))
        for branch_id in sorted({GENERAL, *offsets, *values})
    }


def policy_of(policies: Mapping[int, BranchPolicy], branch_id: int) -> BranchPolicy:
    """Return a branch's policy, the general one for a branch that nobody knows."""
    policy = policies.get(branch_id)
    return policy if policy is not None else policies[GENERAL]


def learn_flags(policy: BranchPolicy) -> int:
    """Return the flags of logins of a branch of which something has to be learned."""
    defaults = (
        (policy.mac_learn, LoginFlag.MAC_LEARN_DEFAULT),
        (policy.nas_learn, LoginFlag.NAS_LEARN_DEFAULT),
        (policy.port_learn, LoginFlag.PORT_LEARN_DEFAULT),
        (policy.circuit_learn, LoginFlag.CIRCUIT_LEARN_DEFAULT),
    )
    return _ALWAYS_LEARNED | sum(flag for is_default, flag in defaults if is_default)


def _compile(branch_id: int, values: Mapping[str, str], utc_offset_s: int | None) -> BranchPolicy:
    fields: dict[str, Any] = {name: _value(PARAMETERS[name], values[name]) for name in _FIELDS & values.keys()}
    policy = BranchPolicy(branch_id)._replace(**fields)
    return policy if utc_offset_s is None else policy._replace(utc_offset_s=utc_offset_s)


def _value(parameter: Parameter, value: str) -> bool | int | str | tuple[str, ...]:
    kind = parameter.kind
    if kind is ParameterKind.SWITCH:
        return value == "S"
    if kind is ParameterKind.NUMBER:
        return int(value)
    if kind in (ParameterKind.ADDRESSES, ParameterKind.REALMS):
        return tuple(value.split(";")) if value else ()
    return value


def parameter_problems(rows: Iterable[ParameterValue]) -> list[str]:
    """Return what is wrong with the parameters as they are set, for the log."""
    problems = []
    for row in rows:
        parameter = PARAMETERS.get(row.name)
        where = "in general" if row.branch_id == GENERAL else f"of branch {row.branch_id}"
        if parameter is None:
            problems.append(f"there is no parameter {row.name!r}")
        elif not is_valid(parameter, row.value, row.branch_id):
            problems.append(f"parameter {row.name} {where}: {row.value!r} is not valid, allowed: {parameter.allowed}")
    return problems


_FIELDS = PARAMETERS.keys() & set(BranchPolicy._fields)
