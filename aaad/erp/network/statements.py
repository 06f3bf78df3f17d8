"""The named statements about concentrators, router administrators and legal holds, and what each is for."""

from pathlib import Path

from aaad.db.statements import load_statements

SQL = load_statements(Path(__file__).with_name("queries.sql"))

FIND = {"router_administrator": SQL.find_router_administrator, "pool": SQL.find_pool}
SHOW = {
    "nas": SQL.show_nas,
    "router_administrator": SQL.show_router_administrator,
    "legal_hold": SQL.show_legal_hold,
    "pool": SQL.show_pool,
}
LINKS = {"nas": SQL.links_of_nas, "pool": SQL.links_of_pool}
DELETE = {
    "nas": SQL.delete_nas,
    "router_administrator": SQL.delete_router_administrator,
    "pool": SQL.delete_pool,
}
QUESTIONS = frozenset(
    {
        "add_secret",
        "describe_attribute",
        "expected_of_router",
        "find_router_access",
        "logins_among",
        "list_legal_holds",
        "list_nases",
        "list_router_administrators",
        "rotate_secret",
    }
)
CHANGES = frozenset({"end_previous_secret", "delete_secret", "release_legal_hold"})
