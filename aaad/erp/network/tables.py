"""The fields of concentrators, of their further secrets and of router administrators, and what is allowed in each.

Pure data, in the form of `aaad.erp.fields`. A secret is never shown: a generated one is told once, when it is made.
"""

from ipaddress import ip_address, ip_network

from aaad.erp import values
from aaad.erp.fields import LOGIN, PLAN, Field, Table
from aaad.erp.values import Value

KINDS = ("mikrotik", "accel_ppp", "huawei", "juniper", "cisco", "other")
_SECRET_LENGTH_MAX = 128
_TIMEOUT_MS = (10, 60_000)
_PORT_MAX = 65_535
_INTEGER_MAX = 2**31 - 1


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

TABLES = (NAS, NAS_SECRET, ROUTER_ADMINISTRATOR, LEGAL_HOLD)

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
    "router_administrator_unique": ("name", _("a name that no other administrator has there")),
}
