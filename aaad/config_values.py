"""What single values of the configuration may be, and what is said of those that may not.

Each function takes what stands in the file and returns it as it is used, or raises an error that pydantic carries
with a text that can be translated. Knows no key and no section; never lets a secret into an error.
"""

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr
from pydantic_core import PydanticCustomError

Address = IPv4Address | IPv6Address

_SOCKET_FOLDER_OCTETS_MAX = 90  # a unix socket's path holds 107 octets, and the folder's is followed by a name


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


class Allowed(NamedTuple):
    """What is allowed: an English text to be translated, and the values of its fields."""

    english: str
    fields: Mapping[str, object] = {}

    def __str__(self) -> str:
        return self.english.format(**self.fields) if self.fields else self.english


def not_allowed(english: str, **fields: object) -> PydanticCustomError:
    """Return the error of a value that is none of those allowed."""
    return PydanticCustomError("not_allowed", "{allowed}", {"allowed": Allowed(english, fields)})


def not_allowed_at(key: str, value: object, allowed: str) -> PydanticCustomError:
    """Return the error of a key that does not go with another one of its section."""
    return PydanticCustomError("not_allowed_at", "", {"key": key, "value": value, "allowed": Allowed(allowed)})


def read_absolute_path(value: object) -> Path:
    """Return a path; it must begin at the root."""
    if not isinstance(value, str | Path) or not str(value).startswith("/"):
        raise not_allowed(_("an absolute path"))
    return Path(value)


def read_socket_folder(value: object) -> Path:
    """Return a path that leaves room for a socket's name behind it."""
    path = read_absolute_path(value)
    if len(str(path).encode()) > _SOCKET_FOLDER_OCTETS_MAX:
        raise not_allowed(_("an absolute path of at most {most} octets"), most=_SOCKET_FOLDER_OCTETS_MAX)
    return path


ADDRESSES_ALLOWED = _(
    'a list of 1 to 64 different IP addresses of this machine, such as ["192.0.2.1", "2001:db8::1"]; '
    "0.0.0.0 or :: stands alone in its family"
)
_ADDRESSES_MAX = 64


def read_address(value: object) -> Address:
    """Return one IP address."""
    if not isinstance(value, str | IPv4Address | IPv6Address):
        raise not_allowed(_("one IP address as text"))
    try:
        return ip_address(value)
    except ValueError:
        raise not_allowed(_("one IP address as text")) from None


def read_addresses(value: object) -> tuple[Address, ...]:
    """Return local addresses that sockets can have side by side."""
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= _ADDRESSES_MAX:
        raise not_allowed(ADDRESSES_ALLOWED)
    try:
        addresses = tuple(read_address(item) for item in value)
    except PydanticCustomError:
        raise not_allowed(ADDRESSES_ALLOWED) from None
    if len(set(addresses)) != len(addresses):
        raise not_allowed(ADDRESSES_ALLOWED)
    for version in (4, 6):
        family = [address for address in addresses if address.version == version]
        if len(family) > 1 and any(address.is_unspecified for address in family):
            raise not_allowed(ADDRESSES_ALLOWED)
    return addresses


DSN_ALLOWED = _(
    "a PostgreSQL URI such as postgresql://aaad@db1,db2:5433/aaad, here, in the environment variable "
    "AAAD_DATABASE_DSN, in the systemd credential database_dsn or in the file database.dsn_file"
)
_DSN = re.compile(r"postgres(?:ql)?://(?P<place>[^/?#\s]*)(?:/[^?#\s]*)?(?:\?(?P<query>[^#\s]*))?")
_HOST = re.compile(r"(?:\[[^\[\]]+\]|[^:\[\]]*)(?::(?P<port>[0-9]+))?")
_PORT_MAX = 65_535


def checked_dsn(value: SecretStr) -> SecretStr:
    """Return the URI if it is one, or empty."""
    if value.get_secret_value() and not is_dsn(value.get_secret_value()):
        raise not_allowed(DSN_ALLOWED)
    return value


def is_dsn(text: str) -> bool:
    """Whether a driver can make sense of it. By hand, as in the database room: hosts may be many."""
    uri = _DSN.fullmatch(text)
    if uri is None:
        return False
    hosts = [_HOST.fullmatch(host) for host in uri["place"].rpartition("@")[2].split(",")]
    if not all(hosts):
        return False
    ports = [host["port"] for host in hosts if host is not None and host["port"]]
    for pair in (uri["query"] or "").split("&"):
        name, value = pair.partition("=")[::2]
        ports += value.split(",") if name == "port" else []
    return all(port.isdecimal() and 0 < int(port) <= _PORT_MAX for port in ports)


_MIRROR_SECRET_OCTETS_MIN = 16
MIRROR_SECRET_ALLOWED = _(
    "at least 16 characters, the same on both nodes; here, in the environment variable AAAD_MIRROR_SECRET or in the "
    "systemd credential mirror_secret"
)


def checked_mirror_secret(value: SecretStr) -> SecretStr:
    """Return the secret if it is long enough, or empty."""
    if 0 < len(value.get_secret_value().encode()) < _MIRROR_SECRET_OCTETS_MIN:
        raise not_allowed(MIRROR_SECRET_ALLOWED)
    return value


_ENDPOINT = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})")


def endpoint(text: str) -> tuple[str, int] | None:
    """Return host and port of a text such as `192.0.2.1:1814` or `[2001:db8::1]:1814`; None if it is empty."""
    found = _ENDPOINT.fullmatch(text)
    return (found["v6"] or found["host"], int(found["port"])) if found is not None else None


def checked_peer(value: str) -> str:
    """Return host and port as they are, or empty."""
    if value and not _is_endpoint(value):
        raise not_allowed(_("empty, or host and port such as 192.0.2.2:1814 or [2001:db8::2]:1814"))
    return value


def checked_listener(value: str) -> str:
    """Return IP address and port as they are, or empty."""
    if value and not (_is_endpoint(value) and _is_address(value)):
        raise not_allowed(_("empty, or an IP address and a port such as 192.0.2.2:1814 or [2001:db8::2]:1814"))
    return value


def _is_endpoint(value: str) -> bool:
    place = endpoint(value)
    return place is not None and 0 < place[1] <= _PORT_MAX


def _is_address(value: str) -> bool:
    place = endpoint(value)
    try:
        return place is not None and bool(ip_address(place[0]))
    except ValueError:
        return False


def checked_node_name(value: str) -> str:
    """Return a node's name; it may become a folder's."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", value):
        raise not_allowed(
            _("1 to 63 letters, digits, dots, hyphens and underscores, beginning with a letter or digit")
        )
    return value
