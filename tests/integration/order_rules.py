"""What the tables of orders refuse, by the name of the rule: part of the list in test_erp_schema."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

_AT = datetime(2026, 7, 1, tzinfo=UTC)
ORDER: dict[str, Any] = {
    "family": UUID(int=1),
    "life": 0,
    "nas_id": 1,
    "source_address": "192.0.2.1",
    "nas_identifier": b"",
    "acct_session_id": "81",
    "user_name": "ana",
    "is_ppp": True,
    "kind": "disconnect",
    "cause": "block",
}
APPLIED = {"family": UUID(int=1), "life": 0, "fingerprint": 1, "evidence": "read"}
ORDER_TABLES: dict[str, dict[str, Any]] = {"net.network_order": ORDER}
ORDER_REFUSED: list[tuple[str, dict[str, Any], dict[str, Any], str | tuple[str, ...]]] = [
    *(
        ("net.network_order", ORDER, changes, f"network_order_{rule}")
        for rule, changes in (
            ("target_whole", {"user_name": None}),
            ("target_whole", {"line_id": 1}),
            ("kind_known", {"kind": "reboot"}),
            ("kind_known", {"kind": "block_line"}),
            ("cause_known", {"cause": "whim"}),
            ("change_whole", {"kind": "change", "wanted_fingerprint": 1}),
            ("end_whole", {"state": "done"}),
            ("end_whole", {"ended_at": _AT}),
            ("claim_whole", {"claimed_by": 1}),
            ("answers_form", {"answers": "{}"}),
            ("answers_form", {"answers": f"[{','.join(['1'] * 17)}]"}),
        )
    ),
    ("net.network_order", ORDER, {"target": "roof"}, ("network_order_target_known", "network_order_target_whole",
                                                      "network_order_kind_known")),
    ("net.network_order", ORDER, {"state": "lost"}, ("network_order_state_known", "network_order_end_whole")),
    ("net.session_applied", APPLIED, {"evidence": "hoped"}, "session_applied_evidence_known"),
]  # fmt: skip
