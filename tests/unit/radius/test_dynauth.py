"""Orders to a NAS and its answers: octets as RFC 5176 and the vectors say, pyrad as an independent peer."""

import pytest
from pyrad.dictionary import Dictionary
from pyrad.packet import CoAPacket
from test_vectors import VECTORS, Vector

from aaad.radius.dynauth import ERROR_CAUSES, Order, Outcome, SessionName, Verdict, encode, read, session_attributes
from aaad.radius.integrity import SecretKeys
from aaad.radius.kinds import KINDS, OTHER
from aaad.radius.packet import attribute, values

SECRET = b"testing123"
KEYS = SecretKeys(SECRET)
MIKROTIK, ACCEL = KINDS["mikrotik"], KINDS["accel_ppp"]
NAME = SessionName("User", "81a00001", "100.64.1.2")
ERROR_CAUSE = 101


def of_vector(name: str) -> tuple[Vector, bytes]:
    vector = VECTORS[name]
    return vector, b"".join(attribute(kind, value) for kind, _, value in vector.attributes[1:])


@pytest.mark.parametrize("name", ["mikrotik: coa", "mikrotik: disconnect"])
def test_signed_requests_are_those_of_the_vectors(name: str) -> None:
    vector, attributes = of_vector(name)
    order, identifier = Order(int(vector.words["code"])), int(vector.words["identifier"])
    assert encode(order, identifier, attributes, SecretKeys(vector.secret), is_signed=True) == vector.octets


def test_the_session_of_the_vectors_is_named_as_in_them() -> None:
    _, attributes = of_vector("mikrotik: disconnect")
    assert session_attributes(MIKROTIK, NAME) == attributes


NAMES = {
    "RouterOS: name, id and address": (MIKROTIK, NAME, {1: b"User", 44: b"81a00001", 8: b"\x64\x40\x01\x02"}),
    "RouterOS takes a MAC for a wireless client": (
        MIKROTIK,
        NAME._replace(user_name="AA:BB:CC:DD:EE:01"),
        {44: b"81a00001", 8: b"\x64\x40\x01\x02"},
    ),
    "accel-ppp matches every attribute, so no address that may be another by now": (
        ACCEL,
        NAME,
        {1: b"User", 44: b"81a00001"},
    ),
    "others": (OTHER, NAME, {1: b"User", 44: b"81a00001"}),
    "octets that are no text": (ACCEL, NAME._replace(user_name="0xff"), {1: b"\xff", 44: b"81a00001"}),
    "a name that only looks like octets": (ACCEL, NAME._replace(user_name="0x41"), {1: b"0x41", 44: b"81a00001"}),
    "no digits": (ACCEL, NAME._replace(user_name="0xyz"), {1: b"0xyz", 44: b"81a00001"}),
    "an id alone is too little": (ACCEL, NAME._replace(user_name=""), {}),
    "without an id any session of the name would do": (MIKROTIK, NAME._replace(session_id=""), {}),
    "a name that no attribute holds": (ACCEL, NAME._replace(user_name="x" * 254), {}),
}


@pytest.mark.parametrize(("kind", "name", "expected"), NAMES.values(), ids=NAMES.keys())
def test_each_kind_is_told_of_a_session_in_its_way(kind, name, expected) -> None:
    data = bytes(20) + session_attributes(kind, name)
    assert {code: values(data, len(data), code) for code in (1, 8, 44, 4, 32)} == {
        code: [expected[code]] if code in expected else [] for code in (1, 8, 44, 4, 32)
    }, "neither NAS-IP-Address nor NAS-Identifier is ever sent"


# --- answers, made by pyrad -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dictionary(tmp_path_factory: pytest.TempPathFactory) -> Dictionary:
    path = tmp_path_factory.mktemp("pyrad") / "dictionary"
    path.write_text(
        "ATTRIBUTE User-Name 1 string\nATTRIBUTE Framed-IP-Address 8 ipaddr\nATTRIBUTE Acct-Session-Id 44 string\n"
        "ATTRIBUTE Message-Authenticator 80 octets\nATTRIBUTE Error-Cause 101 integer\n"
    )
    return Dictionary(str(path))


def pyrad_answer(
    dictionary: Dictionary,
    request: bytes,
    code: int,
    cause: int | None,
    *,
    secret: bytes = SECRET,
    signed: bool = False,
) -> bytes:
    """The answer of a NAS that is made of pyrad, which verifies the request first."""
    heard = CoAPacket(packet=request, secret=SECRET, dict=dictionary)
    assert heard.VerifyCoARequest()
    heard.secret = secret
    reply = heard.CreateReply()
    reply.code = code
    if cause is not None:
        reply["Error-Cause"] = cause
    if signed:
        reply.add_message_authenticator()
    return bytes(reply.ReplyPacket())


@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("order", list(Order))
def test_pyrad_reads_our_requests_and_we_its_answers(dictionary, order: Order, is_signed: bool) -> None:
    request = encode(order, 7, session_attributes(MIKROTIK, NAME), KEYS, is_signed=is_signed)
    heard = CoAPacket(packet=request, secret=SECRET, dict=dictionary)
    assert heard.VerifyCoARequest()
    assert (heard["User-Name"], heard["Acct-Session-Id"]) == (["User"], ["81a00001"])
    assert heard["Framed-IP-Address"] == ["100.64.1.2"]
    if is_signed:
        assert heard.verify_message_authenticator()
    assert read(pyrad_answer(dictionary, request, order + 1, None), request, KEYS, MIKROTIK) == Verdict(Outcome.DONE)


CAUSES = [
    (MIKROTIK, 406, Outcome.GONE),
    (MIKROTIK, 503, Outcome.GONE),
    (ACCEL, 503, Outcome.GONE),
    (ACCEL, 406, Outcome.REFUSED),
    *((MIKROTIK, cause, Outcome.REFUSED) for cause in (401, 402, 403, 404)),
    (MIKROTIK, None, Outcome.REFUSED),
]


@pytest.mark.parametrize(("kind", "cause", "outcome"), CAUSES)
def test_r5_4_only_the_causes_of_its_kind_say_that_a_session_is_gone(dictionary, kind, cause, outcome) -> None:
    request = encode(Order.CHANGE, 7, session_attributes(kind, NAME), KEYS, is_signed=False)
    answer = pyrad_answer(dictionary, request, 45, cause)
    assert read(answer, request, KEYS, kind) == Verdict(outcome, cause or 0)


def test_what_is_not_the_nas_s_own_answer_is_nothing(dictionary) -> None:
    request = encode(Order.CHANGE, 7, session_attributes(MIKROTIK, NAME), KEYS, is_signed=True)
    other = encode(Order.CHANGE, 8, session_attributes(MIKROTIK, NAME), KEYS, is_signed=True)
    ack = pyrad_answer(dictionary, request, 44, None)
    assert read(ack, request, KEYS, MIKROTIK) is not None
    for bad in (
        b"",
        ack[:19],
        ack[:-1] + b"x",
        bytes((41,)) + ack[1:],  # of a Disconnect
        pyrad_answer(dictionary, request, 44, None, secret=b"another"),
        pyrad_answer(dictionary, other, 44, None),
        request,
    ):
        assert read(bad, request, KEYS, MIKROTIK) is None, bad


def test_a_message_authenticator_in_an_answer_must_fit() -> None:
    request = encode(Order.CHANGE, 7, session_attributes(MIKROTIK, NAME), KEYS, is_signed=False)
    for octet, expected in ((0, Verdict(Outcome.DONE)), (1, None)):
        header = bytes((44, 7, 0, 38))
        zeros = bytes((80, 18)) + bytes(16)
        signature = bytearray(KEYS.signature(header + request[4:20] + zeros))
        signature[3] ^= octet
        body = zeros[:2] + bytes(signature)
        answer = header + KEYS.digest(header + request[4:20] + body) + body
        assert read(answer, request, KEYS, MIKROTIK) == expected


# --- what differs by kind -------------------------------------------------------------------------------------------


def test_an_event_timestamp_is_signed_with_the_rest_and_comes_before_what_names_the_session() -> None:
    attributes = session_attributes(OTHER, NAME)
    request = encode(Order.CHANGE, 7, attributes, KEYS, is_signed=True, stamp_s=1_700_000_000)
    assert values(request, len(request), 55) == [(1_700_000_000).to_bytes(4, "big")]
    assert KEYS.accounting_authenticator_fits(request, len(request))
    assert KEYS.accounting_signature_fits(request, len(request), 20)
    assert request.endswith(attributes)


def test_only_kinds_of_which_it_is_not_known_that_it_harms_get_an_event_timestamp() -> None:
    assert {name for name, kind in KINDS.items() if not kind.stamps_orders} == {"mikrotik", "accel_ppp"}


def test_every_cause_that_means_no_such_session_has_words() -> None:
    for kind in KINDS.values():
        assert all(cause in ERROR_CAUSES for cause in kind.gone_causes)
