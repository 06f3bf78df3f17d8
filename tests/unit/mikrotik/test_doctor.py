"""The doctor before simulated routers, each with one planted fault: it is found, and its command mends it."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from command_line import type_in
from router_world import PASSWORD, connection

from aaad.mikrotik.doctor import (
    SECRET_PLACE,
    Expected,
    Finding,
    Kind,
    ListUse,
    Weight,
    examine,
    milliseconds_of,
    quoted,
    version_of,
)
from aaad.mikrotik.settings import RadiusEntry, RouterSettings, read_settings
from aaad.simulator.routeros import Router, RouterosServer
from aaad.simulator.routeros_tables import Trap

SECRET = "segredo do roteador"
OURS, OTHER = "198.51.100.10", "198.51.100.99"
EXPECTED = Expected(
    servers=frozenset({OURS, "198.51.100.11"}),
    network="192.0.2.1/32",
    secrets=frozenset({SECRET}),
    lists=(
        ListUse("blocked_address_list", "blocked", "ip", True),
        ListUse("blocked_address_list_ipv6", "blocked six", "ipv6", True),
        ListUse("notice_address_list", "late", "ip", False),
    ),
    api_user="aaad",
    logins=frozenset({"ana"}),
)


def healthy(version: tuple[int, int] = (7, 20)) -> Router:
    made = Router(version, identity="bras-1", aaad=PASSWORD)
    made.run(
        "/radius/add",
        {
            "address": OURS,
            "service": "ppp,hotspot",
            "secret": SECRET,
            "timeout": "1s100ms",
            "src-address": "192.0.2.1",
        },
        [],
    )
    made.run("/radius/incoming/set", {"accept": "yes", "port": "3799"}, [])
    made.run("/ppp/aaa/set", {"use-radius": "yes", "interim-update": "5m"}, [])
    if version >= (7, 15):
        made.run("/ppp/aaa/set", {"enable-ipv6-accounting": "yes"}, [])
    made.run("/interface/pppoe-server/server/add", {"interface": "vlan100", "disabled": "no"}, [])
    made.run("/ip/hotspot/add", {"interface": "lan", "profile": "guests", "disabled": "no"}, [])
    made.run("/ip/hotspot/profile/add", {"name": "guests", "use-radius": "yes", "login-by": "http-chap,mac"}, [])
    drop = {"chain": "forward", "action": "drop"}
    made.run("/ip/firewall/filter/add", {**drop, "src-address-list": "blocked"}, [])
    made.run("/ipv6/firewall/filter/add", {**drop, "src-address-list": "blocked six"}, [])
    late = {"chain": "dstnat", "action": "redirect", "src-address-list": "late", "to-ports": "8080"}
    made.run("/ip/firewall/nat/add", late, [])
    set_clock(made)
    made.run("/system/ntp/client/set", {"enabled": "yes"}, [])
    return made


def set_clock(made: Router, ahead_s: float = 0.0) -> None:
    at = time.gmtime(time.time() + ahead_s - 3 * 3600)
    row = made.table("/system/clock").all_rows()[0]
    is_new = made.version >= (7, 10)
    date = time.strftime("%Y-%m-%d" if is_new else "%b/%d/%Y", at).lower()
    row.update({"date": date, "time": time.strftime("%H:%M:%S", at), "gmt-offset": "-03:00" if is_new else "-10800"})


async def looked_at(made: Router) -> RouterSettings:
    with RouterosServer(made) as server:
        asked = connection(server)
        found = await read_settings(asked)
        await asked.close()
    return found


async def findings(made: Router, expected: Expected = EXPECTED) -> dict[Kind, Finding]:
    before = len(made.changes)
    found = examine(await looked_at(made), expected)
    assert len(made.changes) == before, "the doctor changes nothing"
    assert SECRET not in repr(found)
    return {finding.kind: finding for finding in found}


@pytest.mark.parametrize("version", [(7, 15), (7, 20)])
async def test_nothing_is_wrong_with_a_router_that_is_well(version: tuple[int, int]) -> None:
    assert await findings(healthy(version)) == {}


def setting(path: str, **values: str) -> Callable[[Router], None]:
    """Plant a fault: values of the last row of a table."""

    def plant(made: Router) -> None:
        table = made.table(path)
        row = table.all_rows()[-1]
        named = {} if table.is_single else {".id": row[".id"]}
        made.run(f"{path}/set", {**named, **{name.replace("_", "-"): value for name, value in values.items()}}, [])

    return plant


def removing(path: str) -> Callable[[Router], None]:
    return lambda made: made.run(f"{path}/remove", {".id": made.table(path).all_rows()[-1][".id"]}, []) and None


def bad_replies(made: Router) -> None:
    row = made.table("/radius").all_rows()[0]
    row["secret"] = ""  # its API account may not read it
    made.table("/radius").monitor = lambda row: {"bad-replies": "0" if row["secret"] else "17"}


def in_a_chain(made: Router) -> None:
    setting("/ip/firewall/filter", chain="customers")(made)


def local_user(made: Router) -> None:
    made.run("/ppp/secret/add", {"name": "ana", "password": "x"}, [])
    made.run("/ppp/secret/add", {"name": "office-vpn", "password": "x"}, [])


def reader(made: Router) -> None:
    made.run("/user/group/add", {"name": "our group", "policy": "api,read,test"}, [])
    setting("/user", group="our group")(made)


HOTSPOT = "/ip/hotspot/profile"
PLANTED = {
    Kind.NO_ENTRY: removing("/radius"),
    Kind.ENTRY_OFF: setting("/radius", disabled="yes"),
    Kind.SERVICE: setting("/radius", service="ppp"),
    Kind.PORTS: setting("/radius", authentication_port="1645", accounting_port="1646"),
    Kind.SOURCE: setting("/radius", src_address="192.0.2.77"),
    Kind.TIMEOUT_LOW: setting("/radius", timeout="200ms"),
    Kind.TIMEOUT_HIGH: setting("/radius", timeout="10s"),
    Kind.SECRET_DIFFERS: setting("/radius", secret="another"),
    Kind.SECRET_SUSPECTED: bad_replies,
    Kind.UNSIGNED: setting("/radius", require_message_auth="no"),
    Kind.INCOMING_OFF: setting("/radius/incoming", accept="no"),
    Kind.INCOMING_PORT: setting("/radius/incoming", port="1700"),
    Kind.PPP_WITHOUT_RADIUS: setting("/ppp/aaa", use_radius="no"),
    Kind.PPP_ACCOUNTING_OFF: setting("/ppp/aaa", accounting="no"),
    Kind.PPP_INTERIM_OFF: setting("/ppp/aaa", interim_update="0s"),
    Kind.IPV6_ACCOUNTING_OFF: setting("/ppp/aaa", enable_ipv6_accounting="no"),
    Kind.LOCAL_SECRETS: local_user,
    Kind.HOTSPOT_WITHOUT_RADIUS: setting(HOTSPOT, use_radius="no"),
    Kind.HOTSPOT_ACCOUNTING_OFF: setting(HOTSPOT, radius_accounting="no"),
    Kind.HOTSPOT_INTERIM_OFF: setting(HOTSPOT, radius_interim_update="0s"),
    Kind.COOKIES: setting(HOTSPOT, login_by="cookie,http-chap,mac-cookie"),
    Kind.NO_RULE: removing("/ipv6/firewall/filter"),
    Kind.RULE_OFF: setting("/ip/firewall/nat", disabled="yes"),
    Kind.NO_JUMP: in_a_chain,
    Kind.MAY_NOT_WRITE: reader,
    Kind.NTP_OFF: setting("/system/ntp/client", enabled="no"),
}


@pytest.mark.parametrize("kind", PLANTED, ids=str)
async def test_each_planted_fault_is_found_and_its_command_mends_it(kind: Kind) -> None:
    made = healthy()
    PLANTED[kind](made)
    found = await findings(made)
    assert list(found) == [kind]
    type_in(made, found[kind].command.replace(SECRET_PLACE, SECRET))
    assert await findings(made) == {}, found[kind].command


@pytest.mark.parametrize("ahead_s", [3600.0, -30.0])
async def test_a_clock_that_is_off_is_found(ahead_s: float) -> None:
    made = healthy()
    set_clock(made, ahead_s)
    found = await findings(made)
    assert list(found) == [Kind.CLOCK]
    assert abs(int(str(found[Kind.CLOCK].facts["seconds"])) - abs(ahead_s)) <= 2
    assert found[Kind.CLOCK].facts["is_ahead"] is (ahead_s > 0)


async def test_a_clock_that_is_not_told_is_told() -> None:
    made = healthy()
    made.table("/system/clock").all_rows()[0]["date"] = "some day"
    assert list(await findings(made)) == [Kind.CLOCK_UNTOLD]


async def test_whoever_may_only_read_gets_another_group_of_the_routers_own() -> None:
    made = healthy()
    setting("/user", group="read")(made)
    found = (await findings(made))[Kind.MAY_NOT_WRITE]
    assert (found.weight, found.command) == (Weight.WRONG, "/user set [find name=aaad] group=write")
    type_in(made, found.command)
    assert await findings(made) == {}


async def test_rights_that_are_not_shown_or_come_from_elsewhere_are_not_judged() -> None:
    def refuse() -> list[dict[str, str]]:
        raise Trap("not enough permissions (9)")

    made = healthy()
    reader(made)
    assert await findings(made, replace(EXPECTED, api_user="by-radius")) == {}
    made.table("/user").source = refuse
    assert await findings(made) == {}


async def test_what_may_be_done_else_is_left_as_it_is() -> None:
    made = healthy()
    reader(made)
    type_in(made, (await findings(made))[Kind.MAY_NOT_WRITE].command)
    policy = made.table("/user/group").all_rows()[-1]["policy"].split(",")
    assert {name for name in policy if not name.startswith("!")} == {"api", "read", "test", "write"}


async def test_an_old_version_is_found_and_its_tables_are_read() -> None:
    for version in ((6, 49), (7, 8)):
        assert list(await findings(healthy(version))) == [Kind.OLD_VERSION]


async def test_whoever_is_asked_before_us_is_told() -> None:
    made = healthy()
    ours = {name: value for name, value in made.table("/radius").all_rows()[0].items() if name != ".id"}
    made.table("/radius").rows.clear()
    made.table("/radius").put({**made.table("/radius").defaults, "address": OTHER, "service": "ppp"})
    made.table("/radius").put(ours)
    found = await findings(made)
    assert list(found) == [Kind.ANOTHER_FIRST]
    assert found[Kind.ANOTHER_FIRST].facts == {"address": OTHER}
    made.table("/radius").all_rows()[0]["realm"] = "corp"
    assert await findings(made) == {}, "that one is asked for a realm only"
    made.table("/radius").all_rows()[0].update({"realm": "", "disabled": "yes"})
    assert await findings(made) == {}, "that one is off"


async def test_what_stands_in_a_chain_counts_where_a_rule_jumps_there() -> None:
    made = healthy()
    made.table("/ip/firewall/filter").rows.clear()
    add = "/ip/firewall/filter/add"
    made.run(add, {"chain": "forward", "action": "jump", "jump-target": "walled", "src-address-list": "blocked"}, [])
    assert list(await findings(made)) == [Kind.NO_RULE], "nothing is there"
    made.run(add, {"chain": "walled", "action": "accept"}, [])
    made.run(add, {"chain": "walled", "action": "reject", "disabled": "yes"}, [])
    assert list(await findings(made)) == [Kind.NO_RULE]
    made.run(add, {"chain": "walled", "action": "drop"}, [])
    assert await findings(made) == {}


async def test_a_jump_that_is_off_leads_nowhere() -> None:
    made = healthy()
    made.table("/ip/firewall/filter").rows.clear()
    add = "/ip/firewall/filter/add"
    made.run(add, {"chain": "walled", "action": "drop", "src-address-list": "blocked"}, [])
    made.run(add, {"chain": "forward", "action": "jump", "jump-target": "walled", "disabled": "yes"}, [])
    assert list(await findings(made)) == [Kind.NO_JUMP]
    made.run(add, {"chain": "forward", "action": "jump", "jump-target": "walled"}, [])
    assert await findings(made) == {}


async def test_a_rule_for_all_who_are_not_in_a_list_is_none_for_who_is() -> None:
    made = healthy()
    made.table("/ip/firewall/filter").rows.clear()
    rule = {"chain": "forward", "action": "drop", "src-address-list": "!blocked"}
    made.run("/ip/firewall/filter/add", rule, [])
    assert list(await findings(made)) == [Kind.NO_RULE]


async def test_unread_signatures_of_ours_are_a_suspicion() -> None:
    made = healthy()
    expected = replace(EXPECTED, unreadable=9)
    assert await findings(made, expected) == {}, "the secret is right: it can be read"
    made.table("/radius").all_rows()[0]["secret"] = ""
    found = (await findings(made, expected))[Kind.SECRET_SUSPECTED]
    assert (found.weight, found.facts["unreadable"]) == (Weight.RISK, 9)


async def test_what_is_not_known_is_not_judged() -> None:
    made = healthy()
    setting("/radius", address=OTHER, src_address="10.9.9.9", secret="whatever")(made)
    assert await findings(made, Expected()) == {}


async def test_a_router_that_nobody_has_set_up() -> None:
    found = await findings(Router(aaad=PASSWORD))
    assert {Kind.NO_ENTRY, Kind.INCOMING_OFF, Kind.PPP_WITHOUT_RADIUS, Kind.PPP_INTERIM_OFF, Kind.NO_RULE} <= set(
        found
    )
    weights = [finding.weight for finding in found.values()]
    assert weights == sorted(weights, key=lambda weight: weight is not Weight.WRONG)


async def test_what_is_not_shown_is_told_and_not_judged() -> None:
    def refuse() -> list[dict[str, str]]:
        raise Trap("not enough permissions (9)")

    made = healthy()
    for path in ("/radius", "/ip/firewall/filter", "/system/clock", "/ppp/aaa", "/radius/incoming"):
        made.table(path).source = refuse
    found = examine(await looked_at(made), EXPECTED)
    assert {finding.kind for finding in found} == {Kind.UNREAD}
    assert {str(finding.facts["path"]) for finding in found} == {
        *("/radius", "/ip/firewall/filter", "/system/clock", "/ppp/aaa", "/radius/incoming")
    }


async def test_what_a_router_says_is_no_part_of_a_command_to_be_typed() -> None:
    made = healthy()
    evil = "cookie,http-chap; /user add name=x group=full"
    setting("/ip/hotspot/profile", login_by=evil)(made)
    setting("/radius", service="login; /system reset-configuration")(made)
    found = await findings(made)
    assert found[Kind.COOKIES].command.endswith(' login-by="http-chap; /user add name=x group=full"')
    assert ' service="' in found[Kind.SERVICE].command
    assert found[Kind.SERVICE].command.endswith('"')


@pytest.mark.parametrize(
    "said",
    [
        {"date": "2026-05-01", "time": "00:00:00", "gmt-offset": "99999999999999"},
        {"date": "9999-12-31", "time": "23:59:59", "gmt-offset": "-23:59"},
        {"date": "0001-01-01", "time": "00:00:00", "gmt-offset": "+23:59"},
        {"date": "may/32/2026", "time": "9" * 5000 + ":00:00"},
    ],
)
async def test_a_clock_beyond_all_times_is_no_clock(said: dict[str, str]) -> None:
    made = healthy()
    made.table("/system/clock").source = lambda: [said]
    assert Kind.CLOCK_UNTOLD in await findings(made)


def test_texts() -> None:
    assert milliseconds_of("9" * 5000 + "s") is None
    assert version_of("9" * 5000 + ".1") is None
    assert RadiusEntry(row={}, statistics={"bad-replies": "9" * 5000}).bad_replies == 0
    assert milliseconds_of("1s100ms") == 1100
    assert milliseconds_of("5m") == 300_000
    assert milliseconds_of("received") is None
    assert version_of("7.21beta3") == (7, 21)
    assert version_of("") is None
    assert quoted("plain-name") == "plain-name"
    assert quoted('a "b" $c\\') == '"a \\"b\\" \\$c\\\\"'
