"""Routers behind one address over real UDP, IPv4 and IPv6: secrets of their own, by signature and accounting."""

import asyncio
import hashlib
import json
import math
import time
from pathlib import Path

import pytest
from msgspec.structs import replace
from nas_double import access_request, chap, checked, fresh_authenticator, packet, tlv
from radius_service import Client, running, tables

from aaad.policy.codes import Discard
from aaad.radius import counters as names
from aaad.radius import server
from aaad.replica.record import Tables
from aaad.spool.records import RouterSeen

FIRST, SECOND = b"first", b"second"


def with_two_secrets(*, until_s: float = math.inf, **changes: object) -> Tables:
    """Every entry has a further secret."""
    small = tables(secret=FIRST)
    return replace(small, nases=[replace(nas, secrets=((SECOND, until_s),), **changes) for nas in small.nases])


def chap_request(identifier: int, nas_identifier: bytes) -> bytes:
    authenticator = fresh_authenticator()
    return access_request(
        password=None,
        signed=False,
        identifier=identifier,
        authenticator=authenticator,
        nas_identifier=nas_identifier,
        attributes=chap(authenticator) + tlv(44, b"81a0000%d" % identifier),
    )


def accounting_start(secret: bytes, nas_identifier: bytes) -> bytes:
    body = tlv(40, b"\0\0\0\1") + tlv(44, b"81a00001") + tlv(32, nas_identifier)
    unsigned = packet(4, 1, bytes(16), body)
    return unsigned[:4] + hashlib.md5(unsigned + secret).digest() + body


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_r2_1_r2_2_two_routers_behind_one_address(tmp_path: Path, address: str) -> None:
    async with running(tmp_path, addresses=[address], small=with_two_secrets()) as service:
        with Client(service.auth) as client, Client(service.acct) as acct:
            for identifier, (name, secret) in enumerate([(b"bras-01", FIRST), (b"bras-02", SECOND)]):
                request = access_request(nas_identifier=name, secret=secret, identifier=identifier)
                assert checked(await client.ask(request), request, secret).code == 2
            assert (await acct.ask(accounting_start(SECOND, b"bras-03")))[0] == 5
            acct.send(accounting_start(b"third", b"bras-04"))
            assert await acct.is_silent()
            await service.counted(names.accounting_discarded(Discard.BAD_MESSAGE_AUTHENTICATOR), 1)
            for identifier, (name, secret) in enumerate([(b"bras-03", SECOND), (b"bras-04", FIRST)], 10):
                request = chap_request(identifier, name)
                assert checked(await client.ask(request), request, secret).code == 2
    seen = {record.nas_identifier for record in service.spool if isinstance(record, RouterSeen)}
    assert seen == {b"bras-01", b"bras-02", b"bras-03"}


async def test_r2_2_a_secret_ends_by_the_clock(tmp_path: Path) -> None:
    ends_at_s = time.time() + 1.5
    async with running(tmp_path, small=with_two_secrets(until_s=ends_at_s)) as service:
        with Client(service.auth) as client:
            request = access_request(secret=SECOND)
            assert checked(await client.ask(request), request, SECOND).code == 2
            client.socket.settimeout(0.1)
            for identifier in range(20, 60):
                try:
                    await client.ask(access_request(secret=SECOND, identifier=identifier))
                except TimeoutError:
                    break
                await asyncio.sleep(0.1)
            assert ends_at_s <= time.time() < ends_at_s + 2.5
            await service.counted(Discard.BAD_MESSAGE_AUTHENTICATOR, 1)
            client.socket.settimeout(2.0)
            request = access_request(secret=FIRST, identifier=200)
            assert checked(await client.ask(request), request, FIRST).code == 2


async def test_r10_what_accounting_proves_stands_in_the_statistics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_STATISTICS_EVERY_S", 0.0)
    async with running(tmp_path, small=with_two_secrets(address="127.0.0.1/32")) as service:
        with Client(service.acct) as acct:
            acct.send(accounting_start(SECOND, b"bras-01"), accounting_start(b"third", b"bras-02"))
            await service.counted(names.accounting_discarded(Discard.BAD_MESSAGE_AUTHENTICATOR), 1)
        for destination in (service.auth, service.acct):
            with Client(destination, source="127.9.9.9") as stranger:
                stranger.send(access_request())
        for unknown_nas in (names.discarded, names.accounting_discarded):
            await service.counted(unknown_nas(Discard.UNKNOWN_NAS), 1)
        rows: list[dict[str, object]] = []
        unknown: list[dict[str, object]] = []
        async with asyncio.timeout(5):
            while len(rows) < 2 or not unknown:
                await asyncio.sleep(0.1)
                rows = json.loads(service.statistics_path.read_bytes()) if service.statistics_path.exists() else []
                if service.unknown_sources_path.exists():
                    unknown = json.loads(service.unknown_sources_path.read_bytes())
    found = {row["proven"]: row for row in rows}
    assert found[True]["accounting_heard"] == 1
    assert found[False]["accounting_bad_authenticators"] == 1
    assert [(row["source_address"], row["count"]) for row in unknown] == [("127.9.9.9", 2)]
