"""How a router is set up, as far as it concerns us: what `doctor` judges.

Reads only. Rows are kept in the router's own words; what it does not have, because it is old or has no such package,
is empty. A shared secret is kept for comparing only and is in no repr; without the policy `sensitive` the router does
not tell it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone

from aaad import clock
from aaad.errors import RouterTrap
from aaad.mikrotik.applied import TRUE, rows_of
from aaad.mikrotik.connection import RouterApi, Row

_DIGITS_MAX = 20  # of a counter
_TUNNELS = ("l2tp", "pptp", "sstp", "ovpn")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_RULE_FIELDS = ("chain", "action", "jump-target", "src-address-list", "dst-address-list", "disabled", "dynamic")
_RADIUS_FIELDS = (
    *(".id", "address", "service", "timeout", "authentication-port", "accounting-port", "accounting-backup"),
    *("src-address", "require-message-auth", "domain", "realm", "called-id", "disabled", "protocol", "secret"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RadiusEntry:
    """One entry of /radius, in their order."""

    row: Row = field(repr=False)
    statistics: Row = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        """Return one of its values, empty if the router does not say it."""
        return self.row.get(name, "")

    @property
    def is_on(self) -> bool:
        """Whether it is asked at all."""
        return self["disabled"] not in TRUE

    @property
    def services(self) -> frozenset[str]:
        """For which services it is asked."""
        return frozenset(self["service"].split(",")) - {""}

    @property
    def bad_replies(self) -> int:
        """How many replies did not fit its secret, or were broken, since the router started."""
        said = self.statistics.get("bad-replies", "")
        return int(said) if said.isdecimal() and len(said) <= _DIGITS_MAX else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterSettings:
    """What was read of a router."""

    identity: str = ""
    version: str = ""
    radius: tuple[RadiusEntry, ...] = ()
    incoming: Row = field(default_factory=dict)
    ppp_aaa: Row = field(default_factory=dict)
    has_ppp: bool = False  # it lets customers dial in
    hotspot_profiles: tuple[Row, ...] = ()  # of servers that are on
    rules: Mapping[str, Sequence[Row]] = field(default_factory=dict)  # by the path of their table
    secrets: tuple[str, ...] = ()  # names of users that the router knows by itself
    groups: Mapping[str, str] = field(
        default_factory=dict
    )  # of who administers it, by name; none if it does not tell
    policies: Mapping[str, frozenset[str]] = field(default_factory=dict)  # of groups, what they may
    ntp: Row = field(default_factory=dict)
    ahead_s: float | None = None  # of our clock; None: it does not tell the time
    unread: Mapping[str, str] = field(default_factory=dict)  # paths that it refused to show, and in which words

    @property
    def has_hotspot(self) -> bool:
        """Whether it has a Hotspot that is on."""
        return bool(self.hotspot_profiles)


RULE_PATHS = tuple(f"/{family}/firewall/{table}" for family in ("ip", "ipv6") for table in ("filter", "nat", "raw"))


async def read_settings(api: RouterApi) -> RouterSettings:
    """Read a router; RouterError if it does not answer."""
    reading = _Reading(api)
    identity = await reading.one("/system/identity")
    resource = await reading.one("/system/resource", ("version",))
    radius = [RadiusEntry(row=row) for row in await reading.rows("/radius", _RADIUS_FIELDS)]
    counted = tuple([replace(entry, statistics=await reading.statistics(entry[".id"])) for entry in radius])
    profiles = {row.get("name", ""): row for row in await reading.rows("/ip/hotspot/profile")}
    hotspots = [row for row in await reading.rows("/ip/hotspot") if _is_on(row)]
    used = sorted({row.get("profile", "default") for row in hotspots} & profiles.keys())
    before_s = clock.wall_s()
    time = await reading.one("/system/clock")
    at_s = (before_s + clock.wall_s()) / 2
    local = await reading.rows("/ppp/secret", ("name", "disabled"))
    return RouterSettings(
        identity=identity.get("name", ""),
        version=resource.get("version", ""),
        radius=counted,
        incoming=await reading.one("/radius/incoming"),
        ppp_aaa=await reading.one("/ppp/aaa"),
        has_ppp=await reading.has_ppp(),
        hotspot_profiles=tuple(profiles[name] for name in used),
        rules={path: await reading.rows(path, _RULE_FIELDS) for path in RULE_PATHS},
        secrets=tuple(row["name"] for row in local if "name" in row and _is_on(row)),
        groups={row.get("name", ""): row.get("group", "") for row in await _told(api, "/user", ("name", "group"))},
        policies={
            row.get("name", ""): frozenset(name for name in row.get("policy", "").split(",") if name[:1] != "!")
            for row in await _told(api, "/user/group", ("name", "policy"))
        },
        ntp=await reading.one("/system/ntp/client"),
        ahead_s=_ahead_s(time, at_s),
        unread=dict(reading.unread),
    )


class _Reading:
    """One round of reading, and what was refused in it."""

    def __init__(self, api: RouterApi) -> None:
        self._api = api
        self.unread: dict[str, str] = {}

    async def rows(self, path: str, fields: Sequence[str] = ()) -> list[Row]:
        try:
            return await rows_of(self._api, path, fields)
        except RouterTrap as trap:
            self.unread[path] = trap.message
            return []

    async def one(self, path: str, fields: Sequence[str] = ()) -> Row:
        rows = await self.rows(path, fields)
        return rows[0] if rows else {}

    async def statistics(self, row_id: str) -> Row:
        """Return what a server's entry counts; nothing if the router does not tell."""
        try:
            rows = await self._api.watch("/radius/monitor", {"numbers": row_id, "once": ""})
        except RouterTrap:
            return {}
        return rows[0] if rows else {}

    async def has_ppp(self) -> bool:
        if any(map(_is_on, await self.rows("/interface/pppoe-server/server", ("disabled",)))):
            return True
        for tunnel in _TUNNELS:
            servers = await self.rows(f"/interface/{tunnel}-server/server", ("enabled", "disabled"))
            # Of OpenVPN there are several since 7.17; they have `disabled` as everything else has.
            if any(row.get("enabled") in TRUE or row.get("disabled") in {"false", "no"} for row in servers):
                return True
        return False


async def _told(api: RouterApi, path: str, fields: Sequence[str]) -> list[Row]:
    """Return rows; none where the user of the API may not see them, which is no fault."""
    try:
        return await rows_of(api, path, fields)
    except RouterTrap:
        return []


def _is_on(row: Row) -> bool:
    return row.get("disabled") not in TRUE


def _ahead_s(time: Row, at_s: float) -> float | None:
    """Return by how much a router's clock is ahead of ours; it tells whole seconds only."""
    try:
        day, zone = _date(time["date"]), _offset(time.get("gmt-offset", "+00:00"))
        hours, minutes, seconds = map(int, time["time"].split(":"))
        said = datetime(*day, hours, minutes, seconds, tzinfo=zone).astimezone(UTC)
    except (KeyError, ValueError, OverflowError):
        return None
    return said.timestamp() + 0.5 - at_s


def _date(text: str) -> tuple[int, int, int]:
    """Return year, month, day of `2026-05-01`, or of `may/01/2026` as before 7.10."""
    if "/" in text:
        month, day, year = text.split("/")
        return int(year), _MONTHS.index(month.lower()) + 1, int(day)
    year, month, day = text.split("-")
    return int(year), int(month), int(day)


def _offset(text: str) -> timezone:
    """Return the zone of `-03:00`, or of seconds."""
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    if ":" in digits:
        hours, minutes = map(int, digits.split(":")[:2])
        return timezone(sign * timedelta(hours=hours, minutes=minutes))
    return timezone(sign * timedelta(seconds=int(digits)))
