"""`aaad pool …`: pools as records, and their states.

A pool is written with its ranges in one transaction, or not at all. Who has an address keeps it: what would take one
away is refused, with whom it concerns.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aaad.cli.pool_words import holders_text, nodes_text, overlap_complaint, state_text
from aaad.cli.records import (
    Desk,
    Room,
    Saved,
    Words,
    add,
    be_sure,
    edit,
    fail,
    nothing_more,
    tell_saved,
    working,
)
from aaad.cli.terminal import Terminal
from aaad.erp.complaints import MISSING, Complaint
from aaad.erp.network.tables import POOL
from aaad.erp.values import Value
from aaad.errors import MistypedError
from aaad.pools.address import Range
from aaad.pools.operate import InTheWayError, Operations, operate

_LENGTHS = {"ipv4": 32, "ipv6": 64, "delegated": 56}
_LIVING = ("active", "draining")


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


RANGE_LABEL, EXCLUSION_LABEL = _("range"), _("exclusion")
_NO_RANGES = _("only a pool of kind radius has ranges")
_ANOTHERS = _("not of a pool of kind dualstack, which has only the names of others")


async def _complete(desk: Desk, row: dict[str, Value], row_id: int | None) -> None:
    """Fill in the usual prefix length, and check what depends on the kind."""
    if row_id is not None:
        return
    kind, family = row.get("kind"), row.get("family")
    told = {complaint.column for complaint in desk.complaints}
    if kind in ("radius", "nas") and family is None and "family" not in told:
        desk.complain(POOL.field("family"), MISSING)
    if kind == "dualstack" and family is not None:
        desk.complain(POOL.field("family"), _ANOTHERS)
    if kind == "radius" and isinstance(family, str) and row.get("prefix_length") is None:
        row["prefix_length"] = _LENGTHS[family]


ROOM = Room(POOL, _complete, nothing_more, lambda terminal, record: None)


class PoolDesk(NamedTuple):
    """A writing command on one pool."""

    desk: Desk
    operations: Operations


@asynccontextmanager
async def on_pool(terminal: Terminal, word: str) -> AsyncIterator[PoolDesk]:
    """Open a transaction in which a pool is locked."""
    async with working(terminal) as desk:
        pool_id = await desk.resolve("pool", word)
        yield PoolDesk(desk, await operate(desk.store.queries, pool_id))


def add_pool(terminal: Terminal, words: Words, ranges: Sequence[str], excluded: Sequence[str]) -> None:
    """Write a new pool with its ranges."""

    async def write(desk: Desk, row: dict[str, Value], row_id: int) -> None:
        operations = await operate(desk.store.queries, row_id)
        await _add_ranges(desk, operations, ranges)
        operations = await operate(desk.store.queries, row_id)
        for text in excluded:
            await _exclude(desk, operations, text)
        desk.stop_if_wrong()
        if row["kind"] == "radius" and not ranges:
            desk.warnings.append(_say(desk, _("The pool has no range yet: aaad pool range add.")))

    async def complete(desk: Desk, row: dict[str, Value], row_id: int | None) -> None:
        await _complete(desk, row, row_id)
        if (ranges or excluded) and row.get("kind") in ("nas", "dualstack"):
            desk.complaints.append(Complaint("range", RANGE_LABEL, _NO_RANGES))

    add(terminal, ROOM._replace(complete=complete, warn=write), words)


def _say(desk: Desk, english: str, **values: object) -> str:
    return desk.terminal.speak(english, **values)


async def _add_ranges(desk: Desk, operations: Operations, texts: Sequence[str]) -> list[Range]:
    """Write ranges; what is wrong with one becomes a complaint."""
    written = []
    for text in texts:
        try:
            new = operations.read_range(text)
            await operations.add_range(new)
            written.append(new)
        except MistypedError as error:
            desk.complaints.append(Complaint("range", RANGE_LABEL, error.english, error.values))
        except InTheWayError as error:
            desk.complaints.append(overlap_complaint(desk.terminal, text, error))
    return written


async def _exclude(desk: Desk, operations: Operations, text: str) -> None:
    try:
        for places in operations.places(text):
            await operations.exclude(places, None)
    except MistypedError as error:
        desk.complaints.append(Complaint("exclude", EXCLUSION_LABEL, error.english, error.values))


def add_ranges(terminal: Terminal, word: str, texts: Sequence[str]) -> None:
    """Give a pool further ranges."""

    async def write() -> Saved:
        async with on_pool(terminal, word) as (desk, operations):
            if operations.pool.kind != "radius":
                fail(terminal, terminal.speak(_NO_RANGES))
            await _add_ranges(desk, operations, texts)
            desk.stop_if_wrong()
            return await _saved(desk, operations)

    tell_saved(terminal, "pool", asyncio.run(write()))


async def _saved(desk: Desk, operations: Operations) -> Saved:
    return Saved(await desk.store.record("pool", operations.pool.id) or {}, desk.warnings, desk.shown_once)


def edit_pool(terminal: Terminal, word: str, words: Words) -> None:
    """Change what is given; who names the pool by its old name is told."""

    async def warn(desk: Desk, row: dict[str, Value], row_id: int) -> None:
        if "name" in row:
            record = await desk.store.record("pool", row_id) or {}
            if before["name"] != record["name"] and (count := sum(before["named_by"].values())):
                text = _("{count} logins, contracts, plans, concentrators or parameters still name {name}.")
                desk.warnings.append(_say(desk, text, count=count, name=before["name"]))

    async def complete(desk: Desk, row: dict[str, Value], row_id: int | None) -> None:
        assert row_id is not None
        before.update(await desk.store.record("pool", row_id) or {})

    before: dict[str, Any] = {}
    edit(terminal, ROOM._replace(complete=complete, warn=warn), word, words)


# --- states ---------------------------------------------------------------------------------------------------------


def drain(terminal: Terminal, word: str) -> None:
    """Give out nothing new of a pool; who has an address keeps it until he is gone."""
    _ = terminal.speak

    async def write() -> Saved:
        async with on_pool(terminal, word) as (desk, operations):
            if not await operations.set_state("draining", "active"):
                fail(terminal, _wrong_state(terminal, operations))
            holders = await operations.all_holders()
            if holders.total:
                text = _("{count} still have an address of it: {holders}", count=holders.total,
                         holders=holders_text(terminal, holders))  # fmt: skip
                desk.warnings.append(text)
            if names := await _needing(operations, desk):
                desk.warnings.append(
                    _("Logins are refused from now on where only this pool is named: {names}", names=names)
                )
            return await _saved(desk, operations)

    tell_saved(terminal, "pool", asyncio.run(write()))


async def _needing(operations: Operations, desk: Desk) -> str:
    """Return how many name this pool, in words; empty: nobody."""
    _ = desk.terminal.speak
    record = await desk.store.record("pool", operations.pool.id) or {}
    return naming_text(desk.terminal, record["named_by"])


def naming_text(terminal: Terminal, named_by: Mapping[str, int]) -> str:
    """Return who names a pool, in words; empty: nobody."""
    _ = terminal.speak
    words = {
        "logins": _("{n} logins"),
        "contracts": _("{n} contracts"),
        "plans": _("{n} plans"),
        "nases": _("{n} concentrators"),
        "parameters": _("{n} parameters"),
        "pools": _("{n} pools of kind dualstack"),
    }
    return ", ".join(words[kind].format(n=count) for kind, count in named_by.items() if count)


def resume(terminal: Terminal, word: str) -> None:
    """Give out addresses of a pool again."""

    async def write() -> Saved:
        async with on_pool(terminal, word) as (desk, operations):
            if not await operations.set_state("active", "draining", "retired"):
                fail(terminal, _wrong_state(terminal, operations))
            return await _saved(desk, operations)

    tell_saved(terminal, "pool", asyncio.run(write()))


def retire(terminal: Terminal, word: str) -> None:
    """End a drained pool: nobody has an address of it, and every node knows that none is given out."""
    _ = terminal.speak

    async def write() -> Saved:
        async with on_pool(terminal, word) as (desk, operations):
            pool = operations.pool
            if pool.state != "draining":
                fail(
                    terminal,
                    _wrong_state(terminal, operations, _("drain it first: aaad pool drain {name}", name=pool.name)),
                )
            holders = await operations.all_holders()
            if holders.total:
                text = _("Pool {name} is not retired: {count} still have an address of it: {holders}",
                         name=pool.name, count=holders.total, holders=holders_text(terminal, holders))  # fmt: skip
                fail(terminal, text, holders=[holder._asdict() for holder in holders.few], count=holders.total)
            if unaware := await operations.unaware():
                text = _("Pool {name} is not retired: not every node knows yet that it is drained: {nodes}",
                         name=pool.name, nodes=nodes_text(terminal, unaware))  # fmt: skip
                fail(terminal, text, nodes=[name for name, _silent_s in unaware])
            await operations.take_back_reserves()
            await operations.set_state("retired", "draining")
            return await _saved(desk, operations)

    tell_saved(terminal, "pool", asyncio.run(write()))


def _wrong_state(terminal: Terminal, operations: Operations, what: str = "") -> str:
    _ = terminal.speak
    text = _(
        "Pool {name} is {state}.", name=operations.pool.name, state=state_text(terminal.speak, operations.pool.state)
    )
    return f"{text[:-1]}: {what}." if what else text


def begin_adopting(terminal: Terminal, word: str) -> None:
    """Give out only what is proven unused: for a pool whose addresses live sessions may have."""

    async def write() -> Saved:
        async with on_pool(terminal, word) as (desk, operations):
            if not await operations.begin_adopting():
                _ = terminal.speak
                fail(terminal, _("Pool {name} is being adopted already.", name=operations.pool.name))
            return await _saved(desk, operations)

    tell_saved(terminal, "pool", asyncio.run(write()))


def end_adopting(terminal: Terminal, word: str, *, is_sure: bool) -> None:
    """Say that every address in use is known: all others are given out from now on."""
    _ = terminal.speak
    be_sure(
        terminal,
        _("Does the ledger know every address in use? The others of {name} will be given to anybody.", name=word),
        is_sure=is_sure,
    )

    async def write() -> Saved:
        async with on_pool(terminal, word) as (desk, operations):
            if not await operations.end_adopting():
                fail(terminal, _("Pool {name} is not being adopted.", name=operations.pool.name))
            return await _saved(desk, operations)

    tell_saved(terminal, "pool", asyncio.run(write()))
