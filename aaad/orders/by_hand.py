"""What a person or a task wants ended in the network, as orders: no contract changes, who is cut may redial.

Never judged by the reconciler: what an operator asked for is not undone because the decision grants the session.
"""

from collections.abc import Sequence

from aaad.db.connection import Queries
from aaad.orders.store import SQL, OrderStore
from aaad.orders.wish import Wish
from aaad.radius.kinds import kind_of


async def disconnect_logins(queries: Queries, login_ids: Sequence[int]) -> int:
    """Order that all open sessions of these logins end; returns of how many that is new."""
    wishes = [
        Wish(
            (row["family"], row["life"]),
            kind_of(row["kind"] or "").is_ppp(row["acct_session_id"]),
            "disconnect",
            "operator",
            is_cutting=False,  # a person's word is not weighed by the brake
        )
        for row in await queries.fetch(SQL.sessions_of_logins, list(login_ids))
    ]
    return len(await OrderStore(queries).put(wishes))
