"""Values of orders: what is wished for a session, and an order that somebody claimed to carry it out.

Pure. Rule R8.1: an order names its session by router and Acct-Session-Id, so that no step meets the session after it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

Kind = Literal["change", "lists", "disconnect"]  # lists: entries in the router's, by its API alone
# Causes are shown to people; `network_order_cause_known` holds the same set.
CAUSES = (
    *(
        "block",
        "unblock",
        "notice",
        "plan",
        "speed",
        "cap",
        "hours",
        "late",
        "trust_end",
        "prepaid_end",
        "suspension",
    ),
    *("cancel", "mac", "login_changed", "login_deleted", "client_inactive", "contest", "pool"),
    *("parameter", "sweep", "start", "operator"),
)
IPV6_LIST = "Address-List-IPv6"  # in `wanted` and `unsaid`: no attribute says it, only the router's API can
OPEN_STATES = ("todo", "doing", "waiting", "redial", "held")
ENDED_STATES = ("done", "unverified", "superseded", "gone", "given_up", "cancelled")
STATES = (*OPEN_STATES, *ENDED_STATES)

SessionKey = tuple[UUID, int]  # family and life
Said = Sequence[tuple[str, str]]  # names of attributes and their values


class Wish(NamedTuple):
    """What is wanted of one session."""

    session: SessionKey
    is_ppp: bool
    kind: Kind
    cause: str
    is_cutting: bool  # it takes the service from a customer, or makes him dial anew; what gives it back does not
    is_certain: bool = True  # False: an ACK to a CoA does not prove all of it
    fingerprint: int | None = None  # of the grant that it must have; None: it must be gone
    wanted: Said = ()
    unsaid: Said = ()  # what it was told and is not wanted any more
    attributes: bytes = b""  # what a CoA says
    needs: int | None = None  # the transaction that every live node must have applied before a Disconnect
    run_id: int | None = None
    is_held: bool = False
    is_found: bool = False  # nothing changed: a look at the session found it so


class ClaimedOrder(NamedTuple):
    """An order about a session, claimed by this node for some seconds."""

    order_id: int
    wish: int  # its number: outcomes of an older wish end nothing
    session: SessionKey
    nas_id: int
    source_address: str
    nas_identifier: bytes
    acct_session_id: str
    user_name: str
    mac: str
    ipv4: str
    ipv6_prefix: str
    delegated_ipv6_prefix: str
    is_ppp: bool
    login_id: int | None
    contract_id: int | None
    kind: Kind
    cause: str
    is_cutting: bool
    is_certain: bool
    fingerprint: int | None
    wanted: tuple[tuple[str, str], ...]
    unsaid: tuple[tuple[str, str], ...]
    attributes: bytes
    needs: int | None
    state: str
    step: str
    attempts: int
    created_at: datetime

    @property
    def is_redial(self) -> bool:
        """Whether the session must end only to begin again with another grant."""
        return self.kind == "disconnect" and self.fingerprint is not None
