-- What operators ask about sessions: statements of aaad/sessions/reports.py. All of them are bounded. They are prepared
-- anew for each command, so that conditions of parameters that are null vanish before the plan is made.

-- name: find_sessions
-- $1 logins; $2 user name of nobody's login; $3 concentrator; $4 plan; $5 client; $6 contract; $7 address or prefix; $8 device;
-- $9 states; $10, $11 ended not before; $12, $13 begun not before, each as an instant and as local time;
-- $14 how the end is known or $15 the cause of a Stop; $16 how many.
-- Null: any. An instant beside a local time lies before it in every zone: it is there for the index.
SELECT found.*, login.name AS login, client.name AS client, plan.name AS plan, nas.name AS nas
FROM (
    SELECT session.family, session.life, session.state, session.acct_session_id, session.user_name,
        session.login_id, session.contract_id, session.client_id, session.plan_id, session.branch_id, session.time_zone,
        session.nas_id, session.source_address, session.nas_identifier, session.address_space,
        session.nas_port, session.nas_port_id, session.called_station_id, session.calling_station_id, session.mac,
        session.circuit_id, session.ipv4, session.ipv4_evidence, session.ipv6_prefix, session.ipv6_prefix_evidence,
        session.delegated_ipv6_prefix, session.delegated_ipv6_prefix_evidence,
        session.started_at, session.start_seen, session.heard_at, session.ended_at, session.ended_latest,
        session.end_evidence, session.terminate_cause, session.interim_s, session.session_time_s,
        session.octets_in, session.octets_out, session.packets_in, session.packets_out, session.records
    FROM net.every_session AS session
    WHERE ($1::integer[] IS NULL OR session.login_id = ANY($1))
        AND ($2::text IS NULL OR (session.login_id IS NULL AND erp.fold_login(session.user_name) = erp.fold_login($2)))
        AND ($3::integer IS NULL OR session.nas_id = $3)
        AND ($4::integer IS NULL OR session.plan_id = $4)
        AND ($5::integer IS NULL OR session.client_id = $5)
        AND ($6::integer IS NULL OR session.contract_id = $6)
        AND ($7::inet IS NULL OR (family($7) = 4 AND session.ipv4 <<= $7)
            OR (family($7) = 6 AND (session.ipv6_prefix && $7 OR session.delegated_ipv6_prefix && $7)))
        AND ($8::macaddr IS NULL OR session.mac = $8)
        AND session.state = ANY($9::text[])
        AND ($10::timestamptz IS NULL OR session.ended_at >= $10)
        AND ($11::timestamp IS NULL OR session.ended_at AT TIME ZONE session.time_zone >= $11)
        AND ($12::timestamptz IS NULL OR session.started_at >= $12)
        AND ($13::timestamp IS NULL OR session.started_at AT TIME ZONE session.time_zone >= $13)
        AND (($14::text[] IS NULL AND $15::integer[] IS NULL) OR session.end_evidence = ANY($14)
            OR (session.end_evidence = 'stop' AND session.terminate_cause = ANY($15)))
    ORDER BY session.ended_at DESC NULLS FIRST, session.started_at DESC, session.family, session.life
    LIMIT $16
) AS found
LEFT JOIN erp.login ON login.id = found.login_id
LEFT JOIN erp.client ON client.id = found.client_id
LEFT JOIN erp.plan ON plan.id = found.plan_id
LEFT JOIN net.nas ON nas.id = found.nas_id
ORDER BY found.ended_at DESC NULLS FIRST, found.started_at DESC, found.family, found.life;

-- name: count_sessions
-- The same conditions; by concentrator, by plan, by how they ended, and in all: `by` tells which.
SELECT
    (ARRAY['nas', 'plan', 'end', 'all'])[1 + grouped.kind] AS by,
    coalesce(nas.name, plan.name) AS name,
    CASE grouped.kind WHEN 0 THEN grouped.nas_id WHEN 1 THEN grouped.plan_id END AS id,
    grouped.end_evidence,
    grouped.terminate_cause,
    grouped.open,
    grouped.suspended,
    grouped.closed
FROM (
    SELECT
        CASE WHEN grouping(session.nas_id) = 0 THEN 0 WHEN grouping(session.plan_id) = 0 THEN 1
            WHEN grouping(session.end_evidence) = 0 THEN 2 ELSE 3 END AS kind,
        session.nas_id,
        session.plan_id,
        session.end_evidence,
        session.terminate_cause,
        count(*) FILTER (WHERE session.state = 'open') AS open,
        count(*) FILTER (WHERE session.state = 'suspended') AS suspended,
        count(*) FILTER (WHERE session.state = 'closed') AS closed
    FROM net.every_session AS session
    WHERE ($1::integer[] IS NULL OR session.login_id = ANY($1))
        AND ($2::text IS NULL OR (session.login_id IS NULL AND erp.fold_login(session.user_name) = erp.fold_login($2)))
        AND ($3::integer IS NULL OR session.nas_id = $3)
        AND ($4::integer IS NULL OR session.plan_id = $4)
        AND ($5::integer IS NULL OR session.client_id = $5)
        AND ($6::integer IS NULL OR session.contract_id = $6)
        AND ($7::inet IS NULL OR (family($7) = 4 AND session.ipv4 <<= $7)
            OR (family($7) = 6 AND (session.ipv6_prefix && $7 OR session.delegated_ipv6_prefix && $7)))
        AND ($8::macaddr IS NULL OR session.mac = $8)
        AND session.state = ANY($9::text[])
        AND ($10::timestamptz IS NULL OR session.ended_at >= $10)
        AND ($11::timestamp IS NULL OR session.ended_at AT TIME ZONE session.time_zone >= $11)
        AND ($12::timestamptz IS NULL OR session.started_at >= $12)
        AND ($13::timestamp IS NULL OR session.started_at AT TIME ZONE session.time_zone >= $13)
        AND (($14::text[] IS NULL AND $15::integer[] IS NULL) OR session.end_evidence = ANY($14)
            OR (session.end_evidence = 'stop' AND session.terminate_cause = ANY($15)))
    GROUP BY GROUPING SETS ((session.nas_id), (session.plan_id), (session.end_evidence, session.terminate_cause), ())
) AS grouped
LEFT JOIN net.nas ON grouped.kind = 0 AND nas.id = grouped.nas_id
LEFT JOIN erp.plan ON grouped.kind = 1 AND plan.id = grouped.plan_id
WHERE grouped.kind = 3 OR grouped.end_evidence IS NOT NULL OR grouped.kind < 2
ORDER BY grouped.kind, grouped.open + grouped.suspended + grouped.closed DESC, name, grouped.end_evidence, grouped.terminate_cause
LIMIT $16;

-- name: statement_by_session
-- A login's sessions that were, or may have been, connected in a period. $1, $2 whose, as above; $3 to $6 not over before
-- and begun before, each as an instant and as local time; $7: the one with most traffic first; $8 how many. The sums are of all.
SELECT found.*, nas.name AS nas
FROM (
    SELECT session.family, session.life, session.state, session.acct_session_id, session.user_name,
        session.login_id, session.contract_id, session.client_id, session.plan_id, session.time_zone, session.nas_id,
        session.source_address, session.nas_port, session.nas_port_id, session.called_station_id,
        session.calling_station_id, session.mac, session.circuit_id, session.ipv4, session.ipv4_evidence,
        session.ipv6_prefix, session.ipv6_prefix_evidence, session.delegated_ipv6_prefix,
        session.delegated_ipv6_prefix_evidence, session.started_at, session.start_seen, session.heard_at,
        session.ended_at, session.ended_latest, session.end_evidence, session.terminate_cause,
        session.octets_in, session.octets_out,
        count(*) OVER () AS total_sessions,
        extract(epoch FROM sum(coalesce(session.ended_at, session.heard_at) - session.started_at) OVER ())::float8
            AS total_connected_s,
        (sum(session.octets_in) OVER ())::bigint AS total_octets_in,
        (sum(session.octets_out) OVER ())::bigint AS total_octets_out
    FROM net.every_session AS session
    WHERE ($1::integer[] IS NULL OR session.login_id = ANY($1))
        AND ($2::text IS NULL OR (session.login_id IS NULL AND erp.fold_login(session.user_name) = erp.fold_login($2)))
        AND (session.ended_latest IS NULL OR session.ended_latest >= $3::timestamptz)
        AND ($4::timestamp IS NULL OR session.ended_latest IS NULL
            OR session.ended_latest AT TIME ZONE session.time_zone >= $4)
        AND session.started_at < $5::timestamptz
        AND ($6::timestamp IS NULL OR session.started_at AT TIME ZONE session.time_zone < $6)
    ORDER BY CASE WHEN $7::boolean THEN session.octets_in + session.octets_out END DESC NULLS LAST,
        session.started_at, session.family, session.life
    LIMIT $8
) AS found
LEFT JOIN net.nas ON nas.id = found.nas_id
ORDER BY CASE WHEN $7 THEN found.octets_in + found.octets_out END DESC NULLS LAST,
    found.started_at, found.family, found.life;

-- name: statement_by_device
-- The same sessions, by device. The zone is that of the device's last session; the sums are of all.
SELECT
    coalesce(upper(session.mac::text), session.calling_station_id) AS device,
    count(*) AS sessions,
    min(session.started_at) AS first_at,
    max(coalesce(session.ended_at, session.heard_at)) AS last_at,
    (array_agg(session.time_zone ORDER BY session.started_at DESC))[1] AS time_zone,
    extract(epoch FROM sum(coalesce(session.ended_at, session.heard_at) - session.started_at))::float8 AS connected_s,
    sum(session.octets_in)::bigint AS octets_in,
    sum(session.octets_out)::bigint AS octets_out,
    (sum(count(*)) OVER ())::bigint AS total_sessions,
    extract(epoch FROM sum(sum(coalesce(session.ended_at, session.heard_at) - session.started_at)) OVER ())::float8
        AS total_connected_s,
    (sum(sum(session.octets_in)) OVER ())::bigint AS total_octets_in,
    (sum(sum(session.octets_out)) OVER ())::bigint AS total_octets_out
FROM net.every_session AS session
WHERE ($1::integer[] IS NULL OR session.login_id = ANY($1))
    AND ($2::text IS NULL OR (session.login_id IS NULL AND erp.fold_login(session.user_name) = erp.fold_login($2)))
    AND (session.ended_latest IS NULL OR session.ended_latest >= $3::timestamptz)
    AND ($4::timestamp IS NULL OR session.ended_latest IS NULL
        OR session.ended_latest AT TIME ZONE session.time_zone >= $4)
    AND session.started_at < $5::timestamptz
    AND ($6::timestamp IS NULL OR session.started_at AT TIME ZONE session.time_zone < $6)
GROUP BY 1
ORDER BY last_at DESC, device
LIMIT $7;

-- name: sessions_named
-- Of families from $1 to $2, those of number $3: what the short name of a session means.
SELECT family, life, state, user_name, acct_session_id, login_id, time_zone, started_at, heard_at, ended_at, end_evidence
FROM net.every_session
WHERE family BETWEEN $1 AND $2 AND life = $3
ORDER BY family
LIMIT $4;

-- name: live_sessions_of
-- Those of a login, or with $1 null of a user name that is no login's, that are not closed.
SELECT family, life, state, user_name, acct_session_id, login_id, time_zone, started_at, heard_at, ended_at, end_evidence
FROM net.every_session AS session
WHERE ($1::integer[] IS NULL OR session.login_id = ANY($1))
    AND ($2::text IS NULL OR (session.login_id IS NULL AND erp.fold_login(session.user_name) = erp.fold_login($2)))
    AND session.state = ANY('{open,suspended}'::text[])
ORDER BY started_at DESC, family, life
LIMIT $3;

-- name: close_session
-- An operator says that it has ended: certain is only until when it was heard (rule R9.1). A record of it that is later than
-- now opens it again. Its entry in the history is a program's, which nobody edits.
WITH closed AS (
    UPDATE net.session SET
        ended_at = greatest(heard_at, started_at),
        ended_latest = greatest(now(), heard_at, started_at),
        end_evidence = 'operator',
        version = version + 1
    WHERE family = $1 AND life = $2 AND ended_at IS NULL
    RETURNING family, life, branch_id, client_id, contract_id, login_id, ended_at, ended_latest, heard_at, time_zone
), told AS (
    INSERT INTO erp.history (branch_id, client_id, contract_id, login_id, kind, text, source)
    SELECT branch_id, client_id, contract_id, login_id, 'session_closed', $3::text, 'api' FROM closed
), worded AS (
    INSERT INTO net.session_end (families) SELECT array_agg(family) FROM closed HAVING count(*) > 0
)
SELECT family, life, ended_at, ended_latest, heard_at, time_zone, now() AS now FROM closed;

-- name: capped_login
-- The cap of a login's plan, and when it was said last that it is reached; `today` is the branch's.
SELECT
    login.id,
    login.name,
    login.cap_reached,
    plan.name AS plan,
    plan.cap_gigabytes,
    plan.cap_kind,
    slower.name AS cap_plan,
    branch.time_zone,
    (now() AT TIME ZONE branch.time_zone)::date AS today,
    CASE WHEN plan.cap_kind = 'P' THEN erp.due_day(contract.id) END AS due_day,
    (SELECT history.at FROM erp.history
        WHERE history.login_id = login.id AND history.kind = 'login_changed'
            AND strpos(history.text, 'cap_reached: false → true') > 0
        ORDER BY history.id DESC LIMIT 1) AS reached_at
FROM erp.login
JOIN erp.contract ON contract.id = login.contract_id
JOIN erp.branch ON branch.id = contract.branch_id
LEFT JOIN erp.plan ON plan.id = coalesce(login.plan_id, contract.plan_id)
LEFT JOIN erp.plan AS slower ON slower.id = plan.cap_plan_id
WHERE login.id = $1;

-- name: used_by_day
SELECT day, octets_in, octets_out, sessions FROM net.usage_day($1, $2, $3) LIMIT $4;

-- name: usage_of_nobody
-- Whether there is a session of a login that is gone from erp.login, and in which zone the last one was.
SELECT time_zone, (now() AT TIME ZONE time_zone)::date AS today
FROM net.every_session WHERE login_id = $1 ORDER BY started_at DESC LIMIT 1;

-- name: deferred_of_node
-- Records of the spool that wait in PostgreSQL for rows which other programs hold; a node keeps a bounded number of them.
SELECT count(*) AS records FROM net.spool_deferred WHERE node = $1;

-- name: open_sessions_of_nas
-- What is open of a NAS entry, for a comparison with the router's own tables. Of an entry that is one address only the
-- source says nothing, and is empty.
SELECT family, life, user_name, acct_session_id, nas_identifier,
    CASE WHEN masklen(nas.address) < CASE family(nas.address) WHEN 4 THEN 32 ELSE 128 END
        THEN host(source_address) ELSE '' END AS source,
    coalesce(host(ipv4), '') AS ipv4, coalesce(mac::text, calling_station_id, '') AS mac,
    extract(epoch FROM now() - started_at)::float8 AS age_s, extract(epoch FROM now() - heard_at)::float8 AS heard_s
FROM net.session JOIN net.nas ON nas.id = session.nas_id
WHERE nas_id = $1 AND ended_at IS NULL
ORDER BY user_name, started_at
LIMIT $2;

-- name: close_gone
-- Their router said, when it was asked so many seconds ago, that it has none of these sessions; those that were heard
-- since are left. As of every end but a Stop's, a later record of one undoes it (rule R9.1).
WITH told AS (
    SELECT * FROM unnest($1::uuid[], $2::integer[]) AS told (family, life)
), over AS (
    SELECT session.family, session.life FROM net.session
    JOIN told USING (family, life)
    WHERE session.ended_at IS NULL AND session.heard_at < now() - $3::double precision * interval '1 second'
    FOR NO KEY UPDATE OF session SKIP LOCKED
), closed AS (
    UPDATE net.session SET
        ended_at = greatest(heard_at, started_at), ended_latest = greatest(now(), heard_at, started_at),
        end_evidence = 'gone', version = version + 1
    FROM over WHERE session.family = over.family AND session.life = over.life
    RETURNING session.family, session.life, branch_id, client_id, contract_id, login_id
), noted AS (
    INSERT INTO erp.history (branch_id, client_id, contract_id, login_id, kind, text, source)
    SELECT branch_id, client_id, contract_id, login_id, 'session_closed', $4::text, 'api' FROM closed
), worded AS (
    INSERT INTO net.session_end (families) SELECT array_agg(family) FROM closed HAVING count(*) > 0
)
SELECT family, life FROM closed;
