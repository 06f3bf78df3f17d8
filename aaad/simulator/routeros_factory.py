"""Which tables a simulated router has, with their columns and what stands in them before anybody sets it up.

Pure. Names and defaults are RouterOS's, of the parts that whoever runs subscribers on it looks at; tables that came
with a version are missing before it.
"""

from collections.abc import Iterable
from ipaddress import ip_network

from aaad.simulator.routeros_rows import LEAVING, READING, SETTING, Row, Table

Version = tuple[int, int]

_IPV4 = 4
_SEVEN = (7, 0)
_SIGNED = (7, 15)  # require-message-auth, IPv6 accounting
_TRUTHS = frozenset(
    {
        *("disabled", "dynamic", "accept", "enabled", "radius", "use-radius", "accounting", "enable-ipv6-accounting"),
        *("use-circuit-id-in-nas-port-id", "accounting-backup", "radius-accounting", "time-zone-autodetect"),
        "one-session-per-host",
    }
)
_RULE = (
    "chain action jump-target src-address-list dst-address-list src-address dst-address protocol dst-port "
    "in-interface out-interface connection-state comment disabled to-addresses to-ports reject-with log"
)

_POLICIES = (
    *("local", "telnet", "ssh", "ftp", "reboot", "read", "write", "policy", "test", "winbox", "password", "web"),
    *("sniff", "sensitive", "api", "romon", "rest-api"),
)
_GROUPS = {
    "read": frozenset(_POLICIES) - {"ftp", "write", "policy"},
    "write": frozenset(_POLICIES) - {"ftp", "policy"},
    "full": frozenset(_POLICIES),
}
_USER = {"group": "read", "address": "", "disabled": "false"}


def factory_tables(version: Version) -> dict[str, Table]:
    """Return the tables of a router of this version that nobody has set up."""
    return {
        **_pools(),
        **_customers(),
        **_radius(version),
        **_firewall(),
        **_system(version),
        "/interface": _of("name comment disabled", commands=SETTING),
    }


def _of(columns: str, **more: object) -> Table:
    return Table(columns=frozenset(columns.split()) or None, truths=_TRUTHS, **more)  # type: ignore[arg-type]


def _one(columns: str, **values: str) -> Table:
    """Return a table of one row without an .id."""
    table = _of(columns, commands=SETTING, is_single=True)
    table.put({name.replace("_", "-"): value for name, value in values.items()})
    return table


def _with(table: Table, rows: Iterable[Row]) -> Table:
    for row in rows:
        table.put({**table.defaults, **row})
    return table


def _pools() -> dict[str, Table]:
    return {
        "/ip/pool": _of("name ranges next-pool comment", required=("name", "ranges"), unique=("name",)),
        "/ip/pool/used": Table(commands=READING),
        "/ipv6/pool": _of("name prefix prefix-length", required=("name", "prefix"), unique=("name",)),
        "/ipv6/pool/used": Table(commands=READING),
        "/ipv6/dhcp-server/binding": _of(
            "address comment disabled duid iaid life-time prefix-pool rate-limit server",
            required=("address",),
            unique=("address",),
            defaults={"server": "all", "disabled": "false"},
        ),
        "/ip/dhcp-server/lease": _of(
            "address mac-address client-id server comment disabled block-access rate-limit",
            required=("address",),
            defaults={"disabled": "false", "dynamic": "false", "status": "waiting"},
        ),
    }


def _customers() -> dict[str, Table]:
    profile = {"hotspot-address": "0.0.0.0", "use-radius": "false", "login-by": "cookie,http-chap"}  # noqa: S104
    profile |= {"radius-accounting": "true", "radius-interim-update": "received", "http-cookie-lifetime": "3d"}
    profile |= {"nas-port-type": "wireless-802.11", "radius-mac-format": "XX:XX:XX:XX:XX:XX"}
    return {
        "/ppp/active": Table(commands=LEAVING),
        "/ppp/secret": _of(
            "name password service profile remote-address disabled comment",
            required=("name",),
            unique=("name",),
            defaults={"disabled": "false", "service": "any"},
        ),
        "/ppp/profile": _with(
            _of(
                "name local-address remote-address rate-limit only-one dns-server address-list comment "
                "use-encryption session-timeout idle-timeout remote-ipv6-prefix-pool dhcpv6-pd-pool",
                required=("name",),
                unique=("name",),
                defaults={"only-one": "default", "use-encryption": "default"},
            ),
            [{"name": "default"}, {"name": "default-encryption", "use-encryption": "yes"}],
        ),
        "/interface/pppoe-server/server": _of(
            "service-name interface default-profile authentication disabled one-session-per-host keepalive-timeout",
            required=("interface",),
            defaults={"disabled": "true", "service-name": "service1", "default-profile": "default"},
        ),
        **{
            f"/interface/{kind}-server/server": _one("enabled default-profile authentication", enabled="false")
            for kind in ("l2tp", "pptp", "sstp", "ovpn")
        },
        "/ip/hotspot": _of(
            "name interface profile address-pool disabled",
            required=("interface",),
            defaults={"disabled": "true", "profile": "default"},
        ),
        "/ip/hotspot/profile": _with(
            _of(
                "name hotspot-address use-radius login-by radius-accounting radius-interim-update rate-limit "
                "http-cookie-lifetime nas-port-type radius-mac-format mac-auth-mode mac-auth-password "
                "radius-default-domain",
                required=("name",),
                unique=("name",),
                defaults=profile,
            ),
            [{"name": "default"}],
        ),
        "/ip/hotspot/active": Table(commands=LEAVING),
        "/ip/hotspot/cookie": Table(commands=LEAVING),
        "/queue/simple": _of(
            "name target max-limit limit-at burst-limit burst-threshold burst-time priority parent comment disabled",
            required=("name",),
            unique=("name",),
            defaults={"disabled": "false", "dynamic": "false", "max-limit": "0/0", "limit-at": "0/0"},
        ),
    }


def _radius(version: Version) -> dict[str, Table]:
    radius = {"service": "", "timeout": "300ms", "authentication-port": "1812", "accounting-port": "1813"}
    radius |= {"accounting-backup": "false", "src-address": "0.0.0.0", "disabled": "false", "secret": ""}  # noqa: S104
    radius |= {"protocol": "udp", "domain": "", "realm": "", "called-id": ""}
    aaa = {"use_radius": "false", "accounting": "true", "interim_update": "0s"}
    if version >= _SIGNED:
        radius["require-message-auth"] = "yes-for-request-resp"
        aaa["enable_ipv6_accounting"] = "false"
    counters = dict.fromkeys(["pending", "requests", "accepts", "rejects", "resends", "timeouts", "bad-replies"], "0")
    incoming = _one("accept port vrf", accept="false", port="3799")
    incoming.monitor = lambda row: dict.fromkeys(("requests", "bad-requests", "acks", "naks"), "0")
    return {
        "/radius": _of(
            " ".join(["address", "comment", *radius]),
            required=("address",),
            defaults=radius,
            monitor=lambda row: dict(counters),
        ),
        "/radius/incoming": incoming,
        "/ppp/aaa": _one(" ".join(name.replace("_", "-") for name in aaa), **aaa),
    }


def _firewall() -> dict[str, Table]:
    kinds = [("ip", "filter"), ("ip", "nat"), ("ip", "raw"), ("ipv6", "filter"), ("ipv6", "nat"), ("ipv6", "raw")]
    rules = {
        f"/{family}/firewall/{kind}": _of(
            _RULE, required=("chain",), defaults={"disabled": "false", "action": "accept"}
        )
        for family, kind in kinds
    }
    return {f"/{family}/firewall/address-list": _address_list() for family in ("ip", "ipv6")} | rules


def _address_list() -> Table:
    return _of(
        "list address timeout comment disabled",
        required=("list", "address"),
        unique=("list", "address"),
        defaults={"disabled": "false", "dynamic": "false"},
        written=_written_entry,
    )


def _written_group(row: Row) -> Row:
    """Return a group as the router shows it: each policy, with `!` if it has it not."""
    return {**row, "policy": _policy_text(frozenset(row.get("policy", "").split(",")))}


def _rewrite_group(row: Row) -> None:
    row.update(_written_group(row))


def _policy_text(policies: frozenset[str]) -> str:
    return ",".join(name if name in policies else f"!{name}" for name in _POLICIES)


def _written_entry(row: Row) -> Row:
    """Return an entry as the router shows it: IPv6 with a prefix length always; with a timeout it is dynamic."""
    try:
        network = ip_network(row["address"], strict=False)
    except ValueError:
        return row  # a range, or a name
    is_one = network.version == _IPV4 and network.prefixlen == network.max_prefixlen
    address = str(network.network_address) if is_one else str(network)
    return {**row, "address": address, "dynamic": "true" if row.get("timeout") else row.get("dynamic", "false")}


def _system(version: Version) -> dict[str, Table]:
    clock = {"time": "00:00:00", "date": "1970-01-02" if version >= (7, 10) else "jan/02/1970"}
    clock |= {"time_zone_autodetect": "true", "time_zone_name": "Etc/UTC", "gmt_offset": "+00:00"}
    ntp = (
        {"enabled": "false", "mode": "unicast", "servers": "", "vrf": "main", "status": "stopped"}
        if version >= _SEVEN
        else {"enabled": "false", "primary_ntp": "0.0.0.0", "secondary_ntp": "0.0.0.0"}  # noqa: S104
    )
    return {
        "/system/identity": _of("name", commands=SETTING, is_single=True),
        "/user": _of("name group address comment disabled", required=("name",), unique=("name",), defaults=_USER),
        "/user/group": _with(
            _of(
                "name policy skin comment",
                required=("name",),
                unique=("name",),
                written=_written_group,
                changed=_rewrite_group,
            ),
            [{"name": name, "policy": _policy_text(policies)} for name, policies in _GROUPS.items()],
        ),
        "/system/resource": Table(commands=READING, is_single=True),
        "/system/clock": _one("time date time-zone-name time-zone-autodetect", **clock),
        "/system/ntp/client": _one("enabled mode servers vrf primary-ntp secondary-ntp", **ntp),
    }
