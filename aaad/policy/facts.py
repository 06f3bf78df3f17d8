"""Facts that decisions are made from: values only, as the replica compiles them.

NamedTuples, because the request path builds one per request (DESIGN: a frozen dataclass of this size costs
twice as much). `repr` never shows a password. Days are counted from 1970-01-01 in the zone of the login's branch,
instants in Unix seconds; 0 means none in both. A set of hours is 24 bits, bit 0 for 00:00 to 00:59; 0 means all.
"""

from typing import NamedTuple, Protocol


def _without_octets(facts: "LoginExtras | PlanFacts") -> str:
    fields = ", ".join(f"{name}={value!r}" for name, value in facts._asdict().items() if name != "attributes")
    return f"{type(facts).__name__}({fields}, attributes=<{len(facts.attributes)} octets>)"


class LoginExtras(NamedTuple):
    """What only some logins have. Texts are empty when there is nothing; networks are in CIDR form."""

    port_id: str = ""  # the NAS-Port-Id that it is bound to
    circuit_id: str = ""  # the Agent-Circuit-Id that it is bound to
    upload: str = ""  # its own speed instead of the plan's, as `50M`
    download: str = ""
    ipv4_pool: str = ""
    ipv6_pool: str = ""
    delegated_ipv6_pool: str = ""
    ipv6_prefix: str = ""  # of the link
    delegated_ipv6_prefix: str = ""
    routes: tuple[str, ...] = ()  # IPv4 and IPv6 networks behind the customer's device
    address_list: str = ""
    address_list_ipv6: str = ""
    attributes: bytes = b""  # encoded and checked when they were written (net.encode_attribute)
    dns: tuple[str, ...] = ()  # IPv4 and IPv6 addresses instead of the plan's and the branch's
    contest_until_s: int = 0  # two devices were pushing each other out: until then only this one gets in (rule R5.4)
    contest_mac: int = 0

    def __repr__(self) -> str:
        """Show everything but the attributes' octets, of which only their number."""
        return _without_octets(self)


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
    mac: int = 0  # the device it is bound to, as a number of 48 bits, 0: none
    nas_id: int = 0  # the NAS entry it is bound to
    hours: int = 0  # in which it may connect
    oldest_due_day: int = 0  # of the contract's oldest open receivable
    not_reduced_until_day: int = 0  # until the end of that day the plan for who is late does not hold
    suspended_from_day: int = 0
    suspended_until_day: int = 0  # the last day
    access_ends_at_s: int = 0  # end of what is paid in advance, carence included
    trust_until_s: int = 0  # end of a trust unlock
    extras: LoginExtras | None = None
    nt_hash: bytes = b""  # 16 octets; empty when the password is stored as MD5
    password: bytes = b""  # UTF-8, or 16 octets of MD5 when PASSWORD_IS_MD5 is set

    def __repr__(self) -> str:
        """Show identifiers and statuses, never the password."""
        return (
            f"LoginFacts(login_id={self.login_id}, contract_id={self.contract_id}, client_id={self.client_id}, "
            f"plan_id={self.plan_id}, branch_id={self.branch_id}, flags={self.flags:#x}, "
            f"contract_status={self.contract_status}, access_status={self.access_status}, ipv4={self.ipv4:#x})"
        )


class Speed(NamedTuple):
    """What Mikrotik-Rate-Limit can say (network.md 1.4). Rates are texts like `50M`; empty or 0: not said."""

    upload: str
    download: str
    upload_burst: str = ""
    download_burst: str = ""
    upload_threshold: str = ""
    download_threshold: str = ""
    upload_burst_time_s: int = 0
    download_burst_time_s: int = 0
    priority: int = 0  # 1 (highest) to 8
    upload_guaranteed: str = ""
    download_guaranteed: str = ""


class PhaseFacts(NamedTuple):
    """Another speed at some hours: of its own, or that of another plan."""

    hours: int
    speed: Speed | None
    plan_id: int  # whose speed holds, when `speed` is None


class PlanFacts(NamedTuple):
    """What a plan gives. Seconds of 0 and empty texts mean that the attribute is left out."""

    plan_id: int
    name: str
    speed: Speed | None  # None: the plan limits nothing
    session_timeout_s: int
    idle_timeout_s: int
    interim_interval_s: int
    normal_hours: int = 0  # when the plan connects at its normal speed
    reduced: PhaseFacts | None = None
    turbo: PhaseFacts | None = None
    late_after_days: int = 0  # from so many days after the due date on, late_plan_id holds; 0: never
    late_plan_id: int = 0
    cap_plan_id: int = 0  # holds when the cap is used up
    ipv4_pool: str = ""
    ipv6_pool: str = ""
    delegated_ipv6_pool: str = ""
    address_list: str = ""
    address_list_ipv6: str = ""
    group: str = ""  # PPP or Hotspot profile on the router (Mikrotik-Group)
    filter_ids: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()  # IPv4 and IPv6 addresses, the first of each kind first
    mppe: int = 0  # MppePolicy
    attributes: bytes = b""  # encoded and checked when they were written (net.encode_attribute)

    def __repr__(self) -> str:
        """Show everything but the attributes' octets, of which only their number."""
        return _without_octets(self)


class Asked(Protocol):
    """What a request says beside name and password. Read only where a login's facts ask for it."""

    @property
    def nas_id(self) -> int:
        """The NAS entry that asks."""
        ...

    @property
    def mac(self) -> int:
        """The customer's device as a number of 48 bits, 0 if the request names none."""
        ...

    @property
    def port_id(self) -> str:
        """NAS-Port-Id, empty if there is none."""
        ...

    @property
    def circuit_id(self) -> str:
        """Agent-Circuit-Id, empty if there is none."""
        ...
