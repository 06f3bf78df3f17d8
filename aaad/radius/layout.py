"""The layout of an Access-Request: where in its octets everything stands, for it and for all that are built alike.

Pure; it never holds a value of a request. Where attributes stand is decided by a few octets: code, length, types and
lengths, and of vendor attributes by the vendor and Microsoft's inner types and lengths. A datagram of the same size
that has the same octets there is walked to the same end, so the layout of the one is that of the other. The requests
of one NAS have few layouts: `Layouts` remembers them, and compares in place of walking. Whether one is remembered
changes nothing of any answer.
"""

from collections.abc import Iterator, Mapping
from operator import itemgetter

from aaad.radius.packet import HEADER_SIZE, walk

# User-Password, CHAP-Password, CHAP-Challenge, Tunnel-Password, ARAP-Password, EAP-Message, Message-Authenticator
SECRET_KINDS = frozenset({2, 3, 60, 69, 70, 79, 80})
LAYOUTS_MAX = 64  # of one NAS entry: at 2 kB each
ACCOUNTING_LAYOUTS_MAX = 160  # names of each length, in three kinds of records, before and after there is an address
OF_ONE_SIZE_MAX = 8  # each takes a comparison
# Plain integers: looking up a member of an enum costs more than the comparison.
_USER_NAME, _USER_PASSWORD, _CHAP_PASSWORD, _SERVICE_TYPE, _FRAMED_PROTOCOL = 1, 2, 3, 6, 7
_CLASS, _VENDOR_SPECIFIC, _NAS_IDENTIFIER, _PROXY_STATE, _STATUS_TYPE, _ACCT_SESSION_ID = 25, 26, 32, 33, 40, 44
_CALLING_STATION_ID, _CHAP_CHALLENGE, _MESSAGE_AUTHENTICATOR = 31, 60, 80
_MICROSOFT = (311).to_bytes(4, "big")  # MS-CHAP lives there
_VENDOR_HEADER = 6  # octets of a vendor attribute before its first inner one
_NOTHING = slice(0, 0)
_ALL = 0xFF
_from_bytes = int.from_bytes


class Layout:
    """Where everything stands; nothing of it may be changed. Slices are those of values in the datagram."""

    __slots__ = (
        "_public",
        "calling",
        "chap_challenge",
        "chap_password",
        "classes",
        "has_proxy_state",
        "identifier",
        "is_kept",
        "is_ppp",
        "length",
        "microsoft",
        "name",
        "password",
        "positions",
        "service_type",
        "session_id",
        "signature_at",
        "status_type",
    )

    def __init__(self, data: bytes, length: int) -> None:
        """Walk a packet of this length.

        Raises:
            MalformedPacket: it cannot be walked.
        """
        self.positions: Mapping[int, int] = walk(data, length)
        self.length = length
        self.is_kept = False  # among those of its NAS entry
        at = self.positions.get(_SERVICE_TYPE)
        self.service_type = slice(at + 2, at + 6) if at else _NOTHING
        self.name = self._value(data, _USER_NAME) or _NOTHING
        self.identifier = self._value(data, _NAS_IDENTIFIER) or _NOTHING
        self.status_type = self._value(data, _STATUS_TYPE) or _NOTHING
        self.calling = self._value(data, _CALLING_STATION_ID) or _NOTHING
        self.session_id = self._value(data, _ACCT_SESSION_ID)
        self.password = self._value(data, _USER_PASSWORD)
        self.chap_password = self._value(data, _CHAP_PASSWORD)
        self.chap_challenge = self._value(data, _CHAP_CHALLENGE)
        self.signature_at = self.positions.get(_MESSAGE_AUTHENTICATOR)
        self.is_ppp = _FRAMED_PROTOCOL in self.positions
        self.has_proxy_state = _PROXY_STATE in self.positions
        self.microsoft: dict[int, slice] = {}  # inner attributes; of two of one kind nothing, as one had to be chosen
        self.classes: list[slice] = []  # a proxy may have put its own beside ours
        kept = [_NOTHING]  # itemgetter gives a tuple only of two or more
        kept_from = at = HEADER_SIZE
        while at < length:
            kind, end = data[at], at + data[at + 1]
            is_secret = kind in SECRET_KINDS
            if kind == _CLASS:
                self.classes.append(slice(at + 2, end))
            if kind == _VENDOR_SPECIFIC and _is_microsoft(data, at, end):
                is_secret = True
                for inner, size in _inside(data, at + _VENDOR_HEADER, end):
                    again = data[inner] in self.microsoft
                    self.microsoft[data[inner]] = _NOTHING if again else slice(inner + 2, inner + size)
            if is_secret:
                kept.append(slice(kept_from, at))
                kept_from = end
            at = end
        self._public = itemgetter(*kept, slice(kept_from, length))

    def public_attributes(self, data: bytes) -> bytes:
        """Return a request's attributes but for those that prove or hide a password, and Microsoft's."""
        return b"".join(self._public(data))

    def _value(self, data: bytes, kind: int) -> slice | None:
        at = self.positions.get(kind)
        return slice(at + 2, at + data[at + 1]) if at else None


class Layouts:
    """The layouts of one NAS entry's requests on one port. Who keeps one must know that its request is genuine."""

    __slots__ = ("_by_size", "_count", "_count_max")

    def __init__(self, count_max: int = LAYOUTS_MAX) -> None:
        """Know none."""
        self._count_max = count_max
        self._by_size: dict[int, list[tuple[int, int, Layout]]] = {}  # which octets decide, and what they are
        self._count = 0

    def find(self, data: bytes) -> Layout | None:
        """Return the layout of a datagram if it is one of those that are kept."""
        known = self._by_size.get(len(data))
        if known is not None:
            octets = _from_bytes(data, "little")
            for mask, deciding, layout in known:
                if octets & mask == deciding:
                    return layout
        return None

    def keep(self, layout: Layout, data: bytes) -> None:
        """Keep the layout of a datagram; where there are too many, of its size or at all, those are forgotten."""
        if self._count >= self._count_max:
            self._by_size.clear()
            self._count = 0
        known = self._by_size.setdefault(len(data), [])
        if len(known) >= OF_ONE_SIZE_MAX:
            self._count -= len(known)
            known.clear()
        mask = _mask(data, layout.length)
        known.append((mask, _from_bytes(data, "little") & mask, layout))
        self._count += 1
        layout.is_kept = True


def _mask(data: bytes, length: int) -> int:
    """Return which octets of a walked packet decide its layout: every one that `Layout` and `walk` look at."""
    mask = bytearray(len(data))
    mask[0] = mask[2] = mask[3] = _ALL  # code and length
    at = HEADER_SIZE
    while at < length:
        end = at + data[at + 1]
        mask[at] = mask[at + 1] = _ALL
        if data[at] == _VENDOR_SPECIFIC and end - at >= _VENDOR_HEADER:
            mask[at + 2 : at + _VENDOR_HEADER] = b"\xff\xff\xff\xff"
            if _is_microsoft(data, at, end):
                behind = at + _VENDOR_HEADER
                for inner, size in _inside(data, behind, end):
                    mask[inner] = mask[inner + 1] = _ALL
                    behind = inner + size
                if end - behind >= 2:  # what does not fit
                    mask[behind + 1] = _ALL
        at = end
    return _from_bytes(mask, "little")


def _is_microsoft(data: bytes, at: int, end: int) -> bool:
    return end - at >= _VENDOR_HEADER and data[at + 2 : at + _VENDOR_HEADER] == _MICROSOFT


def _inside(data: bytes, at: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield where inner attributes begin, with their sizes, up to the first that does not fit."""
    while end - at >= 2 and 2 <= data[at + 1] <= end - at:
        yield at, data[at + 1]
        at += data[at + 1]
