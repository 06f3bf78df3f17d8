"""`aaad spool adopt`: drain from here what another node's disk lost and this node's mirror of it has (rule R6.4).

Works on this node's files and needs PostgreSQL, which alone knows how far each spool is drained. A node that was
heard lately drains its own spool, so adopting that one takes a word more.
"""

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

from aaad.cli.cluster import NODE_LIVES_S, node_silences, opened
from aaad.cli.records import be_sure, fail
from aaad.cli.terminal import Terminal
from aaad.sessions.store import DrainStore
from aaad.spool.adoption import Adopted, CopyHeld, adopt
from aaad.spool.mirror_disk import Kept, kept_copies
from aaad.spool.segment import START, Cut, Position


def adopt_mirror(terminal: Terminal, node: str, *, is_forced: bool, is_sure: bool) -> None:
    """Make the copies of a node's spools slots of this node, which `sync` drains from where PostgreSQL has them."""
    _, state_dir = terminal.speak, terminal.config.node.state_dir
    every = kept_copies(state_dir / "mirror")
    copies = [kept for kept in every if kept.node == node]
    if not copies:
        nodes = ", ".join(sorted({kept.node for kept in every})) or "-"
        fail(terminal, _("This node mirrors no spool of {node}. It does of: {nodes}", node=node, nodes=nodes))
    silences, cursors, cuts = asyncio.run(_ask(terminal, [kept.spool_id for kept in copies]))
    silent_s = silences.get(node)
    if silent_s is not None and silent_s < NODE_LIVES_S and not is_forced:
        text = _(
            "Node {node} was heard lately: {age}. It drains its own spool; --force if its disk is lost.",
            node=node,
            age=terminal.age(silent_s),
        )
        fail(terminal, text)
    question = _(
        "Node {node} was last heard: {age}. Drain what this node mirrors of its spool, and mirror it no more?",
        node=node,
        age=terminal.age(silent_s),
    )
    be_sure(terminal, question, is_sure=is_sure)
    _tell(terminal, node, _adopt_all(terminal, copies, cursors, cuts, state_dir / "spool"))


async def _ask(
    terminal: Terminal, ids: list[UUID]
) -> tuple[dict[str, float | None], dict[UUID, Position], dict[UUID, list[Cut]]]:
    async with opened(terminal.config) as database:
        store = DrainStore(database, node=terminal.config.node.name)
        cuts = {spool_id: await store.load_cuts(spool_id) for spool_id in ids}
        return await node_silences(database), await store.load_cursors(ids), cuts


def _adopt_all(
    terminal: Terminal,
    copies: list[Kept],
    cursors: dict[UUID, Position],
    cuts: dict[UUID, list[Cut]],
    spool_root: Path,
) -> list[Adopted]:
    _ = terminal.speak
    done = []
    for kept in copies:
        try:
            cursor = cursors.get(kept.spool_id, START)
            done.append(adopt(kept, spool_root, cursor=cursor, cuts=cuts[kept.spool_id]))
        except CopyHeld:
            text = _("Node {node} is connected and writes its mirror just now: end it first.", node=kept.node)
            fail(terminal, text, adopted=[_row(one) for one in done])
        except OSError as error:
            fail(terminal, f"{kept.directory}: {error.strerror}", adopted=[_row(one) for one in done])
    return done


def _row(one: Adopted) -> dict[str, Any]:
    return {
        "slot_of_owner": one.kept.slot,
        "spool_id": str(one.kept.spool_id),
        "slot": one.slot or None,
        "records": one.records,
        "superseded": [{"slot": f"{one.slot}/{lot.name}", "records": lot.records} for lot in one.lots],
    }


def _tell(terminal: Terminal, node: str, done: list[Adopted]) -> None:
    _ = terminal.speak
    if terminal.options.is_json:
        terminal.json({"saved": True, "node": node, "adopted": [_row(one) for one in done]})
        return
    for one in done:
        if one.records:
            text = _(
                "{slot}: {count} records of it are drained from here now, as slot {new}.",
                slot=one.kept.slot,
                count=one.records,
                new=one.slot,
            )
            terminal.line(text, "green")
        else:
            terminal.line(_("{slot}: PostgreSQL has all of it already.", slot=one.kept.slot))
        for lot in one.lots:
            text = _(
                "{slot}: {count} records that its owner's own disk did not have any more lie aside and are NOT "
                "drained; to read them: aaad spool export FILE --slot {new}",
                slot=one.kept.slot,
                count=lot.records,
                new=f"{one.slot}/{lot.name}",
            )
            terminal.line(text, "yellow")
