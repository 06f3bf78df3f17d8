"""The fields of contacts, addresses, lent equipment and lines: how a client is reached, where, and what he has.

Pure data, like `fields`.
"""

from aaad.erp import fields, values
from aaad.erp.fields import Field, Table


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


_TEXT = fields.CLIENT.field("street").allowed
_DAY = fields.CONTRACT.field("activated_on").allowed
_REFERENCE = fields.CLIENT.field("branch_id").allowed


def _text(column: str, label: str, *, is_required: bool = False) -> Field:
    return Field(column, label, _TEXT, values.one_line, is_required, not is_required)


def _required(column: str) -> Field:
    return fields.CLIENT.field(column)._replace(is_required=True, is_nullable=False)


CONTACT = Table(
    "contact",
    "erp",
    _("Contact"),
    (
        Field(
            "client_id",
            _("client"),
            _REFERENCE,
            values.one_line,
            is_required=True,
            is_nullable=False,
            reference="client",
        ),
        _text("name", _("name"), is_required=True),
        _text("role", _("who that is")),
        fields.CLIENT.field("phone"),
        fields.CLIENT.field("mobile_phone"),
        fields.CLIENT.field("email"),
    ),
)

ADDRESS = Table(
    "address",
    "erp",
    _("Address"),
    (
        Field("client_id", _("client"), _REFERENCE, values.one_line, reference="client"),
        Field("contract_id", _("contract"), _REFERENCE, values.one_line, reference="contract"),
        Field(
            "kind",
            _("kind of address"),
            _("installation or billing"),
            values.word_of("installation", "billing"),
            is_required=True,
            is_nullable=False,
        ),
        fields.CLIENT.field("postal_code"),
        _required("street"),
        fields.CLIENT.field("street_number"),
        fields.CLIENT.field("complement"),
        fields.CLIENT.field("district"),
        _required("city"),
        _required("state"),
    ),
)

_OF_CONTRACT = Field(
    "contract_id",
    _("contract"),
    _REFERENCE,
    values.one_line,
    is_required=True,
    is_nullable=False,
    reference="contract",
)
LENT_EQUIPMENT = Table(
    "lent_equipment",
    "erp",
    _("Equipment"),
    (
        _OF_CONTRACT,
        _text("kind", _("what it is"), is_required=True),
        _text("identifier", _("serial number, MAC or inventory number")),
        Field("lent_on", _("lent on"), _DAY, values.day, is_nullable=False),
        Field("returned_on", _("returned on"), _DAY, values.day),
    ),
)

LINE_KINDS = ("sip", "mvno", "tv")
LINE = Table(
    "line",
    "erp",
    _("Line"),
    (
        _OF_CONTRACT,
        Field(
            "kind",
            _("kind of line"),
            _("sip, mvno or tv"),
            values.word_of(*LINE_KINDS),
            is_required=True,
            is_nullable=False,
        ),
        Field(
            "identifier",
            _("how its provider knows it"),
            _("extension, number or subscription: letters, digits, + . _ @ : and -"),
            values.one_line,
            is_required=True,
            is_nullable=False,
        ),
        Field(
            "active",
            _("kept as its contract is"),
            fields.CLIENT.field("active").allowed,
            values.yes_no,
            is_nullable=False,
        ),
    ),
)

TABLES = (CONTACT, ADDRESS, LENT_EQUIPMENT, LINE)
