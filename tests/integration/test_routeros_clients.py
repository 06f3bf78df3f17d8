"""The simulated router before API clients that are not ours: librouteros, RouterOS-api, node-routeros."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import librouteros
import pytest
from librouteros.exceptions import LibRouterosError, TrapError
from librouteros.login import plain, token
from librouteros.query import Key

from aaad.simulator.routeros import Faults, Router, RouterosServer
from aaad.simulator.routeros_words import Reader, encode_sentence

PEERS = Path(__file__).resolve().parents[2] / ".peers"
PASSWORD = "a secret"


def router(version: tuple[int, int] = (7, 20)) -> Router:
    made = Router(version, identity="bras-1", aaad=PASSWORD)
    for number in range(1, 301):
        address = f"100.64.{number // 256}.{number % 256}"
        made.connect(f"{number:03}", address, caller="", session=f"0x{number:x}", pool="pppoe")
    return made


@pytest.fixture(params=[(6, 42), (6, 49), (7, 17), (7, 20)], ids=lambda version: "{}.{}".format(*version))
def server(request: pytest.FixtureRequest) -> Iterator[RouterosServer]:
    with RouterosServer(router(request.param), faults=Faults(segment_octets=500)) as made:
        yield made


def connect(server: RouterosServer, password: str = PASSWORD) -> Any:
    method = token if server.router.version < (6, 43) else plain
    return librouteros.connect(
        server.address, "aaad", password, port=server.port, login_method=method, timeout=5, encoding="utf-8"
    )


def test_librouteros_reads_writes_and_is_refused(server: RouterosServer) -> None:
    api = connect(server)
    assert list(api.path("/system/identity")) == [{"name": "bras-1"}]
    assert len(list(api.path("/ppp/active"))) == 300
    found = api.path("/ppp/active").select(Key("name"), Key("address")).where(Key("name") == "300")
    assert list(found) == [{"name": 300, "address": "100.64.1.44"}]  # librouteros makes a number of a name
    assert list(api.path("/ppp/secret")) == []
    entries = api.path("/ip/firewall/address-list")
    row_id = entries.add(list="blocked", address="10.9.9.9", comment="ação " + "x" * 20_000)
    entries.update(**{".id": row_id, "disabled": True})
    with pytest.raises(TrapError, match="already have such entry"):
        entries.add(list="blocked", address="10.9.9.9")
    assert next(iter(entries))["disabled"] is True
    entries.remove(row_id)
    with pytest.raises(TrapError, match="no such item"):
        entries.remove(row_id)
    with pytest.raises(TrapError, match="no such command"):
        list(api("/no/such/command"))
    with pytest.raises(TrapError, match="unknown parameter"):
        entries.add(lists="blocked")
    assert list(api("/ppp/active/print", **{"count-only": ""})) == [{"ret": 300}]
    assert list(api.rawCmd("/ppp/active/print", "?name=001", "?name=300", "?#|", "=.proplist=name")) == [
        {"name": "001"},
        {"name": 300},
    ]
    api.close()
    with pytest.raises(LibRouterosError, match=r"invalid user name or password|cannot log in"):
        connect(server, PASSWORD + "x")


def test_routeros_api_reads_writes_and_is_refused(server: RouterosServer) -> None:
    if (PEERS / "python").is_dir() and str(PEERS / "python") not in sys.path:
        sys.path.append(str(PEERS / "python"))
    routeros_api = pytest.importorskip("routeros_api", reason="RouterOS-api is not here: scripts/install-test-peers")
    pool = routeros_api.RouterOsApiPool(
        server.address, username="aaad", password=PASSWORD, port=server.port, plaintext_login=True
    )
    if server.router.version < (6, 43):
        pool.plaintext_login = False
    api = pool.get_api()
    assert api.get_resource("/system/identity").get()[0]["name"] == "bras-1"
    assert [row["address"] for row in api.get_resource("/ppp/active").get(name="007")] == ["100.64.0.7"]
    queues = api.get_resource("/queue/simple")
    queues.add(name="q", target="10.9.9.9/32", max_limit="1M/2M")
    row = queues.get(name="q")[0]
    queues.set(id=row["id"], max_limit="3M/4M")
    assert queues.get(name="q")[0]["max-limit"] == "3M/4M"
    queues.remove(id=row["id"])
    assert queues.get(name="q") == []
    with pytest.raises(routeros_api.exceptions.RouterOsApiCommunicationError, match="no such command"):
        api.get_resource("/no/such").get()
    pool.disconnect()


def test_node_routeros_asks_several_things_at_once(server: RouterosServer) -> None:
    node = shutil.which("node")
    modules = PEERS / "node" / "node_modules"
    if node is None or not modules.is_dir():
        pytest.skip("node-routeros is not here: scripts/install-test-peers")
    script = Path(__file__).with_name("routeros_client.js")
    # It does not know !empty, as it says loudly.
    asks_for_nothing = ["none"] if server.router.version < (7, 18) else []
    done = subprocess.run(
        [node, script, server.address, str(server.port), "aaad", PASSWORD, *asks_for_nothing],
        env={**os.environ, "NODE_PATH": str(modules)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["identity"][0]["name"] == "bras-1"
    assert (told["one"][0]["address"], told["all"], told["none"]) == ("100.64.0.7", 300, [])
    assert "no such command" in told["unknown"]
    assert told["login"] != "no refusal"


# --- sentences by hand ----------------------------------------------------------------------------------------------


class Wire:
    """One connection, sentence by sentence."""

    def __init__(self, server: RouterosServer) -> None:
        self.socket = socket.create_connection((server.address, server.port), timeout=5)
        self.reader = Reader()
        self.came: list[list[str]] = []

    def say(self, *words: str) -> None:
        self.socket.sendall(encode_sentence(list(words)))

    def read(self, count: int) -> list[list[str]]:
        while len(self.came) < count and (octets := self.socket.recv(65536)):
            self.came += self.reader.feed(octets)
        read, self.came = self.came[:count], self.came[count:]
        return read


@pytest.fixture
def wire() -> Iterator[tuple[Wire, RouterosServer]]:
    with RouterosServer(router()) as made:
        opened = Wire(made)
        yield opened, made
        opened.socket.close()


def test_before_the_login_nothing_is_told(wire: tuple[Wire, RouterosServer]) -> None:
    opened, _ = wire
    opened.say("/ppp/active/print")
    assert opened.read(2) == [["!fatal", "not logged in"]]


def test_tagged_answers_mix_and_can_be_cancelled(wire: tuple[Wire, RouterosServer]) -> None:
    opened, made = wire
    opened.say("/login", "=name=aaad", f"=password={PASSWORD}")
    assert opened.read(1) == [["!done"]]
    both = [["/ppp/active/print", f".tag={tag}", "=.proplist=name"] for tag in "12"]
    # At once: the first is not done when the second comes.
    opened.socket.sendall(b"".join(map(encode_sentence, both)))
    tags = [words[-1] for words in opened.read(602)]
    assert {tags.count(".tag=1"), tags.count(".tag=2")} == {301}
    assert tags != sorted(tags)  # one does not wait for the other
    made.faults = Faults(row_pause_s=0.05)
    opened.say("/ppp/active/print", ".tag=3", "=.proplist=name")
    opened.read(1)
    opened.say("/cancel", "=tag=3", ".tag=4")
    ends: list[list[str]] = []
    while len(ends) < 3:
        ends += [words for words in opened.read(1) if words[0] != "!re"]
    assert sorted(ends) == [
        ["!done", ".tag=3"],
        ["!done", ".tag=4"],
        ["!trap", "=category=2", "=message=interrupted", ".tag=3"],
    ]
    opened.say("/quit")
    assert opened.read(2) == [["!fatal", "session terminated on request"]]
