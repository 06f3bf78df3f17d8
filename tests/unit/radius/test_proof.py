"""What a request proves: every method over every way a password is stored, logins of devices, which secret signs."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mschap_peer import (
    RECEIVE_KEY,
    SEND_KEY,
    SUCCESS_2,
    attributes_1,
    attributes_2,
    nt_hash,
    of_microsoft,
    session_key,
)
from nas_double import MAC, SECRET, access_request, attributes_of, chap, is_signed_with, packet, tlv, vendor

from aaad.policy.codes import Credential, LoginFlag
from aaad.policy.facts import LoginFacts
from aaad.radius.integrity import SecretKeys
from aaad.radius.layout import Layout
from aaad.radius.learned import Learned
from aaad.radius.packet import AUTHENTICATOR
from aaad.radius.proof import Proof, Proven, signed_by_next
from aaad.radius.request import Request
from aaad.radius.routers import Nas, Neighbourhood, Peer, Router
from aaad.replica.record import AdministratorRow, NasRow
from aaad.spool.records import RouterSeen

NOW_S = 1_800_000_000.0
SOURCE = ("192.0.2.1", 50_000)
OLD = b"the secret before"
CLEAR = LoginFacts(1, 2, 3, 5, 1, 5, 2, 1, 0, nt_hash=nt_hash("wonderland"), password=b"wonderland")
AS_MD5 = CLEAR._replace(
    flags=5 | LoginFlag.PASSWORD_IS_MD5, nt_hash=b"", password=hashlib.md5(b"wonderland").digest()
)
EMPTY = CLEAR._replace(nt_hash=nt_hash(""), password=b"")
DEVICE = CLEAR._replace(flags=5 | LoginFlag.IS_MAC_LOGIN, mac=0xAABBCCDDEE01)
DEVICE_WITHOUT_PASSWORD = DEVICE._replace(nt_hash=nt_hash(""), password=b"")
RIGHT, WRONG, MISSING = Credential.RIGHT, Credential.WRONG, Credential.MISSING
UNSUPPORTED, NEEDS_CLEAR = Credential.UNSUPPORTED, Credential.NEEDS_CLEAR_PASSWORD
A = bytes(range(16))


class Concentrator:
    """One router behind an entry with two secrets, and what it proves."""

    def __init__(self) -> None:
        row = NasRow(1, "bras-01", "192.0.2.1/32", SECRET, OLD, NOW_S + 60, "mikrotik", True, "auto", 900, 1)
        self.nas = Nas(row, NOW_S)
        self.router = Router(self.nas, SOURCE[0], b"bras-01")
        self.peer = Peer(self.nas, SOURCE[0])
        self.learned = Learned()
        self.proof = Proof(Neighbourhood(peers_max=10), self.learned)
        self.last: Request | None = None

    def request(self, data: bytes, *, signed_with: SecretKeys | None = None) -> Request:
        """A datagram on its way."""
        layout = Layout(data, len(data))
        self.last = Request(data, layout, data[AUTHENTICATOR], SOURCE, self.peer, self.router, signed_with, NOW_S)
        return self.last

    def proves(self, data: bytes, login: LoginFacts = CLEAR, *, signed: bool = True) -> Proven:
        """What a datagram proves of a login."""
        request = self.request(data, signed_with=self.nas.keys[0] if signed else None)
        return self.proof.credential(request, login, NOW_S)


def asked(attributes: bytes, *, name: bytes = b"alice", authenticator: bytes = A) -> bytes:
    """A request with a name and these attributes."""
    return packet(1, 7, authenticator, tlv(1, name) + tlv(31, MAC) + attributes)


def pap(password: bytes = b"wonderland", **changes: object) -> bytes:
    return access_request(b"alice", password, signed=False, **changes)


METHODS = {
    "PAP": pap(),
    "CHAP": asked(chap(A)),
    "CHAP, challenge of its own": asked(chap(b"a challenge") + tlv(60, b"a challenge")),
    "MS-CHAP 1": asked(attributes_1("wonderland")),
    "MS-CHAP 2": asked(attributes_2(b"alice", "wonderland")),
    "PAP, wrong": pap(b"Wonderland"),
    "CHAP, wrong": asked(chap(A, b"Wonderland")),
    "CHAP, another challenge": asked(chap(A) + tlv(60, b"a challenge")),
    "MS-CHAP 1, wrong": asked(attributes_1("Wonderland")),
    "MS-CHAP 2, wrong": asked(attributes_2(b"alice", "Wonderland")),
    "MS-CHAP 2, another's name": asked(attributes_2(b"bob", "wonderland")),
    "LAN Manager": asked(attributes_1("wonderland", flags=0)),
    "EAP": asked(tlv(79, b"\2\0\0\5\1")),
    "new password": asked(vendor(311, 27, bytes(70))),
    "nothing": asked(b""),
    "vendor attributes": asked(vendor(14988, 9, b"realm") + vendor(311, 11, b"8 octets")),
}
TABLE = [
    # method, password in clear, as MD5, empty
    ("PAP", RIGHT, RIGHT, WRONG),
    ("CHAP", RIGHT, NEEDS_CLEAR, WRONG),
    ("CHAP, challenge of its own", RIGHT, NEEDS_CLEAR, WRONG),
    ("MS-CHAP 1", RIGHT, NEEDS_CLEAR, WRONG),
    ("MS-CHAP 2", RIGHT, NEEDS_CLEAR, WRONG),
    ("PAP, wrong", WRONG, WRONG, WRONG),
    ("CHAP, wrong", WRONG, NEEDS_CLEAR, WRONG),
    ("CHAP, another challenge", WRONG, NEEDS_CLEAR, WRONG),
    ("MS-CHAP 1, wrong", WRONG, NEEDS_CLEAR, WRONG),
    ("MS-CHAP 2, wrong", WRONG, NEEDS_CLEAR, WRONG),
    ("MS-CHAP 2, another's name", WRONG, NEEDS_CLEAR, WRONG),
    ("LAN Manager", UNSUPPORTED, UNSUPPORTED, UNSUPPORTED),
    ("EAP", UNSUPPORTED, UNSUPPORTED, UNSUPPORTED),
    ("new password", UNSUPPORTED, UNSUPPORTED, UNSUPPORTED),
    ("nothing", MISSING, MISSING, MISSING),
    ("vendor attributes", MISSING, MISSING, MISSING),
]


@pytest.mark.parametrize(("method", *("clear", "as_md5", "empty")), TABLE, ids=[row[0] for row in TABLE])
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_every_method_over_every_way_a_password_is_stored(
    method: str, clear: Credential, as_md5: Credential, empty: Credential, signed: bool
) -> None:
    for login, expected in ((CLEAR, clear), (AS_MD5, as_md5), (EMPTY, empty)):
        proven = Concentrator().proves(METHODS[method], login, signed=signed)
        assert proven.credential is expected
        assert proven.keys.same_secret(SecretKeys(SECRET))
        assert (proven.mschap is not None) == (method in ("MS-CHAP 1", "MS-CHAP 2") and login is CLEAR)


def test_an_empty_password_proves_nothing_by_any_method() -> None:
    for attributes in (chap(A, b""), attributes_1(""), attributes_2(b"alice", "")):
        assert Concentrator().proves(asked(attributes), EMPTY).credential is WRONG
    assert Concentrator().proves(pap(b""), EMPTY).credential is WRONG


@pytest.mark.parametrize("wrong_first", [True, False])
def test_of_several_methods_the_first_counts_alone(wrong_first: bool) -> None:
    """PAP, CHAP, MS-CHAP 2, wherever they stand. Versions 1 and 2 never fit together: their challenges differ."""
    order = [
        lambda password: attributes_of(access_request(None, password, signed=False, authenticator=A))[-2],
        lambda password: attributes_of(bytes(20) + chap(A, password))[0],
        lambda password: attributes_of(bytes(20) + attributes_2(b"alice", password.decode()))[1],
    ]
    for first in range(len(order)):
        for second in range(first + 1, len(order)):
            passwords = (b"wrong", b"wonderland") if wrong_first else (b"wonderland", b"wrong")
            parts = [tlv(*order[first](passwords[0])), tlv(*order[second](passwords[1]))]
            for some in (parts, parts[::-1]):
                data = asked(vendor(311, 11, b"a challenge: 16.") + b"".join(some))
                assert Concentrator().proves(data).credential is (WRONG if wrong_first else RIGHT)


# The smallest set of damaged requests that network.md 6.7 asks for, as far as methods go; and its neighbours.
DAMAGED = [
    *((tlv(2, bytes(size)), WRONG) for size in (0, 15, 17, 144)),
    *((tlv(3, bytes(size)), WRONG) for size in (0, 1, 16, 18)),
    (chap(A) + tlv(60, b""), WRONG),
    *((vendor(311, 11, bytes(16)) + vendor(311, 25, bytes(size)), WRONG) for size in (0, 1, 49, 51)),
    *((vendor(311, 11, bytes(8)) + vendor(311, 1, b"\1" * size), WRONG) for size in (0, 1, 49, 51)),
    (vendor(311, 25, bytes(50)), WRONG),
    (vendor(311, 1, b"\1" * 50), WRONG),
    *((vendor(311, 11, bytes(size)) + vendor(311, 25, bytes(50)), WRONG) for size in (0, 8, 15, 17, 200)),
    (tlv(26, bytes(4)), MISSING),
    *((tlv(26, b"\0\0\1\x37\x19" + tail), MISSING) for tail in (b"", b"\0", b"\1", b"\x34", b"\xff" + bytes(50))),
]


@pytest.mark.parametrize(("attributes", "expected"), DAMAGED)
def test_damaged_proofs_are_wrong_or_missing_and_never_an_error(attributes: bytes, expected: Credential) -> None:
    for name in (b"alice", b"a\0lice", b"\xff\xfe", b"x" * 253):
        for login in (CLEAR, EMPTY):
            assert Concentrator().proves(asked(attributes, name=name), login).credential is expected


microsoft = st.tuples(st.sampled_from([1, 3, 11, 25, 27]), st.binary(max_size=60)).map(lambda one: vendor(311, *one))
anything = st.one_of(
    microsoft,
    st.tuples(st.sampled_from([2, 3, 26, 60, 79]), st.binary(max_size=60)).map(lambda one: tlv(*one)),
    st.binary(max_size=60).map(lambda octets: tlv(26, b"\0\0\1\x37" + octets)),
)


@given(st.dictionaries(st.integers(0, 9), anything, max_size=5), st.sampled_from([CLEAR, AS_MD5, EMPTY, DEVICE]))
def test_any_attributes_prove_nothing(attributes: dict[int, bytes], login: LoginFacts) -> None:
    kinds = [value[0] for value in attributes.values() if value[0] != 26]
    if len(kinds) == len(set(kinds)):
        assert Concentrator().proves(asked(b"".join(attributes.values())), login).credential is not RIGHT


# --- logins of devices: rule R3.4 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PAP", "PAP, wrong", "MS-CHAP 2", "nothing", "EAP"])
@pytest.mark.parametrize("named", [b"AA:BB:CC:DD:EE:01", b"aabbccddee01", b"AABBCC-DDEE01", b"1:aa:bb:cc:dd:ee:1"])
@pytest.mark.parametrize("calling", [b"AA:BB:CC:DD:EE:01", b"1:aa:bb:cc:dd:ee:1", b"aabb.ccdd.ee01"])
def test_a_device_needs_no_password_unless_its_login_has_one(method: str, named: bytes, calling: bytes) -> None:
    others = b"".join(tlv(kind, value) for kind, value in attributes_of(METHODS[method]) if kind not in (1, 31))
    data = packet(1, 7, METHODS[method][4:20], tlv(1, named) + tlv(31, calling) + others)
    assert Concentrator().proves(data, DEVICE_WITHOUT_PASSWORD).credential is RIGHT
    expected = {"PAP": RIGHT, "PAP, wrong": WRONG, "MS-CHAP 2": WRONG, "nothing": MISSING, "EAP": UNSUPPORTED}
    assert Concentrator().proves(data, DEVICE).credential is expected[method]


@pytest.mark.parametrize(
    ("named", "calling", "mac"),
    [
        (b"AA:BB:CC:DD:EE:01", b"AA:BB:CC:DD:EE:02", DEVICE.mac),  # typed at another device
        (b"AA:BB:CC:DD:EE:02", b"AA:BB:CC:DD:EE:02", DEVICE.mac),  # the login's device was changed, its name was not
        (b"AA:BB:CC:DD:EE:01", b"", DEVICE.mac),
        (b"AA:BB:CC:DD:EE:01", None, DEVICE.mac),
        (b"AA:BB:CC:DD:EE:01", b"203.0.113.7", DEVICE.mac),
        (b"alice", b"AA:BB:CC:DD:EE:01", DEVICE.mac),
        (b"alice", b"alice", DEVICE.mac),
        (b"00:00:00:00:00:00", b"AA:BB:CC:DD:EE:01", 0),
        (b"alice", b"alice", 0),
    ],
)
def test_a_devices_address_that_somebody_typed_is_no_password(named: bytes, calling: bytes | None, mac: int) -> None:
    """Rule R3.4."""
    data = access_request(named, b"wonderland", calling_station_id=calling, signed=False)
    for login in (DEVICE, DEVICE_WITHOUT_PASSWORD):
        assert Concentrator().proves(data, login._replace(mac=mac)).credential is Credential.OTHER_DEVICE


# --- router administrators: rule R2.5 -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PAP", "CHAP", "MS-CHAP 1", "MS-CHAP 2"])
def test_a_router_administrator_proves_himself_by_the_same_methods(method: str) -> None:
    concentrator = Concentrator()
    row = AdministratorRow(1, b"alice", b"wonderland", nt_hash("wonderland"), "full", 0)
    for data, expected in ((METHODS[method], RIGHT), (METHODS[f"{method}, wrong"], WRONG)):
        request = concentrator.request(data, signed_with=concentrator.nas.keys[0])
        assert concentrator.proof.administrator(request, row, NOW_S).credential is expected


# --- which secret: rule R2.2 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["CHAP", "MS-CHAP 1", "MS-CHAP 2", "nothing"])
def test_what_proves_no_secret_is_signed_with_the_one_proven_last(method: str) -> None:
    """Rule R2.2: here a User-Password that fitted proved it."""
    concentrator = Concentrator()
    assert concentrator.proves(METHODS[method], signed=False).keys is concentrator.nas.keys[0]
    assert not [record for record in concentrator.learned.take(everything=True) if isinstance(record, RouterSeen)]
    by_old_secret = concentrator.proves(pap(secret=OLD), signed=False)
    assert by_old_secret.credential is RIGHT
    assert by_old_secret.keys is concentrator.nas.keys[1]
    assert concentrator.proves(METHODS[method], signed=False).keys is concentrator.nas.keys[1]
    assert concentrator.proves(METHODS[method], signed=True).keys is concentrator.nas.keys[0]


def reply_to(concentrator: Concentrator, proven: Proven, *, more: bytes = b"") -> bytes:
    """An Accept as the path makes it."""
    assert concentrator.last is not None
    attributes = tlv(25, b"class") + concentrator.proof.success_attributes(concentrator.last, proven, with_keys=True)
    return proven.keys.signed_reply(2, 7, A, attributes + more)


def test_a_copy_is_answered_with_the_next_secret_and_readable_keys_round_and_round() -> None:
    """Rule R2.2: a concentrator with another secret could read nothing of the first reply's keys."""
    concentrator = Concentrator()
    data = METHODS["MS-CHAP 2"]
    reply = reply_to(concentrator, concentrator.proves(data, signed=False), more=tlv(33, b"state"))
    keys = set()
    for secret in (SECRET, OLD, SECRET):
        assert is_signed_with(reply, data, secret)
        attributes = attributes_of(reply)
        values = of_microsoft(attributes)
        keys.add(tuple(session_key(values[kind], A, secret) for kind in (SEND_KEY, RECEIVE_KEY)))
        assert attributes[1] == (25, b"class")
        assert attributes[-1] == (33, b"state")
        reply = signed_by_next(reply, A, concentrator.nas.keys)
    assert len(keys) == 1


def test_a_copy_after_the_secrets_were_changed() -> None:
    """With nothing hidden in it the first secret of now signs; else it goes out as it was."""
    concentrator = Concentrator()
    gone: Sequence[SecretKeys] = (SecretKeys(b"new"), SecretKeys(b"newer"))
    plain = reply_to(concentrator, concentrator.proves(METHODS["CHAP"], signed=False))
    assert is_signed_with(signed_by_next(plain, A, gone), METHODS["CHAP"], b"new")
    with_keys = reply_to(concentrator, concentrator.proves(METHODS["MS-CHAP 2"], signed=False))
    assert signed_by_next(with_keys, A, gone) == with_keys


# --- what the Accept says -------------------------------------------------------------------------------------------


def test_only_a_right_ms_chap_response_gives_attributes_and_keys_only_on_demand() -> None:
    for method, kinds, with_keys in (
        ("PAP", [], True),
        ("CHAP", [], True),
        ("MS-CHAP 1", [12], True),
        ("MS-CHAP 1", [], False),
        ("MS-CHAP 2", [SUCCESS_2, SEND_KEY, RECEIVE_KEY], True),
        ("MS-CHAP 2", [SUCCESS_2], False),
        ("MS-CHAP 2, wrong", [], True),
    ):
        concentrator = Concentrator()
        proven = concentrator.proves(METHODS[method])
        assert concentrator.last is not None
        said = concentrator.proof.success_attributes(concentrator.last, proven, with_keys=with_keys)
        assert list(of_microsoft(attributes_of(bytes(20) + said))) == kinds


def test_salts_do_not_come_again_soon() -> None:
    concentrator = Concentrator()
    proven = concentrator.proves(METHODS["MS-CHAP 2"])
    assert concentrator.last is not None
    salts = []
    for _ in range(100):
        said = concentrator.proof.success_attributes(concentrator.last, proven, with_keys=True)
        values = of_microsoft(attributes_of(bytes(20) + said))
        salts += [values[kind][:2] for kind in (SEND_KEY, RECEIVE_KEY)]
    assert len(set(salts)) == len(salts) == 200
    assert all(salt[0] & 0x80 for salt in salts)


def test_what_is_proven_shows_no_secret() -> None:
    shown = repr(Concentrator().proves(METHODS["MS-CHAP 2"]))
    assert "SecretKeys()" in shown
    assert "Verified(version=2)" in shown
    assert SECRET.decode() not in shown
