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

-- name: pools_with
SELECT DISTINCT pool_id FROM net.pool_range WHERE first <= $2::inet AND last >= $1::inet;

-- name: ranges_in_the_way
-- Ranges of an address space that have some of these addresses.
SELECT pool.id, pool.name, host(range.first) AS first, host(range.last) AS last
FROM net.pool_range AS range
JOIN net.pool ON pool.id = range.pool_id
WHERE range.span && numrange(net.address_place($1, $2::inet), net.address_place($1, $3::inet), '[]')
ORDER BY range.first
LIMIT $4;

-- name: add_range
INSERT INTO net.pool_range (pool_id, first, last) VALUES ($1, $2::inet, $3::inet) RETURNING id;

-- name: shorten_range
UPDATE net.pool_range SET last = $2::inet WHERE id = $1 RETURNING id;

-- name: delete_range
DELETE FROM net.pool_range WHERE id = $1 RETURNING id;

-- name: add_exclusion
INSERT INTO net.pool_exclusion (range_id, from_unit, until_unit, why) VALUES ($1, $2, $3, $4::text) RETURNING id;

-- name: delete_exclusions
DELETE FROM net.pool_exclusion WHERE id = ANY($1::integer[]);

-- name: reserves_of_pool
-- What processes have set aside of a pool.
SELECT reserve.id, reserve.range_id, reserve.from_unit, reserve.until_unit, reserve.addresses::text[] AS addresses,
    node.name AS node, reserve.slot, extract(epoch FROM now() - node.heartbeat_at)::float8 AS silent_s
FROM net.reserve
LEFT JOIN net.node ON node.id = reserve.node_id
WHERE reserve.pool_id = $1
ORDER BY node.name, reserve.slot, reserve.id;

-- name: abandon_reserves
-- Nothing of them can be bound any more; what is left goes back once its node has drained what it wrote until now.
UPDATE net.reserve SET abandoned_at = now() WHERE id = ANY($1::bigint[]) AND abandoned_at IS NULL;

-- name: take_back_reserves
SELECT coalesce(sum(net.return_reserve(id)), 0)::bigint AS units FROM net.reserve WHERE pool_id = $1;

-- name: ask_back
-- Living processes give back what they have set aside of it, within seconds.
INSERT INTO net.pool_shortage (pool_id, at)
SELECT pool_id, now() FROM net.reserve WHERE pool_id = $1 AND abandoned_at IS NULL LIMIT 1
ON CONFLICT (pool_id) DO UPDATE SET at = excluded.at
RETURNING pool_id;

-- name: known_units
-- Those of these units that are in the ledger.
SELECT address::text AS address FROM net.lease WHERE address_space = $1 AND address = ANY($2::text[]::cidr[]);

-- name: holders_within
-- Who has, or cannot lose yet, addresses from one host to another; `total` counts those beyond the limit, too. With $4
-- also those whose own they are for good, and what NASes report.
SELECT lease.address::text AS address, lease.state, lease.login_id, login.name AS login, client.name AS client,
    nas.name AS nas, lease.valid_until, lease.free_from, lease.total
FROM (
    SELECT lease.address, lease.state, lease.login_id, lease.nas_id, lease.valid_until, lease.free_from,
        count(*) OVER () AS total
    FROM (
        SELECT * FROM net.lease WHERE address_space = $1 AND address >= network($2::inet) AND address <= network($3::inet)
        UNION ALL
        SELECT * FROM net.lease WHERE address_space = $1 AND address = ANY(ARRAY(
            SELECT network(set_masklen($2::inet, length)) FROM generate_series(8, masklen($2::inet) - 1) AS length))
            AND address < network($2::inet)
    ) AS lease
    WHERE lease.state = 'bound' OR lease.state = 'released' AND NOT net.is_forgotten(lease.changed, lease.valid_until)
        OR $4::boolean AND lease.state IN ('fixed', 'foreign')
    ORDER BY lease.address LIMIT $5
) AS lease
LEFT JOIN erp.login ON login.id = lease.login_id
LEFT JOIN erp.contract ON contract.id = login.contract_id
LEFT JOIN erp.client ON client.id = contract.client_id
LEFT JOIN net.nas ON nas.id = lease.nas_id
ORDER BY lease.address;

-- name: strangers_within
-- What keeps a new range of units of length $4 out: addresses of other pools' logins, and what overlaps its units.
SELECT lease.address::text AS address, lease.state, lease.login_id, login.name AS login, client.name AS client,
    nas.name AS nas, lease.valid_until, lease.free_from, lease.total
FROM (
    SELECT lease.address, lease.state, lease.login_id, lease.nas_id, lease.valid_until, lease.free_from,
        count(*) OVER () AS total
    FROM (
        SELECT * FROM net.lease WHERE address_space = $1 AND address >= network($2::inet) AND address <= network($3::inet)
        UNION ALL
        SELECT * FROM net.lease WHERE address_space = $1 AND address = ANY(ARRAY(
            SELECT network(set_masklen($2::inet, length)) FROM generate_series(8, masklen($2::inet) - 1) AS length))
            AND address < network($2::inet)
    ) AS lease
    WHERE masklen(lease.address) <> $4::integer OR lease.state IN ('bound', 'released')
    ORDER BY lease.address LIMIT $5
) AS lease
LEFT JOIN erp.login ON login.id = lease.login_id
LEFT JOIN erp.contract ON contract.id = login.contract_id
LEFT JOIN erp.client ON client.id = contract.client_id
LEFT JOIN net.nas ON nas.id = lease.nas_id
ORDER BY lease.address;

-- name: others_with
-- Who else has some of a network that login $3 shall have for good.
SELECT lease.address::text AS address, lease.state, lease.login_id, login.name AS login, client.name AS client,
    nas.name AS nas, lease.valid_until, lease.free_from, lease.total
FROM (
    SELECT lease.address, lease.state, lease.login_id, lease.nas_id, lease.valid_until, lease.free_from,
        count(*) OVER () AS total
    FROM (
        SELECT * FROM net.lease WHERE address_space = $1 AND address >= $2::text::cidr
            AND address <= network(set_masklen(broadcast($2::text::cidr)::inet, CASE family($2::text::cidr) WHEN 4 THEN 32 ELSE 128 END))
        UNION ALL
        SELECT * FROM net.lease WHERE address_space = $1 AND address = ANY(ARRAY(
            SELECT network(set_masklen($2::text::cidr::inet, length)) FROM generate_series(8, masklen($2::text::cidr) - 1) AS length))
    ) AS lease
    WHERE lease.login_id IS DISTINCT FROM $3::integer
        AND NOT (lease.state = 'foreign' AND lease.login_id IS NULL)
        AND NOT (lease.state = 'released' AND net.is_forgotten(lease.changed, lease.valid_until))
    ORDER BY lease.address LIMIT $4
) AS lease
LEFT JOIN erp.login ON login.id = lease.login_id
LEFT JOIN erp.contract ON contract.id = login.contract_id
LEFT JOIN erp.client ON client.id = contract.client_id
LEFT JOIN net.nas ON nas.id = lease.nas_id
ORDER BY lease.address;

-- name: gateway_within
SELECT name, host(gateway) AS gateway FROM net.pool
WHERE address_space = $1 AND gateway <<= $2::text::cidr ORDER BY id LIMIT 1;

-- name: pools_around
-- Pools with some of a network that is not excluded from them, or that a process of a node still has set aside.
SELECT pool.name, pool.prefix_length, masklen($2::text::cidr) = pool.prefix_length AS is_unit, aside.node,
    excluded.is_whole AS is_excluded
FROM net.pool_range AS range
JOIN net.pool ON pool.id = range.pool_id
LEFT JOIN LATERAL (
    SELECT coalesce(node.name, '-') AS node
    FROM net.reserve LEFT JOIN net.node ON node.id = reserve.node_id
    WHERE reserve.pool_id = pool.id AND masklen($2::text::cidr) = pool.prefix_length
        AND ($2::text::cidr = ANY(reserve.addresses) OR reserve.range_id = range.id
            AND net.unit_number(range.first, pool.prefix_length, $2::text::cidr::inet) >= reserve.from_unit
            AND net.unit_number(range.first, pool.prefix_length, $2::text::cidr::inet) < reserve.until_unit)
    LIMIT 1
) AS aside ON true
CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT FROM net.pool_exclusion AS excluded WHERE excluded.range_id = range.id
        AND excluded.first <= greatest(net.first_host($2::text::cidr::inet), range.first)
        AND excluded.last >= least(net.last_host($2::text::cidr::inet), range.last)) AS is_whole
) AS excluded
WHERE range.span && net.place_of($1, $2::text::cidr::inet) AND (NOT excluded.is_whole OR aside.node IS NOT NULL)
ORDER BY range.first
LIMIT 5;

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
    nas.name AS nas, lease.valid_until, lease.free_from, lease.total
FROM (
    SELECT lease.address, lease.state, lease.login_id, lease.nas_id, lease.valid_until, lease.free_from,
        count(*) OVER () AS total
    FROM net.lease
    WHERE lease.pool_id = $1 AND (lease.state = 'bound'
        OR lease.state = 'released' AND NOT net.is_forgotten(lease.changed, lease.valid_until))
    ORDER BY lease.address LIMIT $2
) AS lease
LEFT JOIN erp.login ON login.id = lease.login_id
LEFT JOIN erp.contract ON contract.id = login.contract_id
LEFT JOIN erp.client ON client.id = contract.client_id
LEFT JOIN net.nas ON nas.id = lease.nas_id
ORDER BY lease.address;

-- name: begin_adopting
SELECT FROM net.begin_adoption(ARRAY[$1::integer]);

-- name: end_adopting
SELECT FROM net.end_adoption(ARRAY[$1::integer]);

-- name: find_leases
-- $1 pool; $2 login; addresses from $3 to $4, or one of $5; $6 address space; $7 states; $8 how many. Null: any.
SELECT lease.address_space, lease.address::text AS address, lease.state, lease.pool_id, pool.name AS pool,
    lease.login_id, login.name AS login, client.id AS client_id, client.name AS client, lease.device,
    lease.nas_id, nas.name AS nas, lease.offered_at, lease.valid_until, lease.released_at, lease.free_from,
    lease.state = 'released' AND lease.free_from <= now() AND net.is_forgotten(lease.changed, lease.valid_until) AS is_free
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
    lease.login_id, login.name AS login
FROM net.lease
LEFT JOIN net.pool ON pool.id = lease.pool_id
LEFT JOIN erp.login ON login.id = lease.login_id
WHERE lease.address = ANY($1::text[]::cidr[]) AND ($2::integer IS NULL OR lease.address_space = $2)
ORDER BY lease.address_space, masklen(lease.address) DESC
FOR NO KEY UPDATE OF lease;

-- name: release_lease
SELECT net.release_leases(ARRAY[$1::integer], ARRAY[$2::text::cidr]) AS count;

-- name: free_foreign
SELECT net.free_foreign(lease.address_space, lease.address, lease.changed,
    coalesce(pool.quarantine_s, 0) * interval '1 second')::integer AS count
FROM net.lease
LEFT JOIN net.pool ON pool.id = lease.pool_id
WHERE lease.address_space = $1 AND lease.address = $2::text::cidr AND lease.state = 'foreign';

-- name: free_from
SELECT free_from FROM net.lease WHERE address_space = $1 AND address = $2::text::cidr;

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

-- name: move_next
UPDATE net.pool_range SET next = greatest(next, $2) WHERE id = $1;

-- name: resting_unit
-- What rests longest, that no node believes in any more, and that nobody's connection may still use.
SELECT resting.address::text AS address FROM net.lease AS resting
WHERE resting.pool_id = $1 AND resting.state = 'released' AND resting.free_from <= now()
    AND net.is_forgotten(resting.changed, resting.valid_until) AND NOT net.is_excluded(resting.pool_id, resting.address)
    AND NOT EXISTS (SELECT FROM net.session WHERE session.login_id = resting.login_id AND session.ended_at IS NULL
        AND session.started_at < resting.released_at)
ORDER BY resting.free_from
LIMIT 1 FOR UPDATE SKIP LOCKED;

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
