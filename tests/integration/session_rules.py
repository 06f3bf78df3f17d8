"""What the tables of sessions refuse, by the name of the rule: part of the list in test_erp_schema."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

AT = datetime(2026, 7, 1, tzinfo=UTC)
LATER = AT + timedelta(hours=1)
SESSION: dict[str, Any] = {
    "family": UUID(int=1),
    "life": 0,
    "summary": b"",
    "acct_session_id": "81",
    "user_name": "ana",
    "time_zone": "America/Sao_Paulo",
    "nas_id": 1,
    "source_address": "192.0.2.1",
    "nas_identifier": b"",
    "started_at": AT,
    "start_seen": True,
    "heard_at": LATER,
    "records": 1,
}
ENDED = {"ended_at": LATER, "ended_latest": LATER, "end_evidence": "stop"}
RESTART = {"nas_id": 1, "source_address": "192.0.2.1", "nas_identifier": b"", "at": AT, "kind": "on"}
LEGAL_HOLD = {"reason": "order 7"}

SESSION_REFUSED = [
    ("net.session", SESSION, {"ended_at": LATER}, "session_end_whole"),
    ("net.session", SESSION, ENDED | {"end_evidence": "guess"}, "session_end_evidence_known"),
    ("net.session", SESSION, ENDED | {"ended_at": AT - timedelta(1)}, "session_ends_after_start"),
    ("net.session", SESSION, {"days": [AT.date()]}, "session_days_whole"),
    ("net.session", SESSION, {"ipv4": "192.0.2.9", "ipv4_evidence": "heard"}, "address_evidence_known"),
    ("net.nas_restart", RESTART, {"kind": "reboot"}, "nas_restart_kind_known"),
    ("net.legal_hold", LEGAL_HOLD, {"since": LATER, "until": AT}, "legal_hold_in_order"),
    ("net.legal_hold", LEGAL_HOLD, {"reason": " order 7"}, "legal_hold_reason_form"),
    ("net.legal_hold", LEGAL_HOLD, {"released_at": AT}, "legal_hold_release_whole"),
    (
        "net.legal_hold",
        LEGAL_HOLD,
        {"released_at": AT, "released_by": "x", "release_reason": ""},
        "legal_hold_release_reason_form",
    ),
]
SESSION_TABLES = {"net.legal_hold": LEGAL_HOLD}  # with an id
