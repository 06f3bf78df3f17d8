"""`aaad pool range remove`, `exclude`, `include`: what a pool consists of, changed under way.

Who has an address keeps it. A range goes only without anybody in it; what is excluded is given to nobody new, and who
has it, or has set it aside, is told.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from aaad.cli.pool_words import aside_text, holders_text, span_text
from aaad.cli.pools import on_pool
from aaad.cli.records import be_sure, fail
from aaad.cli.terminal import Terminal
from aaad.erp.values import one_line
from aaad.errors import MistypedError
from aaad.pools.operate import Excluded, Holders, InTheWayError, Operations, Places, SetAside

_REASON_LENGTH_MAX = 500


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


_REASON_ALLOWED = _("{option}: {word} is not valid. Allowed: one line of 1 to {length} characters")


def read_reason(option: str, word: str) -> str:
    """Return a reason as it was typed; MistypedError if it is none."""
    try:
        text = one_line(word)
    except ValueError:
        text = ""
    if not 0 < len(text) <= _REASON_LENGTH_MAX:
        raise MistypedError(_REASON_ALLOWED, option=option, word=repr(word), length=_REASON_LENGTH_MAX)
    return text


def remove(terminal: Terminal, word: str, text: str, *, is_sure: bool) -> None:
    """Take addresses out of a pool for good; end with 1 if somebody has any, and say who."""
    _ = terminal.speak
    be_sure(terminal, _("Take {text} out of pool {pool} for good?", text=text, pool=word), is_sure=is_sure)

    async def write() -> list[str]:
        async with on_pool(terminal, word) as (_desk, operations):
            gone = []
            for places in operations.places(text):
                try:
                    await operations.remove(places)
                except InTheWayError as found:
                    _refuse(terminal, operations, span_text(*places.ends()), found)
                gone.append(span_text(*places.ends()))
            return gone

    gone = asyncio.run(write())
    if terminal.options.is_json:
        terminal.json({"saved": True, "removed": gone})
    else:
        terminal.line(_("Removed: {ranges}.", ranges=", ".join(gone)))


def _refuse(terminal: Terminal, operations: Operations, span: str, found: InTheWayError) -> None:
    _ = terminal.speak
    told = []
    if found.holders.total:
        told.append(
            _(
                "{count} are in use: {holders}",
                count=found.holders.total,
                holders=holders_text(terminal, found.holders),
            )
        )
    if found.set_aside:
        told.append(_("processes have set some aside: {reserves}", reserves=aside_text(terminal, found.set_aside)))
    fail(
        terminal,
        _(
            "{span} stays in pool {pool}: {why}. `aaad pool exclude` keeps them from being given to anybody new.",
            span=span,
            pool=operations.pool.name,
            why="; ".join(told),
        ),
        holders=[holder._asdict() for holder in found.holders.few],
        count=found.holders.total,
        reserves=[one._asdict() for one in found.set_aside],
    )


def exclude(terminal: Terminal, word: str, texts: Sequence[str], why: str | None) -> None:
    """Give addresses out to nobody new; say who has some of them, and who had set some aside."""
    reason = read_reason("--why", why) if why is not None else None

    async def write() -> dict[str, Any]:
        async with on_pool(terminal, word) as (_desk, operations):
            done = [await operations.exclude(places, reason) for places in _all_places(operations, texts)]
            return _summed(operations, done)

    result = asyncio.run(write())
    holders: Holders = result.pop("found")
    set_aside: list[SetAside] = result.pop("aside")
    if terminal.options.is_json:
        terminal.json({"saved": True, **result})
        return
    _ = terminal.speak
    terminal.line(
        _("{count} more are excluded from pool {pool}.", count=result["count"], pool=result["pool"]), "green"
    )
    if holders.total:
        terminal.complain(
            _(
                "Warning: {count} of them are in use, and stay so until their holders are gone: {holders}",
                count=holders.total,
                holders=holders_text(terminal, holders),
            )
        )
    if set_aside:
        terminal.complain(
            _(
                "Warning: processes had set some aside, and cannot give them out any more: {reserves}. Only a node "
                "that does not reach PostgreSQL now may do so before it hears of it.",
                reserves=aside_text(terminal, set_aside),
            )
        )


def _all_places(operations: Operations, texts: Sequence[str]) -> list[Places]:
    return [places for text in texts for places in operations.places(text)]


def _summed(operations: Operations, done: list[Excluded]) -> dict[str, Any]:
    few = [holder for one in done for holder in one.holders.few]
    holders = Holders(few[: max(len(one.holders.few) for one in done) or 1], sum(one.holders.total for one in done))
    aside = [taken for one in done for taken in one.set_aside]
    return {
        "pool": operations.pool.name,
        "count": sum(one.units for one in done),
        "in_use": holders.total,
        "holders": [holder._asdict() for holder in holders.few],
        "set_aside": [one._asdict() for one in aside],
        "found": holders,
        "aside": aside,
    }


def include(terminal: Terminal, word: str, texts: Sequence[str]) -> None:
    """Give addresses out again that were excluded; end with 1 if none was."""

    async def write() -> tuple[str, int]:
        async with on_pool(terminal, word) as (_desk, operations):
            count = 0
            for places in _all_places(operations, texts):
                count += await operations.include(places)
            return operations.pool.name, count

    pool, count = asyncio.run(write())
    _ = terminal.speak
    if not count:
        fail(terminal, _("None of them is excluded from pool {pool}.", pool=pool))
    if terminal.options.is_json:
        terminal.json({"saved": True, "pool": pool, "count": count})
    else:
        terminal.line(_("{count} are not excluded from pool {pool} any more.", count=count, pool=pool), "green")
