"""`aaad why LOGIN`: what was decided about a login, why, and what would be decided now (rule R9.3).

Asks the journal of every node, names those that could not be asked, and never says "no request arrived" of nodes
that were not heard, nor of those that lately received what they could not trust or answer. Past decisions are shown
with the facts that they were made from; what would be decided now stands apart.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from aaad.cli.cluster import Unheard, hear
from aaad.cli.local_node import LocalNode
from aaad.cli.router_words import router_problem_text, unknown_source_text
from aaad.cli.terminal import Terminal
from aaad.daemon.account import Account
from aaad.daemon.router_problems import RouterProblem
from aaad.daemon.testimony import PastDecision, PresentDecision, Testimony
from aaad.errors import ConfigError, StoreError
from aaad.policy.codes import ACCESS_STATUS_LETTERS, CONTRACT_STATUS_LETTERS, Discard, GrantState, Reason
from aaad.words import discard_hint, discard_text, printable, reason_hint, reason_text

_CONTRACT_LETTERS = {int(status): letter for letter, status in CONTRACT_STATUS_LETTERS.items()}
_ACCESS_LETTERS = {int(status): letter for letter, status in ACCESS_STATUS_LETTERS.items()}


class Past(NamedTuple):
    """One past decision and the node that made it."""

    node: str
    decision: PastDecision


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that could be found out about a login."""

    login: str
    testimonies: list[Testimony]
    unheard: list[Unheard]
    database_problem: str | None  # None: PostgreSQL was asked
    refusals: list[dict[str, Any]] = field(default_factory=list)
    unknown_names: list[dict[str, Any]] = field(default_factory=list)
    is_in_database: bool = False

    @property
    def past(self) -> list[Past]:
        """Every node's past decisions, newest first."""
        found = [Past(heard.node, decision) for heard in self.testimonies for decision in heard.past]
        return sorted(found, key=lambda past: -past.decision.at_s)

    @property
    def is_let_in(self) -> bool:
        """Whether every node that was heard would let it in now, and in full: the blocked state is no yes."""
        return bool(self.testimonies) and all(
            heard.now is not None and heard.now.is_grant and heard.now.state != GrantState.BLOCKED.name.lower()
            for heard in self.testimonies
        )


def why(terminal: Terminal, login: str, limit: int) -> None:
    """Answer and end with 1 unless the login would be let in now."""
    evidence = gather(terminal, login, limit)
    if terminal.options.is_json:
        terminal.json(_document(evidence, limit))
    else:
        _Report(terminal, evidence, limit).print()
    if not evidence.is_let_in:
        terminal.refuse()


def gather(terminal: Terminal, login: str, limit: int) -> Evidence:
    """Ask all nodes through PostgreSQL; with that away, this machine's node alone."""
    node = LocalNode(terminal.local_config)
    try:
        hearing = asyncio.run(hear(terminal.config, login, limit))
    except (StoreError, ConfigError) as error:
        alone = node.testimony(login, limit)
        return Evidence(login=login, testimonies=[alone], unheard=[], database_problem=terminal.problem(error))
    return Evidence(
        login=login,
        testimonies=sorted(hearing.testimonies, key=lambda heard: heard.node),
        unheard=hearing.unheard,
        database_problem=None,
        refusals=hearing.refusals,
        unknown_names=hearing.unknown_names,
        is_in_database=hearing.login_id != 0,
    )


def _document(evidence: Evidence, limit: int) -> dict[str, Any]:
    return {
        "login": evidence.login,
        "is_let_in": evidence.is_let_in,
        "now": {heard.node: msgspec.to_builtins(heard.now) for heard in evidence.testimonies},
        "past": [
            {"node": past.node, **msgspec.to_builtins(past.decision)}  # newest first
            for past in evidence.past[:limit]
        ],
        "nodes": [
            {
                "node": heard.node,
                "is_complete": heard.is_complete,
                "replica_age_s": heard.replica_age_s,
                "journal_since_s": heard.journal_since_s,
                "discarded": msgspec.to_builtins(heard.discarded),
                "router_problems": msgspec.to_builtins(heard.router_problems),
                "unknown_sources": msgspec.to_builtins(heard.unknown_sources),
            }
            for heard in evidence.testimonies
        ],
        "unheard": [{"node": unheard.node, "silent_s": unheard.silent_s} for unheard in evidence.unheard],
        "database_problem": evidence.database_problem,
        "refusals": evidence.refusals,
        "unknown_names": evidence.unknown_names,
    }


class _Report:
    """Writes the evidence for people."""

    def __init__(self, terminal: Terminal, evidence: Evidence, limit: int) -> None:
        self._terminal = terminal
        self._evidence = evidence
        self._limit = limit

    def print(self) -> None:
        """Write what would be decided now, what was decided, what was counted, and who was not asked."""
        self._now()
        self._past()
        self._counts()
        self._gaps()

    def _now(self) -> None:
        _, line, language = self._terminal.speak, self._terminal.line, self._terminal.language
        line(_("Login {login}", login=self._evidence.login), "bold")
        for heard in self._evidence.testimonies:
            if not heard.is_complete:
                line(_("Now, {node}: no complete copy of the logins, so it answers nobody.", node=heard.node), "red")
            elif heard.now is None:
                line(
                    _("Now, {node}: {text}", node=heard.node, text=reason_text(Reason.UNKNOWN_LOGIN, language)), "red"
                )
                line("  " + reason_hint(Reason.UNKNOWN_LOGIN, language))
            else:
                for text, style in present_lines(self._terminal, heard.node, heard.now):
                    line(text, style)
        if self._evidence.is_in_database and all(heard.now is None for heard in self._evidence.testimonies):
            line(_("The login is in PostgreSQL but in no copy of the nodes that were heard."), "red")

    def _past(self) -> None:
        _, line = self._terminal.speak, self._terminal.line
        past = self._evidence.past[: self._limit]
        line()
        if not past:
            self._no_request()
            return
        line(_("Last decisions, newest first"), "bold")
        table = self._terminal.table(
            _("when"), _("node"), _("decision"), _("concentrator"), _("device"), _("facts of the decision")
        )
        for node, decision in past:
            table.add(
                self._terminal.clock(decision.at_s),
                node,
                self._wording(decision)[0],
                _place(decision),
                _device(decision),
                self._account(decision.account) if decision.account else "",
            )
        table.print()
        self._hints(past)
        self._last_reply(past)
        self._router_problems(past)

    def _last_reply(self, past: list[Past]) -> None:
        """Show what the customer's router was told last."""
        _, line = self._terminal.speak, self._terminal.line
        told = next((decision for _node, decision in past if decision.reply), None)
        if told is not None:
            line()
            line(_("What was answered at {when}", when=self._terminal.clock(told.at_s)), "bold")
            for name, value in told.reply:
                line(f"  {name} = {value}")
            if told.pools:
                line("  " + _("From our own pools: {pools}", pools=", ".join(told.pools)))

    def _router_problems(self, past: list[Past]) -> None:
        """Tell what is wrong with the login's routers, then with others of the same NAS entries.

        An Accept that the NAS cannot read lets nobody in.
        """
        _ = self._terminal.speak
        entries = {(node, decision.nas) for node, decision in past}
        found = [
            (testimony.node, problem, any(_is_of(problem, testimony.node, one) for one in past))
            for testimony in self._evidence.testimonies
            for problem in testimony.router_problems
            if (testimony.node, problem.nas) in entries
        ]
        for node, problem, is_own in found:
            if is_own:
                self._router_problem(node, problem)
        if not all(is_own for _node, _problem, is_own in found):
            self._terminal.line(_("Also at this concentrator, of other routers:"))
        for node, problem, is_own in found:
            if not is_own:
                self._router_problem(node, problem)

    def _router_problem(self, node: str, problem: RouterProblem) -> None:
        text = router_problem_text(self._terminal, problem)
        self._terminal.line(f"  {node}: {text}", "yellow" if problem.is_trusted_at_times else "red")

    def _hints(self, past: list[Past]) -> None:
        wordings = dict.fromkeys(
            self._advice(node, decision) for node, decision in past if decision.reason != Reason.GRANTED.label
        )
        for text, hint in wordings:
            if hint:
                self._terminal.line(f"{text} → {hint}")

    def _advice(self, node: str, decision: PastDecision) -> tuple[str, str]:
        """Return what a decision means and what to do: no password fits where the router's secret does not."""
        _ = self._terminal.speak
        text, hint = self._wording(decision)
        if decision.reason == Reason.WRONG_PASSWORD.label and not decision.is_signed:
            problems = [
                problem
                for testimony in self._evidence.testimonies
                for problem in testimony.router_problems
                if testimony.node == node and _is_of(problem, node, Past(node, decision))
            ]
            if any(problem.spoils_passwords for problem in problems):
                hint = _("The shared secret of its router seems wrong, and then no password fits: see below.")
        return text, hint

    def _wording(self, decision: PastDecision) -> tuple[str, str]:
        """Return what a decision means and what to do; codes of a newer version stand for themselves."""
        _, language = self._terminal.speak, self._terminal.language
        if decision.problem:
            return _("Not readable: {problem}", problem=decision.problem), ""
        try:
            if decision.reason:
                reason = Reason[decision.reason.upper()]
                return reason_text(reason, language), reason_hint(reason, language)
            discard = Discard[decision.discard.upper()]
            return discard_text(discard, language), discard_hint(discard, language)
        except KeyError:
            return decision.reason or decision.discard, ""

    def _no_request(self) -> None:
        _, line = self._terminal.speak, self._terminal.line
        # A node without a replica cannot search for a name, so nothing is said of it here.
        heard = [testimony.node for testimony in self._evidence.testimonies if testimony.is_complete]
        if not heard:
            line(_("No node could be asked."), "red")
            return
        if any(
            testimony.discarded.counts
            or testimony.discarded.unwritten
            or testimony.router_problems
            or testimony.unknown_sources
            for testimony in self._evidence.testimonies
        ):
            line(
                _(
                    "No request of this login that could be trusted and answered is known at {nodes}, "
                    "but some of what arrived could not be:",
                    nodes=", ".join(heard),
                ),
                "yellow",
            )
            self._untold()
        else:
            line(_("No request of this login arrived at {nodes}.", nodes=", ".join(heard)), "yellow")
        since = max((heard.journal_since_s or 0 for heard in self._evidence.testimonies), default=0)
        if since:
            line("  " + _("Their journals reach back to {since}.", since=self._terminal.clock(since)))
        line("  " + _("Look at the line, the customer's router, and whether the concentrator asks this server."))

    def _untold(self) -> None:
        """Tell what arrived and never came into a journal: a request of this login may be among it."""
        _, line = self._terminal.speak, self._terminal.line
        for testimony in self._evidence.testimonies:
            for problem in testimony.router_problems:
                self._router_problem(testimony.node, problem)
            for source in testimony.unknown_sources:
                line(f"  {testimony.node}: {unknown_source_text(self._terminal, source)}", "yellow")
        for testimony in self._evidence.testimonies:
            since_s = testimony.discarded.since_s
            for cause, count in testimony.discarded.counts.items():
                text, hint = self._wording(PastDecision(at_s=0, slot="", discard=cause))
                since = self._terminal.clock(since_s)[:-4] if since_s else _("the counting began")
                line(
                    "  "
                    + _(
                        "{node}: {count} datagrams without an answer since {since}: {text}",
                        node=testimony.node,
                        count=count,
                        since=since,
                        text=text,
                    )
                )
                line(f"    → {hint}")
            if testimony.discarded.unwritten:
                since = self._terminal.clock(since_s)[:-4] if since_s else _("the counting began")
                line(
                    "  "
                    + _(
                        "{node}: {count} decisions since {since} on requests that proved neither secret nor password "
                        "were counted and not written down: too many in a second. Somebody may be forging them.",
                        node=testimony.node,
                        count=testimony.discarded.unwritten,
                        since=since,
                    )
                )

    def _counts(self) -> None:
        _, line = self._terminal.speak, self._terminal.line
        if self._evidence.refusals:
            line()
            line(_("Refusals counted in the last 30 days"), "bold")
            table = self._terminal.table(_("reason"), _("count"), _("first"), _("last"))
            for row in self._evidence.refusals:
                reason = self._wording(PastDecision(at_s=0, slot="", reason=row["reason"]))[0]
                first, last = (self._terminal.clock(row[key])[:-7] for key in ("first_s", "last_s"))
                table.add(reason, row["count"], first, last)
            table.print()
        if self._evidence.unknown_names:
            line()
            line(_("Unknown names refused in the last 30 days, of all customers"), "bold")
            table = self._terminal.table(_("concentrator"), _("reason"), _("count"), _("last"))
            for row in self._evidence.unknown_names:
                reason = self._wording(PastDecision(at_s=0, slot="", reason=row["reason"]))[0]
                last = self._terminal.clock(row["last_s"])[:-7]
                table.add(f"{row['nas']} {row['source_address']}", reason, row["count"], last)
            table.print()

    def _gaps(self) -> None:
        _, line = self._terminal.speak, self._terminal.line
        if self._evidence.database_problem is not None:
            line()
            line(_("PostgreSQL could not be asked: {problem}", problem=self._evidence.database_problem), "yellow")
            line("  " + _("Only this machine's node was asked; other nodes may know more."))
        for heard in self._evidence.testimonies:
            if not heard.is_complete:
                line(_("Node {node} could not search its journal for this name.", node=heard.node), "yellow")
        for unheard in self._evidence.unheard:
            age = self._terminal.age(unheard.silent_s)
            line(
                _("Node {node} could not be asked; it last showed itself: {age}.", node=unheard.node, age=age),
                "yellow",
            )

    def _account(self, account: Account) -> str:
        return account_text(self._terminal, account)


def present_lines(terminal: Terminal, node: str, now: PresentDecision) -> Iterator[tuple[str, str]]:
    """Yield what would be decided now, in lines with their styles."""
    _, language = terminal.speak, terminal.language
    try:
        reason = Reason[now.reason.upper()]
    except KeyError:  # a node of a newer version
        wording, hint = now.reason, ""
    else:
        wording, hint = reason_text(reason, language), reason_hint(reason, language)
        if reason is Reason.GRANTED:
            wording = _("would be let in with the right password")
    yield (
        _("Now, {node}: {text}", node=node, text=wording),
        "red" if not now.is_grant else "yellow" if now.state == "blocked" else "green",
    )
    yield f"  {account_text(terminal, now.account)}" + (f"; {now.plan}" if now.plan else ""), ""
    if hint and now.reason != Reason.GRANTED.label:
        yield f"  {hint}", ""
    if now.is_as_last:
        yield "  " + _("Asked as the last request did, at {nas}.", nas=now.at or "?"), ""
    if now.pools:
        yield "  " + _("With addresses of our own pools: {pools}", pools=", ".join(now.pools)), ""
    if now.until_s is not None:
        yield "  " + _("By these facts it stays so until {when}.", when=terminal.clock(now.until_s)), ""
    for problem in now.problems:
        yield "  " + _("Not usable: {problem}", problem=problem), "red"


def account_text(terminal: Terminal, account: Account) -> str:
    """Return a login's facts in one line: what there is none of is not said."""
    _ = terminal.speak
    statuses = (
        f"{_CONTRACT_LETTERS.get(account.contract_status, '?')}/{_ACCESS_LETTERS.get(account.access_status, '?')}"
    )
    facts = [
        _(
            "login {login}, contract {contract} {statuses}, plan {plan}",
            login=account.login_id,
            contract=account.contract_id,
            statuses=statuses,
            plan=account.plan_id or "–",
        ),
        account.ipv4,
        account.mac,
        _("bound to NAS {nas}", nas=f"#{account.nas_id}") if account.nas_id else "",
        _("hours {hours}", hours=",".join(map(str, account.hours))) if account.hours else "",
        _("open since {day}", day=account.oldest_due) if account.oldest_due else "",
        _("not reduced until {day}", day=account.not_reduced_until) if account.not_reduced_until else "",
        _("suspended {first} to {last}", first=account.suspended_from or "…", last=account.suspended_until or "…")
        if account.suspended_from or account.suspended_until
        else "",
        _("paid until {when}", when=terminal.clock(account.access_ends_at_s)) if account.access_ends_at_s else "",
        _("on trust until {when}", when=terminal.clock(account.trust_until_s)) if account.trust_until_s else "",
        _(
            "only {mac} gets in until {when}",
            mac=account.contest_mac,
            when=terminal.clock(account.contest_until_s),
        )
        if account.contest_until_s
        else "",
    ]
    extras = msgspec.to_builtins(account.extras) if account.extras else {}
    facts += [f"{name}={_joined(value)}" for name, value in extras.items()]
    return ", ".join(fact for fact in facts if fact)


def _joined(value: object) -> str:
    if not isinstance(value, list | tuple):
        return str(value)
    return " ".join("=".join(part) if isinstance(part, list | tuple) else str(part) for part in value)


def _is_of(problem: RouterProblem, node: str, past: Past) -> bool:
    """Tell whether a problem is of the very router that a decision was made for, or of all at its address."""
    decision = past.decision
    return (node, problem.nas, problem.source_address) == (past.node, decision.nas, decision.source_address) and (
        problem.nas_identifier in ("", printable(decision.nas_identifier))
    )


def _place(decision: PastDecision) -> str:
    nas = decision.nas or (f"#{decision.nas_id}" if decision.nas_id else "")
    return " ".join(part for part in (nas, decision.source_address, decision.nas_identifier) if part)


def _device(decision: PastDecision) -> str:
    return " ".join(part for part in (decision.calling_station_id, decision.nas_port_id) if part)
