-- Statements of aaad/pools/reports.py: what operators ask about pools. Write nothing.

-- name: list_pools
-- As counted last; null: not counted yet, or not given out here. Members are those of a dualstack pool.
SELECT pool.id, pool.address_space, pool.name, pool.kind, pool.family, pool.prefix_length, host(pool.gateway) AS gateway,
    pool.state, pool.valid_s, pool.quarantine_s, pool.offer_s, pool.reserve_size, pool.alarm_percent,
    pool.adopting_since, pool.adopted_at,
    (SELECT array_agg(member.name ORDER BY member.family) FROM net.pool AS member
        WHERE member.id IN (pool.ipv4_pool_id, pool.ipv6_pool_id, pool.delegated_pool_id)) AS members,
    used.counted_at, used.size, used.never, used.reserved, used.bound, used.offered, used.fixed, used.reported,
    used.resting, used.free, used.alarm_since, used.exhausted_at, used.growth_per_day
FROM net.pool LEFT JOIN net.pool_use AS used ON used.pool_id = pool.id
WHERE ($1::integer IS NULL OR pool.address_space = $1) AND ($2::text IS NULL OR pool.name = $2)
ORDER BY pool.address_space, pool.name LIMIT $3;

-- name: count_pool
-- Now, and exactly.
SELECT size, never, reserved, bound, offered, fixed, reported, resting, free,
    size - never - reserved - bound - fixed - reported - resting - free AS unaccounted
FROM net.pool_count WHERE pool_id = $1;

-- name: count_unaccounted
-- Pools of which a unit is in no state, or in two: there must be none.
SELECT pool.id AS pool_id, pool.address_space, pool.name, counted.size,
    counted.size - never - reserved - bound - fixed - reported - resting - free AS unaccounted
FROM net.pool_count AS counted JOIN net.pool ON pool.id = counted.pool_id
WHERE ($1::integer IS NULL OR pool.id = $1)
    AND counted.size <> never + reserved + bound + fixed + reported + resting + free
ORDER BY pool.address_space, pool.name;

-- name: list_ranges
SELECT pool_range.id, host(pool_range.first) AS first, host(pool_range.last) AS last, pool_range.units, pool_range.next,
    (SELECT coalesce(sum(until_unit - from_unit), 0)::bigint FROM net.pool_exclusion WHERE range_id = pool_range.id) AS excluded
FROM net.pool_range WHERE pool_range.pool_id = $1 ORDER BY pool_range.first;

-- name: list_exclusions
SELECT pool_exclusion.id, host(pool_exclusion.first) AS first, host(pool_exclusion.last) AS last,
    pool_exclusion.until_unit - pool_exclusion.from_unit AS units, pool_exclusion.why
FROM net.pool_exclusion JOIN net.pool_range ON pool_range.id = pool_exclusion.range_id
WHERE pool_range.pool_id = $1 ORDER BY pool_exclusion.first LIMIT $2;

-- name: list_reserves
-- What processes have set aside; a node that is null was removed.
SELECT node.name AS node, reserve.slot, count(*) AS claims, sum(net.count_left(reserve))::bigint AS units_left,
    min(reserve.claimed_at) AS claimed_since, reserve.abandoned_at IS NOT NULL AS is_abandoned
FROM net.reserve LEFT JOIN net.node ON node.id = reserve.node_id
WHERE reserve.pool_id = $1
GROUP BY node.name, reserve.slot, reserve.abandoned_at IS NOT NULL
ORDER BY node.name, reserve.slot;

-- name: list_findings
-- What NASes report and the ledger says otherwise, and is not settled: the oldest first.
SELECT finding.id, finding.address_space, finding.address::text AS address, finding.kind, finding.login_id,
    login.name AS login, finding.holder_id, holder.name AS holder, nas.name AS nas, pool.name AS pool,
    finding.first_seen, finding.last_seen, lease.state AS lease_state
FROM net.address_finding AS finding
LEFT JOIN erp.login ON login.id = finding.login_id
LEFT JOIN erp.login AS holder ON holder.id = finding.holder_id
LEFT JOIN net.nas ON nas.id = finding.nas_id
LEFT JOIN net.lease ON lease.address_space = finding.address_space AND lease.address = finding.address
LEFT JOIN LATERAL (
    SELECT pool.id, pool.name FROM net.pool_range JOIN net.pool ON pool.id = pool_range.pool_id
    WHERE pool.address_space = finding.address_space
        AND net.first_host(finding.address) BETWEEN pool_range.first AND pool_range.last
    LIMIT 1
) AS pool ON true
WHERE finding.settled_at IS NULL AND ($1::integer IS NULL OR finding.address_space = $1)
    AND ($2::integer IS NULL OR pool.id = $2)
ORDER BY finding.first_seen, finding.id LIMIT $3;

-- name: find_standbys
-- Whether a standby could be promoted that lacks what was promised (rule R7.3).
SELECT standbys, waits, seen_at FROM net.database_seen;
