"""Journal bodies: what was decided comes back, secrets and unknown names never go in, other octets are an error."""

import contextlib
import hashlib
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nas_double import access_request, chap, fresh_authenticator, packet, tlv, vendor

from aaad.errors import AaadError
from aaad.policy.codes import Credential, Discard, Reason
from aaad.policy.facts import LoginExtras, LoginFacts
from aaad.radius import explain
from aaad.radius.explain import Explanation
from aaad.radius.layout import Layout
from aaad.radius.packet import packet_length, walk
from aaad.radius.routers import Nas, Router
from aaad.replica import record
from aaad.replica.record import NasRow

NAS = Nas(NasRow(12, "bras", "192.0.2.1/32", b"testing123", b"", 0.0, "mikrotik", True, "auto", 900, 1), 0.0)
LOGIN = LoginFacts(1, 2, 3, 4, 5, 5, 2, 1, 0x64400001, nt_hash=b"nt hash of 16 oc", password=b"wonderland")
RECORD = record.encode(LOGIN)
EXTRAS = LoginExtras(port_id="vlan7", routes=("198.51.100.0/24",), attributes=tlv(18, b"hello"))
REPLY = tlv(8, b"\xc0\0\2\1") + vendor(14988, 8, b"25M/50M")


def key(source_address: str = "192.0.2.1") -> bytes:
    return Router(NAS, source_address, b"bras-01").journal_key


def public(data: bytes) -> bytes:
    return Layout(data, packet_length(data)).public_attributes(data)


def body(
    reason: int = Reason.GRANTED,
    credential: int = Credential.RIGHT,
    *,
    flags: int = explain.FLAG_SIGNED,
    queued_s: float = 0.25,
    source_address: str = "192.0.2.1",
    facts: bytes = RECORD,
    attributes: bytes | None = None,
    reply: bytes = REPLY,
    until_s: float = math.inf,
) -> bytes:
    """A journal body with defaults; `facts` is a record."""
    shown = public(REQUEST) if attributes is None else attributes
    known = record.public_part(facts)
    return explain.encode(reason, credential, flags, queued_s, key(source_address), known, shown, reply, until_s)


REQUEST = access_request(
    attributes=tlv(30, b"pppoe-srv1") + tlv(87, b"vlan100") + tlv(44, b"81a00001"), nas_identifier="bras-ã".encode()
)


def test_a_decision_comes_back_as_it_was_made() -> None:
    assert explain.explain(body()) == Explanation(
        reason=Reason.GRANTED,
        discard=None,
        credential=Credential.RIGHT,
        signed=True,
        queued_s=0.25,
        nas_id=12,
        source_address="192.0.2.1",
        facts=LOGIN._replace(nt_hash=b"", password=b""),
        user_name="alice",
        calling_station_id="AA:BB:CC:DD:EE:01",
        called_station_id="pppoe-srv1",
        nas_identifier="bras-ã",
        nas_port_id="vlan100",
        acct_session_id="81a00001",
        is_ppp=True,
        reply=(("Framed-IP-Address", "192.0.2.1"), ("Mikrotik-Rate-Limit", "25M/50M")),
        pool_ids=(),
        until_s=math.inf,
    )


def test_r7_2_the_pools_that_addresses_are_from_come_back() -> None:
    flags, with_pools = explain.FLAG_SIGNED | explain.FLAG_LEASED, key() + explain.pool_octets((7, 2**31 - 1))
    shown, known = public(REQUEST), record.public_part(RECORD)
    found = explain.explain(explain.encode(Reason.GRANTED, 1, flags, 0.25, with_pools, known, shown, REPLY, 5.0))
    assert found.pool_ids == (7, 2**31 - 1)
    plain = explain.explain(body(until_s=5.0))
    assert found == replace(plain, pool_ids=found.pool_ids)


def test_the_extras_of_a_login_and_the_end_of_a_decision_come_back() -> None:
    login = LOGIN._replace(extras=EXTRAS, access_ends_at_s=1_800_000_000)
    found = explain.explain(body(facts=record.encode(login), until_s=1_800_000_000.5))
    assert found.facts == login._replace(nt_hash=b"", password=b"")
    assert found.until_s == 1_800_000_000.5


@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("credential", [0, *Credential])
def test_every_reason_and_credential_comes_back(reason: Reason, credential: int) -> None:
    found = explain.explain(body(reason, credential, flags=0, source_address="2001:db8::1", facts=b""))
    assert (found.reason, found.discard, found.credential) == (reason, None, credential or None)
    assert (found.signed, found.facts, found.source_address) == (False, None, "2001:db8::1")


@pytest.mark.parametrize("cause", list(Discard))
def test_every_silence_comes_back(cause: Discard) -> None:
    found = explain.explain(body(cause, 0, flags=explain.FLAG_DISCARDED))
    assert (found.reason, found.discard, found.credential) == (None, cause, None)


@pytest.mark.parametrize(("queued_s", "shown"), [(-3.0, 0.0), (0.0, 0.0), (1e9, 4294.967295)])
def test_time_in_the_queue_is_bounded(queued_s: float, shown: float) -> None:
    assert explain.explain(body(queued_s=queued_s)).queued_s == shown


def test_a_login_with_an_md5_password_comes_back_too() -> None:
    login = LOGIN._replace(flags=LOGIN.flags | 16, nt_hash=b"", password=b"m" * 16)
    found = explain.explain(body(facts=record.encode(login)))
    assert found.facts == login._replace(password=b"")


def test_what_was_never_sent_is_empty() -> None:
    found = explain.explain(body(attributes=b""))
    assert (found.user_name, found.calling_station_id, found.is_ppp) == ("", "", False)


AUTHENTICATOR = fresh_authenticator()
MS_CHAP = vendor(311, 25, b"\x01\x00" + b"peer challenge 1" + bytes(8) + b"response of twenty-four!")
SECRET_ATTRIBUTES = {
    "PAP": access_request(),
    "PAP, unsigned": access_request(signed=False),
    "PAP before others": packet(1, 1, AUTHENTICATOR, tlv(2, b"hidden password!") + tlv(1, b"alice") + tlv(32, b"b")),
    "PAP last": packet(1, 1, AUTHENTICATOR, tlv(1, b"alice") + tlv(2, b"hidden password!")),
    "signature behind the password": packet(
        1,
        1,
        AUTHENTICATOR,
        tlv(1, b"alice") + tlv(2, b"hidden password!") + tlv(5, b"abcd") + tlv(80, b"sixteen octets!!"),
    ),
    "signature before the password": packet(
        1,
        1,
        AUTHENTICATOR,
        tlv(80, b"sixteen octets!!") + tlv(5, b"abcd") + tlv(2, b"hidden password!") + tlv(1, b"a"),
    ),
    "both side by side": packet(
        1,
        1,
        AUTHENTICATOR,
        tlv(1, b"a") + tlv(2, b"hidden password!") + tlv(80, b"sixteen octets!!") + tlv(5, b"abcd"),
    ),
    "no password": access_request(password=None, signed=False),
    "CHAP": access_request(password=None, attributes=chap(AUTHENTICATOR) + tlv(60, b"challenge of 16.")),
    "a challenge alone": access_request(password=None, attributes=tlv(60, b"challenge of 16.")),
    "CHAP and PAP": access_request(attributes=chap(AUTHENTICATOR)),
    "MS-CHAP": access_request(password=None, attributes=MS_CHAP + vendor(311, 11, b"challenge of 16.")),
    "a circuit beside PAP": access_request(attributes=vendor(3561, 1, b"olt 1/2/3")),
    "a circuit beside MS-CHAP": access_request(password=None, attributes=vendor(2352, 97, b"olt 1/2/3") + MS_CHAP),
    "ARAP": access_request(password=None, attributes=tlv(70, b"arap password...")),
    "EAP": access_request(password=None, attributes=tlv(79, b"\x02\x01\0\x0a\x01alice")),
}
SECRET_KINDS = (2, 3, 60, 70, 79, 80)
MICROSOFT = (311).to_bytes(4, "big")


@pytest.mark.parametrize("data", SECRET_ATTRIBUTES.values(), ids=SECRET_ATTRIBUTES.keys())
@pytest.mark.parametrize("padding", [b"", b"padding of some octets"])
def test_what_proves_or_hides_a_password_is_left_out_and_nothing_else(data: bytes, padding: bytes) -> None:
    at, expected = 20, b""
    while at < len(data):
        one = data[at : at + data[at + 1]]
        is_secret = one[0] in SECRET_KINDS or (one[0] == 26 and one[2:6] == MICROSOFT)
        expected += b"" if is_secret else one
        at += len(one)
    assert public(data + padding) == expected


def test_the_body_of_a_known_login_has_no_secret_of_it() -> None:
    written = body()
    for secret in (b"wonderland", b"nt hash", hashlib.md5(b"wonderland").digest(), REQUEST[22:38]):
        assert secret not in written


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"", "***(0)"),
        (b"a", "***(1)"),
        (b"ab", "a***(2)"),
        (b"abcd", "a***(4)"),
        (b"abcde", "ab***(5)"),
        (b"\0\x1b[2J", "??***(5)"),
        ("çéã12".encode(), "çé***(8)"),
        (b"\xff\xfe\xfd\xfc\xfb", "\ufffd\ufffd***(5)"),
        (b"x" * 253, "xx***(253)"),
        (b"' OR 1=1 --", "' ***(11)"),
    ],
)
def test_r3_6_a_mask_shows_little(name: bytes, shown: str) -> None:
    assert explain.mask(name) == shown


@given(st.binary(min_size=1, max_size=253))
def test_r3_6_a_masked_body_never_holds_the_name(name: bytes) -> None:
    data = access_request(name, nas_identifier=None, calling_station_id=None)
    masked = explain.masked_attributes(data, packet_length(data), name)
    positions = walk(bytes(20) + masked, 20 + len(masked))
    assert masked[positions[1] - 20 + 2 :].startswith(explain.mask(name).encode())
    if len(name) > 2:
        assert name not in masked
    found = explain.explain(
        body(Reason.UNKNOWN_LOGIN, 0, flags=explain.FLAG_NAME_MASKED, facts=b"", attributes=masked)
    )
    assert found.user_name == explain.mask(name)


def test_subjects_of_logins_and_names_never_meet() -> None:
    assert explain.subject_of_login(2**31 - 1) < 1 << 63
    names = {explain.subject_of_name(b"name %d" % number, b"k" * 16) for number in range(1000)}
    assert len(names) == 1000
    assert all(1 << 63 <= subject < 1 << 64 for subject in names)


def test_the_subject_of_a_name_needs_the_clusters_key() -> None:
    assert explain.subject_of_name(b"alice", b"k" * 16) != explain.subject_of_name(b"alice", b"K" * 16)


def check_octets(data: bytes) -> None:
    """A value or an AaadError."""
    with contextlib.suppress(AaadError):
        assert isinstance(explain.explain(data), Explanation)


@given(st.binary(max_size=150) | st.binary(max_size=150).map(lambda octets: b"\x02" + octets))
def test_any_octets_give_an_explanation_or_an_error_of_ours(data: bytes) -> None:
    check_octets(data)


def test_every_damage_of_a_body_gives_an_explanation_or_an_error_of_ours() -> None:
    written = body()
    for place in range(len(written)):
        check_octets(written[:place])
        for value in (0, 1, 0x7F, 0xFF, written[place] ^ 1):
            check_octets(written[:place] + bytes((value,)) + written[place + 1 :])


@pytest.mark.parametrize(
    "data",
    [
        body(reason=0),
        body(reason=200),
        body(reason=200, flags=explain.FLAG_DISCARDED),
        body(credential=200),
        body(attributes=b"")[:-1],
        b"\x01" + body()[1:],
    ],
    ids=["reason 0", "reason 200", "discard 200", "credential 200", "cut off", "another version"],
)
def test_a_body_of_another_program_is_an_error_of_ours(data: bytes) -> None:
    with pytest.raises(AaadError):
        explain.explain(data)
