"""One Access-Request on its way: what the steps of the path hand to each other.

Pure values. NamedTuples, because the path makes one of each per request.
"""

from typing import NamedTuple

from aaad.policy.codes import Credential, Discard
from aaad.policy.facts import LoginFacts
from aaad.policy.grant import Decision
from aaad.radius.integrity import SecretKeys
from aaad.radius.routers import Peer, Router, Source


class Request(NamedTuple):
    """One genuine, new Access-Request."""

    data: bytes
    length: int
    authenticator: bytes
    positions: dict[int, int]
    source: Source
    peer: Peer
    router: Router
    keys: SecretKeys | None  # what a verified Message-Authenticator proved, None when there was none
    arrived_s: float  # of its first copy, Unix seconds


class Pending(NamedTuple):
    """A decided request before its reply is made; as an answer: what it grants has yet to be claimed."""

    request: Request
    keys: SecretKeys  # which secret signs the reply
    login: LoginFacts
    record: bytes
    credential: Credential
    decision: Decision

    def __repr__(self) -> str:
        """Show whose it is, never the record with its password."""
        return f"Pending(login_id={self.login.login_id}, source={self.request.source!r})"


Answer = bytes | Discard | Pending
