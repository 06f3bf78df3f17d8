"""Names as typed, as addresses of devices in all forms of network.md 1.2, with and without realm (rule R3.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaad.policy.parameters import BranchPolicy
from aaad.radius.lookup import find, mac_number
from aaad.sessions.attribute_text import mac_of

MAC = bytes.fromhex("000c42a1b2c3")
FORMS = [
    # Hotspot, in the order of the manual
    *("00 0C 42 A1 B2 C3", "00:0C:42:A1:B2:C3", "000C42-A1B2C3", "000C42A1B2C3", "00-0C-42-A1-B2-C3"),
    *("000C:42A1:B2C3", "000C42:A1B2C3"),
    # dot1x, DHCP, DHCPv6, other makers
    *("00:0c:42:a1:b2:c3", "000c42a1b2c3", "00-0c-42-a1-b2-c3", "000c.42a1.b2c3", "000C.42A1.B2C3"),
    # DHCP client identifiers: type 1 as RouterOS writes it, with and without leading zeros, and as octets
    *("1:0:c:42:a1:b2:c3", "1:00:0c:42:a1:b2:c3", "01:00:0c:42:a1:b2:c3", "01000c42a1b2c3", "1:000C42A1B2C3"),
    # DUID-LL and DUID-LLT of Ethernet, alone and within a client identifier of RFC 4361
    *(
        "00030001000c42a1b2c3",
        "00:03:00:01:00:0c:42:a1:b2:c3",
        "000100012b1f0c55000c42a1b2c3",
        "0:3:0:1:0:c:42:a1:b2:c3",
    ),
    *("ff:42:a1:b2:c3:00:03:00:01:00:0c:42:a1:b2:c3", "ff42a1b2c3000100012b1f0c55000c42a1b2c3"),
]


@pytest.mark.parametrize("text", FORMS)
def test_every_form_is_the_same_device(text: str) -> None:
    assert mac_of(text.encode()) == MAC
    assert mac_number(text.encode()) == 0x000C42A1B2C3


@pytest.mark.parametrize(
    "text",
    [
        *("", "alice", "000c42a1b2c", "000c42a1b2c34", "000c42a1b2cg", "00:0c:42:a1:b2", "00:0c:42:a1:b2:c3:d4"),
        *("+00c42a1b2c3", "0x0c42a1b2c3", "000c_42a1b2c3", "000c42a1b2c3@x", "\t000c42a1b2c3", ":" * 12, "1:", "1:1"),
        *("02000c42a1b2c3", "2:00:0c:42:a1:b2:c3", "00030002000c42a1b2c3", "0002000c000c42a1b2c3", "12.345.678/0001"),
        *("ff42a1b2c3000200ab11000c42a1b2c3", "٠٠0c42a1b2c3", "1::::::", "192.168.88.254", "1:00:0c:42:a1:b2:c3:d4"),
        "00030001" + "00" * 40,
    ],
)
def test_what_is_no_address_of_a_device(text: str) -> None:
    assert mac_of(text.encode()) is None
    assert mac_number(text.encode()) == 0


@given(st.binary(max_size=80))
def test_any_octets_are_an_address_or_none(text: bytes) -> None:
    assert mac_of(text) is None or len(mac_of(text) or b"") == 6


@given(
    st.binary(min_size=6, max_size=6),
    st.sampled_from([":", "-", " ", "."]),
    st.booleans(),
    st.sampled_from([1, 2, 3, 6]),
)
def test_any_address_is_read_again(mac: bytes, separator: str, capitals: bool, octets: int) -> None:
    text = mac.hex(separator, -octets) if octets < 6 else mac.hex()
    if text[1:2] != ":":
        assert mac_of((text.upper() if capitals else text).encode()) == mac


class Source:
    """Logins by folded name and by device, and what was asked."""

    def __init__(self, *names: bytes, by_mac: bytes | None = None) -> None:
        self.records = {name: b"record of " + name for name in names}
        self.by_mac = by_mac
        self.asked: list[bytes] = []

    def login(self, key: bytes) -> bytes | None:
        self.asked.append(key)
        return self.records.get(key)

    def login_by_mac(self, mac: bytes) -> bytes | None:
        self.asked.append(mac)
        return self.by_mac if mac == MAC else None


def policy(*strip: str, default: str = "") -> BranchPolicy:
    return BranchPolicy(1, strip_realms=strip, default_realm=default)


# name as typed, logins that there are, realms that are stripped, default realm, whose record is found
NAMES = [
    (b"Alice", [b"alice"], (), "", b"alice"),
    (b"alice@provedor", [b"alice"], (), "", None),
    (b"alice@Provedor", [b"alice"], ("provedor",), "", b"alice"),
    (b"alice@provedor", [b"alice"], ("Provedor",), "", b"alice"),
    (b"alice@provedor", [b"alice", b"alice@provedor"], ("provedor",), "", b"alice@provedor"),
    (b"alice@outro", [b"alice"], ("provedor", "outro"), "", b"alice"),
    (b"alice@outro", [b"alice"], ("provedor",), "", None),
    (b"alice@outro", [b"alice"], ("*",), "", b"alice"),
    (b"alice@casa@outro", [b"alice@casa", b"alice"], ("*",), "", b"alice@casa"),
    (b"PROVEDOR\\Alice", [b"alice"], ("provedor",), "", b"alice"),
    (b"PROVEDOR\\Alice", [b"alice", b"provedor\\alice"], ("*",), "", b"provedor\\alice"),
    (b"OUTRO\\alice", [b"alice"], ("provedor",), "", None),
    (b"alice", [b"alice@provedor"], (), "Provedor", b"alice@provedor"),
    (b"alice", [b"alice@provedor", b"alice"], (), "provedor", b"alice"),
    (b"alice@outro", [b"alice@outro@provedor"], (), "provedor", None),
    (b"alice", [b"alice@provedor"], ("*",), "", None),
    (b"@provedor", [b""], ("*",), "", None),
    (b"provedor\\", [b""], ("*",), "", None),
]


@pytest.mark.parametrize(("name", "there", "strip", "default", "expected"), NAMES)
def test_whose_record_a_name_means(
    name: bytes, there: list[bytes], strip: tuple[str, ...], default: str, expected: bytes | None
) -> None:
    record = find(Source(*there), name, policy(*strip, default=default))
    assert record == (None if expected is None else b"record of " + expected)


def test_a_name_as_typed_goes_before_the_device_and_that_before_a_realm() -> None:
    """Rule R3.4."""
    typed = b"000C42A1B2C3"
    other = policy(default="provedor")
    everything = Source(b"000c42a1b2c3", b"000c42a1b2c3@provedor", by_mac=b"by device")
    assert find(everything, typed, other) == b"record of 000c42a1b2c3"
    assert everything.asked == [b"000c42a1b2c3"]
    assert find(Source(b"000c42a1b2c3@provedor", by_mac=b"by device"), typed, other) == b"by device"
    assert find(Source(b"000c42a1b2c3@provedor"), typed, other) == b"record of 000c42a1b2c3@provedor"
    assert find(Source(), typed, other) is None


@pytest.mark.parametrize("text", FORMS)
def test_a_device_is_found_in_every_form(text: str) -> None:
    assert find(Source(by_mac=b"by device"), text.encode(), policy()) == b"by device"


@given(st.binary(max_size=60))
def test_any_name_is_found_or_not(name: bytes) -> None:
    assert find(Source(b"alice"), name, policy("*", default="provedor")) in (None, b"record of alice")
