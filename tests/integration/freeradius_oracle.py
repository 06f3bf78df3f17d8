"""A FreeRADIUS of our own on loopback: it judges what we make of PAP, CHAP, MS-CHAP and accounting.

Its users stand in a file; what is reported to the port behind its own stands in another, as it understood it.
"""

import hashlib
import hmac
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from free_ports import free_ports
from nas_double import SECRET, attributes_of

PROGRAM = shutil.which("freeradius", path="/usr/sbin:/usr/bin") or shutil.which("radiusd")
_WINDOW = 64  # requests under way, so that no socket's buffer runs over
_CONFIGURATION = """
prefix = /usr
libdir = /usr/lib/freeradius
logdir = {folder}
run_dir = {folder}
raddbdir = {folder}
confdir = {folder}
name = radiusd
max_requests = 16384
cleanup_delay = 1
hostname_lookups = no
log {{
	destination = files
	file = {folder}/log
}}
security {{
	reject_delay = 0
	status_server = no
}}
proxy_requests = no
thread pool {{
	start_servers = 1
	max_servers = 1
	min_spare_servers = 1
	max_spare_servers = 1
	auto_limit_acct = no
}}
client localhost {{
	ipaddr = 127.0.0.0/8
	secret = {secret}
	require_message_authenticator = no
}}
modules {{
	pap {{
	}}
	chap {{
	}}
	mschap {{
		use_mppe = yes
		require_encryption = yes
		require_strong = yes
		with_ntdomain_hack = yes
	}}
	files {{
		filename = {folder}/users
		key = "%{{mschap:User-Name}}"
	}}
	detail {{
		filename = {folder}/detail
		header = "%t"
	}}
}}
server default {{
	listen {{
		type = auth
		ipaddr = 127.0.0.1
		port = {port}
	}}
	listen {{
		type = acct
		ipaddr = 127.0.0.1
		port = {acct_port}
	}}
	accounting {{
		detail
	}}
	authorize {{
		chap
		mschap
		files
		pap
	}}
	authenticate {{
		Auth-Type PAP {{
			pap
		}}
		Auth-Type CHAP {{
			chap
		}}
		Auth-Type MS-CHAP {{
			mschap
		}}
	}}
}}
"""


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@contextmanager
def freeradius(folder: Path, passwords: Mapping[str, str], granted: str = "") -> Iterator[tuple[str, int]]:
    """Run one with these users, named without a domain, and give its address; it ends with the block.

    `granted` are attributes of each Accept, as its users file writes them.
    """
    assert PROGRAM is not None
    port, acct_port = free_ports(2)
    address = ("127.0.0.1", port)
    stock = Path("/usr/share/freeradius/dictionary")
    (folder / "dictionary").write_text(f"$INCLUDE {stock}\n")
    users = (
        f"{_quoted(name)} Cleartext-Password := {_quoted(password)}\n{granted and chr(9)}{granted}\n"
        for name, password in passwords.items()
    )
    (folder / "users").write_text("".join(users))
    settings = _CONFIGURATION.format(folder=folder, port=port, acct_port=acct_port, secret=SECRET.decode())
    (folder / "radiusd.conf").write_text(settings)
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(
            [PROGRAM, "-f", "-d", str(folder), "-n", "radiusd"], stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _await(process, folder)
        yield address
    finally:
        process.terminate()
        process.wait(10)


def _await(process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        log = (folder / "log").read_text() if (folder / "log").exists() else ""
        if "Ready to process requests" in log:
            return
        assert process.poll() is None, log + (folder / "output").read_text()
        time.sleep(0.02)
    raise AssertionError("FreeRADIUS is not ready after 20 s")


def reported(folder: Path) -> list[dict[str, list[str]]]:
    """Return what was reported, each a name with its values, by FreeRADIUS's dictionaries."""
    found = []
    for block in (folder / "detail").read_text().split("\n\n"):
        lines = [line.strip().partition(" = ") for line in block.splitlines() if line.startswith("\t")]
        if lines:
            found.append({})
        for name, _, value in lines:
            found[-1].setdefault(name, []).append(value.strip('"'))
    return found


def ask(address: tuple[str, int], requests: Sequence[bytes]) -> list[bytes]:
    """Return the reply to each request, whose Identifiers are set here; every one must come and be genuine."""
    replies: list[bytes] = []
    for start in range(0, len(requests), _WINDOW):
        part = requests[start : start + _WINDOW]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.settimeout(10)
            asker.connect(address)
            for number, data in enumerate(part):
                asker.send(data[:1] + bytes((number,)) + data[2:])
            found: dict[int, bytes] = {}
            while len(found) < len(part):
                reply = asker.recv(4096)
                found[reply[1]] = reply
        for number, data in enumerate(part):
            replies.append(found[number])
            _check(found[number], data)
    return replies


def _check(reply: bytes, request: bytes) -> None:
    expected = hashlib.md5(reply[:4] + request[4:20] + reply[20:] + SECRET).digest()
    assert hmac.compare_digest(reply[4:20], expected)
    assert attributes_of(reply) is not None
