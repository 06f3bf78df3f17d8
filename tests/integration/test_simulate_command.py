"""`aaad simulate` as people type it: what it shows, its exit code, and what it says to what makes no sense."""

import json
import re
import threading
import time
from pathlib import Path
from typing import Any

import librouteros
import pytest
from free_ports import free_port
from misbehaving_server import MisbehavingServer, reply, serving

from aaad.cli.main import run
from aaad.cli.simulate import servers_of
from aaad.errors import AaadError
from aaad.simulator.network import Server

RATE_LIMIT = b"\x1a\x0f\0\0\x3a\x8c\x08\x0910M/20M"


def simulate(server: MisbehavingServer | None, *words: str) -> int:
    where = [] if server is None else ["--server", f"127.0.0.1:{server.server.auth_port}"]
    return run(["--language", "en", "simulate", *where, *words])


def test_all_accepted_is_shown_and_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(
        lambda _copies, request: [(0, reply(request, attributes=b"\x08\x06\x64\x40\0\1" + RATE_LIMIT))]
    ) as good:
        assert simulate(good, "--subscribers", "8", "--nases", "2", "--source", "127.0.7.1") == 0
    shown = capsys.readouterr().out
    assert "chap    8      8         0" in shown
    assert "10M/20M ×8" in shown
    assert "addresses granted to two: 100.64.0.1 ×7" in shown
    assert {address for address, _ in good.sources} == {"127.0.7.1", "127.0.7.2"}


def test_json_holds_the_sums(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(lambda _copies, request: [(0, reply(request))]) as good:
        assert simulate(good, "--subscribers", "9", "--method", "mix", "--window", "0.1", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert {name: sums["accepts"] for name, sums in found["methods"].items()} == {
        "pap": 3,
        "chap": 2,
        "mschap": 2,
        "mschapv2": 2,
    }
    assert found["methods"]["mschapv2"]["flaws"] == {"no MS-CHAP2-Success": 2}, "which is why it ends with 1"
    assert found["methods"]["pap"]["latency_ms"]["p50"] > 0


def test_refusals_end_with_1_and_in_portuguese(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(lambda _copies, request: [(0, reply(request, code=3, attributes=b"\x12\x06nao "))]) as refusing:
        words = ["--language", "pt", "simulate", "--server", f"127.0.0.1:{refusing.server.auth_port}"]
        assert run([*words, "--subscribers", "2", "--redial", "0.01", "--duration", "0.2", "--rate", "20"]) == 1
    shown = capsys.readouterr().out
    assert "recusadas" in shown
    assert "Reply-Message: nao" in shown


def test_accounting_that_is_not_answered_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(lambda _copies, request: [(0, reply(request))] if request[0] == 1 else []) as good:
        port = str(good.server.auth_port)
        words = ["--subscribers", "2", "--accounting", "--acct-port", port, "--kind", "mikrotik-old"]
        assert simulate(good, *words) == 0
    assert re.search(r"start +2 +0 +4 +2 ", capsys.readouterr().out)


def answering(_copies: int, request: bytes) -> list[tuple[float, bytes]]:
    return [(0, reply(request, code=2 if request[0] == 1 else 5))]


def test_power_cuts_bad_networks_and_a_log_of_every_record(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log = tmp_path / "records"
    words = ["--subscribers", "6", "--accounting", "--interim", "0.3", "--stay", "3", "--power-cut", "1.5/0.3/0.2"]
    words += ["--quirk", "accounting-on", "--quirk", "no-gigawords", "--network", "0/10/10", "--speed", "1/8000"]
    with serving(answering) as good:
        port = str(good.server.auth_port)
        assert simulate(good, *words, "--acct-port", port, "--record-log", str(log)) == 0
    shown = capsys.readouterr().out
    assert re.search(r"start +12 +12 ", shown)
    assert re.search(r"on +1 +1 ", shown)
    assert re.search(r"power cut at simulated-00: 6 cut off, all back 0\.\d s after it, refused meanwhile: 0", shown)
    told = [json.loads(line) for line in log.read_text().splitlines()]
    assert {one["status"] for one in told} == {"start", "interim", "stop", "on"}
    assert {one["session"] for one in told if "session" in one} == set(range(1, 13))
    assert max(one["octets_out"] for one in told if "session" in one) > 100_000_000, "of 8 Gbit/s"


def test_a_power_cut_from_which_nobody_comes_back_is_told_in_portuguese(capsys: pytest.CaptureFixture[str]) -> None:
    dialled: list[bytes] = []

    def refusing_later(copies: int, request: bytes) -> list[tuple[float, bytes]]:
        if request[0] == 1:
            dialled.append(request)
        return [(0, reply(request, code=5 if request[0] == 4 else 2 if len(dialled) <= 3 else 3))]

    words = ["--subscribers", "3", "--accounting", "--stay", "1", "--power-cut", "0.3/0.2", "--acct-port"]
    with serving(refusing_later) as server:
        port = str(server.server.auth_port)
        head = ["--language", "pt", "simulate", "--server", f"127.0.0.1:{port}"]
        assert run([*head, *words, port]) == 1
    shown = capsys.readouterr().out
    assert "queda de energia em simulated-00: 3 caíram, 3 deles não voltaram" in shown
    assert "confirmados" in shown


@pytest.mark.parametrize(
    ("words", "complaint", "exit_code"),
    [
        (["--server", "127.0.0.1:99999"], "a port is 1 to 65534", 2),
        (["--server", "a:b:c"], "HOST:PORT", 2),
        (["--source", "here"], "--source: 'here' is no IP address", 2),
        (["--macs", "00:11"], "--macs: '00:11' is no MAC address", 2),
        (["--mac-format", "XX"], "--mac-format: 'XX' is none of", 2),
        (["--power-cut", "soon"], "--power-cut: 'soon' is not 1–3 numbers with / between them", 2),
        (["--power-cut", "1/2/3/4"], "--power-cut: '1/2/3/4' is not", 2),
        (["--power-cut", "1//2"], "is not 1–3 numbers", 2),
        (["--speed", "8"], "--speed: '8' is not 2 numbers", 2),
        (["--network", "-1"], "--network: '-1' is not", 2),
        (["--quirk", "none"], "none", 2),
        (["--record-log", "/nowhere/log", "--server", "127.0.0.1:9"], "/nowhere/log: No such file", 1),
        (["--server", "127.0.0.1:9", "--source", "192.0.2.1"], "from 192.0.2.1 to 127.0.0.1", 1),
    ],
)
def test_what_makes_no_sense_is_told_in_one_line(
    words: list[str], complaint: str, exit_code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate(None, *words, "--subscribers", "1") == exit_code
    told = capsys.readouterr().err
    assert complaint in told
    assert "Traceback" not in told


def test_servers_as_people_write_them() -> None:
    assert servers_of("127.0.0.1:1645", 0, None) == [Server("127.0.0.1", 1645, 1646)]
    assert servers_of("[::1]:18120, 127.0.0.2", 1900, None) == [
        Server("::1", 18120, 1900),
        Server("127.0.0.2", 1812, 1900),
    ]
    assert servers_of("", 0, None) == [Server("127.0.0.1", 1812, 1813)]
    with pytest.raises(AaadError):
        servers_of("127.0.0.1:0", 0, None)


def test_its_concentrators_have_an_api_that_shows_who_is_connected(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    seen: list[list[dict[str, Any]]] = []

    def watch() -> None:
        for _ in range(100):
            try:
                api = librouteros.connect("127.0.7.1", "aaad", "testing123", port=port, timeout=5)
            except OSError:
                time.sleep(0.05)
                continue
            seen.append(list(api.path("/ppp/active")))
            if len(seen[-1]) == 2:
                api.path("/ppp/active").remove(seen[-1][0][".id"])
                break
            api.close()

    def answer(_copies: int, request: bytes) -> list[tuple[float, bytes]]:
        return [(0, reply(request, code=2 if request[0] == 1 else 5, attributes=b"\x08\x06\x64\x40\0\1"))]

    watcher = threading.Thread(target=watch)
    with serving(answer) as good:
        watcher.start()
        words = ["--subscribers", "4", "--nases", "2", "--source", "127.0.7.1", "--stay", "2", "--redial", "0.1"]
        words += ["--accounting", "--acct-port", str(good.server.auth_port), "--api-port", str(port), "--json"]
        assert simulate(good, *words) == 0
    watcher.join()
    row = seen[-1][0]
    assert (row["name"], row["address"], row["service"]) == ("user000000", "100.64.0.1", "pppoe")
    assert json.loads(capsys.readouterr().out)["methods"]["chap"]["dials"] == 5  # who was cut dials again
