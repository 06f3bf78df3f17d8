"""`aaad status`: this node by its own files and counters, the others by PostgreSQL, and what wants attention first.

Works with PostgreSQL dead, and with the node dead: then the files that it left are read.
"""

import asyncio
from typing import Any

import msgspec

from aaad.cli.cluster import NODE_LIVES_S, Overview, overview
from aaad.cli.local_node import Heard, LocalNode
from aaad.cli.router_words import router_problem_text, unknown_source_text
from aaad.cli.terminal import Terminal
from aaad.daemon.node_facts import ROLE_SILENT_S, MirrorFacts, NodeFacts, mirrors, role_ages_s
from aaad.daemon.router_problems import find_router_problems
from aaad.errors import ConfigError, StoreError
from aaad.pools.facts import LedgerFacts
from aaad.spool.mirror_course import Stage

_UNKNOWN_SOURCES_SHOWN = 5  # all: aaad nas problems
_CONTESTS_SHOWN = 10
_POOLS_SHOWN = 10
_REPLICA_OLD_S = 10.0  # a change is live within 1 s; ten times that is no hiccup


def status(terminal: Terminal) -> None:
    """Show the state, and end with 1 if this node does not serve."""
    heard = LocalNode(terminal.local_config).facts()
    cluster: Overview | None = None
    database_problem: str | None = None
    try:
        cluster = asyncio.run(overview(terminal.config))
    except (StoreError, ConfigError) as error:
        database_problem = terminal.problem(error)
    problems = find_problems(terminal, heard.facts, cluster, database_problem)
    if terminal.options.is_json:
        terminal.json(_document(heard, cluster, database_problem, problems))
    else:
        _Report(terminal, heard, cluster).print(problems)
    if not is_serving(heard.facts):
        terminal.refuse()


def is_serving(facts: NodeFacts) -> bool:
    """Whether this node answers requests: a complete replica, and every radius process alive."""
    radius = [age_s for slot, age_s in role_ages_s(facts).items() if slot.startswith("radius-")]
    return facts.replica.is_complete and bool(radius) and min(radius) < ROLE_SILENT_S


def find_problems(
    terminal: Terminal, facts: NodeFacts, cluster: Overview | None, database_problem: str | None
) -> list[str]:
    """Return what wants attention, in the terminal's language."""
    _, replica = terminal.speak, facts.replica
    found = []
    if database_problem is not None:
        found.append(_("PostgreSQL could not be asked: {problem}", problem=database_problem))
    if not replica.is_complete:
        found.append(_("This node has no complete copy of the logins: it answers nobody."))
    elif replica.age_s is None or replica.age_s > _REPLICA_OLD_S:
        found.append(
            _("The copy of the logins is not being renewed; its age: {age}.", age=terminal.age(replica.age_s))
        )
    if replica.held_count and (cluster is None or cluster.hold is None):
        found.append(_("The brake holds back changes of {count} logins.", count=replica.held_count))
    for slot, age_s in role_ages_s(facts).items():
        if age_s > ROLE_SILENT_S:
            found.append(_("The process {slot} does not run; last seen: {age}.", slot=slot, age=terminal.age(age_s)))
    for mirror in mirrors(facts):
        if mirror.stage is Stage.AWAY:
            found.append(
                _(
                    "The mirror of spool {slot} is away; last in step: {age}. What is answered now is on this disk "
                    "alone.",
                    slot=mirror.slot,
                    age=terminal.age(mirror.away_s),
                )
            )
    found += [
        router_problem_text(terminal, problem)
        for problem in find_router_problems(facts.routers, facts.at_s)
        if problem.kind.costs_logins
    ]
    for found_socket in facts.sockets:
        if found_socket.dropped_count:
            found.append(
                _(
                    "The kernel dropped {count} datagrams on {address} port {port}.",
                    count=found_socket.dropped_count,
                    address=found_socket.address,
                    port=found_socket.port,
                )
            )
    return [*found, *_ledger_problems(terminal, facts.ledger), *_cluster_problems(terminal, cluster)]


def _ledger_problems(terminal: Terminal, ledger: LedgerFacts | None) -> list[str]:
    _ = terminal.speak
    if ledger is None:
        return []
    found = []
    if ledger.may_lose_leases:
        found.append(
            _(
                "There are {count} standbys and no commit waits for one: after a promotion addresses could be "
                "given out twice. Set synchronous_standby_names.",
                count=ledger.standbys,
            )
        )
    for pool in [pool for pool in ledger.pools if pool.is_alarmed][:_POOLS_SHOWN]:
        found.append(_("Of pool {pool} {used} of {size} are in use.", pool=pool.name, used=pool.used, size=pool.size))
    for pool in [pool for pool in ledger.pools if pool.is_adopting][:_POOLS_SHOWN]:
        found.append(
            _("Pool {pool} adopts what lives in it, and gives out only what is proven unused.", pool=pool.name)
        )
    for pool in [pool for pool in ledger.pools if pool.unaccounted][:_POOLS_SHOWN]:
        found.append(
            _(
                "Of pool {pool} {count} addresses are nowhere: aaad pool check.",
                pool=pool.name,
                count=pool.unaccounted,
            )
        )
    count = sum(ledger.findings.values())
    if count:
        found.append(_("Of {count} addresses concentrators report something else: aaad pool check.", count=count))
    return found


def _cluster_problems(terminal: Terminal, cluster: Overview | None) -> list[str]:
    _ = terminal.speak
    if cluster is None:
        return []
    found = []
    if cluster.hold is not None:
        found.append(
            _(
                "The brake holds back a change that would cut off {count} of {total} logins: aaad replica status.",
                count=cluster.hold["cut_off_count"],
                total=cluster.hold["logins_count"],
            )
        )
    if cluster.orders is not None and cluster.orders["held_count"]:
        count = cluster.orders["held_count"]
        found.append(_("The brake holds back {count} orders: aaad order list --state held.", count=count))
    for contest in cluster.contests[:_CONTESTS_SHOWN]:
        found.append(
            _(
                "Devices push each other out on login {login}: only {mac} gets in until {when}, not {other}.",
                login=contest["login"],
                mac=contest["mac"],
                other=contest["other_mac"],
                when=terminal.clock(contest["until_s"]),
            )
        )
    for node in cluster.nodes:
        silent_s = node["heartbeat_age_s"]
        if silent_s is None or silent_s > NODE_LIVES_S:
            found.append(_("Node {node} is silent: {age}.", node=node["name"], age=terminal.age(silent_s)))
    return found


def _document(
    heard: Heard, cluster: Overview | None, database_problem: str | None, problems: list[str]
) -> dict[str, Any]:
    return {
        "is_serving": is_serving(heard.facts),
        "source": heard.source,
        "problems": problems,
        "node": msgspec.to_builtins(heard.facts),
        "roles": role_ages_s(heard.facts),
        "database_problem": database_problem,
        "cluster": None if cluster is None else cluster._asdict(),
    }


def mirror_text(terminal: Terminal, mirror: MirrorFacts) -> str:
    """Return how a mirror stands, in one line."""
    _ = terminal.speak
    match mirror.stage:
        case Stage.IN_STEP:
            return _("mirror of {slot}: in step", slot=mirror.slot)
        case Stage.CATCHING_UP:
            word = _("catching up")
        case Stage.AWAY:
            word = _("away")
    return _(
        "mirror of {slot}: {word}, {mebibytes} MiB behind; last in step: {age}",
        slot=mirror.slot,
        word=word,
        mebibytes=f"{mirror.behind_bytes / 1048576:.1f}",
        age=terminal.age(mirror.away_s),
    )


class _Report:
    """Writes the state for people."""

    def __init__(self, terminal: Terminal, heard: Heard, cluster: Overview | None) -> None:
        self._terminal = terminal
        self._heard = heard
        self._cluster = cluster

    def print(self, problems: list[str]) -> None:
        """Write what wants attention, then this node, the nodes, the orders, the routers, the counters."""
        for problem in problems:
            self._terminal.line(f"! {problem}", "bold yellow")
        self._node()
        self._nodes()
        self._orders()
        self._routers()
        self._counters()

    def _node(self) -> None:
        _, line, age = self._terminal.speak, self._terminal.line, self._terminal.age
        facts = self._heard.facts
        line(_("Node {node}, version {version}", node=facts.node, version=facts.version), "bold")
        if self._heard.source == "files":
            line("  " + _("The node itself does not answer; this is what its files say."), "yellow")
        replica = facts.replica
        word = _("complete") if replica.is_complete else _("not complete")
        line(
            "  "
            + _(
                "copy of the logins: {word}, {count} logins, age {age}",
                word=word,
                count=replica.logins_count,
                age=age(replica.age_s),
            )
        )
        for slot, age_s in role_ages_s(facts).items():
            state = _("runs") if age_s < ROLE_SILENT_S else _("does not run")
            line("  " + _("process {slot}: {state}", slot=slot, state=state))
        for spool in facts.spools:
            line(
                "  "
                + _(
                    "spool {slot}: {count} records on this disk alone, {mebibytes} MiB",
                    slot=spool.slot,
                    count=spool.records_undrained if spool.records_at_risk is None else spool.records_at_risk,
                    mebibytes=f"{spool.disk_bytes / 1048576:.1f}",
                )
            )
        if any(spool.records_undrained for spool in facts.spools):
            oldest_s = max(spool.oldest_age_s for spool in facts.spools)
            line("  " + _("oldest record that is not in PostgreSQL: {age}", age=age(oldest_s)))

        for mirror in mirrors(facts):
            line("  " + mirror_text(self._terminal, mirror))

    def _nodes(self) -> None:
        _, age = self._terminal.speak, self._terminal.age
        if self._cluster is None or not self._cluster.nodes:
            return
        self._terminal.line()
        table = self._terminal.table(
            _("node"), _("version"), _("seen"), _("changes applied"), _("undrained"), _("drained up to")
        )
        for node in self._cluster.nodes:
            table.add(
                node["name"],
                node["version"] or "",
                age(node["heartbeat_age_s"]),
                age(node["applied_age_s"]),
                node["records_undrained"],
                age(node["watermark_age_s"]),
            )
        table.print()

    def _orders(self) -> None:
        if self._cluster is None or self._cluster.orders is None:
            return
        _, orders = self._terminal.speak, self._cluster.orders
        self._terminal.line()
        self._terminal.line(
            _(
                "Orders to the network: {open} open, {held} held by the brake; the oldest: {age}.",
                open=orders["open_count"],
                held=orders["held_count"],
                age=self._terminal.age(orders["oldest_age_s"]),
            )
        )

    def _routers(self) -> None:
        _, age = self._terminal.speak, self._terminal.age
        self._terminal.line()
        table = self._terminal.table(
            _("concentrator"), _("router"), _("identifier"), _("last heard"), "Message-Authenticator"
        )
        if self._cluster is not None:
            for row in self._cluster.routers:
                demanded = _("demanded") if row["is_armed"] else row["message_authenticator"]
                name = row["nas"] if row["enabled"] else _("{nas} (disabled)", nas=row["nas"])
                table.add(
                    name, row["source_address"] or "", row["nas_identifier"] or "", age(row["silent_s"]), demanded
                )
        else:
            now_s = self._heard.facts.at_s
            for router in self._heard.facts.routers:
                demanded = _("demanded") if router.armed else ""
                heard = age(now_s - router.last_heard_s)
                table.add(router.nas, router.source_address, router.nas_identifier, heard, demanded)
        table.print()
        for source in self._heard.facts.unknown_sources[:_UNKNOWN_SOURCES_SHOWN]:
            self._terminal.line(unknown_source_text(self._terminal, source), "yellow")

    def _counters(self) -> None:
        _ = self._terminal.speak
        totals: dict[str, int] = {}
        for values in self._heard.facts.counters.values():
            for name, value in (values or {}).items():
                if "%" not in name and name.partition("|")[0].endswith("_total") and value:
                    totals[name] = totals.get(name, 0) + value
        self._terminal.line()
        table = self._terminal.table(_("counter"), _("value"))
        for name, value in sorted(totals.items()):
            table.add(name.removeprefix("aaad_").replace("|", " "), value)
        table.print()
