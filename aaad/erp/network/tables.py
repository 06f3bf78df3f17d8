"""The fields of concentrators, of their further secrets and of router administrators, and what is allowed in each.

Pure data, in the form of `aaad.erp.fields`. A secret is never shown: a generated one is told once, when it is made.
"""

import re
from ipaddress import ip_address, ip_network

from aaad.erp import validate, values
from aaad.erp.fields import LOGIN, PLAN, Field, Table
from aaad.erp.values import Value

KINDS = ("mikrotik", "accel_ppp", "huawei", "juniper", "cisco", "other")
_SECRET_LENGTH_MAX = 128
_TIMEOUT_MS = (10, 60_000)
_PORT_MAX = 65_535
_INTEGER_MAX = 2**31 - 1
_CERTIFICATES_OCTETS = 65_536


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


SECRET_FORM = _("1 to 128 characters without space at the beginning or at the end")
_NAME = _("1 to 128 characters without space at the beginning or at the end")
_TEXT = _("a text without space at the beginning or at the end")
_ADDRESS = _("an IPv4 or IPv6 address; empty: the router's source address")
_YES_NO = _("S (yes) or N (no)")


def network(word: str) -> Value:
    """Return an address, or a prefix whose bits behind its length are zero, of either family."""
    return str(ip_network(word))


def address(word: str) -> Value:
    """Return one address of either family."""
    return str(ip_address(word))


def secret(word: str) -> Value:
    """Return a shared secret."""
    if not 0 < len(word) <= _SECRET_LENGTH_MAX:
        raise ValueError("length")  # never the secret itself
    return values.one_line(word)


def fingerprint(word: str) -> Value:
    """Return the SHA-256 of a certificate, from any way of writing it."""
    digits = word.replace(":", "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise ValueError(word)
    return digits


def certificates(word: str) -> Value:
    """Return certificates in PEM, without what is written between them."""
    found = re.findall(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----", word)
    if not found or len(word) > _CERTIFICATES_OCTETS:
        raise ValueError("certificates")
    return "\n".join(found)


NAS = Table(
    "nas",
    "net",
    _("Concentrator"),
    (
        Field("name", _("name"), _NAME, values.one_line, is_required=True, is_nullable=False),
        Field(
            "address",
            _("address of its packets"),
            _("an IPv4 or IPv6 address, or a prefix without host bits with many routers behind it"),
            network,
            is_required=True,
            is_nullable=False,
        ),
        Field("secret", _("shared secret"), SECRET_FORM, secret, is_required=True, is_nullable=False, is_secret=True),
        Field(
            "kind",
            _("kind of concentrator"),
            _("mikrotik, accel_ppp, huawei, juniper, cisco or other"),
            values.word_of(*KINDS),
            is_nullable=False,
        ),
        Field("enabled", _("enabled"), _YES_NO, values.yes_no, is_nullable=False),
        Field(
            "message_authenticator",
            "Message-Authenticator",
            _("auto (demanded of a router that has sent it once), yes or no"),
            values.word_of("auto", "yes", "no"),
            is_nullable=False,
        ),
        Field(
            "timeout_ms",
            _("its timeout"),
            _("10 to 60000 milliseconds, as set in the router"),
            values.integer(*_TIMEOUT_MS),
            is_nullable=False,
        ),
        Field("tries", _("its tries"), _("1 to 20, as set in the router"), values.integer(1, 20), is_nullable=False),
        Field(
            "branch_id",
            _("branch"),
            _("an id or a name that exists"),
            values.one_line,
            is_nullable=True,
            reference="branch",
        ),
        Field(
            "octets_swapped",
            _("input and output swapped"),
            _("S if it calls input what goes to the customer, N if what comes from him (RFC 2866)"),
            values.yes_no,
            is_nullable=False,
        ),
        Field(
            "address_space",
            _("address space"),
            _("a number from 1 on: concentrators of one number share their customers' addresses"),
            values.integer(1, _INTEGER_MAX),
            is_nullable=False,
        ),
        PLAN.field("ipv4_pool"),
        PLAN.field("ipv6_pool"),
        PLAN.field("delegated_ipv6_pool"),
        PLAN.field("ipv4_pool")._replace(column="secondary_pool", label=_("pool of secondary networks")),
        Field("coa_address", _("address for CoA"), _ADDRESS, address),
        Field("coa_port", _("port for CoA"), _("1 to 65535"), values.integer(1, _PORT_MAX), is_nullable=False),
        Field("api_address", _("address of its API"), _ADDRESS, address),
        Field(
            "api_port",
            _("port of its API"),
            _("1 to 65535; empty: 8729, without TLS 8728"),
            values.integer(1, _PORT_MAX),
        ),
        Field(
            "api_tls",
            _("API by TLS"),
            _("S, or N: in clear, and its password too"),
            values.yes_no,
            is_nullable=False,
        ),
        Field(
            "api_fingerprint",
            _("fingerprint of its certificate"),
            _("64 hexadecimal digits of a SHA-256; empty: who issued it counts"),
            fingerprint,
        ),
        Field(
            "api_ca",
            _("issuers of its certificate"),
            _("certificates in PEM; empty: those that this machine trusts"),
            certificates,
        ),
        Field("api_user", _("user of its API"), _NAME, values.one_line),
        Field("api_password", _("password of its API"), SECRET_FORM, secret, is_secret=True),
    ),
    derived=("secret_previous", "secret_previous_until"),
)

NAS_SECRET = Table(
    "nas_secret",
    "net",
    _("Secret"),
    (
        Field("secret", _("shared secret"), SECRET_FORM, secret, is_required=True, is_nullable=False, is_secret=True),
        Field("note", _("note"), _TEXT, values.one_line, is_nullable=False),
    ),
    derived=("nas_id", "valid_until"),
)

ROUTER_ADMINISTRATOR = Table(
    "router_administrator",
    "net",
    _("Router administrator"),
    (
        LOGIN.field("name")._replace(allowed=_("1 to 64 letters, digits and . _ @ -")),
        LOGIN.field("password")._replace(is_required=True, is_nullable=False),
        Field(
            "router_group",
            _("user group in the router"),
            _("read, write, full, or a group that the router has"),
            values.one_line,
            is_nullable=False,
        ),
        Field(
            "nas_id",
            _("concentrator"),
            _("an id or a name that exists; empty: all"),
            values.one_line,
            is_nullable=True,
            reference="nas",
        ),
        Field("active", _("active"), _YES_NO, values.yes_no, is_nullable=False),
    ),
)

_INSTANT = _("an instant with its zone, such as 2026-11-20T03:15:22-03:00")
_REASON = _("a text of 1 to 1000 characters without space at the beginning or at the end")
_EXISTING = _("an id or a name that exists")

LEGAL_HOLD = Table(
    "legal_hold",
    "net",
    _("Legal hold"),
    (
        Field("reason", _("legal order"), _REASON, values.one_line, is_required=True, is_nullable=False),
        Field("login_id", _("login"), _EXISTING, values.one_line, reference="login"),
        Field(
            "address",
            _("address"),
            _("an IPv4 or IPv6 address or network of the customer's side, without host bits"),
            network,
        ),
        Field("nas_id", _("concentrator"), _EXISTING, values.one_line, reference="nas"),
        Field("since", _("sessions from"), _INSTANT, values.instant),
        Field("until", _("sessions until"), _INSTANT, values.instant),
    ),
    derived=("created_at", "created_by", "released_at", "released_by", "release_reason"),
)

POOL_KINDS = {"rad": "radius", "con": "nas", "dual": "dualstack"}  # as IXC names them
FAMILIES = ("ipv4", "ipv6", "delegated")


def pool_kind(word: str) -> Value:
    """Return a kind of pool, by its name here or in IXC, in any case."""
    folded = word.lower()
    return values.word_of("radius", "nas", "dualstack")(POOL_KINDS.get(folded, folded))


def _seconds(column: str, label: str, least: int, most: int) -> Field:
    allowed = {
        "valid_s": _("300 to 2592000 seconds: 86400 (a day) for PPPoE, 900 for Hotspot"),
        "quarantine_s": _("0 to 2592000 seconds"),
        "offer_s": _("30 to 86400 seconds"),
    }[column]
    return Field(column, label, allowed, values.integer(least, most), is_nullable=False)


def _member(column: str, label: str) -> Field:
    return Field(
        column,
        label,
        _("id or name of a pool of that family; only of a pool of kind dualstack"),
        values.one_line,
        is_nullable=True,
        reference="pool",
    )


POOL = Table(
    "pool",
    "net",
    _("Pool"),
    (
        Field(
            "name",
            _("name"),
            _("1 to 128 printable ASCII characters without space at the beginning or at the end"),
            lambda word: validate.router_name("name", word),
            is_required=True,
            is_nullable=False,
        ),
        Field(
            "kind",
            _("kind of pool"),
            _(
                "radius (RAD: addresses are given out here), nas (CON: the concentrator is told the name) "
                "or dualstack (stands for up to three others)"
            ),
            pool_kind,
            is_required=True,
            is_nullable=False,
        ),
        Field(
            "family",
            _("family"),
            _("ipv4, ipv6 (the prefix of the link) or delegated (a prefix for the customer's network)"),
            values.word_of(*FAMILIES),
        ),
        Field(
            "prefix_length",
            _("prefix length of what one login gets"),
            _("of ipv4 8 to 32, else 16 to 128; default: ipv4 32, ipv6 64, delegated 56"),
            values.integer(8, 128),
        ),
        Field(
            "address_space",
            _("address space"),
            _("a number from 1 on: concentrators of one number share their customers' addresses"),
            values.integer(1, _INTEGER_MAX - 1),
            is_nullable=False,
        ),
        Field("gateway", _("gateway"), _("an address that is never given out"), address),
        _seconds("valid_s", _("a lease is valid for"), 300, 2_592_000),
        _seconds("quarantine_s", _("an address rests for"), 0, 2_592_000),
        _seconds("offer_s", _("an offer is kept for"), 30, 86_400),
        Field(
            "reserve_size",
            _("addresses that a process sets aside"),
            _("1 to 4096"),
            values.integer(1, 4096),
            is_nullable=False,
        ),
        Field(
            "alarm_percent",
            _("alarm from so much in use"),
            _("1 to 100 percent"),
            values.integer(1, 100),
            is_nullable=False,
        ),
        _member("ipv4_pool_id", _("its IPv4 pool")),
        _member("ipv6_pool_id", _("its IPv6 pool")),
        _member("delegated_pool_id", _("its pool of delegated prefixes")),
    ),
    derived=("state", "adopting_since"),
)

TABLES = (NAS, NAS_SECRET, ROUTER_ADMINISTRATOR, LEGAL_HOLD, POOL)

# The constraints whose rule is more than the form of their column.
RULES: dict[str, tuple[str, str]] = {
    "legal_hold_in_order": ("until", _("an instant that is not before the first one")),
    "legal_hold_reason_form": ("reason", _REASON),
    "legal_hold_release_reason_form": ("", _("The reason of a release is a text of 1 to 1000 characters.")),
    "nas_name_unique": ("name", _("a name that no other concentrator has")),
    "nas_address_unique": (
        "address",
        _("an address or prefix that no other entry has; routers behind one address: `aaad nas secret add`"),
    ),
    "nas_secret_form": ("secret", SECRET_FORM),
    "nas_secret_previous_with_until": ("secret", _("a previous secret and until when, both or neither")),
    "nas_secret_unique": ("secret", _("a secret that this concentrator does not have yet")),
    "nas_secret_at_most_four": (
        "secret",
        _("at most 4 at a time: its own, the previous one and further ones; delete one that is no longer used"),
    ),
    "pool_name_unique": ("name", _("a name that no other pool of its address space has")),
    "pool_family_unless_dualstack": ("family", _("required of radius and nas, nothing of dualstack")),
    "pool_prefix_length_range": (
        "prefix_length",
        _("of kind radius only: of ipv4 8 to 32, else 16 to 128"),
    ),
    "pool_reserve_range": ("reserve_size", _("1 to 4096")),
    "pool_alarm_range": ("alarm_percent", _("1 to 100 percent")),
    "pool_members_of_dualstack": (
        "ipv4_pool_id",
        _("a pool of kind dualstack stands for one to three others; no other kind does"),
    ),
    "pool_gateway_of_family": (
        "gateway",
        _("an address of the pool's family, of a pool of kind radius; it is never given out"),
    ),
    "pool_state_known": ("", _("A pool is active, draining or retired.")),
    "pool_form_kept": ("", _("A pool that has ranges keeps its address space, kind, family and prefix length.")),
    "pool_member_stays": (
        "",
        _("A pool that stands in another one, of kind dualstack, keeps its address space and family."),
    ),
    "pool_range_once": ("range", _("addresses that no range of a pool of this address space has")),
    "pool_range_of_hosts": ("range", _("addresses that a session may have: no loopback, link-local, multicast")),
    "pool_range_whole_units": ("range", _("a whole number of units of the pool's prefix length")),
    "pool_range_of_family": ("range", _("addresses of the pool's family; only a pool of kind radius has ranges")),
    "pool_range_units_range": ("range", _("at most 1099511627776 units")),
    "pool_range_free": ("range", _("addresses that nobody has: aaad lease list --address RANGE")),
    "pool_range_in_use": ("", _("Somebody has an address of it, or a process has set one aside.")),
    "pool_exclusion_in_use": ("", _("A network that lies in it is a login's own, and no unit of the pool.")),
    "pool_exclusion_small": (
        "",
        _("More than 1048576 excluded addresses that were passed by are not given out again at once."),
    ),
    "router_administrator_unique": ("name", _("a name that no other administrator has there")),
}
