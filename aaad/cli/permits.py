"""Whether the operator may: what `aaad.erp.permissions` says of a command, asked of PostgreSQL before it acts.

Who says no --operator is the operator named like his account, as for `whois`; with `cli.trust_local_account` he may
everything, since he could write the tables himself. A refusal names what is lacking.
"""

from collections.abc import Iterable
from typing import Any, NoReturn

from aaad.cli.terminal import Terminal
from aaad.db.connection import Queries
from aaad.erp import permissions
from aaad.erp.permissions import Permission
from aaad.erp.store import Store
from aaad.erp.values import Value

ACTIVE = "A"


def may_everything(terminal: Terminal) -> bool:
    """Whether nothing is asked: nobody is named, and the node trusts who is at it."""
    config = terminal.maybe_config
    return not terminal.options.operator and config is not None and config.cli.trust_local_account


class Permits:
    """What the operator of one command may do."""

    def __init__(self, terminal: Terminal, queries: Queries) -> None:
        """Ask nothing yet."""
        self._terminal = terminal
        self._store = Store(queries)
        self._standing: dict[str, Any] | None = None

    async def demand_command(self) -> None:
        """End with exit code 1 unless the operator has what the running command takes."""
        await self._demand(permissions.needed_for(self._terminal.command))

    async def demand(self, *commands: str) -> None:
        """End with exit code 1 unless the operator has what other commands take, which this one stands for."""
        needed = {one.number: one for command in commands for one in permissions.needed_for(command)}
        await self._demand(needed[number] for number in sorted(needed))

    async def demand_fields(self, table: str, row: dict[str, Value], *, is_new: bool) -> None:
        """End with exit code 1 unless the operator has what writing these columns takes."""
        await self._demand(permissions.needed_to_write(table, row, is_new=is_new))

    async def refuse_if_active(self, contract: dict[str, Any], command: str = "") -> None:
        """End with exit code 1 if the operator has what forbids the running command on an active contract.

        `command`: another one, which this one stands for.
        """
        forbidding = permissions.forbidding(command or self._terminal.command)
        if contract.get("status") != ACTIVE or not forbidding or may_everything(self._terminal):
            return
        held = await self._held()
        if found := [one for one in forbidding if one.name in held["permissions"]]:
            _ = self._terminal.speak
            text = _("Operator {operator} has the permission {permissions}, which forbids this on active contracts.",
                     operator=self._terminal.operator, permissions=_listed(found))  # fmt: skip
            self._refuse(text, found)

    async def demand_all(self) -> None:
        """End with exit code 1 unless the operator's group has all permissions, or no active operator's has.

        Who gives permissions could give himself any. The first one is given by whoever reaches the database.
        """
        if may_everything(self._terminal):
            return
        held = await self._held()
        if not held["has_all"] and held["is_guarded"]:
            _ = self._terminal.speak
            text = _("Operator {operator} may not: only a group with all permissions gives them.",
                     operator=self._terminal.operator)  # fmt: skip
            self._refuse(text, [])

    async def _demand(self, needed: Iterable[Permission]) -> None:
        wanted = list(needed)
        if not wanted or may_everything(self._terminal):
            return
        held = await self._held()
        if not (lacking := [one for one in wanted if one.name not in held["permissions"]]):
            return
        _ = self._terminal.speak
        known = {"operator": self._terminal.operator, "permissions": _listed(lacking)}
        if held["is_known"]:
            text = _("Operator {operator} lacks the permission {permissions}.", **known)
        else:
            text = _("There is no active operator {operator}; it takes the permission {permissions}.", **known)
        self._refuse(text, lacking)

    async def _held(self) -> dict[str, Any]:
        if self._standing is None:
            names = [one.name for one in permissions.PERMISSIONS]
            self._standing = await self._store.row("standing_of_operator", self._terminal.operator, names)
            assert self._standing is not None
        return self._standing

    def _refuse(self, text: str, about: list[Permission]) -> NoReturn:
        if self._terminal.options.is_json:
            names = [one.name for one in about]
            operator = self._terminal.operator
            self._terminal.json({"saved": False, "problem": text, "operator": operator, "permissions": names})
        else:
            self._terminal.complain(text)
        self._terminal.refuse()


def _listed(found: Iterable[Permission]) -> str:
    return ", ".join(f"“{one.name}” ({one.number})" for one in found)
