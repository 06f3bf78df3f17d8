"""The simulator's own codec against the vectors of the RFCs and of RouterOS's packets, both ways."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from aaad.simulator.des import encipher, key_schedule
from aaad.simulator.md4 import md4
from aaad.simulator.methods import (
    Asked,
    ChapAnswer,
    Flaw,
    MsChap2Answer,
    MsChapAnswer,
    Password,
    Proof,
    answer,
    find_flaw,
)
from aaad.simulator.mschap import Secret, authenticator_response, challenge_hash, master_key, server_keys
from aaad.simulator.packet import (
    Attribute,
    Bad,
    Place,
    Reply,
    access_request,
    accounting_request,
    decode_reply,
    hide_password,
    reveal_key,
    reveal_password,
)

FOLDER = Path(__file__).resolve().parents[2] / "vectors" / "radius"
ALL_CODES = range(256)


@dataclass(frozen=True)
class Vector:
    secret: bytes
    octets: bytes

    @property
    def authenticator(self) -> bytes:
        return self.octets[4:20]


def load() -> dict[str, Vector]:
    """Packets of a file by name: see tests/unit/radius/test_vectors.py for its form."""
    found: dict[str, Vector] = {}
    for path in sorted(FOLDER.glob("*.txt")):
        for block in path.read_text().split("\npacket ")[1:]:
            name, *lines = block.splitlines()
            words = [line.split(None, 1) for line in lines if line.strip() and not line.startswith("#")]
            secret = next(rest for first, rest in words if first == "secret")
            octets = "".join(rest for first, rest in words if first == "octets")
            value = secret.strip('"').encode() if secret.startswith('"') else bytes.fromhex(secret)
            found[f"{path.stem}: {name.strip()}"] = Vector(value, bytes.fromhex(octets))
    return found


VECTORS = load()
MIKROTIK = {name.partition(": ")[2]: vector for name, vector in VECTORS.items() if name.startswith("mikrotik")}
USER, PASSWORD = b"User", Secret("clientPass")
CHALLENGE = bytes.fromhex("5B5D7C7D7B3F2F3E3C2C602132262628")
PEER_CHALLENGE = bytes.fromhex("21402324255E262A28295F2B3A337C7E")
NT_RESPONSE = bytes.fromhex("82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF")


def attributes_of(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 20
    while at < len(data):
        found.append((data[at], data[at : at + data[at + 1]]))
        at += data[at + 1]
    return found


# --- hashes and ciphers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "digest"),
    [  # RFC 1320, A.5
        (b"", "31d6cfe0d16ae931b73c59d7e0c089c0"),
        (b"abc", "a448017aaf21d8525fc10ae87aa6729d"),
        (b"message digest", "d9130a8164549fe818874806e1c7014b"),
        (b"1234567890" * 8, "e33b4ddc9c38f2199c3e7b164fcc0536"),
        ("testing_123".encode("utf-16-le"), "fa782604f85eb3564f555648341b53e4"),
    ],
)
def test_md4(text: bytes, digest: str) -> None:
    assert md4(text).hex() == digest


@pytest.mark.parametrize(
    ("key", "clear", "enciphered"),
    [  # of the standard's own tests: variable text, variable key, substitution tables; keys with their parity bits
        ("0101010101010101", "8000000000000000", "95f8a5e5dd31d900"),
        ("8001010101010101", "0000000000000000", "95a8d72813daa94d"),
        ("7ca110454a1a6e57", "01a1d6d039776742", "690f5b0d9a26939b"),
        ("1c587f1c13924fef", "305532286d6f295a", "63fac0d034d9f793"),
    ],
)
def test_des(key: str, clear: str, enciphered: str) -> None:
    bits = "".join(f"{octet >> 1:07b}" for octet in bytes.fromhex(key))
    schedule = key_schedule(int(bits, 2).to_bytes(7, "big"))
    assert encipher(schedule, bytes.fromhex(clear)).hex() == enciphered


def test_ms_chap_2_of_rfc_2759() -> None:
    hashed = challenge_hash(PEER_CHALLENGE, CHALLENGE, USER)
    assert hashed.hex() == "d02e4386bce91226"
    assert PASSWORD.nt_hash.hex() == "44ebba8d5312b8d611474411f56989ae"
    assert PASSWORD.nt_hash_hash.hex() == "41c00c584bd2d91c4017a2a12fa59f3f"
    assert PASSWORD.challenge_response(hashed) == NT_RESPONSE
    assert authenticator_response(PASSWORD, NT_RESPONSE, hashed) == b"S=407A5589115FD0D6209F510FE9C04566932CDA56"


def test_the_domain_before_a_name_is_not_hashed() -> None:
    assert challenge_hash(PEER_CHALLENGE, CHALLENGE, b"DOMAIN\\User") == challenge_hash(
        PEER_CHALLENGE, CHALLENGE, USER
    )
    assert challenge_hash(PEER_CHALLENGE, CHALLENGE, b"user") != challenge_hash(PEER_CHALLENGE, CHALLENGE, USER)


def test_mppe_of_rfc_3079() -> None:
    assert master_key(PASSWORD, NT_RESPONSE).hex() == "fdece3717a8c838cb388e527ae3cdd31"
    send, receive = server_keys(PASSWORD, NT_RESPONSE)
    assert send.hex() == "8b7cdc149b993a1ba118cb153f56dccb"
    assert receive.hex() == "d5f0e9521e3ea9589645e86051c82226"


def test_ms_chap_1_of_rfc_2433_and_of_freeradius() -> None:
    secret = Secret("MyPw")
    assert secret.nt_hash.hex() == "fc156af7edcd6c0edde3337d427f4eac"
    response = secret.challenge_response(bytes.fromhex("102DB5DF085D3041"))
    assert response.hex() == "4e9d3c8f9cfd385d5bf4d3246791956ca4c351ab409a3d61"
    response = Secret("bob").challenge_response(bytes.fromhex("b9634adc358b2ab3"))
    assert response.hex() == "7a42408782f745ef90a86fd21b0d9294132750f4af66a419"


# --- packets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, vector in VECTORS.items() if vector.octets[0] == 1])
def test_access_requests_are_made_as_they_stand_in_the_vectors(name: str) -> None:
    vector = VECTORS[name]
    data = vector.octets
    attributes = attributes_of(data)
    place = Place.FIRST if attributes[0][0] == 80 else Place.NOWHERE
    body = b"".join(whole for kind, whole in attributes if kind != 80)
    assert access_request(data[1], vector.authenticator, body, vector.secret, place) == data


def test_an_accounting_request_is_made_as_it_stands_in_the_vectors() -> None:
    vector = MIKROTIK["acct_interim"]
    assert accounting_request(vector.octets[1], vector.octets[20:], vector.secret) == vector.octets


@pytest.mark.parametrize(
    ("asked_name", "replied_name"),
    [
        ("rfc2865: 7.1 request", "rfc2865: 7.1 accept"),
        ("rfc2865: 7.2 request", "rfc2865: 7.2 accept"),
        ("rfc5997: 8.1 request", "rfc5997: 8.1 accept"),
        ("rfc5997: 8.2 request", "rfc5997: 8.2 response"),
        ("mikrotik: mschapv2", "mikrotik: accept"),
        ("mikrotik: mschapv2", "mikrotik: reject"),
    ],
)
def test_replies_of_the_vectors_are_believed_and_with_another_secret_are_not(
    asked_name: str, replied_name: str
) -> None:
    asked, replied = VECTORS[asked_name], VECTORS[replied_name]
    reply = decode_reply(replied.octets, asked.authenticator, asked.secret, ALL_CODES)
    assert isinstance(reply, Reply)
    assert reply.is_signed_first == replied_name.startswith("mikrotik")
    assert decode_reply(replied.octets, asked.authenticator, b"other", ALL_CODES) is Bad.WRONG_AUTHENTICATOR


def test_pap_of_a_real_router() -> None:
    authenticator = bytes.fromhex("238e1f2946e87ccd3d1b58ba507ed7ab")
    hidden = bytes.fromhex("31ff30923a54e7029bdf65641b41011f")
    assert hide_password(b"melkman", authenticator, b"vpnxs1234") == hidden
    assert reveal_password(hidden, authenticator, b"vpnxs1234") == b"melkman".ljust(16, b"\0")


@pytest.mark.parametrize(("name", "length"), [("pap", 10), ("pap_37", 37)])
def test_passwords_of_router_os_packets_both_ways(name: str, length: int) -> None:
    vector = MIKROTIK[name]
    hidden = dict(attributes_of(vector.octets))[2]
    clear = reveal_password(hidden[2:], vector.authenticator, vector.secret).rstrip(b"\0")
    assert len(clear) == length
    assert clear.decode().isprintable()
    assert Password(clear).encode(vector.authenticator, vector.secret) == hidden


def test_chap_of_the_vectors() -> None:
    vector = MIKROTIK["chap"]
    found = dict(attributes_of(vector.octets))
    given = iter([found[3][2:3], found[60][2:]])
    made = answer(Proof.CHAP, USER, PASSWORD, lambda _: next(given))
    assert made == ChapAnswer(7, found[60][2:], found[3][3:])
    assert made.encode(b"", b"") == found[60] + found[3]


@pytest.mark.parametrize(("name", "proof"), [("mschapv1", Proof.MS_CHAP_1), ("mschapv2", Proof.MS_CHAP_2)])
def test_ms_chap_of_the_vectors(name: str, proof: Proof) -> None:
    vendor = [whole for kind, whole in attributes_of(MIKROTIK[name].octets) if kind == 26]
    challenge, response = (whole[8:] for whole in vendor)
    given = [challenge, response[2:18], response[:1]] if proof is Proof.MS_CHAP_2 else [challenge, response[:1]]
    made = answer(proof, USER, PASSWORD, lambda _: given.pop(0))
    assert isinstance(made, MsChap2Answer if proof is Proof.MS_CHAP_2 else MsChapAnswer)
    assert made.encode(b"", b"") == b"".join(vendor)


# --- the server's proof and keys ------------------------------------------------------------------------------------


def accept() -> tuple[Reply, Asked]:
    request, vector = MIKROTIK["mschapv2"], MIKROTIK["accept"]
    reply = decode_reply(vector.octets, request.authenticator, vector.secret, (2,), must_be_signed=True)
    assert isinstance(reply, Reply)
    assert reply.is_signed_first
    made = MsChap2Answer(1, CHALLENGE, PEER_CHALLENGE, NT_RESPONSE)
    return reply, Asked(made, USER, PASSWORD, request.authenticator, vector.secret, must_encrypt=True)


def test_the_accept_of_the_vectors_proves_the_server_and_carries_its_keys() -> None:
    reply, asked = accept()
    assert find_flaw(reply, asked) is None
    hidden = reply.find(16, 311)
    assert hidden is not None
    key = reveal_key(hidden, asked.authenticator, asked.shared_secret)
    assert key == bytes.fromhex("8b7cdc149b993a1ba118cb153f56dccb")


@pytest.mark.parametrize(
    ("vendor_kind", "change", "flaw"),
    [
        (26, None, Flaw.NO_SUCCESS),
        (26, lambda value: bytes((value[0] ^ 1,)) + value[1:], Flaw.WRONG_SUCCESS),
        (26, lambda value: value[:-1] + b"Z", Flaw.WRONG_SUCCESS),
        (16, None, Flaw.WRONG_KEYS),
        (16, lambda value: value[:-1] + bytes((value[-1] ^ 1,)), Flaw.WRONG_KEYS),
        (16, lambda value: bytes((value[0] & 0x7F,)) + value[1:], Flaw.WRONG_KEYS),
        (17, lambda value: value[:-1], Flaw.WRONG_KEYS),
    ],
)
def test_an_accept_that_is_not_quite_right_has_a_flaw(vendor_kind: int, change, flaw: Flaw) -> None:
    reply, asked = accept()
    changed = []
    for one in reply.attributes:
        if (one.vendor, one.kind) != (311, vendor_kind):
            changed.append(one)
        elif change is not None:
            changed.append(one._replace(value=change(one.value)))
    assert find_flaw(Reply(2, tuple(changed)), asked) is flaw


def test_who_must_encrypt_needs_keys() -> None:
    reply, asked = accept()
    without = Reply(2, tuple(one for one in reply.attributes if one.kind not in (16, 17)))
    assert find_flaw(without, asked) is Flaw.NO_KEYS
    relaxed = Asked(asked.answer, USER, PASSWORD, asked.authenticator, asked.shared_secret)
    assert find_flaw(without, relaxed) is None


@pytest.mark.parametrize(("salt", "known"), [(b"\x80\x01", True), (b"\x00\x01", False)])
def test_rfc_2548_a_salt_has_its_first_bit_set(salt: bytes, known: bool) -> None:
    key, authenticator = bytes(range(16)), bytes(16)
    hidden = hide_password(bytes((16,)) + key, authenticator + salt, b"secret")
    assert reveal_key(salt + hidden, authenticator, b"secret") == (key if known else None)


@pytest.mark.parametrize(
    ("keys", "flaw"),
    [
        (bytes(8) + PASSWORD.nt_hash_hash + bytes(8), None),
        (bytes(8) + PASSWORD.nt_hash + bytes(8), Flaw.WRONG_KEYS),
        (bytes(8) + PASSWORD.nt_hash_hash, Flaw.WRONG_KEYS),
        (None, Flaw.NO_KEYS),
    ],
)
def test_version_1_has_its_keys_hidden_as_a_password(keys: bytes | None, flaw: Flaw | None) -> None:
    authenticator, secret = bytes(range(16)), b"testing123"
    hidden = [] if keys is None else [Attribute(311, 12, hide_password(keys, authenticator, secret)[: len(keys)])]
    asked = Asked(MsChapAnswer(1, bytes(8), bytes(24)), USER, PASSWORD, authenticator, secret, must_encrypt=True)
    assert find_flaw(Reply(2, tuple(hidden)), asked) is flaw
