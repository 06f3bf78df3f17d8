"""The named statements about concentrators and router administrators, and which of them does what for the store."""

from pathlib import Path

from aaad.db.statements import load_statements

SQL = load_statements(Path(__file__).with_name("queries.sql"))

FIND = {"router_administrator": SQL.find_router_administrator}
SHOW = {"nas": SQL.show_nas, "router_administrator": SQL.show_router_administrator}
LINKS = {"nas": SQL.links_of_nas}
DELETE = {"nas": SQL.delete_nas, "router_administrator": SQL.delete_router_administrator}
QUESTIONS = frozenset(
    {"describe_attribute", "list_nases", "list_router_administrators", "rotate_secret", "add_secret"}
)
CHANGES = frozenset({"end_previous_secret", "delete_secret"})
