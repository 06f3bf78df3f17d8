"""Made-up history: sessions that ended in past months, by a rule from which each one can be computed anew.

Every login has the same number of sessions in each month, one after the other, always with its own address; each
lasts nine tenths of its place. So for any of them it is known who had the address, and for how long.
"""

import datetime as dt
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

import asyncpg

_LASTS = 0.9  # of its place
_JITTER = 0.05
_JITTER_STEPS = 1000
_FIRST_ADDRESS = IPv4Address("100.64.1.0")  # as the node's numbered logins have
_FIRST_LOGIN_ID = 1001

_MAKE = """
CREATE TABLE net.{table} (LIKE net.session_history INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)"""
_FILL = """
INSERT INTO net.{table} (family, life, summary, acct_session_id, user_name, login_id, contract_id, client_id, plan_id,
    branch_id, time_zone, nas_id, source_address, nas_identifier, nas_port, nas_port_id, called_station_id,
    calling_station_id, mac, ipv4, ipv4_evidence, started_at, start_seen, heard_at, ended_at, ended_latest,
    end_evidence, terminate_cause, interim_s, session_time_s, octets_in, octets_out, packets_in, packets_out, days,
    day_octets_in, day_octets_out, records)
SELECT md5(concat_ws('/', number, nth, '{table}'))::uuid, 0, decode(repeat(md5(number::text), 12), 'hex'),
    to_char(nth, 'FM000000') || lpad(to_hex(number), 8, '0'), 'user' || to_char(number, 'FM000000'),
    {first_login_id} + number, {first_login_id} + number, {first_login_id} + number, 1, 1, 'America/Sao_Paulo',
    (SELECT min(id) FROM net.nas), '127.0.0.1', 'bras-00', 15728640 + number, 'vlan' || 100 + number % 900,
    'pppoe-in', device.mac::text, device.mac, inet '{first_address}' + number, 'granted', place.started_at, true,
    place.ended_at, place.ended_at, place.ended_at, 'stop', 1, 300,
    extract(epoch FROM place.ended_at - place.started_at)::bigint,
    number * 1000, number * 9000, number, number * 7, ARRAY[place.ended_at::date], ARRAY[number * 1000::bigint],
    ARRAY[number * 9000::bigint], 200
FROM generate_series(0, {each} - 1) AS nth
CROSS JOIN generate_series(0, {logins} - 1) AS number
CROSS JOIN LATERAL (SELECT ('e48d' || lpad(to_hex(number), 8, '0'))::macaddr AS mac) AS device
CROSS JOIN LATERAL (
    SELECT begun AS started_at, begun + {lasts_s} * interval '1 second' AS ended_at
    FROM (SELECT timestamptz '{since}'
        + (nth * {place_s} + number * 7919 % {jitter_steps} * {jitter_s}) * interval '1 second') AS places (begun)
    ) AS place"""
_ATTACH = "ALTER TABLE net.session_history ATTACH PARTITION net.{table} FOR VALUES FROM ('{since}') TO ('{until}')"


@dataclass(frozen=True, slots=True)
class Ended:
    """One made-up session."""

    login_id: int
    address: IPv4Address
    started_at: dt.datetime
    ended_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Month:
    """A month (UTC) in which every login has `each` sessions."""

    since: dt.datetime
    until: dt.datetime
    logins: int
    each: int

    @property
    def table(self) -> str:
        """The partition's name, as the daemon names it."""
        return f"session_history_{self.since:%Y_%m}"

    @property
    def count(self) -> int:
        return self.logins * self.each

    def session(self, number: int, nth: int) -> Ended:
        """Return the `nth` session of a login, as the table holds it."""
        begun = self.since + dt.timedelta(
            seconds=nth * self._place_s + number * 7919 % _JITTER_STEPS * self._jitter_step_s
        )
        ended = begun + dt.timedelta(seconds=_LASTS * self._place_s)
        return Ended(_FIRST_LOGIN_ID + number, _FIRST_ADDRESS + number, begun, ended)

    @property
    def _place_s(self) -> float:
        return (self.until - self.since).total_seconds() / self.each

    @property
    def _jitter_step_s(self) -> float:
        return _JITTER * self._place_s / _JITTER_STEPS

    def statements(self) -> list[str]:
        """Return what makes, fills and attaches its partition; indexes are built when it is full."""
        words = {
            "table": self.table, "since": self.since.isoformat(), "until": self.until.isoformat(),
            "logins": self.logins, "each": self.each, "place_s": repr(self._place_s),
            "jitter_s": repr(self._jitter_step_s), "jitter_steps": _JITTER_STEPS,
            "lasts_s": repr(_LASTS * self._place_s), "first_login_id": _FIRST_LOGIN_ID,
            "first_address": _FIRST_ADDRESS,
        }  # fmt: skip
        return [statement.format(**words) for statement in (_MAKE, _FILL, _ATTACH)]


def months_before(now: dt.datetime, count: int, logins: int, sessions: int) -> list[Month]:
    """Return the `count` months before this one, the latest first, which hold at least so many sessions together."""
    each = max(1, -(-sessions // (count * logins)))
    found, until = [], now.astimezone(dt.UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for _ in range(count):
        since = (until - dt.timedelta(days=1)).replace(day=1)
        found.append(Month(since, until, logins, each))
        until = since
    return found


async def fill(connection: asyncpg.Connection, months: list[Month]) -> AsyncIterator[Month]:
    """Make the months that are not there yet, each in one transaction; yields each when it is done."""
    await connection.execute("SET maintenance_work_mem = '1GB'")
    for month in months:
        if await connection.fetchval("SELECT to_regclass($1)", f"net.{month.table}") is None:
            async with connection.transaction():
                for statement in month.statements():
                    await connection.execute(statement)
            await connection.execute(f"ANALYZE net.{month.table}")
        yield month


def questions(months: list[Month], count: int, seed: int = 1) -> Iterator[tuple[Ended, dt.datetime]]:
    """Return so many sessions at random, each with an instant in it."""
    choice = random.Random(seed)
    for _ in range(count):
        month = choice.choice(months)
        ended = month.session(choice.randrange(month.logins), choice.randrange(month.each))
        yield ended, ended.started_at + choice.uniform(0.001, 0.999) * (ended.ended_at - ended.started_at)
