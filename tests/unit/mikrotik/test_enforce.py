"""What is made of a simulated router: each thing done once however often it is asked for, and nothing of others'."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from router_world import connection, router

from aaad.errors import RouterError
from aaad.mikrotik import applied, enforce
from aaad.mikrotik.connection import RouterConnection
from aaad.mikrotik.enforce import (
    Added,
    AlreadyThere,
    Family,
    NotOurs,
    NotThere,
    OtherSession,
    Removed,
    WithoutEffect,
)
from aaad.simulator.routeros import Faults, Router, RouterosServer

ANA, OTHER = "81000001", "81000009"
LISTS = {Family.IPV4: "/ip/firewall/address-list", Family.IPV6: "/ipv6/firewall/address-list"}


@asynccontextmanager
async def asked(made: Router, faults: Faults | None = None) -> AsyncIterator[RouterConnection]:
    with RouterosServer(made, faults=faults) as server:
        opened = connection(server)
        yield opened
        await opened.close()


def names(made: Router, path: str, name: str = "name") -> list[str]:
    return [row[name] for row in made.table(path).all_rows()]


async def test_a_ppp_session_is_ended_by_its_id_once() -> None:
    made = router()
    async with asked(made) as api:
        assert await enforce.remove_active(api, "ppp", "ana", ANA) == Removed()
        assert await enforce.remove_active(api, "ppp", "ana", ANA) == NotThere()
    assert names(made, "/ppp/active") == ["007", "yes"]
    assert made.changes == ["/ppp/active/remove"]


async def test_who_has_redialled_is_left_in_peace() -> None:
    """Rule R8.1."""
    made = router()
    async with asked(made) as api:
        assert await enforce.remove_active(api, "ppp", "ana", OTHER) == OtherSession(ANA)
        assert await enforce.remove_active(api, "ppp", "ana", "") == OtherSession(ANA)
    assert made.changes == []


async def test_of_two_sessions_the_one_meant_ends() -> None:
    made = router()
    made.connect("ana", "100.64.0.77", caller="AA:BB:CC:00:00:01", session="0x81000009")
    async with asked(made) as api:
        assert await enforce.remove_active(api, "ppp", "ana", "0x81000009") == Removed()
    assert [row["session-id"] for row in made.table("/ppp/active").all_rows() if row["name"] == "ana"] == [
        "0x81000001"
    ]


async def test_a_router_that_only_says_that_it_did_it_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enforce, "_SETTLING_S", (0.0, 0.0))
    made = router()
    table = made.table("/ppp/active")
    kept = table.all_rows()
    table.source = lambda: kept
    async with asked(made) as api:
        assert await enforce.remove_active(api, "ppp", "ana", ANA) == WithoutEffect()


def guest(made: Router, **more: str) -> None:
    row = {"user": "eva", "address": "10.5.0.2", "mac-address": "AA:BB:CC:00:00:09", "uptime": "1h2m3s"}
    made.table("/ip/hotspot/active").put(row | {"radius": "true"} | more)


async def test_a_hotspot_session_is_known_by_address_and_age() -> None:
    """Rule R8.1 where the router says no Acct-Session-Id."""
    made = router()
    guest(made)
    async with asked(made) as api:
        for address, age_s in (("", 60.0), ("10.5.0.3", 60.0), ("10.5.0.2", None), ("10.5.0.2", 7200.0)):
            other = await enforce.remove_active(api, "hotspot", "eva", "80000001", address=address, age_s=age_s)
            assert other == OtherSession("")
        done = await enforce.remove_active(api, "hotspot", "eva", "80000001", address="10.5.0.2", age_s=3725.0)
        assert done == Removed()
        again = await enforce.remove_active(api, "hotspot", "eva", "80000001", address="10.5.0.2", age_s=3725.0)
        assert again == NotThere()


async def test_cookies_of_a_user_go_and_no_others() -> None:
    made = router()
    cookies = made.table("/ip/hotspot/cookie")
    for user, mac in (("eva", "AA:BB:CC:00:00:09"), ("eva", "AA:BB:CC:00:00:0A"), ("ivo", "AA:BB:CC:00:00:0B")):
        cookies.put({"user": user, "mac-address": mac, "expires-in": "2d"})
    async with asked(made) as api:
        assert await enforce.remove_cookies(api, "eva", "aa-bb-cc-00-00-0a") == 1
        assert await enforce.remove_cookies(api, "eva") == 1
        assert await enforce.remove_cookies(api, "eva") == 0
    assert names(made, "/ip/hotspot/cookie", "user") == ["ivo"]


@pytest.mark.parametrize(
    ("family", "address", "said"),
    [
        (Family.IPV4, "100.64.0.10", "100.64.0.10"),
        (Family.IPV4, "100.64.0.0/24", "100.64.0.0/24"),
        (Family.IPV6, "2001:DB8:0:100::/56", "2001:db8:0:100::/56"),
        (Family.IPV6, "2001:db8::1", "2001:db8::1/128"),
    ],
)
async def test_an_entry_is_added_once_and_taken_out_once(family: Family, address: str, said: str) -> None:
    made = router()
    async with asked(made) as api:
        assert await enforce.add_entry(api, "blocked", address, "login 7") == Added()
        assert await enforce.add_entry(api, "blocked", address, "login 7") == AlreadyThere(True)
        rows = made.table(LISTS[family]).all_rows()
        assert [(row["list"], row["address"], row["comment"]) for row in rows] == [("blocked", said, "aaad: login 7")]
        assert [entry.address for entry in await enforce.list_entries(api, family)] == [said.removesuffix("/128")]
        assert await enforce.list_entries(api, family, ["late"]) == ()
        assert await enforce.remove_entry(api, "late", address) == NotThere()
        assert await enforce.remove_entry(api, "blocked", address) == Removed()
        assert await enforce.remove_entry(api, "blocked", address) == NotThere()
    assert made.table(LISTS[family]).all_rows() == []


async def test_what_others_put_there_stays() -> None:
    made = router()
    entries = made.table(LISTS[Family.IPV4])
    entries.put({"list": "blocked", "address": "100.64.0.10", "comment": "aaadvark", "disabled": "false"})
    entries.put({"list": "blocked", "address": "100.64.0.11", "dynamic": "true", "disabled": "false"})
    entries.put({"list": "blocked", "address": "100.64.0.12", "comment": "off", "disabled": "true"})
    async with asked(made) as api:
        assert await enforce.add_entry(api, "blocked", "100.64.0.10") == AlreadyThere(False)
        assert await enforce.add_entry(api, "blocked", "100.64.0.11") == AlreadyThere(False)
        assert await enforce.add_entry(api, "blocked", "100.64.0.12") == NotOurs("off")
        assert await enforce.remove_entry(api, "blocked", "100.64.0.10") == NotOurs("aaadvark")
        assert await enforce.remove_entry(api, "blocked", "100.64.0.11") == NotOurs("")
        assert await enforce.list_entries(api, Family.IPV4) == ()
    assert made.changes == []


async def test_an_entry_of_ours_that_was_switched_off_is_switched_on() -> None:
    made = router()
    entries = made.table(LISTS[Family.IPV4])
    entries.put({"list": "blocked", "address": "100.64.0.10", "comment": "aaad: login 7", "disabled": "true"})
    async with asked(made) as api:
        assert await enforce.add_entry(api, "blocked", "100.64.0.10") == AlreadyThere(True)
    assert entries.all_rows()[0]["disabled"] == "false"


async def test_rates_are_read_of_sessions_only() -> None:
    made = router()
    queues = made.table("/queue/simple")
    queues.put({"name": "<pppoe-ana>", "target": "<pppoe-ana>", "max-limit": "5000000/50000000", "dynamic": "true"})
    queues.put({"name": "<pppoe-007-1>", "target": "<pppoe-007-1>", "max-limit": "1/1", "dynamic": "true"})
    queues.put({"name": "hs-<eva>", "target": "10.5.0.2/32", "max-limit": "128k/1M", "dynamic": "true"})
    queues.put({"name": "office", "target": "10.0.0.0/8", "max-limit": "1M/1M", "dynamic": "false"})
    async with asked(made) as api:
        rates = await enforce.read_rates(api)
    by_name = enforce.rates_by_name(rates)
    assert {rate.name for rate in rates} == {"ana", "007-1", "eva"}
    assert enforce.has_rate(enforce.rate_of(by_name, "ana"), "5M/50M")
    assert not enforce.has_rate(enforce.rate_of(by_name, "ana"), "5M/51M")
    assert enforce.has_rate(enforce.rate_of(by_name, "eva", "10.5.0.2"), "128k/1M")
    assert enforce.rate_of(by_name, "007") is not None
    assert enforce.rate_of(by_name, "007", others={"007-1"}) is None
    assert enforce.rate_of(by_name, "yes") is None


@pytest.mark.parametrize(
    ("limit", "burst", "wanted", "is_it"),
    [
        ("10000000/50000000", "0/0", "10M/50M", True),
        ("10M/50M", "0/0", "10M/50M 0/0 0/0 0/0 5", True),
        ("10M/10M", "0/0", "10M", True),
        ("10M/50M", "20M/100M", "10M/50M 20M/100M 5M/25M 10/10", True),
        ("10M/50M", "0/0", "10M/50M 20M/100M 5M/25M 10/10", False),
        ("10M/50M", "20M/100M", "10M/50M", False),  # still that of the plan before
        ("10M/50M", "20M/100M", "10M/50M 0/0 0/0 0/0 5", False),
        ("10M/50M", "", "10M/50M", True),
        ("0/0", "0/0", "0/0", True),
        ("0/0", "0/0", "1M/1M", False),
        ("what", "0/0", "1M/1M", False),
        ("9" * 5000 + "/1", "0/0", "1M/1M", False),
    ],
)
def test_a_rate_is_compared_as_numbers(limit: str, burst: str, wanted: str, is_it: bool) -> None:
    rate = applied.SessionRate("ana", "<pppoe-ana>", "", limit, "0/0", burst, "0/0", "0s/0s", "8/8", False)
    assert applied.has_rate(rate, wanted) is is_it


def test_no_queue_is_no_limit() -> None:
    assert applied.has_rate(None, "0/0")
    assert applied.has_rate(None, "")
    assert not applied.has_rate(None, "10M/10M")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("9" * 5000, None),
        ("9" * 5000 + "s", None),
        ("9" * 5000 + ":00:00", None),
        ("1w2d3h4m5s", 788645),
        ("1d02:03:04", 93784),
        ("300ms", 0),
        ("5", 5),
        ("", None),
        ("x", None),
        ("5m", 300),
    ],
)
def test_periods(text: str, seconds: int | None) -> None:
    assert applied.seconds_of(text) == seconds


async def test_a_connection_that_ended_midway_is_no_word_about_the_session() -> None:
    made = router()
    async with asked(made, Faults(rows_max=0, is_reset=True)) as api:
        with pytest.raises(RouterError):
            await enforce.remove_active(api, "ppp", "ana", ANA)
    assert made.changes == []
