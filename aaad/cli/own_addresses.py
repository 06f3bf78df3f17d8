"""Addresses, prefixes and routes that are a login's own for good: who has what it cannot have (rule R7).

PostgreSQL refuses them in any case; here it is told in the operator's language, with whom it concerns.
"""

from collections.abc import Mapping

from aaad.cli.pool_words import holders_text
from aaad.cli.records import Desk
from aaad.erp.complaints import Complaint
from aaad.erp.fields import LOGIN
from aaad.erp.values import Value
from aaad.pools.holdings import Holdings

_COLUMNS = ("ipv4", "ipv6_prefix", "delegated_ipv6_prefix", "routes")


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


_HELD = _("{network} is not free: {holders}")
_GATEWAY = _("{gateway} is the gateway of pool {name}")
_IN_POOL = _("{network} lies in pool {pool}, which gives out /{length}: aaad pool exclude {pool} {network}")
_SET_ASIDE = _(
    "{network} of pool {pool} is set aside by node {node}: another one, or aaad pool exclude {pool} {address}"
)
_GIVEN_BACK = _(
    "{network} is excluded from pool {pool}, and node {node} still has it set aside: again in some minutes"
)


async def complain_of_taken(desk: Desk, row: Mapping[str, Value], row_id: int | None, address_space: int) -> None:
    """Note each of a login's own addresses that somebody else has."""
    holdings = Holdings(desk.store.queries)
    for column in _COLUMNS:
        typed = row.get(column)
        for word in typed if isinstance(typed, list) else [typed]:
            if not isinstance(word, str):
                continue
            network = word if "/" in word else f"{word}/32"
            if found := await _taken(desk, holdings, address_space, network, row_id):
                text, values = found
                desk.complaints.append(Complaint(column, LOGIN.field(column).label, text, values))


async def _taken(
    desk: Desk, holdings: Holdings, address_space: int, network: str, login_id: int | None
) -> tuple[str, Mapping[str, object]] | None:
    holders = await holdings.held_of(address_space, network, login_id)
    if holders.total:
        return _HELD, {"network": network, "holders": holders_text(desk.terminal, holders)}
    if (pool_of := await holdings.gateway_within(address_space, network)) is not None:
        return _GATEWAY, pool_of
    for pool in await holdings.pools_around(address_space, network):
        if not pool["is_unit"]:
            return _IN_POOL, {"network": network, "pool": pool["name"], "length": pool["prefix_length"]}
        if pool["node"] is not None:
            address = network.partition("/")[0]
            text = _GIVEN_BACK if pool["is_excluded"] else _SET_ASIDE
            return text, {"network": network, "pool": pool["name"], "node": pool["node"], "address": address}
    return None
