-- Of aaad/pools/takeover.py: what PostgreSQL knows of addresses that were found in use, and taking them over.

-- name: find_pools
SELECT pool.id, pool.name, pool.kind, pool.family, pool.prefix_length,
    coalesce(pool_range.firsts, '{}') AS firsts, coalesce(pool_range.lasts, '{}') AS lasts,
    coalesce(excluded.firsts, '{}') AS excluded_firsts, coalesce(excluded.lasts, '{}') AS excluded_lasts
FROM net.pool
LEFT JOIN LATERAL (
    SELECT array_agg(host(first) ORDER BY first) AS firsts, array_agg(host(last) ORDER BY first) AS lasts
    FROM net.pool_range WHERE pool_range.pool_id = pool.id
) AS pool_range ON true
LEFT JOIN LATERAL (
    SELECT array_agg(host(pool_exclusion.first)) AS firsts, array_agg(host(pool_exclusion.last)) AS lasts
    FROM net.pool_exclusion JOIN net.pool_range ON pool_range.id = pool_exclusion.range_id
    WHERE pool_range.pool_id = pool.id
) AS excluded ON true
WHERE pool.address_space = $1;

-- name: find_logins
SELECT erp.fold_login(name) AS folded, id, name
FROM erp.login WHERE erp.fold_login(name) = ANY($1::text[]) AND deleted_at IS NULL;

-- name: find_logins_by_mac
-- Whose only device it is.
SELECT mac, min(id) AS id, min(name) AS name
FROM erp.login WHERE mac = ANY($1::text[]) AND deleted_at IS NULL
GROUP BY mac HAVING count(*) = 1;

-- name: find_realms
-- What the branch of each NAS says of realms; the row without a NAS is for reports of none.
SELECT nas.id, erp.parameter_value('strip_realms', nas.branch_id), erp.parameter_value('default_realm', nas.branch_id)
FROM net.nas
UNION ALL SELECT NULL, erp.parameter_value('strip_realms', NULL), erp.parameter_value('default_realm', NULL);

-- name: find_nas_addresses
SELECT id, address::text AS address FROM net.nas WHERE address_space = $1;

-- name: find_leases
SELECT lease.address::text AS address, lease.state, lease.login_id, login.name
FROM net.lease LEFT JOIN erp.login ON login.id = lease.login_id
WHERE lease.address_space = $1 AND lease.address = ANY($2::text[]::cidr[]);

-- name: make_pool
INSERT INTO net.pool (address_space, name, kind, family, prefix_length)
VALUES ($1, $2, $3, $4::text, $5)
RETURNING id;

-- name: add_range
INSERT INTO net.pool_range (pool_id, first, last, units) VALUES ($1, $2::text::inet, $3::text::inet, $4);

-- name: begin_adoption
-- From now on these give out only what is proven unused (rule R7.3): pools that are new or have new ranges, and those in
-- which something is found although they never adopted anything.
SELECT net.begin_adoption(ARRAY(
    SELECT id FROM net.pool
    WHERE address_space = $1 AND (name = ANY($2::text[]) OR name = ANY($3::text[]) AND adopted_at IS NULL))) AS pool_id;

-- name: note_readings
-- All that is in use of these pools at these NASes is in the ledger now.
INSERT INTO net.adoption_reading (pool_id, nas_id, source)
SELECT DISTINCT pool.id, told.nas_id, 'router'
FROM unnest($2::text[], $3::integer[]) AS told (pool, nas_id)
JOIN net.pool ON pool.name = told.pool AND pool.address_space = $1
JOIN net.nas ON nas.id = told.nas_id
WHERE pool.adopting_since IS NOT NULL
ON CONFLICT (pool_id, nas_id) DO UPDATE SET read_at = now(), source = excluded.source;

-- name: adopt_units
-- Each becomes the lease of its login, or is marked as somebody's. What was offered by somebody else has no Accept that
-- its session could be late for: such a lease counts as offered later than now, and goes only when nobody reported it
-- for so long. What somebody else has by the ledger stays, and is returned with whose it is; so does what is fixed.
WITH wanted AS MATERIALIZED (
    SELECT * FROM unnest($2::text[]::cidr[], $3::text[], $4::integer[], $5::bigint[], $6::integer[])
        AS wanted (address, pool, login_id, device, nas_id)
), written AS (
    INSERT INTO net.lease (address_space, address, pool_id, state, login_id, device, nas_id, offered_at, valid_until)
    SELECT $1, wanted.address, pool.id, CASE WHEN wanted.login_id IS NULL THEN 'foreign' ELSE 'bound' END,
        wanted.login_id, wanted.device, wanted.nas_id,
        CASE WHEN wanted.login_id IS NOT NULL THEN now() + $7::integer * interval '1 second' END,
        now() + greatest(pool.valid_s, CASE WHEN wanted.login_id IS NULL THEN $7 ELSE 0 END) * interval '1 second'
    FROM wanted JOIN net.pool ON pool.name = wanted.pool AND pool.address_space = $1
    ORDER BY wanted.address
    ON CONFLICT (address_space, address) DO UPDATE SET
        pool_id = excluded.pool_id,
        state = excluded.state,
        login_id = excluded.login_id,
        device = CASE WHEN lease.login_id = excluded.login_id AND lease.device <> 0 THEN lease.device ELSE excluded.device END,
        nas_id = excluded.nas_id,
        offered_at = CASE WHEN lease.state = 'bound' AND lease.offered_at <= now() THEN lease.offered_at ELSE excluded.offered_at END,
        valid_until = greatest(CASE WHEN isfinite(lease.valid_until) THEN lease.valid_until END, excluded.valid_until),
        released_at = NULL,
        free_from = NULL,
        changed = pg_current_xact_id()
    WHERE lease.state = 'released'
        OR (lease.state = 'foreign' AND (excluded.state = 'bound' OR lease.valid_until < excluded.valid_until - interval '1 hour'))
        OR (lease.state = 'bound' AND lease.login_id = excluded.login_id
            AND lease.valid_until < excluded.valid_until - interval '1 hour')
    RETURNING address
)
SELECT wanted.address::text AS address, written.address IS NOT NULL AS is_written,
    lease.state, lease.login_id AS holder_id, login.name AS holder
FROM wanted
LEFT JOIN written USING (address)
LEFT JOIN net.lease ON lease.address_space = $1 AND lease.address = wanted.address
LEFT JOIN erp.login ON login.id = lease.login_id;

-- name: note_findings
INSERT INTO net.address_finding AS known (address_space, address, kind, login_id, holder_id, nas_id)
SELECT DISTINCT ON (address, kind, coalesce(login_id, 0)) $1::integer, address, kind, login_id, holder_id, nas_id
FROM unnest($2::text[]::cidr[], $3::text[], $4::integer[], $5::integer[], $6::integer[])
    AS found (address, kind, login_id, holder_id, nas_id)
ORDER BY address, kind, coalesce(login_id, 0)
ON CONFLICT (address_space, address, kind, coalesce(login_id, 0)) WHERE settled_at IS NULL
DO UPDATE SET last_seen = now(), holder_id = excluded.holder_id, nas_id = excluded.nas_id;
