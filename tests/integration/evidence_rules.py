"""What the tables of evidence and of devices that push each other out refuse: part of the list in test_erp_schema."""

from datetime import UTC, datetime, timedelta
from typing import Any

AT = datetime(2026, 7, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
CGNAT_MAP: dict[str, Any] = {
    "name": "pop-1",
    "private_first": "100.64.0.0",
    "private_last": "100.64.0.3",
    "public_first": "192.0.2.8",
    "public_last": "192.0.2.9",
    "port_first": 1024,
    "port_last": 65535,
    "ports_each": 32256,
    "valid_from": AT,
    "added_by": "maria",
}
EVIDENCE: dict[str, Any] = {
    "operator": "maria",
    "account": "maria",
    "order_number": "7",
    "reason": "order of the court",
    "sha256": bytes(32),
    "signature": bytes(64),
    "public_key": bytes(32),
}
INQUIRY: dict[str, Any] = {
    "operator": "maria",
    "account": "maria",
    "question": "{}",
    "candidates": 0,
    "logins": [],
    "documents_shown": False,
    "answer_sha256": bytes(32),
}
LOGIN_CONTEST: dict[str, Any] = {
    "login_id": 1,
    "mac": "02:00:00:00:00:0a",
    "nas_id": 1,
    "other_mac": "02:00:00:00:00:0b",
    "replacements": 5,
    "began_at": AT,
    "until": AT + SECOND,
}

CGNAT_MAPS = [
    ({"name": ""}, "name_no_outer_space"),
    ({"name": " pop-1"}, "name_no_outer_space"),
    ({"address_space": 0}, "address_space_range"),
    ({"address_space": 2147483647}, "address_space_range"),
    *(({end: "2001:db8::1"}, "addresses_are_ipv4") for end in CGNAT_MAP if end.startswith(("private_", "public_"))),
    ({"private_first": "100.64.0.0/30"}, "addresses_are_ipv4"),
    ({"public_last": "192.0.2.9/31"}, "addresses_are_ipv4"),
    ({"private_first": "100.64.0.4"}, "ranges_ascend"),
    ({"public_first": "192.0.2.10"}, "ranges_ascend"),
    ({"port_first": 0}, "ports_range"),
    ({"port_last": 65536}, "ports_range"),
    ({"ports_each": 0}, "ports_each_range"),
    ({"ports_each": 64513}, "ports_each_range"),
    ({"layout": "random"}, "layout_known"),
    ({"private_last": "100.64.0.4"}, "room_for_all"),
    ({"ports_each": 32257}, "room_for_all"),
    ({"nth": 1}, "nth_of_one"),
    ({"nth": -1, "private_last": "100.64.0.0"}, "nth_of_one"),
    ({"valid_until": AT - SECOND, "ended_by": "maria", "ended_at": AT}, "ends_after_start"),
    ({"valid_until": AT}, "end_whole"),
    ({"valid_until": AT, "ended_at": AT}, "end_whole"),
    ({"ended_by": "maria", "ended_at": AT}, "end_whole"),
]
EVIDENCES = [
    ({"operator": ""}, "operator_named"),
    ({"order_number": ""}, "order_number_no_outer_space"),
    ({"order_number": "7 "}, "order_number_no_outer_space"),
    ({"reason": ""}, "reason_no_outer_space"),
    ({"reason": " order"}, "reason_no_outer_space"),
    ({"sha256": bytes(31)}, "sizes"),
    ({"signature": bytes(65)}, "sizes"),
    ({"public_key": b""}, "sizes"),
]
INQUIRIES = [
    ({"operator": ""}, "operator_named"),
    ({"answer_sha256": bytes(33)}, "sizes"),
    ({"evidence_id": 99}, "evidence_id_fkey"),
]
LOGIN_CONTESTS = [
    ({"other_mac": "02:00:00:00:00:0a"}, "devices_differ"),
    ({"until": AT}, "in_order"),
    ({"replacements": 0}, "replacements_range"),
]

EVIDENCE_REFUSED = [
    *(("net.cgnat_map", CGNAT_MAP, values, f"cgnat_map_{rule}") for values, rule in CGNAT_MAPS),
    *(("net.evidence", EVIDENCE, values, f"evidence_{rule}") for values, rule in EVIDENCES),
    *(("net.inquiry", INQUIRY, values, f"inquiry_{rule}") for values, rule in INQUIRIES),
    *(("net.login_contest", LOGIN_CONTEST, values, f"login_contest_{rule}") for values, rule in LOGIN_CONTESTS),
]
EVIDENCE_TABLES = {"net.cgnat_map": CGNAT_MAP, "net.evidence": EVIDENCE, "net.inquiry": INQUIRY}  # with an id
