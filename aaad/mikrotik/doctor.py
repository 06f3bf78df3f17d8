"""What is wrong with a router's settings for us, and with which command of the router it is mended.

Rules only: what was read (`settings`) is compared with what ought to be (`Expected`). Only what costs something is
told: customers who are not let in or not counted (`WRONG`), or what will cost it one day (`RISK`). A secret stands in
no finding: a command has a place for it. Commands are written so that RouterOS 6 and 7 take them, with all that comes
from the router in quotes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from aaad.mikrotik.applied import TRUE
from aaad.mikrotik.connection import Row
from aaad.mikrotik.settings import RadiusEntry, RouterSettings

TIMEOUT_MIN_MS, TIMEOUT_MAX_MS, TIMEOUT_ADVISED_MS = 300, 5_000, 1_100
CLOCK_TOLERANCE_S = 5.0
SIGNING_VERSION = (7, 15)  # the first that signs its requests and tells IPv6 from IPv4 in its accounting
SECRET_PLACE = "<SECRET>"  # noqa: S105  where a person types it
_RADIUS_PATH, _CLOCK_PATH = "/radius", "/system/clock"
_RIGHTS = "/user group print"  # what mends it is the group's `policy`, or another group for the user of the API
_NEEDED = frozenset({"api", "read", "write"})  # of the group of the user of the API
_OWN_GROUPS = frozenset({"read", "write", "full"})  # that every router has
_LOCAL_SHOWN = 5
_PPP, _HOTSPOT = "ppp", "hotspot"
_ANYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  no address
_BUILT_IN = {
    "filter": ("forward", "input", "output"),
    "nat": ("dstnat", "srcnat", "input", "output"),
    "raw": ("prerouting", "output"),
}
_FORWARD_CHAINS = {"filter": "forward", "nat": "dstnat", "raw": "prerouting"}
_HARMLESS_ACTIONS = frozenset({"accept", "log", "passthrough", "return", "fasttrack-connection"})
_PERIOD = re.compile(r"(\d{1,12})(ms|[wdhms])", re.ASCII)  # longer numbers are none
_PERIODS_MS = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z0-9_.:/-]+")
_PLAIN_LIST = re.compile(r"[A-Za-z0-9_.,-]+")
_COOKIES = frozenset({"cookie", "mac-cookie"})


class Kind(StrEnum):
    """What can be wrong. The sentences are the command line's."""

    NO_ENTRY = "no_radius_entry"
    ENTRY_OFF = "radius_entry_off"
    SERVICE = "radius_service"
    PORTS = "radius_ports"
    SOURCE = "radius_source_address"
    ANOTHER_FIRST = "another_server_first"
    TIMEOUT_LOW = "timeout_low"
    TIMEOUT_HIGH = "timeout_high"
    SECRET_DIFFERS = "secret_differs"  # noqa: S105
    SECRET_SUSPECTED = "secret_suspected"  # noqa: S105
    UNSIGNED = "unsigned_replies_taken"
    INCOMING_OFF = "incoming_off"
    INCOMING_PORT = "incoming_port"
    PPP_WITHOUT_RADIUS = "ppp_without_radius"
    PPP_ACCOUNTING_OFF = "ppp_accounting_off"
    PPP_INTERIM_OFF = "ppp_interim_off"
    IPV6_ACCOUNTING_OFF = "ipv6_accounting_off"
    LOCAL_SECRETS = "local_secrets"
    HOTSPOT_WITHOUT_RADIUS = "hotspot_without_radius"
    HOTSPOT_ACCOUNTING_OFF = "hotspot_accounting_off"
    HOTSPOT_INTERIM_OFF = "hotspot_interim_off"
    COOKIES = "hotspot_cookies"
    NO_RULE = "no_rule_for_list"
    RULE_OFF = "rule_for_list_off"
    NO_JUMP = "no_jump_to_rule"
    CLOCK = "clock_off"
    CLOCK_UNTOLD = "clock_not_told"
    MAY_NOT_WRITE = "api_user_may_not_write"
    NTP_OFF = "ntp_off"
    OLD_VERSION = "old_version"
    UNREAD = "not_read"


class Weight(StrEnum):
    """How bad it is."""

    WRONG = "wrong"
    RISK = "risk"


class Finding(NamedTuple):
    """One thing that is wrong, the values of its sentence, and what mends it."""

    kind: Kind
    weight: Weight
    command: str
    facts: Mapping[str, object] = {}


class ListUse(NamedTuple):
    """An address list that a parameter names: whoever stands in it must meet a rule."""

    parameter: str
    name: str
    family: str  # ip, ipv6
    is_block: bool  # else who is in it is only told something


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a router should say of us. Empty: not known, and not judged."""

    servers: frozenset[str] = frozenset()  # addresses at which a router may reach us
    auth_port: int = 1812
    acct_port: int = 1813
    network: str = ""  # the NAS's address or prefix, from which its requests must come
    order_port: int = 3799
    timeout_ms: int = TIMEOUT_MIN_MS  # what we believe that it waits before it sends again
    secrets: frozenset[str] = field(default=frozenset(), repr=False)  # that we believe
    unreadable: int = 0  # requests of it that we heard and whose signature or password did not fit
    lists: tuple[ListUse, ...] = ()
    api_user: str = ""  # as whom we ask it
    logins: frozenset[str] = frozenset()  # of the names that the router knows by itself, those that are logins


def examine(found: RouterSettings, expected: Expected) -> tuple[Finding, ...]:
    """Return all that is wrong, what keeps customers out first."""
    findings = [
        *_radius(found, expected),
        *_incoming(found, expected),
        *_ppp(found, expected),
        *_hotspot(found),
        *(finding for use in expected.lists for finding in _rules(found, use)),
        *_rights(found, expected),
        *_system(found),
    ]
    return tuple(sorted(findings, key=lambda finding: finding.weight is not Weight.WRONG))


# --- /radius --------------------------------------------------------------------------------------------------------


def _radius(found: RouterSettings, expected: Expected) -> Iterator[Finding]:
    needed = _services(found)
    if _RADIUS_PATH in found.unread:
        return
    ours = [entry for entry in found.radius if _host(entry) in expected.servers] if expected.servers else found.radius
    usable = [entry for entry in ours if entry.is_on]
    if not usable:
        if ours:
            yield Finding(Kind.ENTRY_OFF, Weight.WRONG, f"/radius enable {_at(ours[0])}", _whose(ours[0]))
        else:
            yield _no_entry(found, expected, needed)
        return
    missing = needed - frozenset().union(*(entry.services for entry in usable))
    if missing:
        all_of = _listed(sorted(usable[0].services | missing))
        facts = {**_whose(usable[0]), "services": ", ".join(sorted(missing))}
        yield Finding(Kind.SERVICE, Weight.WRONG, f"/radius set {_at(usable[0])} service={all_of}", facts)
    yield from _another_first(found, usable, needed)
    for entry in usable:
        yield from _entry(entry, expected)


def _services(found: RouterSettings) -> frozenset[str]:
    """Return for what it must ask us: for what it serves; where it serves nothing, for PPP."""
    needed = {name for name, has in ((_PPP, found.has_ppp), (_HOTSPOT, found.has_hotspot)) if has}
    return frozenset(needed or {_PPP})


def _no_entry(found: RouterSettings, expected: Expected, needed: frozenset[str]) -> Finding:
    address = min(expected.servers, default="<ADDRESS>")
    command = f'/radius add address={address} service={",".join(sorted(needed))} secret="{SECRET_PLACE}"'
    command += f" timeout={max(TIMEOUT_ADVISED_MS, expected.timeout_ms)}ms"
    command += f" authentication-port={expected.auth_port} accounting-port={expected.acct_port}"
    there = ", ".join(entry["address"] for entry in found.radius)
    return Finding(Kind.NO_ENTRY, Weight.WRONG, command, {"address": address, "there": there or "-"})


def _another_first(found: RouterSettings, usable: list[RadiusEntry], needed: frozenset[str]) -> Iterator[Finding]:
    """Whoever stands before us for the same service is asked in our place."""
    for entry in found.radius:
        if entry in usable:
            return
        is_for_some = any(entry[name] for name in ("domain", "realm", "called-id"))
        if entry.is_on and entry.services & needed and not is_for_some:
            command = f"/radius move {_at(usable[0])} destination=0"
            yield Finding(Kind.ANOTHER_FIRST, Weight.RISK, command, _whose(entry))
            return


def _entry(entry: RadiusEntry, expected: Expected) -> Iterator[Finding]:
    whose, at = _whose(entry), _at(entry)
    ports = entry["authentication-port"], entry["accounting-port"]
    right = str(expected.auth_port), str(expected.acct_port)
    if all(ports) and ports != right and entry["protocol"] in {"", "udp"}:
        command = f"/radius set {at} authentication-port={right[0]} accounting-port={right[1]}"
        yield Finding(
            Kind.PORTS, Weight.WRONG, command, {**whose, "ports": "/".join(ports), "right": "/".join(right)}
        )
    source = entry["src-address"]
    if expected.network and source not in _ANYWHERE and not _is_within(source, expected.network):
        mend = expected.network.partition("/")[0] if _is_one(expected.network) else "0.0.0.0"  # noqa: S104
        facts = {**whose, "source": source, "network": expected.network}
        yield Finding(Kind.SOURCE, Weight.WRONG, f"/radius set {at} src-address={mend}", facts)
    yield from _timeout(entry, expected)
    if expected.secrets and entry["secret"] and entry["secret"] not in expected.secrets:
        yield Finding(Kind.SECRET_DIFFERS, Weight.WRONG, f'/radius set {at} secret="{SECRET_PLACE}"', whose)
    elif entry["secret"] not in expected.secrets and (entry.bad_replies or expected.unreadable):
        facts = {**whose, "bad_replies": entry.bad_replies, "unreadable": expected.unreadable}
        yield Finding(Kind.SECRET_SUSPECTED, Weight.RISK, f'/radius set {at} secret="{SECRET_PLACE}"', facts)
    if entry["require-message-auth"] == "no":
        command = f"/radius set {at} require-message-auth=yes-for-request-resp"
        yield Finding(Kind.UNSIGNED, Weight.RISK, command, whose)


def _timeout(entry: RadiusEntry, expected: Expected) -> Iterator[Finding]:
    waited_ms = milliseconds_of(entry["timeout"])
    if waited_ms is None:
        return
    least_ms = max(TIMEOUT_MIN_MS, expected.timeout_ms)
    advised_ms = max(TIMEOUT_ADVISED_MS, least_ms)
    command = f"/radius set {_at(entry)} timeout={advised_ms}ms"
    facts = {**_whose(entry), "timeout_ms": waited_ms, "least_ms": least_ms, "most_ms": TIMEOUT_MAX_MS}
    if waited_ms < least_ms:
        yield Finding(Kind.TIMEOUT_LOW, Weight.WRONG, command, facts)
    elif waited_ms > max(TIMEOUT_MAX_MS, least_ms):
        yield Finding(Kind.TIMEOUT_HIGH, Weight.RISK, command, facts)


def _incoming(found: RouterSettings, expected: Expected) -> Iterator[Finding]:
    if not found.incoming:
        return
    port = expected.order_port
    if found.incoming.get("accept") not in TRUE:
        yield Finding(Kind.INCOMING_OFF, Weight.WRONG, f"/radius incoming set accept=yes port={port}")
    elif found.incoming.get("port") != str(port):
        facts = {"port": found.incoming.get("port", ""), "right": port}
        yield Finding(Kind.INCOMING_PORT, Weight.WRONG, f"/radius incoming set port={port}", facts)


# --- PPP and Hotspot ------------------------------------------------------------------------------------------------


def _ppp(found: RouterSettings, expected: Expected) -> Iterator[Finding]:
    aaa = found.ppp_aaa
    if not aaa or _PPP not in _services(found):
        return
    if aaa.get("use-radius") not in TRUE:
        yield Finding(Kind.PPP_WITHOUT_RADIUS, Weight.WRONG, "/ppp aaa set use-radius=yes")
    if aaa.get("accounting") not in TRUE:
        yield Finding(Kind.PPP_ACCOUNTING_OFF, Weight.WRONG, "/ppp aaa set accounting=yes")
    if _is_never(aaa.get("interim-update", "")):
        yield Finding(Kind.PPP_INTERIM_OFF, Weight.WRONG, "/ppp aaa set interim-update=5m")
    if "enable-ipv6-accounting" in aaa and aaa["enable-ipv6-accounting"] not in TRUE:
        yield Finding(Kind.IPV6_ACCOUNTING_OFF, Weight.RISK, "/ppp aaa set enable-ipv6-accounting=yes")
    if local := [name for name in found.secrets if name in expected.logins]:
        shown = ", ".join(local[:_LOCAL_SHOWN]) + (" …" if len(local) > _LOCAL_SHOWN else "")
        command = "; ".join(f"/ppp secret disable [find name={quoted(name)}]" for name in local[:_LOCAL_SHOWN])
        yield Finding(Kind.LOCAL_SECRETS, Weight.WRONG, command, {"count": len(local), "names": shown})


def _hotspot(found: RouterSettings) -> Iterator[Finding]:
    for profile in found.hotspot_profiles:
        name = profile.get("name", "")
        change = f"/ip hotspot profile set [find name={quoted(name)}]"
        facts: dict[str, object] = {"profile": name}
        if profile.get("use-radius") not in TRUE:
            yield Finding(Kind.HOTSPOT_WITHOUT_RADIUS, Weight.WRONG, f"{change} use-radius=yes", facts)
        if profile.get("radius-accounting") not in TRUE:
            yield Finding(Kind.HOTSPOT_ACCOUNTING_OFF, Weight.WRONG, f"{change} radius-accounting=yes", facts)
        if _is_never(profile.get("radius-interim-update", "")):
            command = f"{change} radius-interim-update=received"
            yield Finding(Kind.HOTSPOT_INTERIM_OFF, Weight.WRONG, command, facts)
        ways = profile.get("login-by", "").split(",")
        if _COOKIES & set(ways):
            left = _listed(way for way in ways if way not in _COOKIES) or "http-chap"
            lifetime = profile.get("http-cookie-lifetime", "") or "-"
            yield Finding(Kind.COOKIES, Weight.RISK, f"{change} login-by={left}", {**facts, "lifetime": lifetime})


def _is_never(period: str) -> bool:
    return bool(period) and milliseconds_of(period) == 0


# --- the firewall ---------------------------------------------------------------------------------------------------


def _rules(found: RouterSettings, use: ListUse) -> Iterator[Finding]:
    """Tell where nothing happens to whoever stands in a list."""
    if any(path.startswith(f"/{use.family}/firewall/") for path in found.unread):
        return
    unreached: list[tuple[str, str]] = []  # table, chain
    switched_off: list[str] = []
    for path, rules in found.rules.items():
        _, family, _, table = path.split("/")
        if family != use.family:
            continue
        reached = _reached(table, rules)
        for rule in rules:
            if use.name not in _lists_of(rule) or not _does_something(rule, rules):
                continue
            if not _is_on(rule):
                switched_off.append(table)
            elif rule.get("chain") not in reached:
                unreached.append((table, rule.get("chain", "")))
            else:
                return
    facts = {"list": use.name, "parameter": use.parameter, "family": "IPv6" if use.family == "ipv6" else "IPv4"}
    name, base = quoted(use.name), f"/{use.family} firewall"
    if unreached:
        table, chain = unreached[0]
        command = f"{base} {table} add chain={_FORWARD_CHAINS[table]} src-address-list={name} action=jump"
        command += f" jump-target={quoted(chain)}"
        yield Finding(Kind.NO_JUMP, Weight.WRONG, command, {**facts, "chain": chain, "table": table})
    elif switched_off:
        command = f"{base} {switched_off[0]} enable [find src-address-list={name}]"
        yield Finding(Kind.RULE_OFF, Weight.WRONG, command, {**facts, "table": switched_off[0]})
    elif use.is_block:
        command = f"{base} filter add chain=forward src-address-list={name} action=drop"
        yield Finding(Kind.NO_RULE, Weight.WRONG, command, facts)
    else:
        command = f"{base} nat add chain=dstnat src-address-list={name} protocol=tcp dst-port=80"
        yield Finding(Kind.NO_RULE, Weight.WRONG, f"{command} action=redirect to-ports=8080", facts)


def _reached(table: str, rules: Iterable[Row]) -> set[str]:
    """Return the chains of a table through which packets go: its own, and those to which a rule in one jumps."""
    jumps = [
        (rule.get("chain", ""), rule.get("jump-target", ""))
        for rule in rules
        if rule.get("action") == "jump" and _is_on(rule)
    ]
    reached = set(_BUILT_IN[table])
    while more := {target for chain, target in jumps if chain in reached} - reached:
        reached |= more
    return reached


def _does_something(rule: Row, rules: Sequence[Row]) -> bool:
    """Tell whether a rule makes a difference: one that jumps does if a rule there does."""
    action, target = rule.get("action", "accept"), rule.get("jump-target")
    if action != "jump":
        return action not in _HARMLESS_ACTIONS
    return any(
        one.get("chain") == target and _is_on(one) and one.get("action", "accept") not in _HARMLESS_ACTIONS
        for one in rules
    )


def _lists_of(rule: Row) -> set[str]:
    """Return the lists that a rule looks into, not those that it takes for the opposite."""
    return {rule.get("src-address-list", ""), rule.get("dst-address-list", "")} - {""}


def _is_on(row: Row) -> bool:
    return row.get("disabled") not in TRUE


# --- who we are there -----------------------------------------------------------------------------------------------


def _rights(found: RouterSettings, expected: Expected) -> Iterator[Finding]:
    """Tell if orders by the API would be refused; one whom RADIUS lets in has no row there, and is not judged."""
    group = found.groups.get(expected.api_user, "")
    policies = found.policies.get(group)
    if policies is None or policies >= _NEEDED:
        return
    command = f"/user group set [find name={quoted(group)}] policy={_listed(sorted(policies | _NEEDED))}"
    if group in _OWN_GROUPS:  # nobody can change them
        command = f"/user set [find name={quoted(expected.api_user)}] group=write"
    yield Finding(Kind.MAY_NOT_WRITE, Weight.WRONG, command, {"user": expected.api_user, "group": group})


# --- the system -----------------------------------------------------------------------------------------------------


def _system(found: RouterSettings) -> Iterator[Finding]:
    for path, message in found.unread.items():
        facts: dict[str, object] = {"path": path, "message": message}
        yield Finding(Kind.UNREAD, Weight.RISK, _RIGHTS, facts)
    version = version_of(found.version)
    servers = "primary-ntp=" if version is not None and version < (7, 0) else "servers="
    command = f"/system ntp client set enabled=yes {servers}<NTP-SERVER>"
    if found.ahead_s is None and _CLOCK_PATH not in found.unread:
        yield Finding(Kind.CLOCK_UNTOLD, Weight.RISK, "/system clock print")
    elif found.ahead_s is not None and abs(found.ahead_s) > CLOCK_TOLERANCE_S:
        ahead = {"seconds": round(abs(found.ahead_s)), "is_ahead": found.ahead_s > 0}
        yield Finding(Kind.CLOCK, Weight.WRONG, command, ahead)
    if found.ntp and found.ntp.get("enabled") not in TRUE:
        yield Finding(Kind.NTP_OFF, Weight.RISK, command)
    if version is not None and version < SIGNING_VERSION:
        told = {"version": found.version, "needed": ".".join(map(str, SIGNING_VERSION))}
        yield Finding(Kind.OLD_VERSION, Weight.RISK, "/system package update install", told)


def version_of(text: str) -> tuple[int, int] | None:
    """Return the first two numbers of a version such as `7.20 (stable)` or `7.21beta3`."""
    found = _VERSION.match(text)
    return None if found is None else (int(found[1]), int(found[2]))


def milliseconds_of(period: str) -> int | None:
    """Return a period such as `300ms`, `1s100ms` or `5m`; None if it is none."""
    if not period or _PERIOD.sub("", period):
        return None
    return sum(int(count) * _PERIODS_MS[unit] for count, unit in _PERIOD.findall(period))


def quoted(text: str) -> str:
    """Return a text as RouterOS's command line reads it."""
    if _PLAIN.fullmatch(text):
        return text
    escaped = "".join(f"\\{sign}" if sign in '\\"$?' else sign for sign in text if sign.isprintable())
    return f'"{escaped}"'


def _listed(names: Iterable[str]) -> str:
    """Return words with commas between them, in quotes unless all are plain."""
    text = ",".join(names)
    return text if _PLAIN_LIST.fullmatch(text) or not text else quoted(text)


def _host(entry: RadiusEntry) -> str:
    """Return a server's address in its one way to write it, without `@vrf`."""
    text = entry["address"].partition("@")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return text


def _whose(entry: RadiusEntry) -> dict[str, object]:
    return {"address": entry["address"]}


def _at(entry: RadiusEntry) -> str:
    return f"[find address={quoted(entry['address'])}]"


def _is_within(address: str, network: str) -> bool:
    try:
        return ip_address(address) in ip_network(network)
    except ValueError:
        return True  # not to be judged


def _is_one(network: str) -> bool:
    parsed = ip_network(network)
    return parsed.prefixlen == parsed.max_prefixlen
