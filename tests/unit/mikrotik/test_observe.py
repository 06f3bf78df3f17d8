"""What is read of a simulated router: pools, who is connected, delegated prefixes; and that nothing is written."""

import pytest
from router_world import connection, router

from aaad.errors import RouterTrap
from aaad.mikrotik.connection import RouterConnection, Row
from aaad.mikrotik.observe import Connected, Figures, Observation, figures, mac_of_duid, observe
from aaad.simulator.routeros import Router, RouterosServer


def full_router() -> Router:
    made = router()
    made.table("/ipv6/pool").put({"name": "pd", "prefix": "2001:db8::/40", "prefix-length": "56"})
    binding = {"prefix-pool": "pd", "status": "bound", "disabled": "false"}
    bindings = made.table("/ipv6/dhcp-server/binding")
    bindings.put(
        {"address": "2001:db8:0:100::/56", "server": "<pppoe-ana>", "duid": "0x00030001aabbcc000001"} | binding
    )
    bindings.put({"address": "2001:db8:0:200::/56", "server": "<pppoe-gone-1>", "duid": "0x0004abcd"} | binding)
    bindings.put({"address": "2001:db8:0:300::/56", "server": "lan", "disabled": "true"})
    bindings.put({"address": "broken", "server": "lan"})
    made.table("/ipv6/pool/used").put({"pool": "pd", "prefix": "2001:db8:0:100::/56", "owner": "DHCP", "info": "x"})
    made.table("/ip/hotspot/active").put(
        {
            "server": "hs",
            "user": "hóspede",
            "address": "10.5.0.2",
            "mac-address": "AA:BB:CC:00:00:09",
            "radius": "true",
        }
    )
    return made


async def read(made: Router) -> Observation:
    with RouterosServer(made) as server:
        asked: RouterConnection = connection(server)
        seen = await observe(asked)
        await asked.close()
    assert made.changes == []
    return seen


async def test_everything_that_a_router_says_is_read_and_nothing_is_written() -> None:
    seen = await read(full_router())
    assert (seen.identity, seen.version, seen.board) == ("bras-1", "7.20 (stable)", "CHR")
    assert [(pool.name, [run.text() for run in pool.ranges]) for pool in (*seen.pools, *seen.prefix_pools)] == [
        ("pppoe", ["100.64.0.10-100.64.0.99", "100.64.4.0/24"]),
        ("pd", ["2001:db8::/40"]),
    ]
    assert seen.connected[1] == Connected("007", "pppoe", "100.64.0.11", "AA:BB:CC:00:00:02", "81000002", True)
    assert seen.connected[-1] == Connected("hóspede", "hotspot", "10.5.0.2", "AA:BB:CC:00:00:09", "", True)
    assert [(one.customer, one.prefix) for one in seen.used] == [
        ("ana", "100.64.0.10/32"),
        ("007", "100.64.0.11/32"),
        ("x", "2001:db8:0:100::/56"),
    ]
    assert seen.unread_count == 1
    assert seen.missing == ()


async def test_complaint_34_prefixes_are_known_although_accounting_does_not_tell_them() -> None:
    seen = await read(full_router())
    assert [(one.prefix, one.customer, one.mac) for one in seen.bindings] == [
        ("2001:db8:0:100::/56", "ana", "AA:BB:CC:00:00:01"),
        ("2001:db8:0:200::/56", "gone-1", ""),
    ]


async def test_r7_4_a_routers_own_pools_are_known_by_reading() -> None:
    made = full_router()
    assert figures(await read(made)) == (Figures("pppoe", 90 + 256, 2), Figures("pd", 2**16, 1))
    made.connect("new", "100.64.4.1", caller="AA:BB:CC:00:00:0A", session="0x81000009", pool="pppoe")
    assert figures(await read(made))[0].used == 3


async def test_what_an_old_router_does_not_have_is_told_as_missing() -> None:
    made = router((6, 42))
    for path in ("/ipv6/pool", "/ipv6/pool/used", "/ipv6/dhcp-server/binding"):
        del made.tables[path]
    seen = await read(made)
    assert set(seen.missing) == {"/ipv6/pool", "/ipv6/pool/used", "/ipv6/dhcp-server/binding"}
    assert len(seen.connected) == 3


async def test_a_refusal_is_no_empty_table() -> None:
    class Refusing:
        async def rows(self, path: str, fields: object = (), where: object = ()) -> list[Row]:
            raise RouterTrap("not enough permissions (9)", 4)

        async def command(self, command: str, arguments: object) -> str:
            raise NotImplementedError

    with pytest.raises(RouterTrap, match="permissions"):
        await observe(Refusing())


def test_a_mac_is_read_out_of_a_duid_that_has_one() -> None:
    assert mac_of_duid("0x0001000128a1b2c3aabbcc000001") == "AA:BB:CC:00:00:01"
    assert mac_of_duid("00030001AABBCC000001") == "AA:BB:CC:00:00:01"
    for other in ("", "0x", "0x0002000000090cc084d303000912", "0x00030001aabbcc0000", "0x00030001zzbbcc000001"):
        assert mac_of_duid(other) == ""
