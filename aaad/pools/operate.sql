-- What operators do to pools and leases: statements of aaad/pools/operate.py.

-- name: lock_pool
-- One operator at a time; who claims and binds waits for none of them.
SELECT id, address_space, name, kind, family, prefix_length, host(gateway) AS gateway, state, adopting_since
FROM net.pool WHERE id = $1 FOR NO KEY UPDATE;

-- name: lock_ranges
-- Who claims from a range meanwhile waits for the end of this transaction.
SELECT id, host(first) AS first, host(last) AS last, next
FROM net.pool_range WHERE pool_id = $1 ORDER BY first FOR NO KEY UPDATE;

-- name: exclusions_of_pool
SELECT exclusion.id, exclusion.range_id, exclusion.from_unit, exclusion.until_unit, exclusion.why
FROM net.pool_exclusion AS exclusion
JOIN net.pool_range AS range ON range.id = exclusion.range_id
WHERE range.pool_id = $1
ORDER BY range.first, exclusion.from_unit;

-- name: ranges_in_the_way
-- Ranges of an address space that have some of these addresses.
SELECT pool.id, pool.name, host(range.first) AS first, host(range.last) AS last
FROM net.pool_range AS range
JOIN net.pool ON pool.id = range.pool_id
WHERE range.span && numrange(net.address_place($1, $2::inet), net.address_place($1, $3::inet), '[]')
ORDER BY range.first
LIMIT $4;

-- name: add_range
INSERT INTO net.pool_range (pool_id, first, last, units, next, span)
VALUES ($1, $2::inet, $3::inet, $4, $5, 'empty')
RETURNING id;

-- name: set_range
UPDATE net.pool_range SET first = $2::inet, last = $3::inet, units = $4, next = $5 WHERE id = $1 RETURNING id;

-- name: delete_range
DELETE FROM net.pool_range WHERE id = $1 RETURNING id;

-- name: add_exclusion
INSERT INTO net.pool_exclusion (range_id, from_unit, until_unit, first, last, why)
VALUES ($1, $2, $3, $4::inet, $5::inet, $6::text)
RETURNING id;

-- name: delete_exclusions
DELETE FROM net.pool_exclusion WHERE id = ANY($1::integer[]);

-- name: lock_reserves
-- What processes have set aside of a pool.
SELECT reserve.id, reserve.range_id, reserve.from_unit, reserve.until_unit, reserve.addresses::text[] AS addresses,
    node.name AS node, reserve.slot, extract(epoch FROM now() - node.heartbeat_at)::float8 AS silent_s
FROM net.reserve
JOIN net.node ON node.id = reserve.node_id
WHERE reserve.pool_id = $1
ORDER BY reserve.id
FOR UPDATE OF reserve;

-- name: shift_reserve
UPDATE net.reserve SET range_id = $2, from_unit = $3, until_unit = $4 WHERE id = $1;

-- name: cut_reserve
UPDATE net.reserve SET range_id = NULL, from_unit = NULL, until_unit = NULL, addresses = $2::text[]::cidr[] WHERE id = $1;

-- name: delete_reserve
DELETE FROM net.reserve WHERE id = $1;

-- name: known_units
-- Those of these units that are in the ledger.
SELECT address::text AS address FROM net.lease WHERE address_space = $1 AND address = ANY($2::text[]::cidr[]);

-- name: holders_within
-- Who has, or cannot lose yet, addresses from $2 to $3; `total` counts those beyond the limit, too.
SELECT lease.address::text AS address, lease.state, lease.login_id, login.name AS login, client.name AS client,
    nas.name AS nas, lease.valid_until, lease.free_from, count(*) OVER () AS total
FROM net.lease
LEFT JOIN erp.login ON login.id = lease.login_id
LEFT JOIN erp.contract ON contract.id = login.contract_id
LEFT JOIN erp.client ON client.id = contract.client_id
LEFT JOIN net.nas ON nas.id = lease.nas_id
WHERE lease.address_space = $1 AND lease.address BETWEEN $2::cidr AND $3::cidr AND NOT net.is_free(lease)
ORDER BY lease.address
LIMIT $4;

-- name: forget_free
-- Addresses from $2 to $3 that rest and that nobody can have any more: they leave the ledger.
WITH gone AS (
    DELETE FROM net.lease
    WHERE address_space = $1 AND address BETWEEN $2::cidr AND $3::cidr AND net.is_free(lease)
    RETURNING 1
)
SELECT count(*) AS count FROM gone;

-- name: free_units
-- What was taken out of the ledger, or out of a reserve, and can be given to anybody from now on.
WITH made AS (
    INSERT INTO net.lease (address_space, address, pool_id, state, released_at, free_from)
    SELECT $1, unit::cidr, $2, 'released', now(), now() FROM unnest($3::text[]) AS unit
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT count(*) AS count FROM made;

-- name: set_pool_state
UPDATE net.pool SET state = $2::text WHERE id = $1 AND state = ANY($3::text[]) RETURNING id;

-- name: all_nodes_know
-- Whether every node has applied the last change of a pool's state (as rule R8.2 has it); those that have not.
SELECT node.name, extract(epoch FROM now() - node.heartbeat_at)::float8 AS silent_s
FROM net.node, net.pool
WHERE pool.id = $1 AND (node.snapshot IS NULL OR NOT pg_visible_in_snapshot(pool.state_changed, node.snapshot))
ORDER BY node.name;

-- name: holders_in_pool
-- Who has addresses of a pool: first those bound longest; `total` counts those beyond the limit, too.
SELECT lease.address::text AS address, lease.state, lease.login_id, login.name AS login, client.name AS client,
    nas.name AS nas, lease.valid_until, lease.free_from, count(*) OVER () AS total
FROM net.lease
LEFT JOIN erp.login ON login.id = lease.login_id
LEFT JOIN erp.contract ON contract.id = login.contract_id
LEFT JOIN erp.client ON client.id = contract.client_id
LEFT JOIN net.nas ON nas.id = lease.nas_id
WHERE lease.pool_id = $1 AND NOT net.is_free(lease)
ORDER BY lease.address
LIMIT $2;

-- name: begin_adopting
UPDATE net.pool SET adopting_since = now() WHERE id = $1 AND adopting_since IS NULL RETURNING id;

-- name: end_adopting
UPDATE net.pool SET adopting_since = NULL WHERE id = $1 AND adopting_since IS NOT NULL RETURNING id;

-- name: find_leases
-- $1 pool; $2 login; addresses from $3 to $4, or one of $5; $6 address space; $7 states; $8 how many. Null: any.
SELECT lease.address_space, lease.address::text AS address, lease.state, lease.pool_id, pool.name AS pool,
    lease.login_id, login.name AS login, client.id AS client_id, client.name AS client, lease.device,
    lease.nas_id, nas.name AS nas, lease.offered_at, lease.valid_until, lease.released_at, lease.free_from,
    net.is_free(lease) AS is_free
FROM net.lease
LEFT JOIN net.pool ON pool.id = lease.pool_id
LEFT JOIN erp.login ON login.id = lease.login_id
LEFT JOIN erp.contract ON contract.id = login.contract_id
LEFT JOIN erp.client ON client.id = contract.client_id
LEFT JOIN net.nas ON nas.id = lease.nas_id
WHERE ($1::integer IS NULL OR lease.pool_id = $1)
    AND ($2::integer IS NULL OR lease.login_id = $2)
    AND ($3::cidr IS NULL OR lease.address BETWEEN $3 AND $4::cidr OR lease.address = ANY($5::text[]::cidr[]))
    AND ($6::integer IS NULL OR lease.address_space = $6)
    AND lease.state = ANY($7::text[])
ORDER BY lease.address_space, lease.address
LIMIT $8;

-- name: lock_leases
-- What the ledger says of one address, in all address spaces or one: of itself and of what it lies in.
SELECT lease.address_space, lease.address::text AS address, lease.state, lease.pool_id, pool.name AS pool,
    lease.login_id, login.name AS login, lease.nas_id, lease.offered_at, lease.valid_until, lease.released_at,
    lease.free_from, net.is_free(lease) AS is_free
FROM net.lease
LEFT JOIN net.pool ON pool.id = lease.pool_id
LEFT JOIN erp.login ON login.id = lease.login_id
WHERE lease.address = ANY($1::text[]::cidr[]) AND ($2::integer IS NULL OR lease.address_space = $2)
ORDER BY lease.address_space, masklen(lease.address) DESC
FOR NO KEY UPDATE OF lease;

-- name: release_lease
-- Nobody's from now on, and another's when it has rested. An address that a NAS reported and that is in no pool is
-- forgotten.
WITH home AS (
    SELECT pool.id, pool.quarantine_s
    FROM net.pool_range AS range
    JOIN net.pool ON pool.id = range.pool_id
    WHERE range.span @> net.address_place($1, $2::cidr::inet)
), forgotten AS (
    DELETE FROM net.lease WHERE address_space = $1 AND address = $2 AND state = 'foreign' AND NOT EXISTS (SELECT FROM home)
    RETURNING now() AS free_from
), released AS (
    UPDATE net.lease SET state = 'released', released_at = now(), changed = pg_current_xact_id(),
        pool_id = coalesce(lease.pool_id, (SELECT id FROM home)),
        free_from = now() + make_interval(secs => coalesce(
            (SELECT pool.quarantine_s FROM net.pool WHERE pool.id = lease.pool_id), (SELECT quarantine_s FROM home)))
    WHERE address_space = $1 AND address = $2
        AND (state = 'bound' OR state = 'foreign' AND EXISTS (SELECT FROM home))
    RETURNING free_from
)
SELECT free_from FROM released UNION ALL SELECT free_from FROM forgotten;

-- name: live_sessions_with
-- Connections that are not closed and have an address, or one of a prefix.
SELECT session.family, session.life, session.state, session.user_name, session.acct_session_id, session.login_id,
    session.time_zone, session.started_at, session.heard_at, nas.name AS nas
FROM net.every_session AS session
LEFT JOIN net.nas ON nas.id = session.nas_id
WHERE session.state = ANY('{open,suspended}'::text[]) AND session.address_space = $1
    AND (family($2::cidr) = 4 AND session.ipv4 <<= $2 OR family($2) = 6
        AND (session.ipv6_prefix && $2::inet OR session.delegated_ipv6_prefix && $2::inet))
ORDER BY session.started_at DESC
LIMIT $3;

-- name: holders_of_address
-- Connections that had an address, the latest first. $1 the address; $2 its space, null: any; $3 how many.
SELECT found.*, login.name AS login, client.name AS client, nas.name AS nas
FROM (
    SELECT session.family, session.life, session.state, session.user_name, session.acct_session_id, session.login_id,
        session.client_id, session.address_space, session.nas_id, session.mac, session.calling_station_id,
        session.time_zone, session.started_at, session.heard_at, session.ended_at, session.ended_latest,
        session.end_evidence, session.terminate_cause, session.ipv4, session.ipv6_prefix, session.delegated_ipv6_prefix
    FROM net.every_session AS session
    WHERE (family($1::inet) = 4 AND session.ipv4 <<= $1 OR family($1) = 6
            AND (session.ipv6_prefix && $1 OR session.delegated_ipv6_prefix && $1))
        AND ($2::integer IS NULL OR session.address_space = $2)
    ORDER BY session.started_at DESC, session.family, session.life
    LIMIT $3
) AS found
LEFT JOIN erp.login ON login.id = found.login_id
LEFT JOIN erp.client ON client.id = found.client_id
LEFT JOIN net.nas ON nas.id = found.nas_id
ORDER BY found.started_at DESC, found.family, found.life;

-- name: secondary_pool
-- The pool of a concentrator's secondary networks.
SELECT nas.id AS nas_id, nas.name AS nas, nas.secondary_pool AS name, pool.id AS pool_id
FROM net.nas
LEFT JOIN net.pool ON pool.address_space = nas.address_space AND pool.name = nas.secondary_pool
WHERE nas.id = $1;

-- name: concentrator_of
-- Where a login is: bound to, else connected.
SELECT coalesce(login.nas_id, (
    SELECT session.nas_id FROM net.session
    WHERE session.login_id = login.id AND session.ended_at IS NULL ORDER BY session.started_at DESC LIMIT 1)) AS nas_id
FROM erp.login WHERE login.id = $1;

-- name: take_unit
-- For a login for good, if nobody has it and nobody had it.
INSERT INTO net.lease (address_space, address, pool_id, state, login_id, offered_at)
VALUES ($1, $2::text::cidr, $3, 'fixed', $4, now())
ON CONFLICT DO NOTHING
RETURNING address::text AS address;

-- name: move_next
UPDATE net.pool_range SET next = $2 WHERE id = $1;

-- name: take_free_unit
-- For a login for good: what rests longest, and that nobody's connection may still use.
UPDATE net.lease SET state = 'fixed', login_id = $2, device = 0, nas_id = NULL, offered_at = now(), valid_until = NULL,
    released_at = NULL, free_from = NULL, changed = pg_current_xact_id()
WHERE (address_space, address) = (
    SELECT resting.address_space, resting.address FROM net.lease AS resting
    WHERE resting.pool_id = $1 AND resting.state = 'released' AND net.is_free(resting)
        AND NOT net.is_excluded(resting)
        AND NOT EXISTS (SELECT FROM net.session WHERE session.login_id = resting.login_id AND session.ended_at IS NULL
            AND session.started_at < resting.released_at)
    ORDER BY resting.free_from LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING address::text AS address;

-- name: add_route
UPDATE erp.login SET routes = routes || $2::text::cidr
WHERE id = $1 AND deleted_at IS NULL AND NOT $2::text::cidr = ANY(routes)
RETURNING id;

-- name: remove_route
UPDATE erp.login SET routes = array_remove(routes, $2::text::cidr) WHERE id = $1 AND $2::text::cidr = ANY(routes) RETURNING id;

-- name: networks_of_login
-- What a login has for good out of pools.
SELECT lease.address_space, lease.address::text AS address, lease.pool_id, pool.name AS pool
FROM net.lease
JOIN net.pool ON pool.id = lease.pool_id
JOIN erp.login ON login.id = lease.login_id
WHERE lease.login_id = $1 AND lease.state = 'fixed' AND lease.address = ANY(login.routes)
ORDER BY lease.address_space, lease.address;

-- name: tell
-- An entry in the history, of a login if there is one.
INSERT INTO erp.history (branch_id, client_id, contract_id, login_id, kind, text, source)
SELECT contract.branch_id, contract.client_id, contract.id, $1::integer, $2::text, $3::text, 'api'
FROM (SELECT $1::integer AS id) AS asked
LEFT JOIN erp.login ON login.id = asked.id
LEFT JOIN erp.contract ON contract.id = login.contract_id;

-- name: pool_history
-- What was changed in pools, the latest first; of one, or with null of all.
SELECT id, at, text, operator, source FROM erp.history
WHERE kind = 'pool_changed' AND ($1::integer IS NULL OR text LIKE 'pool ' || $1 || ' %')
ORDER BY id DESC
LIMIT $2;
