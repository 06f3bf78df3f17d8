"""Which RADIUS attributes hide, prove or are a password or key: no record, journal or person gets them.

Pure. It stands below both who compiles records, of which the journal stores the public part, and who makes replies.
"""

_VENDOR_SPECIFIC = 26
_VENDOR_HEADER = 4
_ATTRIBUTE_HEADER = 2
# (vendor, code). What a reply may carry of these is left out of journals, too.
SECRETS = frozenset(
    {
        *((0, code) for code in (2, 3, 60, 69, 70, 79, 80)),  # passwords, challenges, EAP, Message-Authenticator
        *((311, code) for code in (1, 2, 3, 4, 5, 6, 11, 12, 16, 17, 25, 26, 27)),  # MS-CHAP and MPPE keys
        *((14988, code) for code in (7, 16, 20)),  # keys of wireless networks
    }
)


def split(attributes: bytes) -> list[tuple[int, int, bytes]]:
    """Return vendor (0: none), code and value of each attribute, those in vendor attributes one by one.

    A vendor attribute that does not have the form which RFC 2865, 5.26 recommends is one of vendor 0; the rest of
    octets that are cut off is left out.
    """
    found: list[tuple[int, int, bytes]] = []
    for code, value in _attributes(attributes):
        inner = _attributes(value[_VENDOR_HEADER:]) if code == _VENDOR_SPECIFIC else []
        if inner and sum(len(one) + _ATTRIBUTE_HEADER for _, one in inner) == len(value) - _VENDOR_HEADER:
            vendor = int.from_bytes(value[:_VENDOR_HEADER], "big")
            found += [(vendor, kind, one) for kind, one in inner]
        else:
            found.append((0, code, value))
    return found


def without_secrets(attributes: bytes) -> bytes:
    """Return encoded attributes without those that hold a secret; vendor attributes go whole."""
    kept = []
    at = 0
    while at + 1 < len(attributes) and attributes[at + 1] >= _ATTRIBUTE_HEADER:
        one = attributes[at : at + attributes[at + 1]]
        if not any((vendor, code) in SECRETS for vendor, code, _ in split(one)):
            kept.append(one)
        at += len(one)
    return b"".join(kept)


def _attributes(octets: bytes) -> list[tuple[int, bytes]]:
    found = []
    at = 0
    while at + 1 < len(octets):
        size = octets[at + 1]
        if size < _ATTRIBUTE_HEADER or at + size > len(octets):
            break
        found.append((octets[at], octets[at + _ATTRIBUTE_HEADER : at + size]))
        at += size
    return found
