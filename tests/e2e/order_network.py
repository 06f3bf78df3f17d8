"""Routers before a whole node that obey CoA and have an API, with customers who are up; each may fall silent."""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from free_ports import free_port
from nodes import Node, eventually
from reporting import Reporting

from aaad.simulator.accounting import Session
from aaad.simulator.apis import router_of
from aaad.simulator.fleet import Nases, Subscribers
from aaad.simulator.granted import Granted
from aaad.simulator.network import Server
from aaad.simulator.orders import COA_REQUEST, DISCONNECT_REQUEST
from aaad.simulator.routeros import Router, RouterosServer
from aaad.simulator.simulation import Plan
from aaad.simulator.temper import OBEDIENT, Temper

FIRST_SOURCE = "127.0.40.1"
_STAY_S = 3600.0
_SILENT = Temper(is_silent=True)
_PUT_NASES = """
INSERT INTO net.nas (id, name, address, secret, coa_port, api_port, api_tls, api_user, api_password)
SELECT 101 + number, 'orders-' || number, ($1::inet + number)::cidr, 'testing123', $2, $3, false, 'aaad', 'testing123'
FROM generate_series(0, $4::integer - 1) AS number
ON CONFLICT (id) DO NOTHING
"""
_UP = """
SELECT count(*) FROM net.session
WHERE user_name = ANY ($1::text[]) AND ended_at IS NULL AND grant_fingerprint IS NOT NULL
    AND EXISTS (SELECT FROM net.grant_form WHERE fingerprint = grant_fingerprint)
    AND EXISTS (
        SELECT FROM net.nas_server JOIN net.router ON router.id = nas_server.router_id
        WHERE router.nas_id = session.nas_id)
"""
_APPLIED = """
SELECT EXISTS (SELECT FROM net.node WHERE snapshot IS NOT NULL AND heartbeat_at > now() - interval '60 seconds')
    AND (SELECT bool_and(net.is_applied_everywhere(xid)) FROM net.change)
"""
_OPEN = "SELECT count(*) FROM net.network_order WHERE is_open"


class Network:
    """Customers of a node who dial, stay, and dial again when they are cut; until the end of the `with`."""

    def __init__(
        self,
        node: Node,
        *,
        routers: int = 1,
        count: int,
        first: int = 0,
        methods: Sequence[str] = ("pap",),
        rate: float = 200.0,
        nodes: Sequence[Node] = (),
        interim_s: float = 30.0,
        redial_first_s: float = 0.2,
        redial_longest_s: float = 1.0,
    ) -> None:
        """`nodes` are further ones, which the routers ask when the first one is silent.

        It begins when all sessions were compared once with what is wanted of them.
        """
        self.node = node
        self.numbers = range(first, first + count)
        self.names = [f"user{number:06}" for number in self.numbers]
        self.routers: dict[int, Router] = {}
        self._apis: dict[int, ExitStack] = {}
        node.sql(_PUT_NASES, FIRST_SOURCE, free_port(), free_port(), routers)
        # The same for all tests of a node: what it knows of an entry, it does not read again for some seconds.
        ((order_port, self._api_port),) = node.sql("SELECT DISTINCT coa_port, api_port FROM net.nas WHERE id > 100")
        eventually(lambda: node.sql(_APPLIED)[0][0], within_s=20, what="the node knows these routers")
        nases = Nases(count=routers, names="bras-%02d", first_source=FIRST_SOURCE, changes={"order_port": order_port})
        plan = Plan(
            rate=rate,
            has_accounting=True,
            stay_s=_STAY_S,
            interim_s=interim_s,
            redial_first_s=redial_first_s,
            redial_longest_s=redial_longest_s,
            redials_max=100_000,
        )
        who = Subscribers(count=count, first=first, methods=methods)
        self.reporting = Reporting(node, plan, nases.make(), who, nodes)
        self._servers = [Server("127.0.0.1", one.auth_port, one.acct_port) for one in (node, *nodes)]

    def __enter__(self) -> "Network":
        self.reporting.__enter__()
        try:
            for number in range(len(self.concentrators)):
                self._open_api(number)
            eventually(self._is_up, within_s=60 + 0.05 * len(self.numbers), what="all are known to be up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for stack in self._apis.values():
            stack.close()
        self.reporting.stop()

    @property
    def concentrators(self):
        return self.reporting.simulation.concentrators

    def _is_up(self) -> bool:
        return len(self.reporting.simulation.online) == len(self.numbers) and self.node.sql(_UP, self.names)[0][
            0
        ] == len(self.numbers)

    # --- what the routers have --------------------------------------------------------------------------------------

    @property
    def up(self) -> dict[int, Session]:
        """Who is connected, by number."""
        online = self.reporting.simulation.online
        return {session.subscriber.number: session for one in self.concentrators for session in online.at(one)}

    def granted(self, number: int) -> Granted | None:
        """What somebody's session has; None: he is not connected."""
        session = self.up.get(number)
        return session.granted if session is not None else None

    def rates(self) -> dict[int, str]:
        return {number: session.granted.rate_limit for number, session in self.up.items()}

    def lists(self, number: int) -> set[str]:
        """The address lists that somebody is in, as told or as written there by the API."""
        session = self.up[number]
        address = ".".join(map(str, session.address))
        router = self.routers[number % len(self.concentrators)]
        rows = list(router.table("/ip/firewall/address-list").all_rows())
        return {row["list"] for row in rows if row["address"] == address} | set(session.granted.address_lists)

    def begun(self) -> Counter[int]:
        """How many sessions each has begun."""
        starts = [told for told in list(self.reporting.log) if told["status"] == "start"]
        return Counter(int(told["user_name"].removeprefix("user")) for told in starts)

    def changes(self) -> int:
        """How many CoA-Requests the routers acted upon."""
        return sum(one.orders.by_code.get(COA_REQUEST, 0) for one in self.concentrators)

    def cuts(self) -> int:
        return sum(one.orders.by_code.get(DISCONNECT_REQUEST, 0) for one in self.concentrators)

    # --- what happens to them ---------------------------------------------------------------------------------------

    def fall_silent(self, number: int = 0) -> None:
        """Let a router answer nothing that a server asks it; its customers notice nothing."""
        if number in self._apis:
            self._apis.pop(number).close()
        concentrator = self.concentrators[number]
        concentrator.nas = replace(concentrator.nas, coa=_SILENT, disconnect=_SILENT)

    def answer_again(self, number: int = 0) -> None:
        concentrator = self.concentrators[number]
        concentrator.nas = replace(concentrator.nas, coa=OBEDIENT, disconnect=OBEDIENT)
        if number not in self._apis:
            self._open_api(number)

    def redial(self, number: int) -> None:
        """Let somebody's router lose its session and dial again."""
        self.reporting.simulation.cut(self.up[number])

    def _open_api(self, number: int) -> None:
        stack = self._apis[number] = ExitStack()
        simulation, concentrator = self.reporting.simulation, self.concentrators[number]
        router = router_of(simulation, concentrator, self._servers)
        if number in self.routers:  # what was written to its lists is still there
            for path in ("/ip/firewall/address-list", "/ipv6/firewall/address-list"):
                router.table(path).rows.update(self.routers[number].table(path).rows)
        self.routers[number] = router
        stack.enter_context(RouterosServer(router, address=concentrator.nas.source or "", port=self._api_port))

    def await_requests(self, count: int) -> None:
        """Wait until the routers were asked more often than so, since they began."""
        eventually(lambda: self.changes() + self.cuts() > count, within_s=10, what="some orders are carried out")

    def wait_for(self, rates: dict[int, str], within_s: float = 60.0) -> float:
        """Wait until the sessions have these rates; return how long that took in seconds."""
        began, wrong = time.monotonic(), rates
        while wrong:
            if time.monotonic() - began > within_s:
                raise AssertionError(
                    f"wanted {wrong}, there is {[(number, self.granted(number)) for number in wrong]}"
                )
            time.sleep(0.02)
            found = self.rates()
            wrong = {number: rate for number, rate in wrong.items() if found.get(number) != rate}
        return time.monotonic() - began

    # --- orders -----------------------------------------------------------------------------------------------------

    def settle(self, within_s: float = 30.0) -> float:
        """Wait until no order is open; return how long that took in seconds."""
        began = time.monotonic()
        while self.node.sql(_OPEN)[0][0]:
            if time.monotonic() - began > within_s:
                rows = self.node.sql(
                    "SELECT user_name, kind, cause, state, step, attempts, next_at - now() AS due, answers "
                    "FROM net.network_order WHERE is_open LIMIT 5"
                )
                raise AssertionError("\n".join(str(dict(row)) for row in rows))
            time.sleep(0.05)
        return time.monotonic() - began
