"""The fields of the ERP's data that a person can write: their columns, names for people, and what is allowed.

Pure data. The command line makes its options, its help and its complaints from these tables; `complaints` finds here
which field a refused constraint belongs to. Texts are English and marked for translation.
"""

from typing import NamedTuple

from aaad.erp import validate, values
from aaad.erp.values import Parse


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


class Field(NamedTuple):
    """One field. `reference` names the thing that the column refers to; its word is looked up, not parsed."""

    column: str
    label: str
    allowed: str
    parse: Parse
    is_required: bool = False
    is_nullable: bool = True
    reference: str = ""
    is_secret: bool = False  # never an argument: read from standard input, or generated

    @property
    def option(self) -> str:
        """The field's name on the command line."""
        return "--" + self.column.removesuffix("_id").replace("_", "-")


class Table(NamedTuple):
    """What can be written of one kind of thing."""

    name: str  # of the table, in its schema
    schema: str
    label: str
    fields: tuple[Field, ...]
    derived: tuple[str, ...] = ()  # columns that commands write and nobody types

    def field(self, column: str) -> Field:
        """Return the field of a column; KeyError if there is none."""
        return {field.column: field for field in self.fields}[column]


_TEXT = _("a text without space at the beginning or at the end")
_NAME = _("1 to 128 characters without space at the beginning or at the end")
_YES_NO = _("S (yes) or N (no)")
_SWITCH = _("S (always), N (never) or P (as the parameter says)")
_DAY = _("a date from 1970-01-02 to 2099-12-31, as dd/mm/yyyy or yyyy-mm-dd")
_SECONDS = _("seconds; 0: no limit")
_SPEED = _("a number without leading zero and k or M, such as 512k or 50M")
_POOL = _("the name of a pool, here or in the concentrator: 1 to 128 printable ASCII characters")
_LIST = _("the name of a list in the concentrator: 1 to 128 printable ASCII characters")
_LIST_IPV6 = _("the name of a list in the concentrator, written by its API: 1 to 128 printable ASCII characters")
_HOURS = _("hours of the day, such as 0-5,22,23; empty: all")
_PHONE = _("area code and number, such as (49) 3322-1100 or (49) 99999-9999")
_REFERENCE = _("an id or a name that exists")
_BURST_TIME = _("seconds, 1 to 3600")
_PRIORITY = _("1 to 8")
_STATES = (
    *("AC", "AL", "AM", "AP", "BA", "CE", "DF", "ES", "GO", "MA", "MG", "MS", "MT", "PA"),
    *("PB", "PE", "PI", "PR", "RJ", "RN", "RO", "RR", "RS", "SC", "SE", "SP", "TO"),
)
_INTEGER_MAX = 2**31 - 1


def _text(
    column: str, label: str, allowed: str = _TEXT, *, is_required: bool = False, is_nullable: bool = True
) -> Field:
    return Field(column, label, allowed, values.one_line, is_required, is_nullable and not is_required)


def _speed(column: str, label: str, *, is_required: bool = False) -> Field:
    return Field(column, label, _SPEED, lambda word: validate.speed(column, word), is_required, not is_required)


def _switch(column: str, label: str) -> Field:
    return Field(column, label, _SWITCH, values.letter_of("S", "N", "P"), is_nullable=False)


def _yes_no(column: str, label: str) -> Field:
    return Field(column, label, _YES_NO, values.yes_no, is_nullable=False)


def _yes_no_letter(column: str, label: str) -> Field:
    return Field(column, label, _YES_NO, values.letter_of("S", "N"), is_nullable=False)


def _day(column: str, label: str, *, is_required: bool = False) -> Field:
    return Field(column, label, _DAY, values.day, is_required, not is_required)


def _reference(column: str, label: str, to: str, *, is_required: bool = False, is_nullable: bool = False) -> Field:
    return Field(column, label, _REFERENCE, values.one_line, is_required, is_nullable, reference=to)


def _days(column: str, label: str) -> Field:
    return Field(column, label, _("a number of days, 0 to 365"), values.integer(0, 365), is_nullable=False)


def _router_name(column: str, label: str, allowed: str) -> Field:
    return Field(column, label, allowed, lambda word: validate.router_name(column, word))


def _pools() -> tuple[Field, ...]:
    """The pools that something names; login, contract, plan and concentrator go before the next one."""
    return (
        _router_name("ipv4_pool", _("IPv4 pool"), _POOL),
        _router_name("ipv6_pool", _("IPv6 pool"), _POOL),
        _router_name("delegated_ipv6_pool", _("pool of delegated IPv6 prefixes"), _POOL),
    )


def _dns() -> Field:
    return Field("dns", _("DNS servers"), _("addresses joined by commas"), values.addresses, is_nullable=False)


def _sessions() -> Field:
    return Field(
        "simultaneous_max",
        _("most sessions of a login"),
        _("a number from 1 to 10000"),
        values.integer(1, 10_000),
    )


def _shape() -> tuple[Field, ...]:
    """The fields of a speed's shape: burst, priority, guaranteed rate."""
    return (
        _speed("upload_burst", _("burst upload")),
        _speed("download_burst", _("burst download")),
        _speed("upload_burst_threshold", _("upload below which a burst is allowed")),
        _speed("download_burst_threshold", _("download below which a burst is allowed")),
        Field("upload_burst_time_s", _("time of the upload's burst"), _BURST_TIME, values.integer(1, 3600)),
        Field("download_burst_time_s", _("time of the download's burst"), _BURST_TIME, values.integer(1, 3600)),
        Field("priority", _("priority in the queue"), _PRIORITY, values.integer(1, 8)),
        _speed("upload_guaranteed", _("guaranteed upload")),
        _speed("download_guaranteed", _("guaranteed download")),
    )


CLIENT = Table(
    "client",
    "erp",
    _("Client"),
    (
        _reference("branch_id", _("branch"), "branch", is_required=True),
        Field(
            "kind",
            _("kind of client"),
            _("F (person), J (company) or E (foreigner)"),
            values.letter_of("F", "J", "E"),
            is_required=True,
            is_nullable=False,
        ),
        _text("name", _("name"), is_required=True),
        # Which of the two forms is right is known with the kind: see `store.check_client`.
        Field(
            "document",
            _("CPF or CNPJ"),
            _("the CPF of a person or the CNPJ of a company, with or without mask; a foreigner has none"),
            values.one_line,
        ),
        _yes_no("active", _("active")),
        Field(
            "email",
            _("e-mail"),
            _("one or more addresses joined by ; without spaces, such as ana@example.com;b@example.com"),
            validate.email_list,
        ),
        Field("phone", _("phone"), _PHONE, lambda word: validate.phone("phone", word)),
        Field("mobile_phone", _("mobile phone"), _PHONE, lambda word: validate.phone("mobile_phone", word)),
        Field("postal_code", _("postal code (CEP)"), _("8 digits, such as 89801-000"), validate.postal_code),
        _text("street", _("street")),
        _text("street_number", _("number")),
        _text("complement", _("complement")),
        _text("district", _("district")),
        _text("city", _("city")),
        Field(
            "state",
            _("state (UF)"),
            _("the two letters of a Brazilian state, such as SC"),
            values.letter_of(*_STATES),
        ),
    ),
)

PLAN = Table(
    "plan",
    "erp",
    _("Plan"),
    (
        _text("name", _("name"), _NAME, is_required=True),
        _yes_no("active", _("active")),
        _speed("upload", _("upload"), is_required=True),
        _speed("download", _("download"), is_required=True),
        _yes_no("is_limited", _("speed is limited")),
        *_shape(),
        Field("normal_hours", _("hours of the normal speed"), _HOURS, values.hours),
        _yes_no("may_change_speed", _("speed may change by routine")),
        Field(
            "late_after_days",
            _("days late before the plan changes"),
            _("a number of days, 1 to 365; 0: never"),
            values.integer(0, 365),
            is_nullable=False,
        ),
        _reference("late_plan_id", _("plan when late"), "plan", is_nullable=True),
        Field("cap_gigabytes", _("cap in GB"), _("a number from 1 to 1000000"), values.integer(1, 1_000_000)),
        Field(
            "cap_kind",
            _("period of the cap"),
            _("M (this month), U (last 30 days) or P (period of the contract's due day)"),
            values.letter_of("M", "U", "P"),
        ),
        _reference("cap_plan_id", _("plan after the cap"), "plan", is_nullable=True),
        Field(
            "session_timeout_s", _("longest session"), _SECONDS, values.integer(0, _INTEGER_MAX), is_nullable=False
        ),
        Field("idle_timeout_s", _("longest idle time"), _SECONDS, values.integer(0, _INTEGER_MAX), is_nullable=False),
        Field(
            "interim_interval_s",
            _("interval of accounting updates"),
            _("0 (none) or 60 to 86400 seconds"),
            values.integer(0, 86_400),
            is_nullable=False,
        ),
        *_pools(),
        _router_name("address_list", _("address list"), _LIST),
        _router_name("address_list_ipv6", _("IPv6 address list"), _LIST_IPV6),
        _router_name(
            "router_group",
            _("group (profile) in the router"),
            _("the name of a profile in the concentrator: 1 to 128 printable ASCII characters"),
        ),
        Field("filter_ids", _("filters"), _("names joined by commas"), values.texts, is_nullable=False),
        _dns(),
        Field(
            "mppe",
            _("encryption (MPPE)"),
            _("unsaid, allowed or required"),
            values.word_of("unsaid", "allowed", "required"),
            is_nullable=False,
        ),
    ),
)

PLAN_PHASE = Table(
    "plan_phase",
    "erp",
    _("Phase of a plan"),
    (
        _yes_no("active", _("active")),
        Field("hours", _("hours"), _("hours of the day, such as 0-5,22,23"), values.hours, is_nullable=False),
        _reference("replacement_plan_id", _("plan that replaces it"), "plan", is_nullable=True),
        _speed("upload", _("upload")),
        _speed("download", _("download")),
        *_shape(),
    ),
    derived=("plan_id", "phase"),
)

BILLING_TYPE = Table(
    "billing_type",
    "erp",
    _("Billing type"),
    (
        _text("name", _("name"), is_required=True),
        _yes_no("active", _("active")),
        Field(
            "payment",
            _("payment"),
            _("Pre (before use) or Pos (after use)"),
            values.word_of("Pre", "Pos"),
            is_nullable=False,
        ),
        _days("notice_days", _("days late before the notice")),
        _days("block_days", _("days late before the block")),
        _days("block_renegotiated_days", _("the same of renegotiated receivables")),
        _days("prepaid_grace_days", _("days of grace after what was paid")),
    ),
)

CONTRACT = Table(
    "contract",
    "erp",
    _("Contract"),
    (
        _reference("client_id", _("client"), "client", is_required=True),
        _reference("branch_id", _("branch"), "branch"),
        _reference("plan_id", _("plan"), "plan", is_nullable=True),
        _reference("billing_type_id", _("billing type"), "billing_type", is_nullable=True),
        Field(
            "kind",
            _("kind of contract"),
            _("I (internet), T (telephone), S (services) or SVA"),
            values.letter_of("I", "T", "S", "SVA"),
            is_nullable=False,
        ),
        Field(
            "status",
            _("status"),
            _("P (pre-contract), A (active), I (inactive), N (blacklisted) or D (withdrawn)"),
            values.letter_of("P", "A", "I", "N", "D"),
            is_nullable=False,
        ),
        Field(
            "access_status",
            _("access status"),
            _(
                "A (active), D (disabled), CM (blocked by hand), CA (blocked automatically), FA (payment late), "
                "AA or CE (awaiting signature)"
            ),
            values.letter_of("A", "D", "CM", "CA", "FA", "AA", "CE"),
            is_nullable=False,
        ),
        _day("activated_on", _("active since")),
        _text("circuit", _("circuit")),
        _text("reference", _("reference")),
        _yes_no_letter("block_automatically", _("blocks automatically")),
        _day("do_not_block_until", _("do not block until")),
        _switch("notice_automatically", _("gives notice automatically")),
        _day("do_not_notice_until", _("give no notice until")),
        _switch("trust_unlock", _("trust unlock")),
        _yes_no("trust_unlock_restricted", _("trust unlock restricted")),
        _text("trust_unlock_restriction_reason", _("why it is restricted")),
        _switch("force_access", _("force the access status")),
        _switch("late_speed", _("reduced speed when late")),
        Field(
            "speed_status",
            _("speed"),
            _("N (normal) or R (reduced)"),
            values.letter_of("N", "R"),
            is_nullable=False,
        ),
        _day("not_reduced_until", _("do not reduce until")),
        Field(
            "inclusion_reason",
            _("why it was made"),
            _(
                "I (installation), U (upgrade), D (downgrade), M (move), T (technology), L (other holder), "
                "N (negotiation) or R (reactivation); for people only"
            ),
            values.letter_of("I", "U", "D", "M", "T", "L", "N", "R"),
        ),
        _text("cancellation_reason", _("why it was cancelled")),
        _day("paid_until", _("paid until")),
        Field("due_day", _("due day"), _("a day of the month, 1 to 31"), values.integer(1, 31)),
        _day("suspended_from", _("suspended from")),
        _day("suspended_until", _("suspended until")),
        *_pools(),
        Field("logins_max", _("most logins"), _("a number from 1 to 10000"), values.integer(1, 10_000)),
        _sessions(),
    ),
)

LOGIN = Table(
    "login",
    "erp",
    _("Login"),
    (
        _reference("contract_id", _("contract"), "contract", is_required=True),
        _reference("plan_id", _("plan"), "plan", is_nullable=True),
        Field(
            "name",
            _("name"),
            _(
                "1 to 64 letters, digits, . _ - and one @ inside, at least one letter or digit, "
                "no space; accents only if the parameter allows them"
            ),
            validate.login_name,
            is_required=True,
            is_nullable=False,
        ),
        Field(
            "password",
            _("password"),
            _("1 to 128 printable ASCII characters without space at the beginning or at the end"),
            validate.password,
            is_secret=True,
        ),
        _yes_no("password_md5", _("password as MD5")),
        _yes_no("active", _("active")),
        Field(
            "authentication",
            _("authentication"),
            _("L (PPPoE), H (Hotspot), M (IP and MAC), V (VLAN), D (IPoE), I (integration) or E (external)"),
            values.letter_of("L", "H", "M", "V", "D", "I", "E"),
            is_required=True,
            is_nullable=False,
        ),
        Field(
            "connection_type",
            _("type of connection"),
            _("58 (5.8 GHz), 24 (2.4 GHz), F (fibre), L (cable), A (ADSL), LTE or LDD; for people only"),
            values.letter_of("58", "24", "F", "L", "A", "LTE", "LDD"),
        ),
        Field(
            "ipv4",
            _("fixed IPv4 address"),
            _("an IPv4 address that no other login has, not loopback, link-local, multicast or reserved"),
            validate.host_ipv4,
        ),
        Field(
            "address_space",
            _("address space"),
            _("a number from 1 on: in which its fixed addresses are its own"),
            values.integer(1, _INTEGER_MAX - 1),
            is_nullable=False,
        ),
        Field("mac", _("MAC"), _("AA:BB:CC:DD:EE:FF, digits 0 to 9 and letters A to F"), validate.mac),
        _switch("auto_fill_mac", _("learn the MAC")),
        _switch("bind_mac", _("bind to the MAC")),
        _yes_no("mac_login", _("the device logs in by its MAC")),
        _reference("nas_id", _("concentrator"), "nas", is_nullable=True),
        _switch("auto_fill_nas", _("learn the concentrator")),
        _switch("bind_nas", _("bind to the concentrator")),
        _text("port_id", _("port or VLAN")),
        _switch("auto_fill_port", _("learn the port")),
        _switch("bind_port", _("bind to the port")),
        _text("circuit_id", _("circuit of the access network")),
        _switch("auto_fill_circuit", _("learn the circuit")),
        _switch("bind_circuit", _("bind to the circuit")),
        Field("access_hours", _("hours of access"), _HOURS, values.hours),
        _speed("upload", _("own upload")),
        _speed("download", _("own download")),
        *_pools(),
        Field(
            "ipv6_prefix",
            _("fixed IPv6 prefix"),
            _("an IPv6 prefix of 48 to 128 bits that no other login has, such as 2001:db8::/64"),
            values.ipv6_prefix,
        ),
        Field(
            "delegated_ipv6_prefix",
            _("fixed delegated IPv6 prefix"),
            _("an IPv6 prefix of 32 to 64 bits that no other login has, such as 2001:db8::/56"),
            values.ipv6_prefix,
        ),
        Field("routes", _("routes"), _("prefixes joined by commas"), values.prefixes, is_nullable=False),
        _router_name("address_list", _("address list"), _LIST),
        _router_name("address_list_ipv6", _("IPv6 address list"), _LIST_IPV6),
        _dns(),
        _sessions(),
        Field(
            "plan_link",
            _("link to the plan"),
            _("D (default), C (contract), P (prepaid) or G (free); for people only"),
            values.letter_of("D", "C", "P", "G"),
        ),
        Field(
            "equipment_kind",
            _("equipment"),
            _("C (lent by the provider) or P (the customer's own); for people only"),
            values.letter_of("C", "P"),
        ),
        Field(
            "wpa2_passphrase",
            _("WPA2 passphrase"),
            _("8 to 63 printable ASCII characters"),
            values.passphrase,
            is_secret=True,
        ),
    ),
)

RECEIVABLE = Table(
    "receivable",
    "erp",
    _("Receivable"),
    (
        _reference("client_id", _("client"), "client", is_required=True),
        _reference("contract_id", _("contract"), "contract", is_nullable=True),
        Field(
            "kind",
            _("kind of receivable"),
            _("recurring or single"),
            values.word_of("recurring", "single"),
            is_nullable=False,
        ),
        Field(
            "amount",
            _("amount"),
            _("an amount with at most two decimals, such as 99,90"),
            values.amount,
            is_required=True,
            is_nullable=False,
        ),
        _day("due_on", _("due on"), is_required=True),
    ),
)

OPERATOR = Table(
    "operator",
    "erp",
    _("Operator"),
    (
        _text("name", _("name"), is_required=True),
        _text("full_name", _("full name")),
        _yes_no("active", _("active")),
        _reference("group_id", _("group"), "operator_group", is_nullable=True),
        _reference("branch_id", _("branch"), "branch", is_nullable=True),
    ),
)

TABLES = (CLIENT, PLAN, PLAN_PHASE, BILLING_TYPE, CONTRACT, LOGIN, RECEIVABLE, OPERATOR)
