"""What the tables of pools and of the ledger refuse: part of the list in test_erp_schema, in its pool and range."""

from datetime import UTC, datetime
from typing import Any

AT = datetime(2026, 7, 1, tzinfo=UTC)
POOL_OF_SCHEMA = """
INSERT INTO net.node (name) VALUES ('n0');
INSERT INTO net.pool (name, kind, family, prefix_length)
    VALUES ('p1', 'radius', 'ipv4', 32), ('p6', 'radius', 'ipv6', 64);
INSERT INTO net.pool_range (pool_id, first, last) VALUES (1, '198.18.0.0', '198.18.0.255');
"""

POOL: dict[str, Any] = {"name": "p", "kind": "radius", "family": "ipv4", "prefix_length": 32}
NAMED: dict[str, Any] = {"name": "p", "kind": "nas", "family": "ipv4"}
POOL_RANGE: dict[str, Any] = {"pool_id": 1, "first": "198.19.0.0", "last": "198.19.0.255"}
POOL_EXCLUSION: dict[str, Any] = {"range_id": 1, "from_unit": 3, "until_unit": 5}
LOGIN: dict[str, Any] = {"contract_id": 1, "name": "bia", "password": "secret"}
CONTRACT: dict[str, Any] = {"client_id": 1, "branch_id": 1}
NAS: dict[str, Any] = {"name": "bras-1", "address": "192.0.2.1/32", "secret": "testing123"}
LEASE: dict[str, Any] = {"address_space": 1, "address": "198.18.0.7/32", "state": "foreign"}
RELEASED = {"state": "released", "pool_id": 1, "released_at": AT}
RESERVE: dict[str, Any] = {"pool_id": 1, "node_id": 1, "slot": 0, "life": "00000000-0000-0000-0000-000000000001"}
SPAN = {"range_id": 1, "from_unit": 0, "until_unit": 4}
ADDRESS_FINDING: dict[str, Any] = {"address_space": 1, "address": "198.18.0.7/32", "kind": "twice"}

POOLS = [
    ({"name": ""}, "pool_name_form"),
    ({"name": "ç"}, "pool_name_form"),
    ({"address_space": 0}, "pool_address_space_range"),
    ({"address_space": 2147483647}, "pool_address_space_range"),
    ({"kind": "x"}, ("pool_kind_known", "pool_prefix_length_range")),
    ({"family": "ipv5"}, "address_family_known"),
    ({"family": None}, ("pool_family_unless_dualstack", "pool_prefix_length_range")),
    ({"prefix_length": None}, "pool_prefix_length_range"),
    ({"prefix_length": 7}, "pool_prefix_length_range"),
    ({"prefix_length": 33}, "pool_prefix_length_range"),
    ({"family": "ipv6", "prefix_length": 15}, "pool_prefix_length_range"),
    ({"family": "delegated", "prefix_length": 129}, "pool_prefix_length_range"),
    ({"state": "closed"}, "pool_state_known"),
    ({"valid_s": 299}, "pool_valid_range"),
    ({"quarantine_s": -1}, "pool_quarantine_range"),
    ({"offer_s": 29}, "pool_offer_range"),
    ({"reserve_size": 0}, "pool_reserve_range"),
    ({"reserve_size": 4097}, "pool_reserve_range"),
    ({"alarm_percent": 0}, "pool_alarm_range"),
    ({"alarm_percent": 101}, "pool_alarm_range"),
    ({"ipv4_pool_id": 1}, "pool_members_of_dualstack"),
    ({"kind": "dualstack", "family": None, "prefix_length": None}, "pool_members_of_dualstack"),
]

ADDRESS_REFUSED: list[tuple[str, dict[str, Any], dict[str, Any], Any]] = [
    *(("net.pool", POOL, values, rule) for values, rule in POOLS),
    ("net.pool", NAMED, {"prefix_length": 32}, "pool_prefix_length_range"),
    ("net.pool", POOL, {"name": "p1"}, "pool_name_unique"),
    ("net.pool_range", POOL_RANGE, {"last": "198.18.255.255"}, "pool_range_ascends"),
    ("net.pool_range", POOL_RANGE, {"first": "198.18.0.9"}, "pool_range_once"),
    ("net.pool_range", POOL_RANGE, {"next": 257}, "pool_range_next_range"),
    ("net.pool_range", POOL_RANGE, {"next": -1}, "pool_range_next_range"),
    ("net.pool_range", {"pool_id": 2}, {"first": "2400::", "last": "2fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
     "pool_range_units_range"),
    ("net.pool_exclusion", POOL_EXCLUSION, {"from_unit": -1}, "pool_exclusion_ascends"),
    ("net.pool_exclusion", POOL_EXCLUSION, {"from_unit": 5}, "pool_exclusion_ascends"),
    ("net.pool_exclusion", POOL_EXCLUSION, {"until_unit": 257}, "pool_exclusion_in_range"),
    ("net.lease", LEASE, {"state": "lost"}, "lease_state_known"),
    ("net.lease", LEASE, {"state": "fixed"}, "lease_holder"),
    ("net.lease", LEASE, {"state": "bound", "login_id": 1, "pool_id": 1, "offered_at": AT}, "lease_bound_whole"),
    ("net.lease", LEASE, RELEASED, "lease_released_whole"),
    ("net.reserve", RESERVE, {}, "reserve_one_form"),
    ("net.reserve", RESERVE, SPAN | {"addresses": ["198.18.0.7/32"]}, "reserve_one_form"),
    ("net.reserve", RESERVE, SPAN | {"until_unit": None}, "reserve_one_form"),
    ("net.reserve", RESERVE, SPAN | {"until_unit": 0}, "reserve_units_ascend"),
    ("net.address_finding", ADDRESS_FINDING, {"kind": "odd"}, "address_finding_kind_known"),
    *(
        (f"{schema}.{table}", defaults, {column: "ç"}, f"{table}_{column}_form")
        for schema, table, defaults, columns in (
            ("erp", "contract", CONTRACT, ()),
            ("net", "nas", NAS, ("secondary_pool",)),
        )
        for column in ("ipv4_pool", "ipv6_pool", "delegated_ipv6_pool", *columns)
    ),
    ("erp.login", LOGIN, {"address_space": 0}, "login_address_space_range"),
]  # fmt: skip

ADDRESS_TABLES = {  # with an id
    "net.pool": POOL,
    "net.pool_range": POOL_RANGE,
    "net.pool_exclusion": POOL_EXCLUSION,
    "net.reserve": RESERVE | SPAN,
    "net.address_finding": ADDRESS_FINDING,
}
