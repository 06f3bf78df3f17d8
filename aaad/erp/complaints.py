"""What a refusal by PostgreSQL means to the person who typed: which field it was, and what is allowed there.

Pure. Most constraints are named after table and column, so that the field's own words serve; the others stand in a
table here. Texts are English and marked for translation; a test holds that every constraint of the tables that people
write leads to a field or to a text.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from aaad.erp import fields, reach
from aaad.erp.network import tables as network
from aaad.errors import StoreError

_NOT_NULL = "23502"


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


class Complaint(NamedTuple):
    """One thing that is wrong. `column` is empty where no single field is meant."""

    column: str
    label: str
    allowed: str
    values: Mapping[str, object] = {}  # of the fields in `allowed`

    @property
    def option(self) -> str:
        """The field's name on the command line."""
        return "--" + self.column.removesuffix("_id").replace("_", "-") if self.column else ""


_TABLES = (*fields.TABLES, *reach.TABLES, *network.TABLES)
MAC_FORM = _("The format of the MAC is invalid")
MISSING = _("required")

# The constraints whose rule is more than the form of their column.
_RULES: dict[str, tuple[str, str]] = {
    "address_of_client_or_contract": ("client_id", _("either a client or a contract")),
    "address_unique": ("kind", _("one address of a kind for each client and contract")),
    "contact_reachable": ("phone", _("at least a phone or an e-mail")),
    "attribute_may_be_given": ("name", _("an attribute of replies that the server does not set itself")),
    "attribute_name_known": ("name", _("an attribute of the dictionary, with a tag only where it has one")),
    "attribute_value_form": ("value", _("a value of the attribute's kind")),
    "client_document_required": ("document", _("required, since document_required is S")),
    "client_inactive_without_contracts": (
        "active",
        _("not N while there are contracts, since allow_inactive_client_with_contracts is N"),
    ),
    "contract_active_with_login": (
        "",
        _("An internet contract needs a login to become active, since login_required_for_internet is S."),
    ),
    "contract_cancel_without_equipment": (
        "",
        _("A contract with lent equipment is not cancelled, since keep_plan_with_equipment is S."),
    ),
    "lent_equipment_contract_living": ("contract_id", _("a contract that is not cancelled")),
    "lent_equipment_identifier_unique": ("identifier", _("what is not lent already")),
    "lent_equipment_returned_on_range": ("returned_on", _("a date not before the one on which it was lent")),
    "line_own_report_known": ("", _("A report is theft, loss or found.")),
    "line_state_known": ("", _("What a provider told is kept by the daemon.")),
    "line_set_state_known": ("", _("What a provider told is kept by the daemon.")),
    "line_identifier_unique": ("identifier", _("what no other line of its kind is called")),
    "line_driver_provider_no_outer_space": ("", _("The provider's name is one short line.")),
    "line_driver_kind_known": ("", _("A kind of line is sip, mvno or tv.")),
    "line_driver_method_known": ("", _("A method is GET, POST, PUT, PATCH or DELETE, and to read GET, POST or PUT.")),
    "line_driver_url_form": ("", _("A URL is http(s)://HOST/…; what is put in stands behind the host.")),
    "line_driver_read_url_form": ("", _("A URL is http(s)://HOST/…; what is put in stands behind the host.")),
    "line_driver_headers_form": ("", _("Headers: at most 16, each a name and a text of one line.")),
    "line_driver_secret_form": ("", _("The secret is a text of one line, up to 1,024 ASCII characters.")),
    "line_driver_body_length": ("", _("A body has at most 8,192 characters.")),
    "line_driver_codes_form": ("", _("Codes are of active, partial and blocked, of at most 64 characters.")),
    "line_driver_statuses_range": ("", _("Expected are 1 to 16 statuses from 200 to 599.")),
    "line_driver_pointer_form": ("", _("A pointer into JSON begins with /, as in /data/0/state.")),
    "line_driver_expected_whole": ("", _("An expected pointer needs an expected text.")),
    "line_driver_meanings_form": (
        "",
        _(
            "Meanings are active, partial, blocked, theft, loss, misuse, inactive, cancelled, awaiting and "
            "partial_or_loss, at most 32."
        ),
    ),
    "line_driver_read_whole": ("", _("Who reads back needs to know what the texts mean: --meanings.")),
    "line_driver_toggle_reads": ("", _("A toggle can only be used by who reads the state first: --read-url.")),
    "line_driver_timeout_range": ("", _("A timeout is from 1 to 60 seconds.")),
    "line_driver_settle_range": ("", _("What is waited for to settle is from 0 to 3,600 seconds.")),
    "line_driver_ca_form": ("", _("Certificates are in PEM.")),
    "contract_suspension_allowed": (
        "",
        _("Contracts are not suspended at the client's wish, since allow_voluntary_suspension is N."),
    ),
    "login_within_logins_max": ("contract_id", _("a contract that has fewer logins than its logins_max")),
    "contract_circuit_unique": ("circuit", _("a circuit that no other contract has")),
    "contract_suspended_in_order": ("suspended_until", _("a date not before the first day of the suspension")),
    "contract_trust_unlock_with_until": ("trust_unlock_until", _("an instant")),
    "history_append_only": ("", _("History only grows; of a person's note its author may edit the text.")),
    "history_note_of_author": ("", _("Only its author may edit a note.")),
    **network.RULES,
    "login_contract_is_internet": ("contract_id", _("a contract of kind I (internet)")),
    "login_ipv4_unique": ("ipv4", _("an address that no other login has")),
    "login_attributes_fit": ("value", _("extra attributes of at most 1,024 octets together")),
    "login_mac_canonical": ("mac", MAC_FORM),
    "login_mac_login_of_kind": ("mac_login", _("only for Hotspot (H), IP and MAC (M) and IPoE (D)")),
    "login_mac_login_with_mac": ("mac", _("required where the device logs in by its MAC")),
    "login_name_unique": ("name", _("a name that no login has or ever had, in any case")),
    "login_name_without_accents": ("name", _("a name without accents, since block_accents_in_logins is S")),
    "login_password_required": ("password", _("required for PPPoE and Hotspot")),
    "login_plan_is_contracts_plan": ("plan_id", _("the contract's plan, or none")),
    "login_speed_whole": ("upload", _("upload and download, or neither")),
    "operator_name_unique": ("name", _("a name that no other operator has")),
    "plan_attributes_fit": ("value", _("extra attributes of at most 1,024 octets together")),
    "plan_burst_not_below_speed": ("upload_burst", _("a burst not below the speed")),
    "plan_burst_whole": ("upload_burst", _("a burst with its threshold and time, or none of them")),
    "plan_cap_plan_is_another": ("cap_plan_id", _("another plan")),
    "plan_cap_whole": ("cap_gigabytes", _("cap, its period and the plan after it, or none of them")),
    "plan_guaranteed_not_above_speed": ("upload_guaranteed", _("a guaranteed speed not above the speed")),
    "plan_late_after_days_with_plan": ("late_plan_id", _("required where late_after_days is not 0")),
    "plan_late_plan_is_another": ("late_plan_id", _("another plan")),
    "plan_phase_burst_not_below_speed": ("upload_burst", _("a burst not below the speed")),
    "plan_phase_burst_whole": ("upload_burst", _("a burst with its threshold and time, or none of them")),
    "plan_phase_guaranteed_not_above_speed": ("upload_guaranteed", _("a guaranteed speed not above the speed")),
    "plan_phase_replacement_is_another": ("replacement_plan_id", _("another plan")),
    "plan_phase_speed_or_plan": ("upload", _("either upload and download, or a plan that replaces it")),
    "receivable_contract_of_client": ("contract_id", _("a contract of the client")),
    "receivable_recurring_has_contract": ("contract_id", _("required of a recurring receivable")),
    "parameter_general_only": ("value", _("a value for all branches, since no branch has one of its own")),
    "parameter_name_known": ("name", _("the name of a parameter")),
    "parameter_value_form": ("value", _("what `aaad parameter list` says of it")),
    "parameter_name_form": ("name", _("the name of a parameter")),
    "parameter_unique": ("name", _("a parameter that has no value yet")),
    "parameter_value_no_outer_space": ("value", _("a text without space at the beginning or at the end")),
    "parameter_value_yes_no_default": ("value", _("S (yes), N (no) or, for a branch, P (as the general value says)")),
}

# What a value of an attribute may be, by the dictionary's kinds; the database says the same in net.kind_text().
_KINDS = {
    "string": _("{attribute}: a text of 1 to {octets_max} octets"),
    "tagged_string": _("{attribute}: a text of 1 to {octets_max} octets"),
    "ipaddr": _("{attribute}: an IPv4 address"),
    "ipv6addr": _("{attribute}: an IPv6 address"),
    "ipv6prefix": _("{attribute}: an IPv6 prefix such as 2001:db8::/56"),
    "octets": _("{attribute}: hexadecimal digits, two for each octet"),
    "ifid": _("{attribute}: an interface identifier such as 0:0:0:1"),
    "date": _("{attribute}: an instant with its zone, or Unix seconds"),
}
_NUMBER = _("{attribute}: a number")
_NUMBER_OR_NAME = _("{attribute}: a number or one of {names}")
_UNKNOWN_NAME = _("{attribute} does not stand in the dictionary; net.dictionary_attribute lists the names")
_TAGS = _("{attribute} takes tags from 1 to 31, such as {attribute}:1")
_NO_TAG = _("{attribute} takes no tag")
_NOT_GIVEN = _("{attribute} is set by the server itself or has no place in a reply")


def complaint_of(error: StoreError) -> Complaint | None:
    """Return what a refusal means, None if it is about no rule that is known here."""
    table = _table_of(error)
    if error.sqlstate == _NOT_NULL and error.column:
        return Complaint(error.column, _label(table, error.column), MISSING)
    return explain(error.constraint or "", table.name if table else "")


def complaint_of_attribute(error: StoreError, name: str, known: Mapping[str, Any] | None) -> Complaint | None:
    """Return what the refusal of an extra attribute means; `known` is what the dictionary says of its name."""
    match error.constraint:
        case "attribute_name_known" if known is None:
            text = _UNKNOWN_NAME
        case "attribute_name_known" if known:
            text = _TAGS if known["kind"].startswith("tagged") else _NO_TAG
        case "attribute_may_be_given":
            text = _NOT_GIVEN
        case "attribute_value_form" if known:
            text = _KINDS.get(known["kind"]) or (_NUMBER_OR_NAME if known["names"] else _NUMBER)
        case _:
            return complaint_of(error)
    if known is None:
        return Complaint("", "", text, {"attribute": name.partition(":")[0]})
    told = {"attribute": known["name"], "names": known["names"], "octets_max": known["octets_max"]}
    return Complaint("", "", text, told)


def explain(constraint: str, table_name: str = "") -> Complaint | None:
    """Return what a refused constraint means, by its name."""
    table = _named(table_name) or _table_of_constraint(constraint)
    if rule := _RULES.get(constraint):
        return Complaint(rule[0], _label(table, rule[0]), rule[1])
    if table is None or not constraint.startswith(table.name + "_"):
        return None
    rest = constraint.removeprefix(table.name + "_")
    owners = [field for field in table.fields if f"{rest}_".startswith(field.column.removesuffix("_s") + "_")]
    if not owners:
        return None
    field = max(owners, key=lambda owner: len(owner.column))
    return Complaint(field.column, field.label, field.allowed)


def _table_of(error: StoreError) -> fields.Table | None:
    return _named(error.table or "") or _table_of_constraint(error.constraint or "")


def _named(name: str) -> fields.Table | None:
    return {table.name: table for table in _TABLES}.get(name)


def _table_of_constraint(constraint: str) -> fields.Table | None:
    owners = [table for table in _TABLES if constraint.startswith(table.name + "_")]
    return max(owners, key=lambda table: len(table.name), default=None)


def _label(table: fields.Table | None, column: str) -> str:
    labels = {field.column: field.label for field in table.fields} if table else {}
    return labels.get(column, column)
