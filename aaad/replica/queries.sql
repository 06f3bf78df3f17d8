-- What the feed asks and tells PostgreSQL (rule R1).

-- name: read_head
-- Where this transaction's snapshot stands, and whether every change since the snapshot $1 is still in the log.
-- A pruned transaction is missed if it lies beyond $1, or if it was open then and has ended since. A snapshot from
-- the future was taken of a cluster that has lost it: restored, or crashed with asynchronous commits.
SELECT
    pg_is_in_recovery() AS is_standby,
    pg_current_snapshot()::text AS snapshot,
    (SELECT system_identifier::text FROM pg_control_system())
        || '/' || (SELECT oid::text FROM pg_database WHERE datname = current_database())
        || '/' || 'net.change'::regclass::oid::text AS system_identifier,
    CASE WHEN pg_is_in_recovery() THEN '' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END AS timeline,
    extract(epoch FROM clock_timestamp())::float8 AS at_s,
    pg_snapshot_xmax($1::text::pg_snapshot) > pg_snapshot_xmax(pg_current_snapshot()) AS is_from_the_future,
    pg_snapshot_xmax($1::text::pg_snapshot) < horizon.pruned_below
        OR EXISTS (SELECT FROM pg_snapshot_xip($1::text::pg_snapshot) AS open (xid)
            WHERE open.xid < horizon.pruned_below AND pg_visible_in_snapshot(open.xid, pg_current_snapshot()))
        AS is_pruned,
    horizon.identity <> net.change_log_identity() AS is_log_strange,
    (SELECT state FROM net.hold WHERE id = $2::integer) AS hold_state,
    coalesce((SELECT max(id) FROM net.hold WHERE state = 'accepted'), 0) AS accepted_id
FROM net.change_horizon AS horizon;

-- name: adopt_change_log
-- After a dump was restored its log speaks of another cluster's transactions, which must be forgotten first.
SELECT net.adopt_change_log() AS is_adopted;

-- name: find_changes
-- The rows changed by transactions that the snapshot $1 did not see and this one sees, at most $2 log rows. To be
-- invisible in $1 (pg_visible_in_snapshot) is to lie beyond it or to have been open in it: written so, an index finds
-- them, and a stranger's open transaction does not make each poll read all that was committed since it began. What
-- lies beyond this snapshot belongs to another cluster: a dump's rows are visible before their number has come.
-- Exempt is what a run that passed its own brake changed, and what the last accepted hold's snapshot sees.
WITH accepted AS (
    SELECT snapshot FROM net.hold
    WHERE state = 'accepted' AND pg_snapshot_xmax(snapshot) <= pg_snapshot_xmax(pg_current_snapshot())
    ORDER BY id DESC LIMIT 1
), unseen AS (
    (SELECT kind, key, run_id, at, xid FROM net.change
        WHERE xid >= pg_snapshot_xmax($1::text::pg_snapshot) AND xid < pg_snapshot_xmax(pg_current_snapshot())
        ORDER BY xid LIMIT $2::integer)
    UNION ALL
    (SELECT kind, key, run_id, at, xid FROM net.change
        WHERE xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot)))
        ORDER BY xid LIMIT $2::integer)
)
SELECT
    unseen.kind,
    unseen.key,
    bool_and(coalesce(run.brake_passed, false) OR coalesce(pg_visible_in_snapshot(unseen.xid, accepted.snapshot), false))
        AS is_exempt,
    count(*) AS rows_count,
    extract(epoch FROM max(unseen.at))::float8 AS newest_at_s
FROM unseen
LEFT JOIN net.run ON run.id = unseen.run_id
LEFT JOIN accepted ON true
GROUP BY unseen.kind, unseen.key;

-- name: find_exempt_logins
-- The logins changed since the snapshot $1 by runs that passed their own brake, and by nothing else.
WITH unseen AS (
    SELECT change.kind, change.key, coalesce(run.brake_passed, false) AS is_exempt
    FROM net.change
    LEFT JOIN net.run ON run.id = change.run_id
    WHERE (change.xid >= pg_snapshot_xmax($1::text::pg_snapshot)
                AND change.xid < pg_snapshot_xmax(pg_current_snapshot())
            OR change.xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot))))
        AND EXISTS (SELECT FROM net.run WHERE brake_passed)
), changed AS (
    SELECT key AS login_id, is_exempt FROM unseen WHERE kind = 'login'
    UNION ALL
    SELECT login.id, is_exempt FROM unseen
        JOIN erp.login ON login.contract_id = unseen.key WHERE kind = 'contract'
    UNION ALL
    SELECT login.id, is_exempt FROM unseen
        JOIN erp.contract ON contract.client_id = unseen.key
        JOIN erp.login ON login.contract_id = contract.id WHERE unseen.kind = 'client'
)
SELECT login_id FROM changed GROUP BY login_id HAVING bool_and(is_exempt);

-- name: find_logins_of
-- The logins of some contracts and clients.
SELECT login.id AS login_id, contract.id AS contract_id, contract.client_id
FROM erp.contract
JOIN erp.login ON login.contract_id = contract.id
WHERE contract.id = ANY ($1::integer[])
UNION
SELECT login.id, contract.id, contract.client_id
FROM erp.contract
JOIN erp.login ON login.contract_id = contract.id
WHERE contract.client_id = ANY ($2::integer[]);

-- name: find_logins
SELECT * FROM net.login_source WHERE login_id = ANY ($1::integer[]);

-- name: find_logins_after
-- The next so many logins in order of their ids, for a resync in one snapshot.
SELECT * FROM net.login_source WHERE login_id > $1::integer ORDER BY login_id LIMIT $2::integer;

-- name: digest_logins
-- What every replica must come to at this snapshot. No replica holds an id below 1 (aaad/replica/layout.py).
SELECT count(*)::bigint AS count, coalesce(bit_xor(digest), 0)::bigint AS digest FROM net.login_source
WHERE login_id > 0;

-- name: export_snapshot
SELECT pg_export_snapshot() AS name;

-- name: find_nases
SELECT
    id, name, address::text AS address, secret, coalesce(secret_previous, '') AS secret_previous,
    coalesce(extract(epoch FROM secret_previous_until), 0)::float8 AS secret_previous_until_s,
    kind, enabled, message_authenticator, timeout_ms * tries AS deadline_ms, coalesce(branch_id, 0) AS branch_id,
    octets_swapped, address_space, coalesce(ipv4_pool, '') AS ipv4_pool, coalesce(ipv6_pool, '') AS ipv6_pool,
    coalesce(delegated_ipv6_pool, '') AS delegated_ipv6_pool,
    ARRAY(SELECT further.secret FROM net.nas_secret AS further WHERE further.nas_id = nas.id ORDER BY further.id)
        AS secrets,
    ARRAY(SELECT coalesce(extract(epoch FROM further.valid_until), 'infinity')::float8
        FROM net.nas_secret AS further WHERE further.nas_id = nas.id ORDER BY further.id) AS secrets_until_s
FROM net.nas
ORDER BY id;

-- name: find_routers
SELECT
    nas_id, host(source_address) AS source_address, nas_identifier,
    coalesce(extract(epoch FROM armed_at), 0)::float8 AS armed_at_s,
    coalesce(extract(epoch FROM reset_at), 0)::float8 AS reset_at_s,
    secret_fingerprint, coalesce(extract(epoch FROM secret_proven_at), 0)::float8 AS secret_proven_at_s
FROM net.router
ORDER BY id;

-- name: find_plans
SELECT
    id, name, is_limited, session_timeout_s, idle_timeout_s, interim_interval_s, erp.hours_mask(normal_hours) AS hours,
    upload, download, upload_burst, download_burst, upload_burst_threshold, download_burst_threshold,
    upload_burst_time_s, download_burst_time_s, priority, upload_guaranteed, download_guaranteed,
    may_change_speed, late_after_days, coalesce(late_plan_id, 0) AS late_plan_id, coalesce(cap_plan_id, 0) AS cap_plan_id,
    ipv4_pool, ipv6_pool, delegated_ipv6_pool, address_list, address_list_ipv6, router_group, filter_ids,
    ARRAY(SELECT host(server) FROM unnest(dns) WITH ORDINALITY AS listed (server, place) ORDER BY place) AS dns, mppe
FROM erp.plan
ORDER BY id;

-- name: find_parameters
SELECT name, coalesce(branch_id, 0) AS branch_id, value FROM erp.parameter ORDER BY id;

-- name: find_class_key
SELECT value FROM net.setting WHERE key = 'class_key';

-- name: register_node
-- This node's number, made at its first start. No insert for a node that is known: it would use up a number.
WITH known AS (
    SELECT id FROM net.node WHERE name = $1::text
), made AS (
    INSERT INTO net.node (name) SELECT $1::text WHERE NOT EXISTS (SELECT FROM known)
    ON CONFLICT (name) DO UPDATE SET name = excluded.name
    RETURNING id
)
SELECT id FROM known UNION ALL SELECT id FROM made;

-- name: tell_snapshot
-- All nodes learn what this one has applied (rules R7.2 and R8.2). Nothing is told to another database or timeline than
-- the snapshot is of: there its transactions are others.
WITH here AS (
    SELECT NOT pg_is_in_recovery() AND pg_snapshot_xmax($2::text::pg_snapshot) <= pg_snapshot_xmax(pg_current_snapshot())
        AND $3::text = (SELECT system_identifier::text FROM pg_control_system())
            || '/' || (SELECT oid::text FROM pg_database WHERE datname = current_database())
            || '/' || 'net.change'::regclass::oid::text
        AND $4::text = left(pg_walfile_name(pg_current_wal_lsn()), 8) AS is_same
)
UPDATE net.node SET
    snapshot = CASE WHEN here.is_same THEN $2::text::pg_snapshot ELSE node.snapshot END,
    applied_at = CASE WHEN here.is_same THEN now() ELSE node.applied_at END
FROM here
WHERE node.id = $1::integer;

-- name: find_acceptance
-- The last accepted hold: whether its snapshot sees all that $1 sees (of one primary, one of two always sees all that
-- the other does), and whether every change since is still in the log.
SELECT
    hold.snapshot::text AS snapshot,
    pg_snapshot_xmax($1::text::pg_snapshot) <= pg_snapshot_xmax(hold.snapshot)
        AND NOT EXISTS (SELECT FROM pg_snapshot_xip(hold.snapshot) AS open (xid)
            WHERE pg_visible_in_snapshot(open.xid, $1::text::pg_snapshot)) AS covers_unseen,
    pg_snapshot_xmax(hold.snapshot) <= pg_snapshot_xmax(pg_current_snapshot())
        AND pg_snapshot_xmax(hold.snapshot) >= horizon.pruned_below
        AND NOT EXISTS (SELECT FROM pg_snapshot_xip(hold.snapshot) AS open (xid)
            WHERE open.xid < horizon.pruned_below AND pg_visible_in_snapshot(open.xid, pg_current_snapshot()))
        AS is_followed
FROM net.hold
CROSS JOIN net.change_horizon AS horizon
WHERE hold.state = 'accepted'
ORDER BY hold.id DESC
LIMIT 1;

-- name: open_hold
-- The one open hold of the cluster: opened by the first node, joined by all others. The figures are those of their
-- snapshot; of two nodes' figures the larger ones stand, so that nobody accepts less than he lets through. Not by a
-- node that has not carried out the last acceptance, $7.
INSERT INTO net.hold (node_id, kind, cut_off_count, logins_count, sample, snapshot)
SELECT $1::integer, $2::text, $3::integer, $4::integer, $5::text[], $6::text::pg_snapshot
WHERE $7::integer = coalesce((SELECT max(id) FROM net.hold WHERE state = 'accepted'), 0)
ON CONFLICT (state) WHERE state = 'open'
DO UPDATE SET (node_id, cut_off_count, logins_count, sample, snapshot) = (
    SELECT told.node_id, told.cut_off_count, told.logins_count, told.sample, told.snapshot
    FROM (VALUES
        (true, excluded.node_id, excluded.cut_off_count, excluded.logins_count, excluded.sample, excluded.snapshot),
        (false, hold.node_id, hold.cut_off_count, hold.logins_count, hold.sample, hold.snapshot)
    ) AS told (is_new, node_id, cut_off_count, logins_count, sample, snapshot)
    WHERE told.is_new = (hold.node_id IS NOT DISTINCT FROM excluded.node_id
        OR excluded.cut_off_count >= hold.cut_off_count))
RETURNING id;

-- name: note_built
-- This node had nothing to serve when the hold was open, so it serves already what the others hold.
UPDATE net.hold SET built_meanwhile = array_append(built_meanwhile, node.name)
FROM net.node
WHERE node.id = $1::integer AND hold.state = 'open' AND node.name <> ALL (hold.built_meanwhile)
RETURNING hold.id;

-- name: close_hold
-- Nothing waits any more: every held login was given its access back.
UPDATE net.hold SET state = 'superseded', decided_at = now() WHERE id = $1::integer AND state = 'open';

-- name: accept_hold
-- An operator lets through the hold that he saw, on all nodes: no other, and not if it has grown since.
UPDATE net.hold SET state = 'accepted', decided_at = now(), decided_by = $1::text
WHERE state = 'open' AND id = $2::integer AND cut_off_count <= $3::integer
RETURNING id, kind, opened_at, cut_off_count, logins_count, sample, state, decided_at, decided_by, built_meanwhile;

-- name: find_hold
-- The open hold, else the last one.
SELECT id, kind, opened_at, cut_off_count, logins_count, sample, state, decided_at, decided_by, built_meanwhile
FROM net.hold
ORDER BY state = 'open' DESC, id DESC
LIMIT 1;

-- name: keep_listening
-- Asked of the connection that listens: a dead one is noticed and made anew.
SELECT 1;

-- name: prune_changes
SELECT net.prune_changes(make_interval(secs => $1::float8)) AS pruned;

-- name: find_branches
SELECT id, time_zone FROM erp.branch ORDER BY id;

-- name: find_plan_phases
SELECT
    plan_id, phase, erp.hours_mask(hours) AS hours, coalesce(replacement_plan_id, 0) AS replacement_plan_id,
    upload, download, upload_burst, download_burst, upload_burst_threshold, download_burst_threshold,
    upload_burst_time_s, download_burst_time_s, priority, upload_guaranteed, download_guaranteed
FROM erp.plan_phase
WHERE active
ORDER BY id;

-- name: find_plan_attributes
SELECT plan_id, string_agg(encoded, '' ORDER BY position, id) AS attributes FROM erp.plan_attribute GROUP BY plan_id;

-- name: find_administrators
SELECT id, name, password, router_group, coalesce(nas_id, 0) AS nas_id
FROM net.router_administrator
WHERE active
ORDER BY id;

-- name: find_pools
SELECT
    id, address_space, name, kind, coalesce(family, '') AS family, coalesce(prefix_length, 0) AS prefix_length, state,
    adopting_since IS NOT NULL AS adopting, valid_s, reserve_size, coalesce(ipv4_pool_id, 0) AS ipv4_pool_id,
    coalesce(ipv6_pool_id, 0) AS ipv6_pool_id, coalesce(delegated_pool_id, 0) AS delegated_pool_id
FROM net.pool
ORDER BY id;

-- name: go_by_index
-- For the rest of the transaction, which reads a large table bit by bit: else all of it is read and sorted for each bit.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
    set_config('enable_sort', 'off', true), set_config('jit', 'off', true);

-- name: find_changed_leases
-- The logins of leases that were changed by transactions which the snapshot $1 did not see and this one sees, found as
-- in find_changes. Of each of the two ranges the first $2 rows in the order of transactions, and all of the last one's
-- transaction, at most $3; "beyond" and "open" tell which that was, null: there are no more.
WITH beyond AS MATERIALIZED (
    SELECT login_id, changed FROM (
        SELECT login_id, changed FROM net.lease
        WHERE changed >= pg_snapshot_xmax($1::text::pg_snapshot) AND changed < pg_snapshot_xmax(pg_current_snapshot())
        ORDER BY changed FETCH FIRST ($2::integer) ROWS WITH TIES
    ) AS first LIMIT $3::integer
), open AS MATERIALIZED (
    SELECT login_id, changed FROM (
        SELECT login_id, changed FROM net.lease
        WHERE changed = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot)))
        ORDER BY changed FETCH FIRST ($2::integer) ROWS WITH TIES
    ) AS first LIMIT $3::integer
)
SELECT
    ARRAY(SELECT login_id FROM beyond WHERE login_id > 0 UNION SELECT login_id FROM open WHERE login_id > 0) AS login_ids,
    of_beyond.upto AS beyond, of_open.upto AS open, greatest(of_beyond.found, of_open.found)::integer AS found_max
FROM (SELECT count(*) AS found, CASE WHEN count(*) >= $2::integer THEN max(changed::text::bigint) END AS upto FROM beyond)
    AS of_beyond,
    (SELECT count(*) AS found, CASE WHEN count(*) >= $2::integer THEN max(changed::text::bigint) END AS upto FROM open)
    AS of_open;

-- name: find_leases
-- The bound leases of some logins.
SELECT login_id, pool_id, device, date_part('epoch', least(valid_until, '2106-01-01')), cidr_send(address)
FROM net.lease
WHERE login_id = ANY ($1::integer[]) AND state = 'bound';

-- name: find_leases_after
-- The next $2 bound leases in order of login ids, and all of the last one's login, for a resync in one snapshot.
SELECT login_id, pool_id, device, date_part('epoch', least(valid_until, '2106-01-01')), cidr_send(address)
FROM net.lease
WHERE login_id > $1::integer AND state = 'bound'
ORDER BY login_id FETCH FIRST ($2::integer) ROWS WITH TIES;
