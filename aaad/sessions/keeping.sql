-- Statements of aaad/sessions/keeping.py, overlooked.py and caps.py. None waits for a row that somebody else holds: the
-- drain goes first.

-- name: make_history_months
SELECT net.make_history_months($1) AS made;

-- name: move_ended
-- Sessions in a range of the table's blocks that ended a while ago, oldest first. Ages count up to what is drained (rule
-- R5.3). No index on the end is needed, and none would let a Stop be written in place.
WITH due AS (
    SELECT ctid FROM net.session
    WHERE ctid >= format('(%s,0)', $1::bigint)::tid AND ctid < format('(%s,0)', $2::bigint)::tid
        AND ended_at < (SELECT net.drained_until()) - $3::double precision * interval '1 second'
    ORDER BY ended_at LIMIT $4 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM net.session WHERE ctid = ANY(ARRAY(SELECT ctid FROM due)) RETURNING *
)
INSERT INTO net.session_history SELECT * FROM gone;

-- name: expired_months
-- Named anew from the catalogue, oldest first, by the earlier one of PostgreSQL's clock and ours. Without the parameter
-- the program's own default holds.
SELECT expired.partition::text AS partition, expired.keep_days FROM (
    SELECT month.partition, month.until, coalesce(erp.parameter_value('history_days', NULL)::integer, $1) AS keep_days
    FROM net.history_month AS month
) AS expired
WHERE expired.until <= least(now(), to_timestamp($2)) - expired.keep_days * interval '1 day'
ORDER BY expired.until;

-- name: months_with_ends
-- In how many of the twelve months before this one sessions have ended.
SELECT count(*) AS months
FROM (
    SELECT begins
    FROM (
        SELECT date_trunc('month', now() AT TIME ZONE 'UTC') - ago * interval '1 month' AS begins
        FROM generate_series(1, 12) AS ago
    ) AS month
    WHERE EXISTS (
        SELECT FROM net.session_history
        WHERE ended_at >= begins AT TIME ZONE 'UTC' AND ended_at < (begins + interval '1 month') AT TIME ZONE 'UTC'
    )
    UNION
    SELECT date_trunc('month', ended_at AT TIME ZONE 'UTC') FROM net.session
    WHERE ended_at >= (date_trunc('month', now() AT TIME ZONE 'UTC') - interval '12 months') AT TIME ZONE 'UTC'
        AND ended_at < date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
) AS month;

-- name: expire_history_month
-- Null: another node has dropped it meanwhile.
SELECT net.expire_history_month(to_regclass($1), $2::integer * interval '1 day') AS outcome;

-- name: purge_granted
-- Accepts whose session never began, or is known long since.
DELETE FROM net.granted WHERE (node, slot, serial) IN (
    SELECT node, slot, serial FROM net.granted
    WHERE at < (SELECT net.drained_until()) - $1::double precision * interval '1 second'
    ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED);

-- name: purge_restarts
DELETE FROM net.nas_restart WHERE at < now() - coalesce(erp.parameter_value('history_days', NULL)::integer, $1) * interval '1 day';

-- name: purge_ends
-- Which nobody took: no node keeps the ledger.
DELETE FROM net.session_end WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM net.session_end WHERE at < now() - $1::double precision * interval '1 second'
    LIMIT $2 FOR UPDATE SKIP LOCKED));

-- name: claim_chore
-- Whoever holds the row does the next bit; nobody waits for him. What can wait does while a drain is behind, for a
-- minute and not for ever.
SELECT cursor FROM net.chore
WHERE name = $1 AND due_at <= now() AND NOT (can_wait AND due_at > now() - interval '1 minute' AND net.is_drain_behind())
FOR UPDATE SKIP LOCKED;

-- name: leave_chore
UPDATE net.chore SET cursor = $2, due_at = now() + $3::double precision * interval '1 second' WHERE name = $1;

-- name: limit_waits
SELECT set_config('lock_timeout', $1, true);

-- name: session_blocks
SELECT pg_relation_size('net.session') / current_setting('block_size')::integer AS blocks;

-- name: close_lost
-- Open sessions in a range of the table's blocks that are silent for too long have ended when they were last heard, and
-- may have lived until now. No index is needed, and none would let interims be written in place.
WITH drained AS MATERIALIZED (
    SELECT net.drained_until() AS until
), allowed AS MATERIALIZED (
    SELECT branch.id AS branch_id, erp.parameter_value('session_lost_hours', branch.id)::integer AS hours FROM erp.branch
    UNION ALL
    SELECT 0, erp.parameter_value('session_lost_hours', NULL)::integer  -- of whom no branch is known
), lost AS (
    SELECT session.ctid, least(drained.until, router.accounting_at) AS until
    FROM net.session
    CROSS JOIN drained
    LEFT JOIN allowed ON allowed.branch_id = coalesce(session.branch_id, 0)
    LEFT JOIN net.router ON router.nas_id = session.nas_id AND router.source_address = session.source_address
        AND router.nas_identifier = session.nas_identifier
    WHERE session.ctid >= format('(%s,0)', $1::bigint)::tid AND session.ctid < format('(%s,0)', $2::bigint)::tid
        AND session.ended_at IS NULL
        AND net.silence(session.heard_at, session.interim_s, drained.until, router.accounting_at,
            router.silent_since, router.silent_until)
            > session.interim_s * 2.5 * interval '1 second' + coalesce(allowed.hours, $3) * interval '1 hour'
    FOR UPDATE OF session SKIP LOCKED
), closed AS (
    UPDATE net.session SET
        ended_at = greatest(session.heard_at, session.started_at),
        ended_latest = greatest(lost.until, session.heard_at, session.started_at),
        end_evidence = 'lost',
        version = session.version + 1
    FROM lost
    WHERE session.ctid = lost.ctid AND session.ended_at IS NULL
    RETURNING session.family
), worded AS (
    INSERT INTO net.session_end (families) SELECT array_agg(family) FROM closed HAVING count(*) > 0
)
SELECT count(*) AS closed FROM closed;

-- name: find_overlooked
-- Families of sessions in a range of the table's blocks that another one has followed: of the same login, on the same
-- device or port, begun after they were last heard and earlier than what is thought to have ended them. Open ones only
-- if they are silent, or tell nothing between Start and Stop. One look into an index for each, in its order.
WITH drained AS MATERIALIZED (
    SELECT net.drained_until() AS until
)
SELECT DISTINCT uuid_send(session.family)
FROM net.session
CROSS JOIN drained
LEFT JOIN net.router ON router.nas_id = session.nas_id AND router.source_address = session.source_address
    AND router.nas_identifier = session.nas_identifier
WHERE session.ctid >= format('(%s,0)', $1::bigint)::tid AND session.ctid < format('(%s,0)', $2::bigint)::tid
    AND (session.end_evidence <> 'stop' OR (session.ended_at IS NULL AND (session.interim_s IS NULL
        OR net.silence(session.heard_at, session.interim_s, drained.until, router.accounting_at,
            router.silent_since, router.silent_until)
            > least(session.interim_s * 2.5, $3::double precision) * interval '1 second')))
    AND (EXISTS (
        SELECT FROM net.session AS other
        WHERE other.login_id = session.login_id AND other.mac = session.mac
            AND other.started_at >= session.heard_at AND other.started_at > session.started_at
            AND other.started_at < coalesce(session.ended_latest, 'infinity')
    ) OR (session.mac IS NULL AND EXISTS (
        SELECT FROM net.session AS other
        WHERE other.login_id = session.login_id AND other.mac IS NULL
            AND other.calling_station_id = session.calling_station_id
            AND other.started_at >= session.heard_at AND other.started_at > session.started_at
            AND other.started_at < coalesce(session.ended_latest, 'infinity')
    )) OR (session.nas_port > 0 AND EXISTS (
        SELECT FROM net.session AS other
        WHERE other.nas_id = session.nas_id AND other.nas_port = session.nas_port AND other.login_id = session.login_id
            AND other.source_address = session.source_address AND other.nas_identifier = session.nas_identifier
            AND other.started_at >= session.heard_at AND other.started_at > session.started_at
            AND other.started_at < coalesce(session.ended_latest, 'infinity')
    )) OR (session.nas_port > 0 AND session.login_id IS NULL AND EXISTS (
        SELECT FROM net.session AS other
        WHERE other.nas_id = session.nas_id AND other.nas_port = session.nas_port AND other.login_id IS NULL
            AND other.user_name = session.user_name
            AND other.source_address = session.source_address AND other.nas_identifier = session.nas_identifier
            AND other.started_at >= session.heard_at AND other.started_at > session.started_at
            AND other.started_at < coalesce(session.ended_latest, 'infinity')
    )))
LIMIT $4;

-- name: has_caps
SELECT EXISTS (SELECT FROM erp.plan WHERE cap_gigabytes IS NOT NULL)
    OR EXISTS (SELECT FROM erp.login WHERE cap_reached) AS has_caps;

-- name: next_logins
-- The last of the next $2 logins; null: there are no more.
SELECT max(id) AS last FROM (SELECT id FROM erp.login WHERE id > $1 ORDER BY id LIMIT $2) AS next;

-- name: capped_logins
-- Those with a cap, and those that are marked without having one any more.
SELECT
    login.id,
    login.cap_reached,
    plan.cap_gigabytes,
    plan.cap_kind,
    (now() AT TIME ZONE branch.time_zone)::date AS today,
    CASE WHEN plan.cap_kind = 'P' THEN erp.due_day(contract.id) END AS due_day
FROM erp.login
JOIN erp.contract ON contract.id = login.contract_id
JOIN erp.branch ON branch.id = contract.branch_id
LEFT JOIN erp.plan ON plan.id = coalesce(login.plan_id, contract.plan_id)
WHERE login.id > $1 AND login.id <= $2 AND login.deleted_at IS NULL
    AND (plan.cap_gigabytes IS NOT NULL OR login.cap_reached);

-- name: used_octets
SELECT asked.login_id, coalesce(sum(used.octets_in + used.octets_out), 0)::bigint AS octets
FROM unnest($1::integer[], $2::date[], $3::date[]) AS asked (login_id, first_day, last_day)
LEFT JOIN LATERAL net.usage_day(asked.login_id, asked.first_day, asked.last_day) AS used ON true
GROUP BY asked.login_id;

-- name: mark_caps
-- A slower plan cuts nobody off: the nodes' brake lets it pass (rule R1.3).
SELECT set_config('aaad.run', (SELECT max(id)::text FROM net.run WHERE kind = 'caps' AND brake_passed), true);

-- name: set_caps
-- An ordinary change of the login, so it is in its history and reaches every replica.
UPDATE erp.login SET cap_reached = found.is_reached
FROM (
    SELECT login.id, wanted.is_reached
    FROM unnest($1::integer[], $2::boolean[]) AS wanted (login_id, is_reached)
    JOIN erp.login ON login.id = wanted.login_id
    WHERE login.cap_reached <> wanted.is_reached
    ORDER BY login.id
    FOR UPDATE OF login SKIP LOCKED
) AS found
WHERE login.id = found.id;
