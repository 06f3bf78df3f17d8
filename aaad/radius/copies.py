"""What a peer asked before: copies of a request, what its NAS no longer waits for, and what is too much in a backlog.

Pure. Rules R2.2 (a copy may be answered with the next candidate) and R3.3 (what is late is dropped, copies join the
one in work); RFC 5080, 2.2.2.
"""

from aaad.policy.codes import Discard
from aaad.radius.packet import AUTHENTICATOR
from aaad.radius.proof import signed_by_next
from aaad.radius.request import Answer, Request
from aaad.radius.routers import Neighbourhood, Peer, Remembered, Router
from aaad.radius.shares import Shares

GIVEN_UP = b""  # remembered as the reply of a request that is to be decided anew when its next copy comes
_BACKLOG_ANSWERS_PER_S = 20_000  # what sources share in a backlog: below what one process can answer


class Copies:
    """The last requests of each peer, kept with the peers."""

    def __init__(self, neighbourhood: Neighbourhood) -> None:
        """Begin with nothing counted."""
        self._hood = neighbourhood
        self._shares = Shares(_BACKLOG_ANSWERS_PER_S)
        self.resent = 0  # copies answered as before, until the service counts them

    def remember(self, request: Request, reply: bytes | None) -> None:
        """Remember the reply of a request; None: it is in work."""
        arrived_s = request.arrived_s
        is_proven = request.router.last_heard_s >= arrived_s
        request.peer.remembered[request.data[1]] = Remembered(request.authenticator, reply, arrived_s, is_proven)

    def is_awaited(self, request: Request) -> bool:
        """Tell whether the NAS may still wait: it has not used the Identifier for another request since."""
        copy = request.peer.remembered[request.data[1]]
        return copy is not None and copy.authenticator == request.authenticator

    def give_up(self, request: Request) -> None:
        """Let the next copy of a request in work be decided anew: what this one needed could not be had."""
        if self.is_awaited(request):
            self.remember(request, GIVEN_UP)

    def backlogged(self, data: bytes, peer: Peer, first_arrival_s: float, now_s: float) -> Discard | None:
        """Drop what its NAS no longer waits for, and in a backlog what is over one source's share (rule R3.3).

        Copies of a late request are as late. Addresses that proved no secret may be invented: all are one source.
        """
        if now_s - first_arrival_s > peer.nas.deadline_s:
            peer.remembered[data[1]] = Remembered(data[AUTHENTICATOR], None, first_arrival_s)
            peer.heard_at_s = now_s
            if peer.router is not None:
                peer.router.statistics.late += 1
            return Discard.LATE
        is_known = peer.source_address in self._hood.proven_addresses
        return None if self._shares.has_room_for(peer.source_address if is_known else "") else Discard.OVERLOAD

    def again(self, data: bytes, peer: Peer, router: Router, copy: Remembered, *, signed: bool) -> Answer:
        """Answer a copy as before (RFC 5080, 2.2.2).

        Where nothing proved a secret, the NAS may have thrown the first reply away because another one signed it:
        the copy is answered with the next candidate (rule R2.2). A fitting PAP password proved it, too.
        """
        if copy.reply is None:
            return Discard.DUPLICATE_IN_WORK
        router.statistics.resent += 1
        self.resent += 1
        if signed or copy.is_proven:
            return copy.reply
        router.doubt(copy.first_arrival_s, resent=1)
        if len(router.nas.keys) == 1:
            return copy.reply
        reply = signed_by_next(copy.reply, copy.authenticator, router.nas.keys)
        peer.remembered[data[1]] = copy._replace(reply=reply)
        return reply

    def begin_second(self) -> None:
        """Begin the second's shares anew."""
        self._shares.begin_second()
