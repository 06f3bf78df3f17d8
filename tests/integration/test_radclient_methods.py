"""Debian's radclient and radtest against the request path behind a real socket: each method, and what they read.

What they print went through FreeRADIUS's own dictionaries and its own way of showing session keys.
"""

import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "radius"))

from access_world import IN_ORDER, World, login, nas_row
from mschap_peer import nt_hash, response_2
from nas_double import SECRET

from aaad import clock
from aaad.policy.codes import LoginFlag

CHALLENGE, PEER_CHALLENGE = b"a challenge: 16.", b"of the peer: 16."
LOGINS = {
    b"alice": login(),
    b"casa": login(
        login_id=2, flags=IN_ORDER | LoginFlag.IS_MAC_LOGIN, mac=0xAABBCCDDEE01, password=b"", nt_hash=b"n" * 16
    ),
}

pytestmark = pytest.mark.skipif(
    shutil.which("radclient") is None or shutil.which("radtest") is None,
    reason="radclient is missing (Debian's freeradius-utils has it): NOT TRIED",
)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where the path answers, from a thread of its own, until a datagram of nothing comes."""
    world = World(LOGINS, nases=[nas_row(address="127.0.0.0/8")])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as served:
        served.bind(("127.0.0.1", 0))
        served.settimeout(30)

        def serve() -> None:
            while data := served.recvfrom(4096):
                octets, source = data
                if not octets:
                    return
                now_s = clock.wall_s()
                answer = world.path.answer(octets, source, now_s, now_s)
                if isinstance(answer, bytes):
                    served.sendto(answer, source)

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(served.getsockname()[1])
        served.sendto(b"", served.getsockname())
        thread.join(10)


def radclient(port: int, attributes: str, *, kind: str = "auth") -> str:
    """What radclient prints of the reply."""
    command = ["radclient", "-x", "-r", "1", "-t", "5", f"127.0.0.1:{port}", kind, SECRET.decode()]
    return subprocess.run(command, input=attributes, capture_output=True, text=True, timeout=20).stdout


def received(output: str) -> str:
    """The part about the reply."""
    return output[output.index("Received ") :]


ACCEPTED, REJECTED = "Received Access-Accept", "Received Access-Reject"


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ("User-Name=alice,User-Password=wonderland", ACCEPTED),
        ("User-Name=alice,User-Password=wonderland,Message-Authenticator=0x00", ACCEPTED),
        ("User-Name=Alice,CHAP-Password=wonderland", ACCEPTED),
        ("User-Name=alice,MS-CHAP-Password=wonderland", ACCEPTED),
        ("User-Name=AA-BB-CC-DD-EE-01,User-Password=' ',Calling-Station-Id='AA:BB:CC:DD:EE:01'", ACCEPTED),
        ("User-Name=alice,User-Password=wrong", REJECTED),
        ("User-Name=alice,CHAP-Password=wrong", REJECTED),
        ("User-Name=alice,MS-CHAP-Password=wrong", REJECTED),
        ("User-Name=AA-BB-CC-DD-EE-01,User-Password=' ',Calling-Station-Id='AA:BB:CC:DD:EE:02'", REJECTED),
    ],
)
def test_radclient_is_let_in_and_refused(port: int, attributes: str, expected: str) -> None:
    assert received(radclient(port, attributes)).startswith(expected)


@pytest.mark.parametrize("method", ["pap", "chap", "mschap"])
@pytest.mark.parametrize(("password", "expected"), [("wonderland", ACCEPTED), ("wrong", REJECTED)])
def test_radtest_is_let_in_and_refused(port: int, method: str, password: str, expected: str) -> None:
    command = ["radtest", "-t", method, "alice", password, f"127.0.0.1:{port}", "7", SECRET.decode()]
    output = subprocess.run(command, capture_output=True, text=True, timeout=20).stdout
    assert expected in output


def test_radclient_reads_the_session_keys_of_both_versions(port: int) -> None:
    response = response_2(b"alice", "wonderland", CHALLENGE, PEER_CHALLENGE, identifier=3)
    of_version_2 = f"MS-CHAP-Challenge=0x{CHALLENGE.hex()},MS-CHAP2-Response=0x{response.hex()}"
    shown = received(radclient(port, f"User-Name=alice,{of_version_2}"))
    assert shown.startswith(ACCEPTED)
    assert re.search(r"MS-CHAP2-Success = 0x03533d[0-9a-f]{80}\n", shown)
    for name in ("MS-MPPE-Send-Key", "MS-MPPE-Recv-Key"):
        assert re.search(rf"{name} = 0x[0-9a-f]{{32}}\n", shown), shown
    shown = received(radclient(port, "User-Name=alice,MS-CHAP-Password=wonderland"))
    assert re.search(r"MS-CHAP-MPPE-Keys = 0x0{16}[0-9a-f]{32}", shown), shown


def test_radclient_reads_the_error_of_a_refusal(port: int) -> None:
    shown = received(radclient(port, "User-Name=alice,MS-CHAP-Password=wrong"))
    assert "MS-CHAP-Error = " in shown
    assert "E=691 R=0" in shown


def test_the_nt_hash_of_the_world_is_that_of_its_password() -> None:
    assert LOGINS[b"alice"].nt_hash == nt_hash("wonderland")
