-- From changes, the clock and new sessions to wishes: statements of aaad/orders/reconciler.py and its helpers.

-- name: hold_reconciler
-- One node at a time turns changes into orders; another one takes over when it is silent.
UPDATE net.order_reconciler AS held SET node_id = node.id, held_until = now() + $2::float8 * interval '1 second'
FROM net.node
WHERE node.name = $1 AND (held.node_id = node.id OR held.held_until < now() OR held.node_id IS NULL)
RETURNING node.id AS node_id, held.snapshot::text AS snapshot, held.origin,
    extract(epoch FROM clock_timestamp())::float8 AS database_s;

-- name: leave_reconciler
UPDATE net.order_reconciler SET held_until = '-infinity' WHERE node_id = $1::integer;

-- name: fence_reconciler
-- Within each transaction that writes: no row, and another node is at it by now.
UPDATE net.order_reconciler SET held_until = greatest(held_until, now() + $2::float8 * interval '1 second')
WHERE node_id = $1::integer AND held_until > now()
RETURNING node_id;

-- name: move_reconciler
UPDATE net.order_reconciler SET snapshot = $2::text::pg_snapshot, origin = $3, moved_at = now()
WHERE node_id = $1::integer AND held_until > now()
RETURNING node_id;

-- name: find_kinds
-- What changed in transactions that the snapshot $2 sees and $1 did not, by kind: $2 is what this node's replica shows.
-- Written as in the feed's find_changes. Whether changes since $1 were pruned from the log.
WITH accepted AS (
    SELECT snapshot FROM net.hold
    WHERE state = 'accepted' AND pg_snapshot_xmax(snapshot) <= pg_snapshot_xmax(pg_current_snapshot())
    ORDER BY id DESC LIMIT 1
), unseen AS (
    SELECT kind, key, run_id, at, xid FROM net.change
    WHERE xid >= pg_snapshot_xmax($1::text::pg_snapshot) AND pg_visible_in_snapshot(xid, $2::text::pg_snapshot)
    UNION ALL
    SELECT kind, key, run_id, at, xid FROM net.change
    WHERE xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot)))
        AND pg_visible_in_snapshot(xid, $2::text::pg_snapshot)
)
SELECT unseen.kind, count(*) AS rows_count, max(unseen.xid::text::bigint) AS newest_xid,
    bool_and(coalesce(run.brake_passed, false) OR coalesce(pg_visible_in_snapshot(unseen.xid, accepted.snapshot), false))
        AS is_exempt,
    extract(epoch FROM clock_timestamp() - min(unseen.at))::float8 AS age_s
FROM unseen
LEFT JOIN net.run ON run.id = unseen.run_id
LEFT JOIN accepted ON true
GROUP BY unseen.kind;

-- name: is_missed
-- Whether changes since the snapshot $1 are not in the log any more.
SELECT pg_snapshot_xmax($1::text::pg_snapshot) > pg_snapshot_xmax(pg_current_snapshot())
    OR pg_snapshot_xmax($1::text::pg_snapshot) < horizon.pruned_below
    OR EXISTS (SELECT FROM pg_snapshot_xip($1::text::pg_snapshot) AS open (xid)
        WHERE open.xid < horizon.pruned_below AND pg_visible_in_snapshot(open.xid, pg_current_snapshot())) AS is_missed,
    (SELECT state = 'accepted' FROM net.hold ORDER BY id DESC LIMIT 1) AS is_accepted,
    (SELECT max(xid::text::bigint) FROM (
        SELECT xid FROM net.change WHERE pg_visible_in_snapshot(xid, $2::text::pg_snapshot) ORDER BY xid DESC LIMIT 1
    ) AS newest) AS newest_xid
FROM net.change_horizon AS horizon;

-- name: find_newest_change
-- The newest transaction of the change log that a replica at snapshot $1 shows.
SELECT xid::text::bigint AS newest_xid FROM net.change
WHERE pg_visible_in_snapshot(xid, $1::text::pg_snapshot) ORDER BY xid DESC LIMIT 1;

-- name: is_behind
-- Whether the replica, at snapshot $2, does not show a change that was turned into orders already, up to $1.
SELECT EXISTS (SELECT FROM net.change
    WHERE xid >= pg_snapshot_xmin($2::text::pg_snapshot) AND NOT pg_visible_in_snapshot(xid, $2::text::pg_snapshot)
        AND pg_visible_in_snapshot(xid, $1::text::pg_snapshot)) AS is_behind;

-- name: is_lagging
-- Whether a change that was made $2 seconds ago or earlier does not show in the replica, at snapshot $1: other nodes may
-- have let in by it whom this one would cut.
SELECT EXISTS (SELECT FROM net.change
    WHERE xid >= pg_snapshot_xmin($1::text::pg_snapshot) AND NOT pg_visible_in_snapshot(xid, $1::text::pg_snapshot)
        AND at < now() - $2::float8 * interval '1 second') AS is_lagging;

-- name: find_touched_logins
-- Logins of live sessions that these changes touched, themselves, by their contract or by their client; the newest
-- transaction of each, and whether all of them passed a run's brake, and which run that was.
WITH accepted AS (
    SELECT snapshot FROM net.hold
    WHERE state = 'accepted' AND pg_snapshot_xmax(snapshot) <= pg_snapshot_xmax(pg_current_snapshot())
    ORDER BY id DESC LIMIT 1
), unseen AS MATERIALIZED (
    SELECT kind, key, run_id, xid FROM net.change
    WHERE xid >= pg_snapshot_xmax($1::text::pg_snapshot) AND pg_visible_in_snapshot(xid, $2::text::pg_snapshot)
        AND kind IN ('login', 'contract', 'client')
    UNION ALL
    SELECT kind, key, run_id, xid FROM net.change
    WHERE xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot)))
        AND pg_visible_in_snapshot(xid, $2::text::pg_snapshot) AND kind IN ('login', 'contract', 'client')
), touched AS (
    SELECT key AS login_id, run_id, xid FROM unseen WHERE kind = 'login'
    UNION ALL
    SELECT login.id, run_id, xid FROM unseen JOIN erp.login ON login.contract_id = unseen.key WHERE kind = 'contract'
    UNION ALL
    SELECT login.id, run_id, xid FROM unseen
        JOIN erp.contract ON contract.client_id = unseen.key
        JOIN erp.login ON login.contract_id = contract.id WHERE unseen.kind = 'client'
)
SELECT touched.login_id, max(touched.xid::text::bigint) AS newest_xid, max(touched.run_id) AS run_id,
    bool_and(coalesce(run.brake_passed, false) OR coalesce(pg_visible_in_snapshot(touched.xid, accepted.snapshot), false))
        AS is_exempt
FROM touched
LEFT JOIN net.run ON run.id = touched.run_id
LEFT JOIN accepted ON true
WHERE EXISTS (SELECT FROM net.session WHERE session.login_id = touched.login_id AND session.ended_at IS NULL)
GROUP BY touched.login_id
ORDER BY touched.login_id;

-- name: find_sessions_of
SELECT live_session.*, login.id IS NOT NULL AS is_login_known
FROM net.live_session LEFT JOIN erp.login ON login.id = live_session.login_id
WHERE live_session.login_id = ANY ($1::integer[]);

-- name: find_sessions_after
-- The next $3 rows of sessions in the order of their key, of which those that go on, for $4 seconds at least, are told;
-- "last" is where to go on.
WITH next AS MATERIALIZED (
    SELECT family, life FROM net.session WHERE (family, life) > ($1::uuid, $2::integer)
    ORDER BY family, life LIMIT $3
), last AS (
    SELECT family, life FROM next ORDER BY family DESC, life DESC LIMIT 1
)
SELECT last.family AS last_family, last.life AS last_life, live_session.*, login.id IS NOT NULL AS is_login_known
FROM last
LEFT JOIN net.live_session ON (live_session.family, live_session.life) > ($1::uuid, $2::integer)
    AND (live_session.family, live_session.life) <= (last.family, last.life)
    AND live_session.started_at <= now() - $4::float8 * interval '1 second'
LEFT JOIN erp.login ON login.id = live_session.login_id;

-- name: find_sessions_begun
-- Those that began lately, but for the last $3 seconds: by when they began, which has an index.
SELECT live_session.*, login.id IS NOT NULL AS is_login_known
FROM net.live_session LEFT JOIN erp.login ON login.id = live_session.login_id
WHERE live_session.started_at > now() - $1::float8 * interval '1 second'
    AND live_session.started_at <= now() - $3::float8 * interval '1 second'
ORDER BY live_session.started_at DESC LIMIT $2;

-- name: find_forms
SELECT fingerprint, attributes, pools, lists_ipv6, reason FROM net.grant_form WHERE fingerprint = ANY ($1::bigint[]);

-- name: put_forms
INSERT INTO net.grant_form AS known (fingerprint, attributes, pools, lists_ipv6, reason)
SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::text[], $4::text[], $5::smallint[]) AS form
ORDER BY 1
ON CONFLICT (fingerprint) DO UPDATE SET seen_at = now() WHERE known.seen_at < now() - interval '1 day';

-- name: prune_forms
DELETE FROM net.grant_form WHERE fingerprint IN (
    SELECT fingerprint FROM net.grant_form WHERE seen_at < now() - $1::float8 * interval '1 second'
    ORDER BY seen_at LIMIT $2 FOR UPDATE SKIP LOCKED);

-- name: count_live
SELECT count(*) AS live_count FROM net.session WHERE ended_at IS NULL;

-- name: count_cutting
-- Orders of the window that take the service from somebody, without those that passed a brake of their own.
SELECT count(*) AS recent_count FROM net.network_order AS cutting
LEFT JOIN net.run ON run.id = cutting.run_id
WHERE cutting.is_cutting AND cutting.target = 'session' AND cutting.wished_at > now() - $1::float8 * interval '1 second'
    AND cutting.state NOT IN ('held', 'cancelled', 'superseded') AND NOT coalesce(run.brake_passed, false);

-- name: open_held_run
-- What is held back together: the run that holds orders already, else a new one.
SELECT net.holding_run() AS run_id;
