-- Statements of aaad/pools/keeping.py, adoption.py and use.py. None waits for a row that somebody else holds: whoever
-- answers logins goes first. What was read and judged is written only where the lease still is what was read: `changed`
-- is then what it was. What asks of each lease who uses it stands behind OFFSET 0, so that it is asked last, of what is
-- left: PostgreSQL would ask it of each row of net.lease, before it has looked at the pool or session that it belongs to.

-- name: claim_chore
-- Whoever holds the row does the next bit; nobody waits for him. What can wait does while a drain is behind, for a
-- minute and not for ever. A round that begins now is marked by its beginning.
SELECT cursor, CASE WHEN cursor = 0 THEN now() ELSE coalesce(began_at, now()) END AS began_at
FROM net.chore
WHERE name = $1 AND due_at <= now() AND NOT (can_wait AND due_at > now() - interval '1 minute' AND net.is_drain_behind())
FOR UPDATE SKIP LOCKED;

-- name: leave_chore
UPDATE net.chore SET cursor = $2, due_at = now() + $3::double precision * interval '1 second', began_at = $4 WHERE name = $1;

-- name: limit_waits
SELECT set_config('lock_timeout', $1, true);

-- name: lease_blocks
SELECT pg_relation_size('net.lease') / current_setting('block_size')::integer AS blocks;

-- name: session_blocks
SELECT pg_relation_size('net.session') / current_setting('block_size')::integer AS blocks;

-- name: take_ends
-- Words of ends, each for him who takes it alone, whenever its transaction committed. If he fails they are there again.
DELETE FROM net.session_end
WHERE ctid = ANY(ARRAY(SELECT ctid FROM net.session_end WHERE look_from <= now() LIMIT $1 FOR UPDATE SKIP LOCKED))
RETURNING families, looks;

-- name: leave_ends
-- For a look later: somebody seemed to have their leases, or they are too many at once. As many in a word as the drain
-- writes, so that a few words are never more than a bit of work.
INSERT INTO net.session_end (families, looks, look_from)
SELECT array_agg(family), $2::integer, now() + $3::double precision * interval '1 second'
FROM unnest($1::uuid[]) WITH ORDINALITY AS told (family, number)
GROUP BY (number - 1) / 500;

-- name: find_ended
-- Bound leases that a session of their login had, which has ended and began after they were offered: the session of a
-- newer offer may still be on its way. Each is looked up by its key, however many leases there are.
WITH told AS MATERIALIZED (
    SELECT DISTINCT unnest($1::uuid[]) AS family
)
SELECT (lease).address_space, (lease).address::text AS address, (lease).changed::text AS changed, family,
    net.is_held(lease) OR net.is_reported((lease).address_space, (lease).address) AS is_used
FROM (
    SELECT found.lease, told.family
    FROM told
    CROSS JOIN LATERAL (
        SELECT login_id, address_space, started_at, ARRAY[ipv4, ipv6_prefix::inet, delegated_ipv6_prefix::inet] AS had
        FROM net.session WHERE session.family = told.family AND session.ended_at IS NOT NULL OFFSET 0
    ) AS session
    CROSS JOIN LATERAL (
        SELECT lease FROM net.lease AS lease
        WHERE lease.address_space = session.address_space AND lease.address = ANY (session.had)
            AND lease.state = 'bound' AND lease.login_id = session.login_id
            AND session.started_at >= lease.offered_at - $2::double precision * interval '1 second'
        OFFSET 0
    ) AS found
    OFFSET 0
) AS ended;

-- name: find_unused
-- Bound leases in a range of the table's blocks that nobody has: their session ended, or never began although what came
-- until the offer was over is drained (rule R5.3). Not of pools that adopt: their sessions may not be known yet.
SELECT (lease).address_space, (lease).address::text AS address, (lease).changed::text AS changed
FROM (
    SELECT lease
    FROM net.lease
    JOIN net.pool ON pool.id = lease.pool_id
    WHERE lease.ctid >= format('(%s,0)', $1::bigint)::tid AND lease.ctid < format('(%s,0)', $2::bigint)::tid
        AND lease.state = 'bound' AND pool.adopting_since IS NULL
        AND lease.offered_at + pool.offer_s * interval '1 second' < (SELECT net.drained_until())
    OFFSET 0
) AS offered
WHERE NOT net.is_held(lease) AND NOT net.is_reported((lease).address_space, (lease).address);

-- name: release_leases
-- Whoever binds one again in this instant has changed it, and keeps it. It rests for as long as an Accept may take to
-- become a session, at least: a node may have answered from its copy a moment ago.
WITH found AS MATERIALIZED (
    SELECT * FROM unnest($1::integer[], $2::text[]::cidr[], $3::text[]::xid8[]) AS found (address_space, address, changed)
), locked AS (
    SELECT lease.address_space, lease.address, pool.quarantine_s
    FROM net.lease
    JOIN found USING (address_space, address, changed)
    JOIN net.pool ON pool.id = lease.pool_id
    WHERE lease.state = 'bound'
    FOR UPDATE OF lease SKIP LOCKED
)
UPDATE net.lease SET
    state = 'released',
    released_at = now(),
    free_from = now() + greatest(locked.quarantine_s, $4::integer) * interval '1 second',
    changed = pg_current_xact_id()
FROM locked
WHERE lease.address_space = locked.address_space AND lease.address = locked.address
RETURNING lease.address_space, lease.address::text AS address;

-- name: extend_leases
-- Bound leases in a range of the table's blocks that are used, past the half of their time (rule R7.2).
WITH due AS MATERIALIZED (
    SELECT (lease).address_space, (lease).address, (lease).changed, valid_s
    FROM (
        SELECT lease, pool.valid_s
        FROM net.lease
        JOIN net.pool ON pool.id = lease.pool_id
        WHERE lease.ctid >= format('(%s,0)', $1::bigint)::tid AND lease.ctid < format('(%s,0)', $2::bigint)::tid
            AND lease.state = 'bound'
            AND lease.valid_until < now() + pool.valid_s / 2.0 * interval '1 second'
        OFFSET 0
    ) AS past_half
    WHERE net.is_held(lease) OR net.is_reported((lease).address_space, (lease).address)
), locked AS (
    SELECT lease.address_space, lease.address, due.valid_s
    FROM net.lease JOIN due USING (address_space, address, changed)
    FOR UPDATE OF lease SKIP LOCKED
)
UPDATE net.lease SET
    valid_until = now() + locked.valid_s * interval '1 second',
    changed = pg_current_xact_id()
FROM locked
WHERE lease.address_space = locked.address_space AND lease.address = locked.address;

-- name: refresh_foreign
-- Marks of what is still reported, past the half of their time. Replicas have no foreign leases: they hear nothing of it.
WITH due AS MATERIALIZED (
    SELECT lease.address_space, lease.address, coalesce(pool.valid_s, $3) AS valid_s
    FROM net.lease
    LEFT JOIN net.pool ON pool.id = lease.pool_id
    WHERE lease.ctid >= format('(%s,0)', $1::bigint)::tid AND lease.ctid < format('(%s,0)', $2::bigint)::tid
        AND lease.state = 'foreign'
        AND (lease.free_from IS NULL
            OR lease.free_from < now() + coalesce(pool.valid_s, $3) / 2.0 * interval '1 second'
                AND net.is_reported(lease.address_space, lease.address))
    FOR UPDATE OF lease SKIP LOCKED
)
UPDATE net.lease SET free_from = now() + due.valid_s * interval '1 second'
FROM due
WHERE lease.address_space = due.address_space AND lease.address = due.address;

-- name: free_foreign
-- Those that nobody has reported for the whole of their time, as far as is drained.
SELECT count(*) FILTER (WHERE net.free_foreign(gone.address_space, gone.address, gone.changed, gone.rests)) AS freed
FROM (
    SELECT lease.address_space, lease.address, lease.changed,
        greatest(coalesce(pool.quarantine_s, 0), $3::integer) * interval '1 second' AS rests
    FROM net.lease
    LEFT JOIN net.pool ON pool.id = lease.pool_id
    WHERE lease.ctid >= format('(%s,0)', $1::bigint)::tid AND lease.ctid < format('(%s,0)', $2::bigint)::tid
        AND lease.state = 'foreign' AND lease.free_from < (SELECT net.drained_until())
        AND NOT net.is_reported(lease.address_space, lease.address)
    LIMIT $4
) AS gone;

-- name: find_reports
-- What live sessions in a range of the table's blocks report and the ledger does not say so already: addresses of which
-- it says that somebody else has them, nobody, or nothing although they lie in a pool; and those of logins that were
-- given another one which no session of theirs has.
WITH drained AS MATERIALIZED (
    SELECT net.drained_until() - $3::double precision * interval '1 second' AS until
), reported AS MATERIALIZED (
    SELECT session.login_id, session.nas_id, session.mac, session.calling_station_id, session.nas_port_id,
        session.address_space, session.started_at, session.grant_node, session.grant_slot, session.grant_serial,
        session.source_address, session.nas_identifier, told.family, told.address::cidr AS address
    FROM net.session
    CROSS JOIN LATERAL (VALUES
        ('ipv4', session.ipv4), ('ipv6', session.ipv6_prefix), ('delegated', session.delegated_ipv6_prefix)
    ) AS told (family, address)
    WHERE session.ctid >= format('(%s,0)', $1::bigint)::tid AND session.ctid < format('(%s,0)', $2::bigint)::tid
        AND session.ended_at IS NULL AND NOT net.is_no_address(told.address)
), doubtful AS MATERIALIZED (
    -- Nearly all end here: what they report is theirs by the ledger.
    SELECT reported.*
    FROM reported
    LEFT JOIN LATERAL (
        SELECT * FROM net.lease WHERE lease.address_space = reported.address_space AND lease.address = reported.address
        OFFSET 0  -- a bit of the sessions never reads the whole ledger
    ) AS lease ON true
    WHERE lease.address IS NULL OR lease.state NOT IN ('bound', 'fixed') OR lease.login_id IS DISTINCT FROM reported.login_id
), placed AS (
    SELECT doubtful.*, in_pool.id AS pool_id, in_pool.adopting_since IS NOT NULL AS is_adopting, in_pool.valid_s,
        in_pool.offer_s, in_pool.range_id, in_pool.first, in_pool.prefix_length,
        coalesce(in_pool.unit, doubtful.address) AS unit,
        -- It lived before the pool was made, or before its NAS spoke to us for the first time.
        coalesce(doubtful.started_at < greatest(in_pool.made_at, router.first_seen)
            AND (in_pool.adopted_at IS NULL OR router.first_seen > in_pool.adopted_at), false) AS lived_before
    FROM doubtful
    LEFT JOIN net.router ON router.nas_id = doubtful.nas_id AND router.source_address = doubtful.source_address
        AND router.nas_identifier = doubtful.nas_identifier
    LEFT JOIN LATERAL (
        SELECT pool.*, pool_range.id AS range_id, pool_range.first,
            network(set_masklen(doubtful.address, pool.prefix_length)) AS unit
        FROM net.pool_range JOIN net.pool ON pool.id = pool_range.pool_id
        WHERE net.first_host(doubtful.address) BETWEEN pool_range.first AND pool_range.last
            AND pool.address_space = doubtful.address_space AND pool.prefix_length <= masklen(doubtful.address)
        LIMIT 1
    ) AS in_pool ON true
)
SELECT placed.login_id, placed.nas_id, placed.mac::text AS mac, placed.calling_station_id,
    placed.nas_port_id, placed.address_space, placed.unit::text AS address, placed.pool_id, placed.is_adopting,
    placed.lived_before, placed.started_at, placed.started_at < drained.until AS is_settled,
    lease.state, lease.login_id AS holder_id, lease.changed::text AS changed,
    coalesce(lease.state = 'bound' AND lease.offered_at + placed.offer_s * interval '1 second' >= drained.until
        OR lease.state IN ('bound', 'foreign') AND lease.login_id IS NOT NULL
            AND lease.login_id IS DISTINCT FROM placed.login_id AND net.is_held(lease.held), false) AS holder_lives,
    lease.address IS NULL AND placed.range_id IS NOT NULL AND EXISTS (
        SELECT FROM net.reserve
        WHERE reserve.node_id = placed.grant_node AND reserve.slot = placed.grant_slot AND reserve.pool_id = placed.pool_id
            AND (reserve.range_id = placed.range_id
                AND net.unit_number(placed.first, placed.prefix_length, placed.unit) BETWEEN reserve.from_unit AND reserve.until_unit - 1
                OR reserve.addresses @> ARRAY[placed.unit])) AS is_of_its_reserve
FROM placed
CROSS JOIN drained
LEFT JOIN LATERAL (
    SELECT lease.*, lease AS held FROM net.lease
    WHERE lease.address_space = placed.address_space AND lease.address = placed.unit OFFSET 0
) AS lease ON true
WHERE (placed.pool_id IS NOT NULL OR lease.address IS NOT NULL
        AND (lease.state NOT IN ('bound', 'fixed') OR lease.login_id IS DISTINCT FROM placed.login_id))
    OR placed.started_at < drained.until AND EXISTS (
        SELECT FROM net.lease AS given JOIN net.pool ON pool.id = given.pool_id
        WHERE given.login_id = placed.login_id AND given.address_space = placed.address_space AND given.state = 'bound'
            AND pool.family = placed.family AND given.nas_id = placed.nas_id AND given.offered_at <= placed.started_at
            AND NOT net.is_reported(given.address_space, given.address));

-- name: bind_known
-- Leases that become what a session of their login shows.
WITH wanted AS MATERIALIZED (
    SELECT * FROM unnest($1::integer[], $2::text[]::cidr[], $3::text[]::xid8[], $4::integer[], $5::integer[], $6::bigint[], $7::integer[], $8::timestamptz[])
        AS wanted (address_space, address, changed, pool_id, login_id, device, nas_id, started_at)
), locked AS (
    SELECT lease.address_space, lease.address, wanted.login_id, wanted.device, wanted.nas_id, wanted.started_at, pool.id AS pool_id,
        pool.valid_s
    FROM net.lease
    JOIN wanted USING (address_space, address, changed)
    JOIN net.pool ON pool.id = coalesce(lease.pool_id, wanted.pool_id)
    WHERE lease.state <> 'fixed'
    FOR UPDATE OF lease SKIP LOCKED
)
UPDATE net.lease SET
    state = 'bound',
    pool_id = locked.pool_id,
    device = CASE WHEN lease.login_id = locked.login_id AND lease.device <> 0 THEN lease.device ELSE locked.device END,
    login_id = locked.login_id,
    nas_id = locked.nas_id,
    offered_at = CASE WHEN lease.login_id = locked.login_id THEN coalesce(lease.offered_at, locked.started_at) ELSE locked.started_at END,
    valid_until = greatest(CASE WHEN isfinite(lease.valid_until) THEN lease.valid_until END,
        now() + locked.valid_s * interval '1 second'),
    released_at = NULL,
    free_from = NULL,
    changed = pg_current_xact_id()
FROM locked
WHERE lease.address_space = locked.address_space AND lease.address = locked.address;

-- name: bind_new
INSERT INTO net.lease (address_space, address, pool_id, state, login_id, device, nas_id, offered_at, valid_until)
SELECT wanted.address_space, wanted.address, pool.id, 'bound', wanted.login_id, wanted.device, wanted.nas_id, wanted.started_at,
    now() + pool.valid_s * interval '1 second'
FROM unnest($1::integer[], $2::text[]::cidr[], $3::integer[], $4::integer[], $5::bigint[], $6::integer[], $7::timestamptz[])
    AS wanted (address_space, address, pool_id, login_id, device, nas_id, started_at)
JOIN net.pool ON pool.id = wanted.pool_id
ORDER BY 1, 2
ON CONFLICT DO NOTHING;

-- name: mark_known
-- Leases that nobody uses by the ledger, and somebody else by what a NAS reports.
WITH wanted AS MATERIALIZED (
    SELECT * FROM unnest($1::integer[], $2::text[]::cidr[], $3::text[]::xid8[], $4::integer[], $5::bigint[], $6::integer[])
        AS wanted (address_space, address, changed, login_id, device, nas_id)
), locked AS (
    SELECT lease.address_space, lease.address, wanted.login_id, wanted.device, wanted.nas_id, coalesce(pool.valid_s, $7) AS valid_s
    FROM net.lease
    JOIN wanted USING (address_space, address, changed)
    LEFT JOIN net.pool ON pool.id = lease.pool_id
    WHERE lease.state <> 'fixed'
    FOR UPDATE OF lease SKIP LOCKED
)
UPDATE net.lease SET
    state = 'foreign',
    login_id = locked.login_id,
    device = locked.device,
    nas_id = locked.nas_id,
    released_at = NULL,
    free_from = now() + locked.valid_s * interval '1 second',
    changed = pg_current_xact_id()
FROM locked
WHERE lease.address_space = locked.address_space AND lease.address = locked.address;

-- name: mark_new
INSERT INTO net.lease (address_space, address, pool_id, state, login_id, device, nas_id, free_from)
SELECT wanted.address_space, wanted.address, pool.id, 'foreign', wanted.login_id, wanted.device, wanted.nas_id,
    now() + pool.valid_s * interval '1 second'
FROM unnest($1::integer[], $2::text[]::cidr[], $3::integer[], $4::integer[], $5::bigint[], $6::integer[])
    AS wanted (address_space, address, pool_id, login_id, device, nas_id)
JOIN net.pool ON pool.id = wanted.pool_id
ORDER BY 1, 2
ON CONFLICT DO NOTHING;

-- name: open_findings
-- Refreshed where they are known. Two sessions may say the same of one address.
INSERT INTO net.address_finding AS known (address_space, address, kind, login_id, holder_id, nas_id)
SELECT DISTINCT ON (address_space, address, kind, coalesce(login_id, 0)) *
FROM unnest($1::integer[], $2::text[]::cidr[], $3::text[], $4::integer[], $5::integer[], $6::integer[])
    AS found (address_space, address, kind, login_id, holder_id, nas_id)
ORDER BY address_space, address, kind, coalesce(login_id, 0), nas_id
ON CONFLICT (address_space, address, kind, coalesce(login_id, 0)) WHERE settled_at IS NULL
DO UPDATE SET last_seen = now(), holder_id = excluded.holder_id, nas_id = excluded.nas_id
RETURNING xmax = 0 AS is_new, address_space, address::text AS address, kind, login_id, holder_id, nas_id;

-- name: settle_findings
-- What the round that ends now did not find: a session may have been written to another block meanwhile, so that is
-- believed at once only where nobody reports the address any more.
UPDATE net.address_finding SET settled_at = now()
WHERE id IN (
    SELECT id FROM net.address_finding
    WHERE settled_at IS NULL AND last_seen < $1
        AND (last_seen < $1 - $2::double precision * interval '1 second' OR NOT net.is_reported(address_space, address))
    ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED);

-- name: purge_findings
DELETE FROM net.address_finding WHERE id IN (
    SELECT id FROM net.address_finding WHERE settled_at < now() - $1::double precision * interval '1 second'
    ORDER BY settled_at LIMIT $2 FOR UPDATE SKIP LOCKED);

-- name: take_back_reserves
-- Abandoned ones, once what their node wrote until then is drained. One of a node that is gone waits as long as what it
-- gave out last may hold (rule R7.2), and one of a pool that adopts until it is known who lives in it.
SELECT count(taken) AS reserves, coalesce(sum(taken), 0)::bigint AS units FROM (
    SELECT net.take_back_reserve(due.id) AS taken
    FROM (
        SELECT reserve.id FROM net.reserve
        JOIN net.pool ON pool.id = reserve.pool_id
        LEFT JOIN net.node ON node.id = reserve.node_id
        WHERE reserve.abandoned_at IS NOT NULL AND pool.adopting_since IS NULL AND CASE
            WHEN reserve.node_id IS NULL THEN reserve.abandoned_at + (pool.valid_s + 60) * interval '1 second' < (SELECT net.drained_until())
            ELSE node.drain_watermark > reserve.abandoned_at + interval '60 seconds' -- its clock may differ
                AND NOT EXISTS (SELECT FROM net.spool_deferred AS deferred WHERE deferred.node = node.name) END
        ORDER BY reserve.id LIMIT $1
    ) AS due
) AS given_back;

-- name: find_retired_slots
-- Slots of a node that have something set aside, and are no more.
SELECT DISTINCT reserve.slot FROM net.reserve JOIN net.node ON node.id = reserve.node_id
WHERE node.name = $1 AND reserve.slot >= $2::integer AND reserve.abandoned_at IS NULL;

-- name: abandon_retired_slot
UPDATE net.reserve SET abandoned_at = now()
FROM net.node
WHERE node.id = reserve.node_id AND node.name = $1 AND reserve.slot = $2::integer AND reserve.abandoned_at IS NULL;

-- name: read_cluster
-- What tells of a PostgreSQL that is another one than before, or has lost what it had committed. `waits` is whether a
-- commit waits for a standby; a standby that copies a backup is none.
SELECT
    net.change_log_identity() AS system_identifier,
    CASE WHEN pg_is_in_recovery() THEN '' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END AS timeline,
    current_setting('synchronous_standby_names') <> '' AND current_setting('synchronous_commit') NOT IN ('off', 'local') AS waits,
    (SELECT count(*) FROM pg_stat_replication WHERE application_name IS DISTINCT FROM 'pg_basebackup') AS standbys,
    extract(epoch FROM now())::double precision AS now_s;

-- name: read_seen
SELECT system_identifier, timeline, waits, extract(epoch FROM seen_at)::double precision AS at_s FROM net.database_seen;

-- name: remember_seen
INSERT INTO net.database_seen (system_identifier, timeline, waits, standbys) VALUES ($1, $2, $3, $4)
ON CONFLICT (one) DO UPDATE SET system_identifier = excluded.system_identifier, timeline = excluded.timeline,
    waits = excluded.waits, standbys = excluded.standbys, seen_at = now();

-- name: begin_adoption
SELECT net.begin_adoption($1::integer[]) AS pool_id;

-- name: begin_adoption_of_all
SELECT net.begin_adoption(ARRAY(SELECT id FROM net.pool WHERE kind = 'radius' AND state <> 'retired')) AS pool_id;

-- name: forget_snapshots
-- They tell of transactions that this database never saw, or counts anew.
UPDATE net.node SET snapshot = NULL, settling = NULL, settled = NULL;

-- name: end_adoption
SELECT net.end_adoption($1::integer[]) AS pool_id;

-- name: hear_routers
-- Of pools that adopt: since when their routers are heard without a gap, and until when.
INSERT INTO net.adoption_heard AS known (pool_id, router_id, since, until)
SELECT pool.id, router.id, router.accounting_at, router.accounting_at
FROM net.pool
JOIN net.nas ON nas.address_space = pool.address_space
JOIN net.router ON router.nas_id = nas.id
WHERE pool.adopting_since IS NOT NULL AND router.accounting_at > pool.adopting_since
ON CONFLICT (pool_id, router_id) DO UPDATE SET
    until = excluded.until,
    since = CASE WHEN excluded.until - known.until > $1::double precision * interval '1 second' THEN excluded.until ELSE known.since END
WHERE excluded.until > known.until;

-- name: find_adopting
-- Each pool that adopts with each NAS of its address space, and the router of it that was heard least. `interim_s` is the
-- longest that sessions there have.
SELECT pool.id AS pool_id, pool.name AS pool, nas.id AS nas_id, nas.name AS nas,
    extract(epoch FROM pool.adopting_since)::double precision AS adopting_since_s,
    extract(epoch FROM reading.read_at)::double precision AS read_at_s,
    heard.routers, heard.heard_s, interims.interim_s
FROM net.pool
LEFT JOIN net.nas ON nas.address_space = pool.address_space AND nas.enabled
LEFT JOIN net.adoption_reading AS reading ON reading.pool_id = pool.id AND reading.nas_id = nas.id
LEFT JOIN LATERAL (
    SELECT count(*) AS routers,
        min(coalesce(extract(epoch FROM known.until - known.since), 0))::double precision AS heard_s
    FROM net.router
    LEFT JOIN net.adoption_heard AS known ON known.pool_id = pool.id AND known.router_id = router.id
    WHERE router.nas_id = nas.id AND router.last_seen > pool.adopting_since - interval '30 days'
) AS heard ON true
LEFT JOIN (
    SELECT session.nas_id, max(session.interim_s) AS interim_s
    FROM net.session WHERE session.ended_at IS NULL GROUP BY session.nas_id
) AS interims ON interims.nas_id = nas.id
WHERE pool.adopting_since IS NOT NULL
ORDER BY pool.id, nas.name;

-- name: count_pools
INSERT INTO net.pool_use (pool_id, counted_at, size, never, reserved, bound, offered, fixed, reported, resting, free)
SELECT pool_id, now(), size, never, reserved, bound, offered, fixed, reported, resting, free FROM net.pool_count
ON CONFLICT (pool_id) DO UPDATE SET
    counted_at = excluded.counted_at, size = excluded.size, never = excluded.never, reserved = excluded.reserved,
    bound = excluded.bound, offered = excluded.offered, fixed = excluded.fixed, reported = excluded.reported,
    resting = excluded.resting, free = excluded.free;

-- name: note_days
INSERT INTO net.pool_day AS known (pool_id, day, most_used)
SELECT pool_id, (now() AT TIME ZONE 'UTC')::date, bound + fixed + reported FROM net.pool_use
ON CONFLICT (pool_id, day) DO UPDATE SET most_used = excluded.most_used WHERE excluded.most_used > known.most_used;

-- name: purge_days
DELETE FROM net.pool_day WHERE day < (now() AT TIME ZONE 'UTC')::date - $1::integer;

-- name: read_use
-- How pools are used, and the most of each of the last days, the oldest first. Only of today is it not known yet.
SELECT pool.id AS pool_id, pool.address_space, pool.name, pool.family, pool.state, pool.alarm_percent,
    pool.adopting_since IS NOT NULL AS is_adopting,
    used.size, used.never, used.reserved, used.bound, used.offered, used.fixed, used.reported, used.resting, used.free,
    used.alarm_since IS NOT NULL AS is_alarmed,
    extract(epoch FROM used.counted_at)::double precision AS counted_at_s,
    extract(epoch FROM used.exhausted_at)::double precision AS exhausted_at_s,
    ARRAY(SELECT pool_day.day - (now() AT TIME ZONE 'UTC')::date FROM net.pool_day
        WHERE pool_day.pool_id = pool.id ORDER BY day) AS days,
    ARRAY(SELECT most_used FROM net.pool_day WHERE pool_day.pool_id = pool.id ORDER BY day) AS most_used
FROM net.pool JOIN net.pool_use AS used ON used.pool_id = pool.id
ORDER BY pool.address_space, pool.name LIMIT $1;

-- name: set_outlook
UPDATE net.pool_use SET
    growth_per_day = outlook.growth_per_day,
    exhausted_at = now() + outlook.days_left * interval '1 day',
    alarm_since = CASE WHEN outlook.is_alarmed THEN coalesce(pool_use.alarm_since, now()) END
FROM unnest($1::integer[], $2::double precision[], $3::double precision[], $4::boolean[])
    AS outlook (pool_id, growth_per_day, days_left, is_alarmed)
WHERE pool_use.pool_id = outlook.pool_id;

-- name: count_findings
SELECT kind, count(*) AS count FROM net.address_finding WHERE settled_at IS NULL GROUP BY kind;

-- name: read_standbys
SELECT standbys, waits FROM net.database_seen;
