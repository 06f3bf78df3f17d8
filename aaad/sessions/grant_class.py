"""What a Class of ours says: the octets that every Accept carries and accounting brings back (rule R4.6).

Pure. Who signs and verifies it is `ClassSigner` in `aaad/radius/reply.py`; here it is only read.
"""

from struct import Struct
from typing import NamedTuple

CLASS_VERSION = 1
# version, slot, node, serial of the grant, login, contract, plan, fingerprint of the grant, count of leases
CLASS_BODY = Struct("!BBIQIIIIB")
CLASS_SIGNATURE_SIZE = 8
CLASS_SIZE = CLASS_BODY.size + CLASS_SIGNATURE_SIZE
GRANT_KEY = slice(1, 14)  # slot, node and serial, within the body: which grant it is
_unpack = CLASS_BODY.unpack
_new_tuple = tuple.__new__


class ClassFacts(NamedTuple):
    """What a Class says of the grant that it was sent with."""

    version: int
    slot: int
    node: int
    serial: int
    login_id: int
    contract_id: int
    plan_id: int
    fingerprint: int
    leases: int


def class_facts(body: bytes) -> ClassFacts:
    """Return what a Class says, of its octets without the signature."""
    return _new_tuple(ClassFacts, _unpack(body))
