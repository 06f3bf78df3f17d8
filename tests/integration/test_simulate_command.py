"""`aaad simulate` as people type it: what it shows, its exit code, and what it says to what makes no sense."""

import json

import pytest
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
    assert "start   2     0             4           2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "complaint", "exit_code"),
    [
        (["--server", "127.0.0.1:99999"], "a port is 1 to 65534", 2),
        (["--server", "a:b:c"], "HOST:PORT", 2),
        (["--source", "here"], "--source: 'here' is no IP address", 2),
        (["--macs", "00:11"], "--macs: '00:11' is no MAC address", 2),
        (["--mac-format", "XX"], "--mac-format: 'XX' is none of", 2),
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
