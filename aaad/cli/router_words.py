"""What is wrong between us and a router, or who is none, in words: what was seen and what to do."""

from aaad.cli.terminal import Terminal
from aaad.daemon.router_facts import UnknownSource
from aaad.daemon.router_problems import ProblemKind, RouterProblem


def router_problem_text(terminal: Terminal, problem: RouterProblem) -> str:
    """Return the sentence for a problem, in the terminal's language."""
    _ = terminal.speak
    facts: dict[str, object] = {
        "nas": problem.nas,
        "address": f"{problem.source_address} {problem.nas_identifier}".rstrip(),
        "count": problem.count,
        "resent": problem.resent,
    }
    match problem.kind:
        case ProblemKind.UNSIGNED:
            return _(
                "NAS {nas} stopped sending Message-Authenticator ({address}, {count} requests dropped): "
                "replaced or downgraded? If so: aaad nas message-auth {nas} reset",
                **facts,
            )
        case ProblemKind.WRONG_SECRET if problem.is_trusted_at_times:
            return _(
                "NAS {nas}: {count} requests of {address} do not fit its secret, others do: is there another router?",
                **facts,
            )
        case ProblemKind.WRONG_SECRET:
            return _(
                "NAS {nas}: its secret seems wrong: {count} requests of {address} do not fit it. "
                "Set the same secret in the router and here: aaad nas rotate-secret {nas} --secret -",
                **facts,
            )
        case ProblemKind.SECRET_SEEMS_WRONG if problem.unreadable_passwords:
            return _(
                "NAS {nas}: its secret seems wrong: {count} passwords (PAP) of {address} are not readable with it. "
                "Set the same secret in the router and here: aaad nas rotate-secret {nas} --secret -",
                **facts,
            )
        case ProblemKind.SECRET_SEEMS_WRONG:
            return _(
                "NAS {nas}: its secret seems wrong: {count} Accepts to CHAP of {address} without a Start, {resent} "
                "resends. Set the same secret in the router and here: aaad nas rotate-secret {nas} --secret -",
                **facts,
            )
        case ProblemKind.SESSIONS_MISSING:
            return _(
                "NAS {nas}: {count} Accepts to {address} without a Start: does a pool or a profile that they name "
                "not exist there?",
                **facts,
            )
        case ProblemKind.NO_ACCOUNTING:
            return _(
                "NAS {nas}: no accounting heard of {address} after {count} Accepts: is it switched on there, and "
                "sent to this server?",
                **facts,
            )


def unknown_source_text(terminal: Terminal, source: UnknownSource) -> str:
    """Return the sentence for an address that asks and belongs to no NAS entry."""
    _ = terminal.speak
    return _(
        "{address} is no concentrator of ours and asks: {count} datagrams since {first}, the last at {last}. "
        "If it should be one: aaad nas add --name NAME --address {address} --secret -",
        address=source.source_address,
        count=source.count,
        first=terminal.clock(source.first_at_s)[:-4],
        last=terminal.clock(source.last_at_s)[:-4],
    )
