"""Carries out one step of one order: speaks to its router by RADIUS or by its API, and tells what came of it.

Every step names the session by its Acct-Session-Id (rule R8.1), and what the API does looks first, so that done twice
it is done once. Requests go from the address that the router has as its server (rule R2.6). Nothing is decided here.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from aaad.errors import RouterError, RouterTrap
from aaad.mikrotik.applied import ActiveKind, Family, canonical
from aaad.mikrotik.connection import Limits, RouterAccess, RouterConnection
from aaad.mikrotik.enforce import (
    Added,
    AlreadyThere,
    NotOurs,
    NotThere,
    OtherSession,
    Removed,
    WithoutEffect,
    add_entry,
    comment_of,
    list_entries,
    remove_active,
    remove_cookies,
    remove_entry,
)
from aaad.orders.cascade import Said, Step
from aaad.orders.judge import Subject, judge, placings
from aaad.orders.readback import ReadBack
from aaad.radius.dynauth import NoAnswer, Order, Outcome, Verdict
from aaad.radius.dynauth_client import DynauthClient, Endpoint, Way
from aaad.radius.integrity import SecretKeys
from aaad.radius.kinds import NasKind
from aaad.words import printable

CONNECTIONS_MAX = 256
WORDS_MAX = 200  # of what a router says
API_LIMITS = Limits(connect_s=5.0, silence_s=10.0, command_s=20.0, backoff_max_s=15.0)
_NO_ANSWERS = {NoAnswer.SILENT: Said.SILENT, NoAnswer.REJECTED: Said.REJECTED, NoAnswer.UNSENT: Said.UNSENT}
_OUTCOMES = {Outcome.DONE: Said.DONE, Outcome.GONE: Said.GONE, Outcome.REFUSED: Said.REFUSED}


class Answer(NamedTuple):
    """What came of a step."""

    step: Step
    said: Said
    error_cause: int = 0  # of a NAK; 0: none was told
    text: str = ""  # of the router's API, in its own words
    at: str = ""  # when it came


class Target(NamedTuple):
    """Where an order goes, and what it says."""

    subject: Subject
    kind: NasKind
    keys: SecretKeys
    local_address: str
    nas: Endpoint
    names: bytes  # attributes that name the session
    changes: bytes  # attributes that a CoA says
    api: RouterAccess | None
    note: str  # of entries in address lists, for people who read them there
    mac: str = ""


class Kept(NamedTuple):
    """What a customer's entries may stay for: an address that he has, in a list that was written for it."""

    addresses: frozenset[str]
    lists: frozenset[str]


class Steps:
    """Steps of one process."""

    def __init__(
        self, client: DynauthClient, readback: ReadBack, *, tries_s: tuple[float, ...], limits: Limits
    ) -> None:
        """`tries_s`: how long each try of a request waits for its answer."""
        self._client = client
        self._readback = readback
        self._tries_s = tries_s
        self._limits = limits
        self._connections: dict[RouterAccess, RouterConnection] = {}

    async def act(self, step: Step, target: Target, check: Callable[[], Awaitable[None]]) -> Answer:
        """Carry out a step; what goes wrong outside is an answer, too.

        A router that was silent may wake at any time: `check` raises if what was right a while ago is not any more.
        """
        try:
            match step:
                case Step.COA:
                    return await self._ask(step, Order.CHANGE, target.names + target.changes, target, check)
                case Step.DISCONNECT:
                    return await self._ask(step, Order.DISCONNECT, target.names, target, check)
                case Step.READ:
                    return await self._read(target)
                case Step.API:
                    return await self._remove(target, check)
                case Step.COOKIE:
                    await remove_cookies(await self._api(target.api), target.subject.user_name, target.mac)
                    return Answer(step, Said.DONE)
                case Step.LISTS:
                    return await self._place(target)
        except RouterTrap as trap:
            return Answer(step, Said.REFUSED, text=_words(trap))
        except RouterError as error:
            return Answer(step, Said.UNREADABLE if step is Step.READ else Said.SILENT, text=_words(error))

    async def tidy(self, access: RouterAccess, marked: Mapping[str, Kept]) -> None:
        """Take entries of ours that bear these notes out of a router's lists, but for what is kept; RouterError."""
        api = await self._api(access)
        meant = {comment_of(note): (set(map(canonical, kept.addresses)), kept.lists) for note, kept in marked.items()}
        for family in Family:
            for entry in await list_entries(api, family):
                if entry.comment not in meant:
                    continue
                addresses, lists = meant[entry.comment]
                if entry.address not in addresses or entry.list not in lists:
                    await remove_entry(api, entry.list, entry.address)

    async def close(self) -> None:
        """End all connections."""
        connections, self._connections = self._connections, {}
        for connection in connections.values():
            await connection.close()

    async def _ask(
        self,
        step: Step,
        order: Order,
        attributes: bytes,
        target: Target,
        check: Callable[[], Awaitable[None]],
    ) -> Answer:
        way = Way(target.local_address, target.nas, target.keys, target.kind)
        answer = await self._client.carry(order, attributes, way, tries_s=self._tries_s, before_repeat=check)
        if isinstance(answer, Verdict):
            return Answer(step, _OUTCOMES[answer.outcome], answer.error_cause)
        return Answer(step, _NO_ANSWERS[answer])

    async def _api(self, access: RouterAccess | None) -> RouterConnection:
        """Return the one connection to a router; the one that was used least recently makes room."""
        assert access is not None
        connection = self._connections.pop(access, None)
        if connection is None:
            if len(self._connections) >= CONNECTIONS_MAX:
                oldest = next(iter(self._connections))
                await self._connections.pop(oldest).close()
            connection = RouterConnection(access, self._limits)
        self._connections[access] = connection
        return connection

    async def _read(self, target: Target) -> Answer:
        subject = target.subject
        seen = await self._readback.look(target.api, await self._api(target.api), subject.wants)
        return Answer(Step.READ, judge(subject, seen))

    async def _remove(self, target: Target, check: Callable[[], Awaitable[None]]) -> Answer:
        subject = target.subject
        removed = await remove_active(
            await self._api(target.api),
            ActiveKind.PPP if subject.is_ppp else ActiveKind.HOTSPOT,
            subject.user_name,
            subject.session_id,
            address=subject.address,
            age_s=subject.age_s,
            check=check,
        )
        match removed:
            case Removed():
                return Answer(Step.API, Said.DONE)
            case NotThere():
                return Answer(Step.API, Said.GONE)
            case OtherSession():
                return Answer(Step.API, Said.OTHER)
            case WithoutEffect():
                return Answer(Step.API, Said.AS_BEFORE)

    async def _place(self, target: Target) -> Answer:
        """Put entries of ours where they are missing, and take away those that must not be there."""
        api = await self._api(target.api)
        is_done = True
        for place in placings(target.subject):
            if place.is_in:
                placed = await add_entry(api, place.name, place.address, target.note)
                is_done = is_done and isinstance(placed, Added | AlreadyThere)
            else:
                of_session = ":" not in place.address  # RADIUS writes none of IPv6
                left = await remove_entry(api, place.name, place.address, of_session=of_session)
                is_done = is_done and isinstance(left, Removed | NotThere | NotOurs)  # another's is his
        return Answer(Step.LISTS, Said.DONE if is_done else Said.REFUSED)


def _words(error: RouterError) -> str:
    """Return what a router said, as it may be kept and shown: it may send octets that are no text."""
    return printable(str(error)[:WORDS_MAX])
