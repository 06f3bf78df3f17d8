"""What a login would be answered, without a packet: for `aaad simulate-login`, and for what `why` says of now.

Pure. The decision is that of `decide` and the attributes are those of the request path, made from the same templates;
only the Class is left out, since every Accept has one of its own.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from aaad.policy.codes import Credential, Reason
from aaad.policy.decide import decide
from aaad.policy.facts import LoginFacts
from aaad.policy.grant import Decision
from aaad.radius.addresses import own_pools
from aaad.radius.dictionary import decode
from aaad.radius.kinds import kind_of
from aaad.radius.pool_book import of_nas
from aaad.radius.reply import accept_attributes, reject_attributes
from aaad.radius.rulebook import Rulebook, reason_unsaid
from aaad.replica.record import Tables


class AskedFacts(NamedTuple):
    """What a request would say; None where it would say what the login is bound to."""

    nas_id: int | None = None
    mac: int | None = None
    port_id: str | None = None
    circuit_id: str | None = None


class _Asked(NamedTuple):
    """What a request would say, whole."""

    nas_id: int
    mac: int
    port_id: str
    circuit_id: str


class Simulation(NamedTuple):
    """An answer that nobody asked for."""

    decision: Decision
    reason: Reason  # the decision's, or why what it grants cannot be said
    attributes: list[tuple[str, str]]  # names and values of the reply, in order
    problems: list[str]  # what of the tables cannot be used, in words
    pools: list[str]  # our own pools that it would get addresses from: no address is taken for a simulation


def simulate(
    tables: Tables,
    login: LoginFacts,
    *,
    now_s: float,
    utc_offset_s: Callable[[str, float], int],
    nas_id: int = 0,
    kind: str = "mikrotik",
    asked: AskedFacts | None = None,
    is_ppp: bool = True,
    credential: Credential = Credential.RIGHT,
    reject_messages: Mapping[Reason, str] | None = None,
) -> Simulation:
    """Decide as if the login asked now, and return the decision with the attributes of its reply.

    Args:
        tables: the replica's.
        login: the login's facts.
        now_s: Unix seconds.
        utc_offset_s: tells the offset of a zone at an instant.
        nas_id: the NAS entry where it asks; 0: at the one that it is bound to, if it is to one.
        kind: what kind of concentrator asks, if there is no such entry.
        asked: what else the request says.
        is_ppp: whether it is a PPP session, and not Hotspot or DHCP.
        credential: what its proof of the password comes to.
        reject_messages: what the customer's device is told, by reason.
    """
    rules = Rulebook(utc_offset_s)
    problems = rules.load(tables, now_s)
    at = nas_id or login.nas_id
    entry = next((row for row in tables.nases if row.nas_id == at), None)
    nas_kind = kind_of(entry.kind if entry else kind)
    facts = _asked(login, (asked or AskedFacts())._replace(nas_id=at))
    decision = decide(login, rules.plans, rules.policy(login.branch_id), credential, facts, now_s)
    reason, said = decision.reason, b""
    pools: list[str] = []
    if decision.grant is not None:
        try:
            template = rules.template(nas_kind, decision.grant, of_nas(entry) if entry else None)
            pools = own_pools(decision.grant, template.pools)
            said = accept_attributes(nas_kind, template, decision.grant, login.login_id, is_ppp, now_s)[0]
        except (ValueError, OverflowError) as error:
            reason = reason_unsaid(login, decision.grant, now_s)
            problems.append(str(error))
    if not reason.is_grant:
        said = reject_attributes((reject_messages or {}).get(reason, ""))
    return Simulation(decision, reason, decode(said), problems, pools if reason.is_grant else [])


def _asked(login: LoginFacts, asked: AskedFacts) -> _Asked:
    extras = login.extras
    return _Asked(
        asked.nas_id or 0,
        login.mac if asked.mac is None else asked.mac,
        (extras.port_id if extras else "") if asked.port_id is None else asked.port_id,
        (extras.circuit_id if extras else "") if asked.circuit_id is None else asked.circuit_id,
    )
