"""What was reported, as one value for each record: what it said, and whether a server acknowledged it.

Pure. Counters are told whole, also where the concentrator's wrap: it is what a server should find out.
"""

import ipaddress

from aaad.simulator.accounting import Record, Session, Status
from aaad.simulator.nas import Concentrator, Exchange
from aaad.simulator.request import StopCounters

_HEAD = 20


def record_values(
    concentrator: Concentrator, record: Record, exchange: Exchange, epoch_s: float
) -> dict[str, object]:
    """Return a record and what came of it; instants are Unix seconds, by the simulator's clock."""
    nas, session = concentrator.nas, record.session
    answered_at_s = exchange.answered_at_s
    values: dict[str, object] = {
        "status": record.status.name.lower(),
        "acknowledged": exchange.is_answered,
        "nas": nas.name,
        "source": nas.source,
        "at_s": round(epoch_s + record.at_s, 6),
        "event_timestamp": record.timestamp,
        "resends": exchange.resends,
        "last_sent_at_s": round(epoch_s + exchange.last_sent_at_s, 6) if exchange.datagram else None,
        "answered_at_s": None if answered_at_s is None else round(epoch_s + answered_at_s, 6),
        "attributes": exchange.datagram[_HEAD:].hex(),  # of the last datagram
    }
    if session is None:
        return values
    is_counted = record.status is not Status.STOP or nas.stop_counters is StopCounters.WHOLE
    return values | _of_session(record, session, is_counted=is_counted)


def _of_session(record: Record, session: Session, *, is_counted: bool) -> dict[str, object]:
    return {
        "session": session.number,  # tells apart what has the same Acct-Session-Id
        "acct_session_id": session.session_id.decode(),
        "user_name": session.subscriber.name,
        "session_time_s": int(record.age_s),
        "octets_in": record.octets_in if is_counted else None,
        "octets_out": record.octets_out if is_counted else None,
        "cause": None if record.cause is None else record.cause.value,
        "address": str(ipaddress.ip_address(session.address)) if session.address else None,
        "interim_s": session.interim_s,
    }
