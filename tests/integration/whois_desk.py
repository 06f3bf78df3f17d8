"""A database with sessions and the command line on it, for tests of the legal question."""

import json
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
from one_connection import connection
from typing_person import type_line

from aaad.cli.options import Options
from aaad.db.embedded import EmbeddedPostgres

SEED = """
INSERT INTO erp.branch (id, name, time_zone) VALUES
    (10, 'Matriz', 'America/Sao_Paulo'), (11, 'Acre', 'America/Rio_Branco');
INSERT INTO erp.plan (id, name, upload, download) VALUES (20, 'Fibra', '150M', '300M');
INSERT INTO erp.client (id, branch_id, kind, name, document) VALUES
    (123, 10, 'F', 'Ana Souza', '52998224725'), (31, 10, 'J', 'Padaria Sol', '12ABC34501DE35');
INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status) VALUES
    (40, 123, 10, 20, 'A'), (41, 31, 10, 20, 'A');
INSERT INTO erp.login (id, contract_id, name, password) VALUES (50, 40, 'ana@fibra', 'x'), (51, 41, 'padaria', 'x');
INSERT INTO net.nas (id, name, address, secret) VALUES (1, 'bras-1', '192.0.2.1/32', 'secret');
INSERT INTO erp.operator_group (id, name) VALUES (80, 'Jurídico');
INSERT INTO erp.operator_group_permission (group_id, permission_id) VALUES (80, 40);
INSERT INTO erp.operator (name, group_id) VALUES ('juliana', 80), ('maria', NULL);
"""
HELD = {
    "acct_session_id": "81a00001",
    "user_name": "ana@fibra",
    "login_id": 50,
    "contract_id": 40,
    "client_id": 123,
    "plan_id": 20,
    "branch_id": 10,
    "time_zone": "America/Sao_Paulo",
    "nas_id": 1,
    "source_address": "192.0.2.1",
    "nas_identifier": b"bras-1",
    "nas_port_id": "ether3.204",
    "mac": "00:1a:2b:3c:4d:5e",
    "ipv4_evidence": "reported",
    "summary": b"",
    "start_seen": True,
    "life": 0,
    "records": 3,
}
_numbers = count(1)


class Ran:
    def __init__(self, exit_code: int, output: str, complaint: str) -> None:
        self.exit_code = exit_code
        self.output = output
        self.complaint = complaint


class Desk:
    """A database with its command line."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self.dsn = dsn
        self.config = folder / "aaad.toml"
        self.config.write_text(f'[database]\ndsn = "{dsn}"\n')

    def __call__(
        self, *words: object, operator: str | None = "maria", as_json: bool = False, language: str = "en"
    ) -> Ran:
        options = Options(self.config, language, as_json, operator)
        result = type_line(options, [str(word) for word in words])
        return Ran(result.exit_code, result.stdout, result.stderr)

    def ask(self, *words: object, code: int = 0, operator: str = "maria") -> dict[str, Any]:
        """Return the answer to one question."""
        ran = self("whois", *words, as_json=True, operator=operator)
        assert ran.exit_code == code, ran.output + ran.complaint
        (answer,) = json.loads(ran.output)["answers"]
        return answer

    def sql(self, text: str, *arguments: object) -> list[asyncpg.Record]:
        return connection(self.dsn).fetch(text, *arguments)

    def session(
        self, start: str, heard: str, end: str | None = None, latest: str | None = None, **facts: Any
    ) -> None:
        """Write a session: it goes on, or ended at `end` and perhaps as late as `latest`; `kept`: in history."""
        place = "net.session_history" if facts.pop("kept", False) else "net.session"
        evidence = facts.pop("end_evidence", "stop") if end else None
        row = HELD | facts
        row |= {"acct_session_id": f"{next(_numbers):08x}"} if "acct_session_id" not in facts else {}
        for name in ("ipv6_prefix", "delegated_ipv6_prefix"):
            if name in row:
                row.setdefault(f"{name}_evidence", "granted")
        times = {
            "started_at": start,
            "heard_at": heard,
            "ended_at": end,
            "ended_latest": latest or end,
            "end_evidence": evidence,
        }
        values = {
            name: f"'{value}'" if isinstance(value, str) else "NULL" if value is None else value
            for name, value in (row | times).items()
        }
        values |= {name: f"'\\x{row[name].hex()}'" for name in ("summary", "nas_identifier")}
        self.sql(
            f"INSERT INTO {place} (family, {', '.join(values)}) "
            f"VALUES (gen_random_uuid(), {', '.join(str(value) for value in values.values())})"
        )


def make_desk(postgres: EmbeddedPostgres, template: str, name: str, folder: Path) -> Desk:
    Desk(postgres.dsn("postgres"), folder).sql(f"CREATE DATABASE {name} TEMPLATE {template}")
    desk = Desk(postgres.dsn(name), folder)
    connection(desk.dsn).execute(SEED)
    return desk
