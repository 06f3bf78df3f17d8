"""Layouts: one that was kept says of every datagram that it fits what a walk of that datagram itself says."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nas_double import access_request, chap, packet, tlv, vendor

from aaad.errors import MalformedPacket
from aaad.radius.layout import LAYOUTS_MAX, OF_ONE_SIZE_MAX, Layout, Layouts
from aaad.radius.packet import packet_length, value_at, values, walk

A = bytes(range(16))
SLOTS = tuple(name for name in Layout.__slots__ if name not in ("is_kept", "_public"))

# Small ones of the kinds that matter, so that one datagram often has the layout of another.
kinds = st.sampled_from([1, 2, 3, 6, 7, 25, 26, 26, 31, 32, 33, 40, 44, 60, 80, 200])
inner = st.builds(tlv, st.sampled_from([1, 11, 25]), st.binary(max_size=3)) | st.binary(max_size=4)
vendors = st.builds(
    lambda number, parts: tlv(26, number.to_bytes(4, "big") + b"".join(parts)),
    st.sampled_from([311, 14988]),
    st.lists(inner, max_size=3),
)
attributes = st.lists(st.builds(tlv, kinds, st.binary(max_size=3)) | vendors, max_size=6).map(b"".join)
datagrams = st.builds(lambda body, padding: packet(1, 1, A, body) + padding, attributes, st.binary(max_size=2))


def plain(data: bytes) -> Layout | None:
    """What a walk of this datagram says; None if it cannot be walked, or asks for no access."""
    try:
        length = packet_length(data)
        return Layout(data, length) if data[0] == 1 else None
    except MalformedPacket:
        return None


def said(layout: Layout, data: bytes) -> list[object]:
    """Everything that a layout says of a datagram."""
    return [*(getattr(layout, name) for name in SLOTS), layout.public_attributes(data)]


def check_alike(one: bytes, other: bytes) -> None:
    """What is known of one datagram is never wrong of another."""
    layouts, learned = Layouts(), plain(one)
    if learned is None:
        return
    layouts.keep(learned, one)
    assert layouts.find(one) is learned
    found, expected = layouts.find(other), plain(other)
    if found is not None:
        assert expected is not None
        assert said(found, other) == said(expected, other)


@given(datagrams, datagrams)
def test_what_one_datagram_taught_is_never_wrong_of_another(one: bytes, other: bytes) -> None:
    check_alike(one, other)


@given(datagrams, st.data())
@example(packet(1, 1, A, tlv(26, (311).to_bytes(4, "big") + b"\x01\x09ab")), None)
def test_nor_of_one_that_differs_in_any_octet(one: bytes, data: st.DataObject | None) -> None:
    """Every octet of a datagram is changed, one at a time, to what may be a length or type, or to anything."""
    for at in range(len(one)):
        for octet in (0, 1, 2, 3, 4, 26, 80) if data is None else (data.draw(st.integers(0, 255)), len(one) - at):
            check_alike(one, one[:at] + bytes((octet & 0xFF,)) + one[at + 1 :])


REQUESTS = {
    "PAP": access_request(b"alice", b"wonderland"),
    "CHAP": packet(1, 1, A, tlv(1, b"alice") + chap(A)),
    "MS-CHAP": packet(1, 1, A, tlv(1, b"alice") + vendor(311, 11, bytes(8)) + vendor(311, 1, bytes(50))),
    "no attributes": packet(1, 1, A, b""),
    "padding": packet(1, 1, A, tlv(1, b"alice")) + b"\x01\x07mallory",
}


@pytest.mark.parametrize("data", REQUESTS.values(), ids=REQUESTS.keys())
def test_values_do_not_decide_a_layout(data: bytes) -> None:
    """A request with other values, but for what is structure, is known again."""
    layouts, learned = Layouts(), Layout(data, packet_length(data))
    layouts.keep(learned, data)
    other = bytearray(data)
    other[1] ^= 0xFF
    for kind, at in walk(data, packet_length(data)).items():
        if kind != 26:
            other[at + 2 : at + data[at + 1]] = bytes(255 - octet for octet in value_at(data, at))
    assert layouts.find(bytes(other)) is learned


def test_where_values_stand() -> None:
    data = packet(
        1,
        1,
        A,
        tlv(6, b"\0\0\0\2") + tlv(1, b"alice") + tlv(26, b"\0\0\x01\x37" + tlv(11, b"c" * 16) + tlv(25, b"r" * 50))
        + tlv(32, b"bras") + tlv(44, b"") + tlv(3, b"p" * 17) + tlv(60, b"challenge") + tlv(30, b"pppoe"),
    )  # fmt: skip
    layout = Layout(data, len(data))
    assert data[layout.service_type] == b"\0\0\0\2"
    assert data[layout.name] == b"alice"
    assert data[layout.identifier] == b"bras"
    assert layout.session_id is not None
    assert data[layout.session_id] == b""
    assert layout.password is None
    assert layout.chap_password is not None
    assert data[layout.chap_password] == b"p" * 17
    assert layout.chap_challenge is not None
    assert data[layout.chap_challenge] == b"challenge"
    assert {kind: data[value] for kind, value in layout.microsoft.items()} == {11: b"c" * 16, 25: b"r" * 50}
    assert layout.public_attributes(data) == (
        tlv(6, b"\0\0\0\2") + tlv(1, b"alice") + tlv(32, b"bras") + tlv(44, b"") + tlv(30, b"pppoe")
    )


@given(datagrams)
def test_what_hides_or_proves_a_password_is_never_public(data: bytes) -> None:
    layout = plain(data)
    if layout is not None:
        shown = bytes(20) + layout.public_attributes(data)
        length = len(shown)
        expected = [
            tlv(kind, value)
            for kind in sorted(layout.positions)
            for value in values(data, layout.length, kind)
            if kind not in (2, 3, 60, 70, 79, 80) and not (kind == 26 and value[:4] == b"\0\0\x01\x37")
        ]
        positions = walk(shown, length)
        assert [tlv(kind, value) for kind in sorted(positions) for value in values(shown, length, kind)] == expected


def test_a_malformed_packet_has_no_layout() -> None:
    with pytest.raises(MalformedPacket):
        Layout(packet(1, 1, A, tlv(1, b"a") + tlv(1, b"b")), 26)


def test_layouts_are_bounded() -> None:
    """Of one size, and at all: then they are learned anew."""
    layouts = Layouts()
    alike = [packet(1, 1, A, tlv(kind, b"a")) for kind in range(100, 100 + OF_ONE_SIZE_MAX + 1)]
    for data in alike:
        layouts.keep(Layout(data, len(data)), data)
    assert [layouts.find(data) is not None for data in alike] == [False] * OF_ONE_SIZE_MAX + [True]
    others = [packet(1, 1, A, tlv(1, bytes(size))) for size in range(10, 10 + LAYOUTS_MAX)]
    for data in others:
        layouts.keep(Layout(data, len(data)), data)
    assert layouts.find(alike[-1]) is None
    assert layouts.find(others[-1]) is not None
    assert sum(layouts.find(data) is not None for data in others + alike) <= LAYOUTS_MAX
