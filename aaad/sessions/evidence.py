"""Evidence files: an answer that was signed and recorded, and can be checked years later.

What is signed is one JSON document in its canonical form: keys in order, no spaces, UTF-8. Ed25519 (RFC 8032); the
key is made once and stays in `net.setting`, and nothing here shows it. A file is genuine if its octets are what was
signed, the signature fits, and `net.evidence` holds that same signature under its number: so a file signed by
somebody else's key is told, even though it is consistent in itself.
"""

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from aaad.db.connection import Queries
from aaad.errors import MistypedError, StoreError
from aaad.sessions.answer import Document
from aaad.sessions.instants import in_utc
from aaad.sessions.whois import SQL, Asker, Standing

FORMAT = "aaad evidence 1"
FILE_OCTETS_MAX = 256 * 1024 * 1024
_NUMBER_MAX = 2**31 - 1  # of PostgreSQL
_ALGORITHM = "Ed25519"
_FILE_KEYS = {"evidence", "signature"}
_SIGNATURE_KEYS = {"algorithm", "public_key", "sha256", "signature"}


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


class Verdict(StrEnum):
    """What checking a file came to."""

    GENUINE = "genuine"
    CHANGED = "changed"  # the octets are not those that were signed
    FORGED = "forged"  # the signature does not fit
    UNRECORDED = "unrecorded"  # it fits, but was not issued here


class Signed(NamedTuple):
    """A document and its signature."""

    document: Document
    sha256: bytes
    signature: bytes
    public_key: bytes


def canonical(document: object) -> bytes:
    """Return the octets of a document that are signed."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(document: object) -> bytes:
    """Return the SHA-256 of a document's canonical form."""
    return hashlib.sha256(canonical(document)).digest()


def compose(
    number: int, asker: Asker, here: Standing, answers: Sequence[Document], language: str, program: str
) -> Document:
    """Return the document to be signed."""
    return {
        "format": FORMAT,
        "number": number,
        "issued_at": in_utc(here.now),
        "issued_by": {"operator": asker.operator, "account": asker.account, "database_role": here.database_role},
        "order_number": asker.order_number,
        "reason": asker.reason,
        "documents_shown": here.sees_documents,
        "language": language,
        "program": program,
        "answers": list(answers),
    }


async def next_number(queries: Queries) -> int:
    """Return the number of the next evidence; one whose file could not be written stays unused."""
    row = await queries.fetchrow(SQL.next_evidence)
    if row is None:
        raise StoreError("PostgreSQL gives no number")
    return int(row["id"])


async def sign(queries: Queries, document: Document) -> Signed:
    """Sign a document with the cluster's key, which is made at the first time."""
    row = await queries.fetchrow(SQL.evidence_key)
    if row is None:
        await queries.execute(SQL.make_evidence_key, Ed25519PrivateKey.generate().private_bytes_raw())
        row = await queries.fetchrow(SQL.evidence_key)
    if row is None:
        raise StoreError("the key of evidence files was deleted while it was read")
    key = Ed25519PrivateKey.from_private_bytes(row["value"])
    octets = canonical(document)
    return Signed(document, hashlib.sha256(octets).digest(), key.sign(octets), key.public_key().public_bytes_raw())


async def record(queries: Queries, asker: Asker, signed: Signed) -> None:
    """Record the issue, in the transaction of the questions."""
    await queries.execute(
        SQL.record_evidence,
        signed.document["number"],
        asker.operator,
        asker.account,
        asker.order_number,
        asker.reason,
        signed.sha256,
        signed.signature,
        signed.public_key,
    )


def encode_file(signed: Signed) -> bytes:
    """Return the octets of an evidence file, laid out for people to read."""
    content = {
        "evidence": signed.document,
        "signature": {
            "algorithm": _ALGORITHM,
            "public_key": b64encode(signed.public_key).decode(),
            "sha256": signed.sha256.hex(),
            "signature": b64encode(signed.signature).decode(),
        },
    }
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()


def decode_file(content: bytes) -> Signed:
    """Return what a file holds, whether true or not; MistypedError if it is no evidence file."""
    try:
        loaded = json.loads(content, object_pairs_hook=_no_key_twice, parse_constant=_refuse_constant)
        if not _is_evidence(loaded):
            raise _no_evidence()
        canonical(loaded)  # strings may hold what is no text
        signature = loaded["signature"]
        return Signed(
            loaded["evidence"],
            bytes.fromhex(signature["sha256"]),
            b64decode(signature["signature"], validate=True),
            b64decode(signature["public_key"], validate=True),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _no_evidence() from None


async def verify(queries: Queries, found: Signed) -> Verdict:
    """Return what a file is."""
    octets = canonical(found.document)
    if hashlib.sha256(octets).digest() != found.sha256:
        return Verdict.CHANGED
    try:
        Ed25519PublicKey.from_public_bytes(found.public_key).verify(found.signature, octets)
    except (InvalidSignature, ValueError):
        return Verdict.FORGED
    row = await queries.fetchrow(SQL.find_evidence, found.document["number"])
    if row is None or (row["sha256"], row["signature"], row["public_key"]) != found[1:]:
        return Verdict.UNRECORDED
    return Verdict.GENUINE


def _is_evidence(loaded: Any) -> bool:
    signature, document = loaded["signature"], loaded["evidence"]
    return (
        set(loaded) == _FILE_KEYS
        and set(signature) == _SIGNATURE_KEYS
        and signature["algorithm"] == _ALGORITHM
        and document["format"] == FORMAT
        and type(document["number"]) is int
        and 0 < document["number"] <= _NUMBER_MAX
    )


def _no_evidence() -> MistypedError:
    return MistypedError(_("this is no evidence file, or it is damaged"))


def _no_key_twice(pairs: list[tuple[str, Any]]) -> Document:
    """Refuse a document that says a thing twice: one reader would see the first, another the last."""
    loaded = dict(pairs)
    if len(loaded) != len(pairs):
        raise ValueError("a key is there twice")
    return loaded


def _refuse_constant(word: str) -> None:
    raise ValueError(word)
