"""What the fields of schema `erp` may hold: the checks and the canonical forms, with a message for people.

Pure. Each function takes what a person or a program wrote and returns it as it is stored, or raises InvalidValue
with the field and what is allowed. The same rules stand as checks in `aaad/db/migrations/`, which have the last word;
a test holds that both agree.

Outside white space is refused and never trimmed silently: who wrote it should see it.
"""

import re
import unicodedata
from datetime import date
from ipaddress import AddressValueError, IPv4Address, IPv4Network

from aaad.errors import InvalidValue
from aaad.policy.parameters import GENERAL, PARAMETERS, is_valid

_SPACE = " \t\n\r\f\v\u00a0"
_LETTERS = "A-Za-z0-9À-ÖØ-öø-įı-ſ"  # Latin letters with accents; not × ÷, nor İ, which has no single lower case
_NAME_LENGTH_MAX = 64
_EMAIL_LIST_LENGTH_MAX = 1000
_ID_MAX = 2**31 - 1

MAC_MESSAGE = "Formato do MAC é Inválido"

_CPF = re.compile(r"[0-9]{11}")
_CNPJ = re.compile(r"[0-9A-Z]{12}[0-9]{2}")
_MAC_FORMS = re.compile(
    r"([0-9A-F]{2}:){5}[0-9A-F]{2}|([0-9A-F]{2}-){5}[0-9A-F]{2}|([0-9A-F]{4}\.){2}[0-9A-F]{4}|[0-9A-F]{12}"
)
_LOGIN = re.compile(rf"[{_LETTERS}._@-]{{1,{_NAME_LENGTH_MAX}}}")
_LOGIN_LETTER = re.compile(rf"[{_LETTERS}]")
_PASSWORD = re.compile(r"[!-~]([ -~]{0,126}[!-~])?")
_MD5 = re.compile(r"[0-9a-f]{32}")
_PHONE = re.compile(
    r"(1[1-9]|2[12478]|3[1234578]|4[1-9]|5[1345]|6[1-9]|7[134579]|8[1-9]|9[1-9])([2-5][0-9]{7}|9[0-9]{8})"
)
_PHONE_PUNCTUATION = str.maketrans("", "", "()-. ")
_EMAIL_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+"
_EMAIL = rf"{_EMAIL_LOCAL}@([A-Za-z0-9-]+\.)+[A-Za-z]{{2,}}"
_EMAIL_LIST = re.compile(rf"{_EMAIL}(;{_EMAIL})*")
_EMAIL_MISTAKES = re.compile(r"(^|;)\.|\.\.|\.@|[@.]-|-\.")
_SPEED = re.compile(r"[1-9][0-9]{0,6}[kM]")
_ROUTER_NAME = re.compile(r"[!-~]([ -~]{0,126}[!-~])?")
_DAYS = (date(1970, 1, 2), date(2099, 12, 31))  # nodes keep days in 16 bits, and 0 means none
_NO_HOSTS = [IPv4Network(prefix) for prefix in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")]


def identifier(field: str, value: int) -> int:
    """Return an id of a row: what fits 31 bits and is not 0, which means "none"."""
    if not 1 <= value <= _ID_MAX:
        raise InvalidValue(field, f"a number from 1 to {_ID_MAX}")
    return value


def text(field: str, value: str) -> str:
    """Return a text without white space at its ends."""
    if value != value.strip(_SPACE):
        raise InvalidValue(field, "no space is allowed at the beginning or at the end")
    return value


def name(field: str, value: str) -> str:
    """Return a text that is not empty and has no white space at its ends."""
    if not value:
        raise InvalidValue(field, "must not be empty")
    return text(field, value)


def cpf(value: str) -> str:
    """Return the 11 digits of a CPF, written with or without mask."""
    digits = _unmask(value)
    if not _CPF.fullmatch(digits) or digits == digits[0] * 11:
        raise InvalidValue("document", "a CPF has 11 digits, such as 529.982.247-25")
    if digits[9:] != _check_digits(digits[:9], weights=10):
        raise InvalidValue("document", "the check digits of the CPF are wrong")
    return digits


def cnpj(value: str) -> str:
    """Return the 14 characters of a CNPJ, numeric or alphanumeric, written with or without mask."""
    characters = _unmask(value)
    if not _CNPJ.fullmatch(characters) or characters == characters[0] * 14:
        raise InvalidValue(
            "document",
            "a CNPJ has 12 digits or letters and 2 digits, such as 11.222.333/0001-81 or 12.ABC.345/01DE-35",
        )
    if characters[12:] != _check_digits(characters[:12], weights=8):
        raise InvalidValue("document", "the check digits of the CNPJ are wrong")
    return characters


def document(kind: str, value: str | None) -> str | None:
    """Return the canonical document of a client of kind F (CPF), J (CNPJ) or E (none)."""
    if kind not in ("F", "J", "E"):
        raise InvalidValue("kind", "F (person), J (company) or E (foreigner)")
    if value is None:
        return None
    if kind == "E":
        raise InvalidValue("document", "a foreigner has no CPF or CNPJ")
    return cpf(value) if kind == "F" else cnpj(value)


def hidden_document(canonical: str) -> str:
    """Return a canonical CPF or CNPJ with its middle hidden, for logs, alerts and lists."""
    if len(canonical) == 11:
        return f"***.{canonical[3:6]}.{canonical[6:9]}-**"
    return f"**.***.{canonical[5:8]}/{canonical[8:12]}-**"


def mac(value: str) -> str:
    """Return a MAC address as RouterOS writes it, from any usual form."""
    upper = value.upper() if value.isascii() else ""
    if not _MAC_FORMS.fullmatch(upper):
        raise InvalidValue("mac", MAC_MESSAGE)
    digits = upper.translate(str.maketrans("", "", ":-."))
    canonical = ":".join(digits[place : place + 2] for place in range(0, 12, 2))
    if int(digits, 16) == 0 or int(digits[:2], 16) & 1:  # nobody's address, or a group's
        raise InvalidValue("mac", MAC_MESSAGE)
    return canonical


def login_name(value: str, *, accents_allowed: bool = True) -> str:
    """Return a login's name as typed; `accents_allowed` is the parameter `block_accents_in_logins` turned round."""
    composed = unicodedata.normalize("NFC", value)
    if not accents_allowed and not composed.isascii():
        raise InvalidValue("name", "accents are not allowed in logins")
    if not _LOGIN.fullmatch(composed) or not _LOGIN_LETTER.search(composed):
        raise InvalidValue(
            "name", f"1 to {_NAME_LENGTH_MAX} letters, digits, . _ - and @, at least one of them a letter or digit"
        )
    if value.count("@") > 1 or value.startswith("@") or value.endswith("@"):
        raise InvalidValue("name", "at most one @, neither first nor last")
    return value


def password(value: str) -> str:
    """Return a password that every login method can carry."""
    if not _PASSWORD.fullmatch(value):
        raise InvalidValue("password", "1 to 128 printable ASCII characters without space at the beginning or end")
    return value


def password_md5(value: str) -> str:
    """Return the MD5 of a password in lower-case hexadecimal."""
    lower = value.lower() if value.isascii() else ""
    if not _MD5.fullmatch(lower):
        raise InvalidValue("password", "32 hexadecimal digits, since password_md5 is set")
    return lower


def phone(field: str, value: str) -> str:
    """Return area code and number in digits, from any form in which Brazilians write it."""
    digits = value.translate(_PHONE_PUNCTUATION).removeprefix("+55")
    if len(digits) in (12, 13) and digits.startswith("55"):
        digits = digits[2:]
    elif digits.startswith("0"):
        digits = digits[1:].removeprefix("XX").removeprefix("xx")
        if len(digits) in (12, 13):  # the two digits of a carrier
            digits = digits[2:]
    if not _PHONE.fullmatch(digits):
        raise InvalidValue(field, "area code and number, such as (49) 3322-1100 or (49) 99999-9999")
    return digits


def email_list(value: str) -> str:
    """Return one or more e-mail addresses joined by ; without spaces."""
    if len(value) > _EMAIL_LIST_LENGTH_MAX or not _EMAIL_LIST.fullmatch(value) or _EMAIL_MISTAKES.search(value):
        raise InvalidValue(
            "email", "one or more addresses joined by ; without spaces, such as ana@example.com;b@example.com"
        )
    return value


def postal_code(value: str) -> str:
    """Return the 8 digits of a CEP, written with or without its hyphen."""
    digits = value.replace("-", "", 1) if re.fullmatch(r"[0-9]{5}-[0-9]{3}", value) else value
    if not re.fullmatch(r"[0-9]{8}", digits) or digits == "00000000":
        raise InvalidValue("postal_code", "8 digits, such as 89801-000")
    return digits


def speed(field: str, value: str) -> str:
    """Return a speed as RouterOS understands it."""
    if not _SPEED.fullmatch(value):
        raise InvalidValue(field, "a number without leading zero and k or M, such as 512k or 50M")
    return value


def host_ipv4(value: str) -> str:
    """Return an IPv4 address that a customer can have."""
    try:
        address = IPv4Address(value)
    except AddressValueError as error:
        raise InvalidValue("ipv4", "an IPv4 address, such as 100.64.0.10") from error
    if any(address in prefix for prefix in _NO_HOSTS):
        raise InvalidValue("ipv4", "not a loopback, link-local, multicast or reserved address")
    return str(address)


def router_name(field: str, value: str) -> str:
    """Return what a router calls a pool, an address list or a profile."""
    if not _ROUTER_NAME.fullmatch(value):
        raise InvalidValue(field, "1 to 128 printable ASCII characters without space at the beginning or end")
    return value


def day(field: str, value: date) -> date:
    """Return a day that nodes can count with."""
    if not _DAYS[0] <= value <= _DAYS[1]:
        raise InvalidValue(field, f"a day from {_DAYS[0]} to {_DAYS[1]}")
    return value


def parameter(name: str, value: str, branch_id: int | None = None) -> str:
    """Return the value of a parameter, of a branch or in general."""
    known = PARAMETERS.get(name)
    if known is None:
        raise InvalidValue("name", "one of " + ", ".join(sorted(PARAMETERS)))
    if not is_valid(known, value, GENERAL if branch_id is None else branch_id):
        raise InvalidValue(name, known.allowed)
    return value


def default_circuit(city: str, client_id: int, plan_number: int) -> str:
    """Return the name that a new circuit gets: three letters of the city, client and plan; it may be edited."""
    plain = unicodedata.normalize("NFD", city).encode("ascii", "ignore").decode()
    letters = re.sub(r"[^A-Z]", "", plain.upper())[:3]
    if len(letters) < 3:
        raise InvalidValue("city", "needs at least three letters to name a circuit")
    if not 0 < client_id <= 999_999 or not 0 < plan_number <= 999:
        raise InvalidValue("circuit", "the client's code has at most 6 digits, the plan's number at most 3")
    return f"{letters}{client_id:06d}-{plan_number:03d}"


def _unmask(value: str) -> str:
    return value.translate(str.maketrans("", "", "./-")).upper() if value.isascii() else ""


def _check_digits(body: str, *, weights: int) -> str:
    """Return the two check digits: weights count from the right, from 2, `weights` of them over and over."""
    digits = ""
    for _ in range(2):
        total = sum((ord(c) - 48) * (2 + place % weights) for place, c in enumerate(reversed(body + digits)))
        digits += "0" if total % 11 < 2 else str(11 - total % 11)
    return digits
