"""What a line's provider is asked, and what its answers mean: templates in, readings out.

Pure. A driver is configuration (`net.line_driver`); what it puts in from a line is encoded for the place where it
stands and never changes which host is asked. Never shows a secret: header values and `{secret}` are in no text that
leaves here but the request itself.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import quote, urlsplit

ANSWER_OCTETS_MAX = 65_536
_VALUE_MAX = 40  # characters of an answer that are kept
_PLACE = re.compile(r"\{(identifier|line_id|contract_id|code|state|secret)\}")
_SECRET_MIN = 4  # a shorter one cannot be told from other text


class State(StrEnum):
    """What a line is at its provider."""

    ACTIVE = "active"
    PARTIAL = "partial"
    BLOCKED = "blocked"
    THEFT = "theft"
    LOSS = "loss"
    MISUSE = "misuse"
    INACTIVE = "inactive"
    CANCELLED = "cancelled"
    AWAITING = "awaiting"


OURS = frozenset({State.ACTIVE, State.PARTIAL, State.BLOCKED})  # the others are of the customer or the provider
PARTIAL_OR_LOSS = "partial_or_loss"
MEANINGS = (*(str(state) for state in State), PARTIAL_OR_LOSS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """How the provider of one kind of line is asked."""

    kind: str
    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    secret: str = field(repr=False)
    body: str | None = field(repr=False)
    codes: Mapping[str, str]
    is_toggle: bool
    expected_statuses: Sequence[int]
    expected_pointer: str
    expected_text: str
    read_method: str
    read_url: str = field(repr=False)  # empty: nothing tells the state
    read_body: str | None = field(repr=False)
    read_pointer: str
    meanings: Mapping[str, str]
    timeout_s: int
    settle_s: int
    verify_tls: bool
    ca: str


class Line(NamedTuple):
    """What requests say of a line."""

    line_id: int
    contract_id: int
    identifier: str
    made: tuple[str, ...] = ()  # what it was made from here last, and what was asked last


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)

    @property
    def is_tls(self) -> bool:
        """Whether it is said in secret."""
        return self.url.startswith("https://")

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or (443 if self.is_tls else 80)

    @property
    def path(self) -> str:
        """What stands behind the host."""
        parts = urlsplit(self.url)
        return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"


class Fault(StrEnum):
    """Why there is no answer."""

    SILENT = "silent"  # it may have been done
    UNSENT = "unsent"  # nothing went out
    UNREADABLE = "unreadable"  # what came is no answer, or too large


class Reply(NamedTuple):
    """An answer."""

    status: int
    body: bytes


class Reading(NamedTuple):
    """What an answer tells of a line; without a state nothing that is understood."""

    state: State | None
    text: str  # what stood there, for people; no secret


def request_to_do(driver: Driver, line: Line, wanted: str) -> Request | None:
    """Return what makes a line be so; None: the driver has no code for that."""
    if driver.is_toggle:
        if wanted == State.PARTIAL:
            return None
        return _request(driver, line, wanted, driver.method, driver.url, driver.body)
    if wanted not in driver.codes:
        return None
    return _request(driver, line, wanted, driver.method, driver.url, driver.body)


def request_to_read(driver: Driver, line: Line) -> Request | None:
    """Return what tells how a line is; None: nothing does."""
    if not driver.read_url:
        return None
    return _request(driver, line, "", driver.read_method, driver.read_url, driver.read_body)


def is_accepted(driver: Driver, reply: Reply) -> bool:
    """Whether the provider says that it has done what it was asked."""
    if reply.status not in driver.expected_statuses:
        return False
    if not driver.expected_text:
        return True
    if not driver.expected_pointer:
        return driver.expected_text in _decoded(reply.body)
    return _pointed(reply.body, driver.expected_pointer) == driver.expected_text


def reading_of(driver: Driver, line: Line, reply: Reply) -> Reading:
    """Return what an answer tells of the line's state."""
    if not 200 <= reply.status < 300:
        return Reading(None, f"HTTP {reply.status}")
    if driver.read_pointer:
        found = _pointed(reply.body, driver.read_pointer)
    else:
        found = _only_key(_decoded(reply.body), driver.meanings)
    if found is None:
        return Reading(None, "")
    meaning = driver.meanings.get(found)
    if meaning == PARTIAL_OR_LOSS:
        meaning = State.PARTIAL if State.PARTIAL in line.made else State.LOSS
    state = State(meaning) if meaning is not None else None
    return Reading(state, shown(driver, found))


def shown(driver: Driver, text: str) -> str:
    """Return a text of the provider's as it may be kept: short, printable, without our secrets."""
    for secret in sorted(_secrets(driver), key=len, reverse=True):
        text = text.replace(secret, "…")
    text = "".join(character if character.isprintable() else " " for character in text).strip()
    return text if len(text) <= _VALUE_MAX else text[: _VALUE_MAX - 1] + "…"


def _secrets(driver: Driver) -> set[str]:
    found = {driver.secret, *(value.replace("{secret}", driver.secret) for value in driver.headers.values())}
    return {text for text in found if len(text) >= _SECRET_MIN}


def _request(driver: Driver, line: Line, wanted: str, method: str, url: str, body: str | None) -> Request:
    values = {
        "identifier": line.identifier,
        "line_id": str(line.line_id),
        "contract_id": str(line.contract_id),
        "code": driver.codes.get(wanted, ""),
        "state": wanted,
        "secret": driver.secret,
    }
    headers = {name: _filled(value, values, "plain") for name, value in driver.headers.items()}
    names = {name.lower(): value for name, value in headers.items()}
    data: bytes | None = None
    if body is not None:
        kind = names.get("content-type", "application/json")
        if "content-type" not in names:
            headers["Content-Type"] = kind
        data = _filled(body, values, _form_of(kind)).encode()
    return Request(method, _filled(url, values, "url"), headers, data)


def _form_of(content_type: str) -> str:
    if "json" in content_type.lower():
        return "json"
    return "url" if "urlencoded" in content_type.lower() else "plain"


def _filled(template: str, values: Mapping[str, str], form: str) -> str:
    return _PLACE.sub(lambda place: _encoded(values[place[1]], form), template)


def _encoded(value: str, form: str) -> str:
    if form == "url":
        return quote(value, safe="")
    return json.dumps(value)[1:-1] if form == "json" else value


def _decoded(body: bytes) -> str:
    return body.decode("utf-8", "replace")


def _pointed(body: bytes, pointer: str) -> str | None:
    """Return what stands in a JSON document at a pointer (RFC 6901), as text; None: nothing, or no simple value."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif (
            isinstance(found, list)
            and name.isascii()
            and name.isdecimal()
            and len(name) < 6
            and int(name) < len(found)
        ):
            found = found[int(name)]
        else:
            return None
    if isinstance(found, bool):
        return "true" if found else "false"
    return str(found) if isinstance(found, str | int) else None


def _only_key(text: str, meanings: Mapping[str, str]) -> str | None:
    """Return which of the keys a text is, or the one that it has in it as a word; None: none, or several."""
    text = text.strip()
    if text in meanings:
        return text
    found = [key for key in meanings if re.search(rf"(?<!\w){re.escape(key)}(?!\w)", text)]
    return found[0] if len(found) == 1 else None
