-- Statements of aaad/pools/claims.py: what a radius process asks beside its claims and bindings (rule R7.2).

-- name: say_nothing
SELECT 1;

-- What is ours still, of this life.
-- name: find_own_reserves
SELECT id FROM net.reserve
WHERE node_id = $1::integer AND slot = $2::integer AND life = $3::uuid AND abandoned_at IS NULL;

-- Excluded since it was claimed, perhaps.
-- name: find_exclusions
SELECT range.pool_id, host(excluded.first) AS first, host(excluded.last) AS last
FROM net.pool_exclusion AS excluded JOIN net.pool_range AS range ON range.id = excluded.range_id
WHERE range.pool_id = ANY ($1::integer[])
ORDER BY excluded.id DESC LIMIT 10000;

-- Pools of ours of which somebody found nothing lately.
-- name: find_shortages
SELECT pool_id FROM net.pool_shortage
WHERE pool_id = ANY ($1::integer[]) AND at > now() - interval '10 seconds';

-- name: tell_shortage
INSERT INTO net.pool_shortage AS shortage (pool_id, at) SELECT id, now() FROM net.pool WHERE id = $1::integer
ON CONFLICT (pool_id) DO UPDATE SET at = now() WHERE shortage.at < now() - interval '1 second';

-- Whether a living process has something of a pool that nobody was given yet.
-- name: is_set_aside
SELECT EXISTS (
    SELECT FROM net.reserve JOIN net.node ON node.id = reserve.node_id
    WHERE reserve.pool_id = $1::integer AND reserve.abandoned_at IS NULL
        AND (reserve.node_id, reserve.slot) <> ($2::integer, $3::integer)
        AND node.heartbeat_at > now() - interval '60 seconds' AND net.count_left(reserve) > 0) AS is_set_aside;

-- What is used up, or was never written down here: what nobody got of it goes back once our records are drained.
-- name: abandon_own_reserves
UPDATE net.reserve SET abandoned_at = now()
WHERE id = ANY ($4::bigint[]) AND node_id = $1::integer AND slot = $2::integer AND life = $3::uuid
    AND abandoned_at IS NULL
    AND NOT EXISTS (SELECT FROM net.pool WHERE pool.id = reserve.pool_id AND pool.adopting_since IS NOT NULL);
