"""`aaad radtest LOGIN PASSWORD`: one real Access-Request with PAP over UDP, and a close look at the answer.

Made with pyrad, so that it shares no code with the server that it tests. The answer's Response Authenticator is
verified (RFC 2865, 3) and its Message-Authenticator too (RFC 3579, 3.2), which must be there and stand first
(draft-ietf-radext-deprecating-radius, 5.2). An answer that fails is told apart from silence.
"""

import io
import select
import socket
from dataclasses import dataclass, field
from typing import Any

from pyrad.client import Client
from pyrad.dictionary import Dictionary
from pyrad.packet import AccessAccept, AccessReject, AuthPacket, PacketError

from aaad.cli.terminal import Terminal
from aaad.clock import monotonic_s
from aaad.config import Config
from aaad.errors import AaadError

_DEFAULT_PORT = 1812
TRIES = 3
TRY_TIMEOUT_S = 1.0
_DATAGRAM_OCTETS_MAX = 4096
_MESSAGE_AUTHENTICATOR = 80
_HEADER_OCTETS = 20

_DICTIONARY = """
ATTRIBUTE User-Name 1 string
ATTRIBUTE User-Password 2 string
ATTRIBUTE NAS-IP-Address 4 ipaddr
ATTRIBUTE NAS-Port 5 integer
ATTRIBUTE Service-Type 6 integer
ATTRIBUTE Framed-Protocol 7 integer
ATTRIBUTE Framed-IP-Address 8 ipaddr
ATTRIBUTE Framed-IP-Netmask 9 ipaddr
ATTRIBUTE Filter-Id 11 string
ATTRIBUTE Framed-MTU 12 integer
ATTRIBUTE Reply-Message 18 string
ATTRIBUTE Framed-Route 22 string
ATTRIBUTE Class 25 octets
ATTRIBUTE Session-Timeout 27 integer
ATTRIBUTE Idle-Timeout 28 integer
ATTRIBUTE Called-Station-Id 30 string
ATTRIBUTE Calling-Station-Id 31 string
ATTRIBUTE NAS-Identifier 32 string
ATTRIBUTE NAS-Port-Type 61 integer
ATTRIBUTE Message-Authenticator 80 octets
ATTRIBUTE Acct-Interim-Interval 85 integer
ATTRIBUTE Framed-Pool 88 string
VALUE Service-Type Framed-User 2
VALUE Framed-Protocol PPP 1
VALUE NAS-Port-Type Ethernet 15
VENDOR Mikrotik 14988
BEGIN-VENDOR Mikrotik
ATTRIBUTE Mikrotik-Group 3 string
ATTRIBUTE Mikrotik-Rate-Limit 8 string
ATTRIBUTE Mikrotik-Address-List 19 string
END-VENDOR Mikrotik
"""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to ask, and how."""

    server: str
    port: int
    secret: bytes
    is_signed: bool  # the request carries a Message-Authenticator


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. `problem`: silent, bad_authenticator, message_authenticator_missing; None if all is right."""

    problem: str | None
    code: str = ""
    milliseconds: float = 0.0
    tries: int = 0
    is_message_authenticator_first: bool = False
    attributes: list[tuple[str, str]] = field(default_factory=list)


def make_target(config: Config | None, server: str, port: int, secret: str, *, is_signed: bool) -> Target:
    """Return where to ask: as named, else this node, else the loopback address and the usual port."""
    if not server:
        # A node that serves all addresses is asked at the loopback address.
        served = [address for address in config.radius.addresses if not address.is_unspecified] if config else []
        server = str(served[0]) if served else "127.0.0.1"
    if not port:
        port = config.radius.auth_port if config else _DEFAULT_PORT
    return Target(server, port, secret.encode(), is_signed)


def radtest(terminal: Terminal, login: str, password: str, target: Target) -> None:
    """Ask, show the answer, and end with 1 unless it is an Access-Accept that is in order."""
    answer = ask(login, password, target)
    if terminal.options.is_json:
        terminal.json(answer)
    else:
        _show(terminal, answer, target)
    if answer.problem is not None or answer.code != "Access-Accept":
        terminal.refuse()


def ask(login: str, password: str, target: Target) -> Answer:
    """Send one request, again at most TRIES times as a NAS does, and verify what comes back."""
    request = _request(login, password, target)
    datagram = request.RequestPacket()
    try:
        address = socket.getaddrinfo(target.server, target.port, type=socket.SOCK_DGRAM)[0]
    except OSError as error:
        raise AaadError(f"{target.server}: {error}") from error
    saw_forgery = False
    with socket.socket(address[0], socket.SOCK_DGRAM) as connection:
        try:
            connection.connect(address[4])
            for attempt in range(1, TRIES + 1):
                begun_s = monotonic_s()
                connection.send(datagram)
                for raw in _datagrams(connection, begun_s + TRY_TIMEOUT_S):
                    if (answer := _verified(request, raw, attempt, begun_s)) is not None:
                        return answer
                    saw_forgery = True
        except ConnectionRefusedError:
            return Answer(problem="port_closed")
        except OSError as error:
            raise AaadError(f"{target.server} port {target.port}: {error}") from error
    return Answer(problem="bad_authenticator" if saw_forgery else "silent", tries=TRIES)


def _request(login: str, password: str, target: Target) -> AuthPacket:
    client = Client(target.server, secret=target.secret, dict=Dictionary(io.StringIO(_DICTIONARY)))
    request = client.CreateAuthPacket(message_authenticator=target.is_signed)
    request["User-Name"] = login
    request["User-Password"] = request.PwCrypt(password)
    request["Service-Type"] = "Framed-User"
    request["Framed-Protocol"] = "PPP"
    request["NAS-Identifier"] = "aaad-radtest"
    request["NAS-Port"] = 0
    return request


def _datagrams(connection: socket.socket, until_s: float) -> Any:
    """Yield what arrives until then."""
    while (left_s := until_s - monotonic_s()) > 0:
        if select.select([connection], [], [], left_s)[0]:
            yield connection.recv(_DATAGRAM_OCTETS_MAX)


def _verified(request: AuthPacket, raw: bytes, attempt: int, begun_s: float) -> Answer | None:
    """Return the answer in a datagram, None if it does not prove that it is one."""
    try:
        reply = request.CreateReply(packet=raw)
        if not request.VerifyReply(reply, raw):
            return None
    except PacketError:
        return None
    is_signed = reply.get_message_authenticator() is not None
    codes = {AccessAccept: "Access-Accept", AccessReject: "Access-Reject"}
    names = reply.keys()  # pyrad's own: names where iterating would give numbers
    return Answer(
        problem=None if is_signed else "message_authenticator_missing",
        code=codes.get(reply.code, str(reply.code)),
        milliseconds=(monotonic_s() - begun_s) * 1000,
        tries=attempt,
        is_message_authenticator_first=raw[_HEADER_OCTETS : _HEADER_OCTETS + 1] == bytes([_MESSAGE_AUTHENTICATOR]),
        attributes=[(name, _shown(value)) for name in names for value in reply[name]],
    )


def _shown(value: object) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)


def _show(terminal: Terminal, answer: Answer, target: Target) -> None:
    _ = terminal.speak
    texts = {
        "silent": _(
            "No answer from {server} port {port}. A server says nothing to a sender that is no registered "
            "concentrator, to a wrong signature, and before its copy of the logins is complete.",
            server=target.server,
            port=target.port,
        ),
        "port_closed": _("Nobody listens at {server} port {port}.", server=target.server, port=target.port),
        "bad_authenticator": _("An answer came whose signature does not fit the secret."),
        "message_authenticator_missing": _("The answer carries no Message-Authenticator."),
    }
    if answer.code:
        good = answer.code == "Access-Accept"
        terminal.line(f"{answer.code}  {answer.milliseconds:.1f} ms", "bold green" if good else "bold red")
        for name, value in answer.attributes:
            terminal.line(f"  {name} = {value}")
    if answer.problem is not None:
        terminal.line(texts[answer.problem], "red")
    elif answer.is_message_authenticator_first:
        terminal.line("  " + _("Response Authenticator and Message-Authenticator are right."))
    else:
        terminal.line("  " + _("The signatures are right, but Message-Authenticator does not stand first."), "yellow")
