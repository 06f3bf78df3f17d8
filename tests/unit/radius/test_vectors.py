"""Packets of the RFCs and of RouterOS, in words and in octets: both ways, and their signatures.

Form of tests/vectors/radius/*.txt: `packet NAME` begins one; then `secret`, `code`, `identifier`, `authenticator`,
one line for each attribute (number, name, value as "text" or in hex), and the same whole packet as `octets`.
"""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from nas_double import CHAP_CHALLENGE, CHAP_PASSWORD, MESSAGE_AUTHENTICATOR, USER_PASSWORD, packet, tlv

from aaad.policy.codes import Credential, Reason
from aaad.radius import mschap
from aaad.radius.integrity import SecretKeys, md5
from aaad.radius.layout import Layout
from aaad.radius.packet import AUTHENTICATOR, Attribute, attribute, packet_length, value_at, values, walk
from aaad.radius.password import verify_chap, verify_pap

FOLDER = Path(__file__).resolve().parents[2] / "vectors" / "radius"


@dataclass
class Vector:
    """One packet of a file."""

    words: dict[str, str] = field(default_factory=dict)
    attributes: list[tuple[int, str, bytes]] = field(default_factory=list)
    octets: bytes = b""

    @property
    def secret(self) -> bytes:
        """The shared secret."""
        return octets_of(self.words["secret"])


def octets_of(value: str) -> bytes:
    return value[1:-1].encode() if value.startswith('"') else bytes.fromhex(value)


def load() -> dict[str, Vector]:
    vectors: dict[str, Vector] = {}
    for path in sorted(FOLDER.glob("*.txt")):
        vector = Vector()
        for line in path.read_text().splitlines():
            first, _, rest = line.strip().partition(" ")
            rest = rest.strip()
            if first == "packet":
                vector = vectors[f"{path.stem}: {rest}"] = Vector()
            elif first == "octets":
                vector.octets += bytes.fromhex(rest)
            elif first.isdigit():
                name, _, value = rest.partition(" ")
                vector.attributes.append((int(first), name, octets_of(value.strip())))
            elif first and first != "#":
                vector.words[first] = rest
    return vectors


VECTORS = load()
SIGNED_REQUESTS = [
    name
    for name, vector in VECTORS.items()
    if vector.octets[0] in (1, 12) and any(kind == MESSAGE_AUTHENTICATOR for kind, _, _ in vector.attributes)
]
REPLIES = {
    "rfc2865: 7.1 accept": "rfc2865: 7.1 request",
    "rfc2865: 7.2 accept": "rfc2865: 7.2 request",
    "rfc5997: 8.1 accept": "rfc5997: 8.1 request",
    "rfc5997: 8.2 response": "rfc5997: 8.2 request",
    "mikrotik: accept": "mikrotik: mschapv2",
    "mikrotik: reject": "mikrotik: mschapv2",
}
CHAP_PASSWORDS = {"rfc2865: 7.2 request": b"arctangent", "mikrotik: chap": b"clientPass"}
PASSWORDS = {
    "rfc2865: 7.1 request": b"arctangent",
    "mikrotik: pap": b"clientPass",
    "mikrotik: pap_37": b"a-very-long-password-of-37-characters",
}


def test_the_files_are_there() -> None:
    assert len(VECTORS) == 19
    assert len(SIGNED_REQUESTS) == 7


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS.keys())
def test_octets_read_as_words_and_words_write_as_octets(vector: Vector) -> None:
    data, words = vector.octets, vector.words
    length = packet_length(data)
    positions = walk(data, length)
    assert (data[0], data[1], data[AUTHENTICATOR].hex()) == (
        int(words["code"]),
        int(words["identifier"]),
        words["authenticator"],
    )
    assert length == len(data)
    assert list(positions) == list(dict.fromkeys(kind for kind, _, _ in vector.attributes))
    for kind in positions:
        assert values(data, length, kind) == [value for found, _, value in vector.attributes if found == kind]
    written = b"".join(attribute(kind, value) for kind, _, value in vector.attributes)
    assert packet(int(words["code"]), int(words["identifier"]), octets_of(words["authenticator"]), written) == data


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS.keys())
def test_our_names_of_attributes_are_those_of_the_standards(vector: Vector) -> None:
    ours = {member.value: member.name.replace("_", "-").lower() for member in Attribute}
    for kind, name, _ in vector.attributes:
        assert ours.get(kind, name.lower()) == name.lower()


@pytest.mark.parametrize("name", SIGNED_REQUESTS)
def test_the_message_authenticator_of_requests_fits_their_secret_only(name: str) -> None:
    vector = VECTORS[name]
    data = vector.octets
    at = walk(data, len(data))[MESSAGE_AUTHENTICATOR]
    assert SecretKeys(vector.secret).message_authenticator_fits(data, len(data), at)
    assert SecretKeys(vector.secret).message_authenticator_fits(data + b"padding", len(data), at)
    assert not SecretKeys(vector.secret + b"x").message_authenticator_fits(data, len(data), at)


@pytest.mark.parametrize(("reply", "request_name"), REPLIES.items())
def test_the_response_authenticator_of_replies_is_what_ours_would_be(reply: str, request_name: str) -> None:
    vector, asked = VECTORS[reply], VECTORS[request_name]
    data = vector.octets
    expected = md5(data[:4] + asked.octets[AUTHENTICATOR] + data[20:] + vector.secret).digest()
    assert data[AUTHENTICATOR] == expected


@pytest.mark.parametrize("reply", ["mikrotik: accept", "mikrotik: reject"])
def test_a_reply_that_signs_itself_is_made_again_octet_by_octet(reply: str) -> None:
    vector = VECTORS[reply]
    behind = b"".join(tlv(kind, value) for kind, _, value in vector.attributes[1:])
    request = VECTORS["mikrotik: mschapv2"].octets
    data = vector.octets
    assert SecretKeys(vector.secret).signed_reply(data[0], data[1], request[AUTHENTICATOR], behind) == data


@pytest.mark.parametrize("name", ["acct_interim", "coa", "disconnect"])
def test_the_request_authenticator_of_accounting_and_orders_fits_its_secret_only(name: str) -> None:
    """RFC 5176, 2.3 makes that of an order as RFC 2866 makes that of accounting."""
    vector = VECTORS[f"mikrotik: {name}"]
    data = vector.octets
    assert SecretKeys(vector.secret).accounting_authenticator_fits(data, len(data))
    assert not SecretKeys(b"another").accounting_authenticator_fits(data, len(data))
    assert not SecretKeys(vector.secret).accounting_authenticator_fits(data[:-1] + b"\x01", len(data))


@pytest.mark.parametrize("name", ["coa", "disconnect"])
def test_the_message_authenticator_of_orders_is_made_over_a_zero_authenticator(name: str) -> None:
    """RFC 5176, 3.6: as the Request Authenticator is made after it."""
    vector = VECTORS[f"mikrotik: {name}"]
    data = vector.octets
    at = walk(data, len(data))[MESSAGE_AUTHENTICATOR]
    unsigned = data[:4] + bytes(16) + data[20:]
    assert SecretKeys(vector.secret).message_authenticator_fits(unsigned, len(data), at)
    assert not SecretKeys(vector.secret).message_authenticator_fits(data, len(data), at)
    assert not SecretKeys(b"another").message_authenticator_fits(unsigned, len(data), at)


@pytest.mark.parametrize(("name", "password"), PASSWORDS.items())
def test_pap_passwords_fit(name: str, password: bytes) -> None:
    vector = VECTORS[name]
    data = vector.octets
    hidden = value_at(data, walk(data, len(data))[USER_PASSWORD])
    keys = SecretKeys(vector.secret)
    assert verify_pap(keys, data[AUTHENTICATOR], hidden, password, 0) is Credential.RIGHT
    assert verify_pap(keys, data[AUTHENTICATOR], hidden, password.upper(), 0) is Credential.WRONG


def test_the_password_of_a_captured_router_fits() -> None:
    keys = SecretKeys(b"vpnxs1234")
    authenticator = bytes.fromhex("238e1f2946e87ccd3d1b58ba507ed7ab")
    hidden = bytes.fromhex("31ff30923a54e7029bdf65641b41011f")
    assert verify_pap(keys, authenticator, hidden, b"melkman", 0) is Credential.RIGHT


@pytest.mark.parametrize(("name", "password"), CHAP_PASSWORDS.items())
def test_chap_passwords_fit(name: str, password: bytes) -> None:
    """One with a challenge of its own, one whose challenge is the Request Authenticator."""
    data = VECTORS[name].octets
    positions = walk(data, len(data))
    at = positions.get(CHAP_CHALLENGE)
    challenge = value_at(data, at) if at else data[AUTHENTICATOR]
    sent = value_at(data, positions[CHAP_PASSWORD])
    assert verify_chap(sent, challenge, password) is Credential.RIGHT
    assert verify_chap(sent, challenge, password.upper()) is Credential.WRONG


def test_version_2_of_ms_chap_gives_the_accept_octet_by_octet_and_the_reject() -> None:
    """network.md 6.6: the reply's attributes, Microsoft's made here, stand as they stand in the vector."""
    asked, accept, reject = (VECTORS[f"mikrotik: {name}"].octets for name in ("mschapv2", "accept", "reject"))
    handshake = mschap.find(asked, Layout(asked, len(asked)).microsoft)
    assert handshake is not None
    verified = mschap.Verifier().verify(handshake, b"User", bytes.fromhex("44ebba8d5312b8d611474411f56989ae"))
    assert verified is not None
    keys = SecretKeys(VECTORS["mikrotik: mschapv2"].secret)
    microsoft = [value for kind, _, value in VECTORS["mikrotik: accept"].attributes if kind == 26][1:]
    success, policy, types, *session_keys = (tlv(26, value) for value in microsoft)
    assert mschap.success_attribute(verified) == success
    assert mschap.key_attributes(verified, keys, asked[AUTHENTICATOR], 1) == b"".join(session_keys)
    assert accept.endswith(success + policy + types + b"".join(session_keys))
    assert reject.endswith(mschap.error_attribute(handshake, Reason.WRONG_PASSWORD, "bad"))


def test_version_1_of_ms_chap_fits() -> None:
    asked = VECTORS["mikrotik: mschapv1"].octets
    handshake = mschap.find(asked, Layout(asked, len(asked)).microsoft)
    assert handshake is not None
    assert handshake.version == 1
    verifier = mschap.Verifier()
    assert verifier.verify(handshake, b"User", bytes.fromhex("44ebba8d5312b8d611474411f56989ae")) is not None
    assert verifier.verify(handshake, b"User", bytes(16)) is None
