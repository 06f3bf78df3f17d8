"""MS-CHAP as the peer and its concentrator do it: responses, proof of the server, encryption keys.

Pure. RFC 2433 (version 1), RFC 2759 (version 2), RFC 3079 (keys of MPPE). Each function carries the name that the
RFC gives it where there is one.
"""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

from aaad.simulator.des import Schedule, encipher, key_schedule
from aaad.simulator.md4 import md4

_PAD_1, _PAD_2 = bytes(40), b"\xf2" * 40
_MAGIC_MASTER = b"This is the MPPE Master Key"
_MAGIC_PROOF_1 = b"Magic server to client signing constant"
_MAGIC_PROOF_2 = b"Pad to make it do more than one iteration"
_MAGIC_CLIENT_SENDS = b"On the client side, this is the send key; on the server side, it is the receive key."
_MAGIC_SERVER_SENDS = b"On the client side, this is the receive key; on the server side, it is the send key."


@dataclass(frozen=True)
class Secret:
    """A password and what is made of it once."""

    password: str = field(repr=False)

    @cached_property
    def nt_hash(self) -> bytes:
        """NtPasswordHash."""
        return md4(self.password.encode("utf-16-le"))

    @cached_property
    def nt_hash_hash(self) -> bytes:
        """HashNtPasswordHash."""
        return md4(self.nt_hash)

    @cached_property
    def schedules(self) -> tuple[Schedule, Schedule, Schedule]:
        """The three keys of ChallengeResponse."""
        padded = self.nt_hash.ljust(21, b"\0")
        return key_schedule(padded[:7]), key_schedule(padded[7:14]), key_schedule(padded[14:])

    def challenge_response(self, challenge: bytes) -> bytes:
        """Return ChallengeResponse to 8 octets: the NT response of version 1, and a step of version 2."""
        return b"".join(encipher(schedule, challenge) for schedule in self.schedules)


def challenge_hash(peer_challenge: bytes, authenticator_challenge: bytes, user_name: bytes) -> bytes:
    """Return ChallengeHash. The name is taken without `DOMAIN\\` and otherwise as it was typed."""
    name = user_name.rpartition(b"\\")[2]
    return hashlib.sha1(peer_challenge + authenticator_challenge + name).digest()[:8]


def authenticator_response(secret: Secret, nt_response: bytes, challenge: bytes) -> bytes:
    """Return GenerateAuthenticatorResponse for what ChallengeHash gave: `S=` and 40 digits."""
    digest = hashlib.sha1(secret.nt_hash_hash + nt_response + _MAGIC_PROOF_1).digest()
    proof = hashlib.sha1(digest + challenge + _MAGIC_PROOF_2).hexdigest()
    return b"S=" + proof.upper().encode()


def master_key(secret: Secret, nt_response: bytes) -> bytes:
    """Return GetMasterKey."""
    return hashlib.sha1(secret.nt_hash_hash + nt_response + _MAGIC_MASTER).digest()[:16]


def server_keys(secret: Secret, nt_response: bytes) -> tuple[bytes, bytes]:
    """Return the start keys of 128 bits with which the server's side sends and receives."""
    master = master_key(secret, nt_response)
    return _start_key(master, _MAGIC_SERVER_SENDS), _start_key(master, _MAGIC_CLIENT_SENDS)


def _start_key(master: bytes, magic: bytes) -> bytes:
    return hashlib.sha1(master + _PAD_1 + magic + _PAD_2).digest()[:16]
