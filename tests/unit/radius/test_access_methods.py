"""Every method from a request's octets to the reply: what is said, signed, hidden and written down."""

import hashlib

import pytest
from access_world import IN_ORDER, NOW_S, World, login, nas_row
from mschap_peer import (
    ERROR,
    MPPE_KEYS,
    RECEIVE_KEY,
    SEND_KEY,
    SUCCESS_2,
    attributes_1,
    attributes_2,
    md4,
    nt_hash,
    of_microsoft,
    session_key,
    shown,
)
from nas_double import (
    MAC,
    REPLY_MESSAGE,
    SECRET,
    Reply,
    access_request,
    attributes_of,
    chap,
    checked,
    fresh_authenticator,
    packet,
    tlv,
)
from test_vectors import VECTORS

from aaad.policy.codes import LoginFlag, Reason
from aaad.replica.record import AdministratorRow

OLD = b"the secret before"
USER = login(nt_hash=nt_hash("clientPass"), password=b"clientPass")
METHODS = ["PAP", "CHAP", "MS-CHAP 1", "MS-CHAP 2"]


def dial(
    method: str,
    password: bytes = b"wonderland",
    *,
    name: bytes = b"alice",
    secret: bytes = SECRET,
    signed: bool = True,
    more: bytes = b"",
) -> bytes:
    """A request by one method."""
    authenticator = fresh_authenticator()
    attributes = {
        "PAP": lambda: b"",
        "CHAP": lambda: chap(authenticator, password),
        "MS-CHAP 1": lambda: attributes_1(password.decode()),
        "MS-CHAP 2": lambda: attributes_2(name.rpartition(b"\\")[2], password.decode()),
    }[method]()
    return access_request(
        name,
        password if method == "PAP" else None,
        authenticator=authenticator,
        secret=secret,
        signed=signed,
        attributes=attributes + more,
    )


def microsoft(reply: Reply) -> dict[int, bytes]:
    """What a reply says in Microsoft's attributes, without the plan's policy."""
    return {kind: value for kind, value in of_microsoft(reply.attributes).items() if kind not in (7, 8)}


# --- the packets of RouterOS ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pap", "chap", "mschapv1", "mschapv2"])
@pytest.mark.parametrize("password", ["clientPass", "another"])
def test_the_whole_packets_of_routeros_are_answered(name: str, password: str) -> None:
    """network.md 6.6."""
    world = World({b"user": USER._replace(nt_hash=nt_hash(password), password=password.encode())})
    data = VECTORS[f"mikrotik: {name}"].octets
    reason = Reason.GRANTED if password == "clientPass" else Reason.WRONG_PASSWORD
    said = microsoft(world.check_decided(data, reason))
    authenticator = data[4:20]
    if reason is Reason.WRONG_PASSWORD:
        assert list(said) == ([ERROR] if name.startswith("mschap") else [])
    elif name == "mschapv1":
        assert shown(said[MPPE_KEYS], authenticator, SECRET)[8:24] == md4(nt_hash(password))
    elif name == "mschapv2":
        assert said[SUCCESS_2] == b"\x01S=407A5589115FD0D6209F510FE9C04566932CDA56"
        assert session_key(said[SEND_KEY], authenticator, SECRET).hex() == "8b7cdc149b993a1ba118cb153f56dccb"
        assert session_key(said[RECEIVE_KEY], authenticator, SECRET).hex() == "d5f0e9521e3ea9589645e86051c82226"
    else:
        assert said == {}


def test_a_reject_has_the_form_of_the_vector() -> None:
    """network.md 6.6: `reject` is the Reject to `mschapv2`, but for what it says in words."""
    world = World({b"user": login()})
    data = VECTORS["mikrotik: mschapv2"].octets
    (error,) = microsoft(world.reply(data)).values()
    ((_, _, vector),) = (one for one in VECTORS["mikrotik: reject"].attributes if one[0] == 26)
    form, words = vector[6:].split(b" M=")
    assert error.startswith(form + b" M=")
    assert words == b"bad"
    assert error.removeprefix(form + b" M=") == world.reply(dial("PAP", b"wrong", name=b"user"))[REPLY_MESSAGE]


# --- every method ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_every_method_lets_in_and_refuses(method: str, signed: bool) -> None:
    world = World()
    world.check_decided(dial(method, signed=signed), Reason.GRANTED)
    world.check_decided(dial(method, b"wrong", signed=signed), Reason.WRONG_PASSWORD)


@pytest.mark.parametrize("method", METHODS)
def test_a_password_stored_as_md5_is_good_for_pap_only(method: str) -> None:
    """Rule R3.1: a Reject with a reason of its own, and no silence."""
    digest = hashlib.md5(b"wonderland").digest()
    stored = login(flags=IN_ORDER | LoginFlag.PASSWORD_IS_MD5, nt_hash=b"", password=digest)
    reason = Reason.GRANTED if method == "PAP" else Reason.PASSWORD_STORED_AS_MD5
    World({b"alice": stored}).check_decided(dial(method), reason)


@pytest.mark.parametrize("method", METHODS)
def test_an_unknown_login_and_a_wrong_password_look_the_same(method: str) -> None:
    """Rule R3.5, MS-CHAP-Error included."""
    world = World()
    wrong, unknown = dial(method, b"wrong"), dial(method, b"wrong", name=b"mallory")
    replies = [
        world.check_decided(wrong, Reason.WRONG_PASSWORD),
        world.check_decided(unknown, Reason.UNKNOWN_LOGIN, subject=None),
    ]
    assert replies[0].attributes == replies[1].attributes


@pytest.mark.parametrize("method", METHODS)
def test_the_journal_holds_nothing_of_a_proof(method: str) -> None:
    world = World()
    data = dial(method)
    reply = world.reply(data)
    world.reply(dial(method, b"wrong"))
    written = b"".join(body for _, _, body in world.journal)
    hidden = [value for kind, value in attributes_of(data) if kind in (2, 3, 26, 60)]
    hidden += list(microsoft(reply).values())
    assert hidden
    for value in hidden:
        assert value[-16:] not in written
    assert b"E=691" not in written


def test_a_login_by_domain_or_realm_keeps_its_name_as_typed_in_the_hash() -> None:
    """network.md 6.1, and the branch's parameters (rule R3.4)."""
    world = World(parameters={"strip_realms": "provedor"})
    for typed in (b"Alice", b"ALICE@provedor", b"PROVEDOR\\Alice"):
        for method in METHODS:
            world.check_decided(dial(method, name=typed), Reason.GRANTED)
    for method in METHODS:
        world.check_decided(dial(method, name=b"alice@outro"), Reason.UNKNOWN_LOGIN, subject=None)


# --- which secret ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["CHAP", "MS-CHAP 1", "MS-CHAP 2"])
def test_a_copy_is_answered_with_the_other_secret_and_its_keys_can_be_read(method: str) -> None:
    """Rule R2.2."""
    world = World(nases=[nas_row(secret_previous=OLD, secret_previous_until_s=NOW_S + 60)])
    data = dial(method, signed=False)
    keys = set()
    for secret in (SECRET, OLD, SECRET):
        said = microsoft(checked(world.answer(data), data, secret))
        authenticator = data[4:20]
        if method == "MS-CHAP 2":
            keys.add((session_key(said[SEND_KEY], authenticator, secret), said[SUCCESS_2]))
        elif method == "MS-CHAP 1":
            keys.add((shown(said[MPPE_KEYS], authenticator, secret), b""))
    assert len(keys) == (0 if method == "CHAP" else 1)
    assert world.counted(Reason.GRANTED) == 1


@pytest.mark.parametrize("method", ["CHAP", "MS-CHAP 2"])
def test_what_proves_no_secret_is_signed_with_the_one_that_a_password_proved(method: str) -> None:
    """Rule R2.2."""
    world = World(nases=[nas_row(secret_previous=OLD, secret_previous_until_s=NOW_S + 60)])
    assert world.reply(dial("PAP", secret=OLD, signed=False), secret=OLD).code == 2
    assert world.reply(dial(method, signed=False), secret=OLD).code == 2


# --- devices and administrators -------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", [MAC, b"AABBCC-DDEE01", b"aabbccddee01", b"00030001aabbccddee01"])
@pytest.mark.parametrize("password", [b" ", MAC, b"anything"])
def test_a_device_gets_in_by_its_address_in_any_form(typed: bytes, password: bytes) -> None:
    """Rule R3.4; network.md 1.2: DHCP sends a space, Hotspot the address again or its profile's password."""
    device = login(flags=IN_ORDER | LoginFlag.IS_MAC_LOGIN, mac=0xAABBCCDDEE01, nt_hash=nt_hash(""), password=b"")
    world = World({b"casa-da-alice": device})
    world.check_decided(dial("PAP", password, name=typed), Reason.GRANTED)
    world.check_decided(dial("CHAP", password, name=typed), Reason.GRANTED)
    elsewhere = access_request(typed, password, calling_station_id=b"AA:BB:CC:DD:EE:02")
    world.check_decided(elsewhere, Reason.MAC_LOGIN_FROM_OTHER_DEVICE)
    by_name = access_request(b"casa-da-alice", password)
    world.check_decided(by_name, Reason.MAC_LOGIN_FROM_OTHER_DEVICE)


@pytest.mark.parametrize("method", METHODS)
def test_router_administrators_prove_themselves_by_every_method(method: str) -> None:
    """Rule R2.5."""
    root = AdministratorRow(1, b"root", b"wonderland", nt_hash("wonderland"), "full", 0)
    world = World(administrators=[root])

    def asked(password: bytes) -> bytes:
        whole = dial(method, password, name=b"root")
        kept = [(kind, value) for kind, value in attributes_of(whole) if kind not in (7, 80)]
        return packet(1, 7, whole[4:20], b"".join(tlv(kind, value) for kind, value in kept) + tlv(6, b"\0\0\0\1"))

    granted = world.check_decided(asked(b"wonderland"), Reason.GRANTED_ROUTER_ADMINISTRATOR, subject=None)
    assert (SUCCESS_2 in microsoft(granted)) == (method == "MS-CHAP 2")
    world.check_decided(asked(b"wrong"), Reason.WRONG_PASSWORD, subject=None)
