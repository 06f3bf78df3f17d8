-- Statements of aaad/sessions/ledger.py, folding.py, owners.py and verdicts.py. Times are Unix seconds. Rows come sorted by
-- key, so that two drains take them in one order. Arrays that each batch needs come as texts, which cost less to make.

-- name: read_sessions
-- Not locked: who writes a row says which version he read, and another drain's meanwhile makes him read again.
SELECT uuid_send(family), life, version, summary,
    CASE WHEN end_evidence <> 'stop' THEN ended_latest END, end_evidence, login_id, grant_serial
FROM net.session WHERE family = ANY($1::text::uuid[]);

-- name: foresee_sessions
-- The same, with a sum of all that a fold goes by. The version alone would not do: a server that was taken out of service,
-- and one that lost commits in a failover, may count up to the same one with other records.
SELECT uuid_send(family), life, version, summary,
    CASE WHEN end_evidence <> 'stop' THEN ended_latest END, end_evidence, login_id, grant_serial,
    hash_record_extended(ROW(version, summary, ended_latest, end_evidence, login_id, grant_serial), 0)
FROM net.session WHERE family = ANY($1::text::uuid[]);

-- name: find_server
-- What tells this server from any other, also from one that it was copied from.
SELECT pg_postmaster_start_time()::text || ' ' || (SELECT system_identifier FROM pg_control_system())::text;

-- name: find_states
-- What shows whether rows that were read a while ago are still so, and no others of their families have come.
SELECT uuid_send(family), life,
    hash_record_extended(ROW(version, summary, ended_latest, end_evidence, login_id, grant_serial), 0)
FROM net.session WHERE family = ANY($1::text::uuid[]);

-- name: recall_sessions
-- What is in history already, since when the earliest of them can have ended.
SELECT count(*) FROM net.recall_session($1::text::uuid[], to_timestamp($2));

-- name: make_changed
-- Rows on their way into net.session, of one connection and one transaction.
CREATE TEMPORARY TABLE session_changed (LIKE net.session) ON COMMIT DELETE ROWS;

-- name: make_going_on
CREATE TEMPORARY TABLE session_going_on ON COMMIT DELETE ROWS AS
SELECT family, life, version, summary, started_at, start_seen, heard_at, ended_at, ended_latest, end_evidence,
    terminate_cause, interim_s, nas_started_at, nas_heard_at, session_time_s, octets_in, octets_out, packets_in,
    packets_out, days, day_octets_in, day_octets_out, records
FROM net.session WITH NO DATA;

-- name: update_going_on
-- Sessions of which nothing has changed but time and amounts, nearly all: no column of an index is touched. Only rows
-- that still are what was read: `version` is what it was then.
UPDATE net.session SET
    version = session.version + 1,
    summary = new.summary,
    started_at = new.started_at,
    start_seen = new.start_seen,
    heard_at = new.heard_at,
    ended_at = new.ended_at,
    ended_latest = new.ended_latest,
    end_evidence = new.end_evidence,
    terminate_cause = new.terminate_cause,
    interim_s = new.interim_s,
    nas_started_at = new.nas_started_at,
    nas_heard_at = new.nas_heard_at,
    session_time_s = new.session_time_s,
    octets_in = new.octets_in,
    octets_out = new.octets_out,
    packets_in = new.packets_in,
    packets_out = new.packets_out,
    days = new.days,
    day_octets_in = new.day_octets_in,
    day_octets_out = new.day_octets_out,
    records = new.records
FROM pg_temp.session_going_on AS new
WHERE session.family = new.family AND session.life = new.life AND session.version = new.version;

-- name: update_changed
-- All columns of sessions whose records say something new of them. An owner that is null stays as it is, and so does an
-- address that accounting leaves out and an Accept granted.
UPDATE net.session SET
    version = session.version + 1,
    login_id = coalesce(new.login_id, session.login_id),
    contract_id = coalesce(new.contract_id, session.contract_id),
    client_id = coalesce(new.client_id, session.client_id),
    plan_id = coalesce(new.plan_id, session.plan_id),
    branch_id = coalesce(new.branch_id, session.branch_id),
    summary = new.summary,
    acct_session_id = new.acct_session_id,
    user_name = new.user_name,
    time_zone = new.time_zone,
    grant_node = new.grant_node,
    grant_slot = new.grant_slot,
    grant_serial = new.grant_serial,
    grant_fingerprint = new.grant_fingerprint,
    nas_id = new.nas_id,
    source_address = new.source_address,
    nas_identifier = new.nas_identifier,
    nas_port = new.nas_port,
    nas_port_id = new.nas_port_id,
    called_station_id = new.called_station_id,
    calling_station_id = new.calling_station_id,
    mac = new.mac,
    circuit_id = new.circuit_id,
    started_at = new.started_at,
    start_seen = new.start_seen,
    heard_at = new.heard_at,
    ended_at = new.ended_at,
    ended_latest = new.ended_latest,
    end_evidence = new.end_evidence,
    terminate_cause = new.terminate_cause,
    interim_s = new.interim_s,
    nas_started_at = new.nas_started_at,
    nas_heard_at = new.nas_heard_at,
    session_time_s = new.session_time_s,
    octets_in = new.octets_in,
    octets_out = new.octets_out,
    packets_in = new.packets_in,
    packets_out = new.packets_out,
    days = new.days,
    day_octets_in = new.day_octets_in,
    day_octets_out = new.day_octets_out,
    records = new.records,
    address_changes = new.address_changes,
    ipv4 = CASE WHEN new.ipv4 IS NULL AND session.ipv4_evidence = 'granted'
        THEN session.ipv4 ELSE new.ipv4 END,
    ipv4_evidence = CASE WHEN new.ipv4 IS NULL AND session.ipv4_evidence = 'granted'
        THEN session.ipv4_evidence ELSE new.ipv4_evidence END,
    ipv6_prefix = CASE WHEN new.ipv6_prefix IS NULL AND session.ipv6_prefix_evidence = 'granted'
        THEN session.ipv6_prefix ELSE new.ipv6_prefix END,
    ipv6_prefix_evidence = CASE WHEN new.ipv6_prefix IS NULL AND session.ipv6_prefix_evidence = 'granted'
        THEN session.ipv6_prefix_evidence ELSE new.ipv6_prefix_evidence END,
    delegated_ipv6_prefix = CASE WHEN new.delegated_ipv6_prefix IS NULL AND session.delegated_ipv6_prefix_evidence = 'granted'
        THEN session.delegated_ipv6_prefix ELSE new.delegated_ipv6_prefix END,
    delegated_ipv6_prefix_evidence = CASE WHEN new.delegated_ipv6_prefix IS NULL AND session.delegated_ipv6_prefix_evidence = 'granted'
        THEN session.delegated_ipv6_prefix_evidence ELSE new.delegated_ipv6_prefix_evidence END
FROM pg_temp.session_changed AS new
WHERE session.family = new.family AND session.life = new.life AND session.version = new.version;

-- name: remove_sessions
-- Of lives that turned out to be part of others.
DELETE FROM net.session USING unnest($1::uuid[], $2::integer[], $3::integer[]) AS old (family, life, version)
WHERE session.family = old.family AND session.life = old.life AND session.version = old.version;

-- name: lock_free_sessions
-- Those of these families that nobody else holds.
SELECT uuid_send(family), life FROM net.session WHERE family = ANY($1::text::uuid[]) ORDER BY family, life
FOR UPDATE SKIP LOCKED;

-- name: add_granted
INSERT INTO net.granted AS known (node, slot, serial, login_id, at, ipv4, ipv6_prefix, delegated_ipv6_prefix)
SELECT new.node, new.slot, new.serial, new.login_id, to_timestamp(new.at), nullif(new.ipv4, '')::inet,
    nullif(new.ipv6_prefix, '')::cidr, nullif(new.delegated_ipv6_prefix, '')::cidr
FROM unnest($1::integer[], $2::integer[], $3::bigint[], $4::integer[], $5::double precision[], $6::text[], $7::text[],
    $8::text[]) AS new (node, slot, serial, login_id, at, ipv4, ipv6_prefix, delegated_ipv6_prefix)
ON CONFLICT (node, slot, serial) DO NOTHING;

-- name: find_granted
SELECT granted.node, granted.slot, granted.serial, host(granted.ipv4), granted.ipv6_prefix::text,
    granted.delegated_ipv6_prefix::text
FROM unnest($1::text::integer[], $2::text::integer[], $3::text::bigint[]) AS wanted (node, slot, serial)
JOIN net.granted USING (node, slot, serial);

-- name: join_granted
-- Gives sessions that were known before what their Accept granted. Returns the grants of those that somebody holds.
WITH lacking AS MATERIALIZED (
    SELECT known.family, known.life, granted.node, granted.slot, granted.serial, granted.ipv4, granted.ipv6_prefix,
        granted.delegated_ipv6_prefix
    FROM unnest($1::text::integer[], $2::text::integer[], $3::text::bigint[]) AS wanted (node, slot, serial)
    JOIN net.granted USING (node, slot, serial)
    JOIN net.session AS known ON known.login_id = granted.login_id AND known.grant_node = granted.node
        AND known.grant_slot = granted.slot AND known.grant_serial = granted.serial
    WHERE (known.ipv4 IS NULL AND granted.ipv4 IS NOT NULL)
        OR (known.ipv6_prefix IS NULL AND granted.ipv6_prefix IS NOT NULL)
        OR (known.delegated_ipv6_prefix IS NULL AND granted.delegated_ipv6_prefix IS NOT NULL)
), held AS (
    SELECT lacking.* FROM lacking JOIN net.session USING (family, life)
    ORDER BY family, life FOR UPDATE OF session SKIP LOCKED
), joined AS (
    UPDATE net.session SET
        version = session.version + 1,
        ipv4 = coalesce(session.ipv4, held.ipv4),
        ipv4_evidence = coalesce(session.ipv4_evidence, CASE WHEN held.ipv4 IS NOT NULL THEN 'granted' END),
        ipv6_prefix = coalesce(session.ipv6_prefix, held.ipv6_prefix),
        ipv6_prefix_evidence = coalesce(session.ipv6_prefix_evidence,
            CASE WHEN held.ipv6_prefix IS NOT NULL THEN 'granted' END),
        delegated_ipv6_prefix = coalesce(session.delegated_ipv6_prefix, held.delegated_ipv6_prefix),
        delegated_ipv6_prefix_evidence = coalesce(session.delegated_ipv6_prefix_evidence,
            CASE WHEN held.delegated_ipv6_prefix IS NOT NULL THEN 'granted' END)
    FROM held
    WHERE session.family = held.family AND session.life = held.life
    RETURNING session.family, session.life
)
SELECT DISTINCT node, slot, serial FROM lacking
WHERE (family, life) NOT IN (SELECT family, life FROM joined);

-- name: load_granted
SELECT node, slot, serial FROM net.granted WHERE at >= to_timestamp($1) ORDER BY at DESC LIMIT 50000;

-- name: add_restarts
-- Those that are new, so that a copy closes nothing again.
INSERT INTO net.nas_restart (nas_id, source_address, nas_identifier, called_station_id, at, kind)
SELECT new.nas_id, new.source_address::inet, new.nas_identifier, new.called_station_id, to_timestamp(new.at), new.kind
FROM unnest($1::integer[], $2::text[], $3::bytea[], $4::text[], $5::double precision[], $6::text[])
    AS new (nas_id, source_address, nas_identifier, called_station_id, at, kind)
ON CONFLICT DO NOTHING;

-- name: prefer_hashes
-- For what holds thousands of sessions against hundreds of restarts: not each against each.
SELECT set_config('enable_hashjoin', 'on', true), set_config('enable_nestloop', 'off', true);

-- name: prefer_keys
SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_nestloop', 'on', true);

-- name: find_restarted
-- Sessions of these routers that began before a restart and were not heard after it (rule R5.2), at most $6 of them.
SELECT known.family::text, known.life, extract(epoch FROM min(told.at))::double precision
FROM net.session AS known
JOIN (
    SELECT nas_id, source_address::inet, nas_identifier, called_station_id, to_timestamp(at) AS at
    FROM unnest($1::integer[], $2::text[], $3::bytea[], $4::text[], $5::double precision[])
        AS told (nas_id, source_address, nas_identifier, called_station_id, at)
) AS told USING (nas_id, source_address, nas_identifier)
WHERE known.nas_id = ANY ($1::integer[]) AND told.called_station_id IN ('', known.called_station_id)
    AND told.at > known.started_at AND told.at >= known.heard_at
    AND (known.ended_at IS NULL OR (known.end_evidence <> 'stop' AND known.ended_latest > told.at))
GROUP BY known.family, known.life
ORDER BY known.family, known.life
LIMIT $6;

-- name: close_restarted
-- Those of them that are still so, and that nobody holds.
UPDATE net.session SET
    version = session.version + 1,
    ended_at = session.heard_at,
    ended_latest = ended.at,
    end_evidence = 'nas_restart'
FROM (
    SELECT known.family, known.life, to_timestamp(told.at) AS at
    FROM unnest($1::text[]::uuid[], $2::integer[], $3::double precision[]) AS told (family, life, at)
    JOIN net.session AS known USING (family, life)
    WHERE to_timestamp(told.at) > known.started_at AND to_timestamp(told.at) >= known.heard_at
        AND (known.ended_at IS NULL OR (known.end_evidence <> 'stop' AND known.ended_latest > to_timestamp(told.at)))
    ORDER BY known.family, known.life
    FOR UPDATE OF known SKIP LOCKED
) AS ended
WHERE session.family = ended.family AND session.life = ended.life;

-- name: load_restarts
SELECT nas_id, host(source_address), nas_identifier, called_station_id, at
FROM net.nas_restart WHERE at >= to_timestamp($1);

-- name: find_restarts
SELECT nas_id, host(source_address), nas_identifier, called_station_id, at
FROM net.nas_restart WHERE nas_id = ANY($1::integer[]) AND at >= to_timestamp($2);

-- name: find_rivals
-- Sessions of the same login, or the same name if that is no login's, on the same device or port, that may have ended
-- when one of these began, or tell that one of these has ended. What had ended before it began did so without it. Of
-- many, those that began next to its beginning, and next to when it was last heard: each of them a branch that reads one
-- index in its order. Who is not found so, since others came and went while he was heard, `overlooked.py` finds.
SELECT DISTINCT ON (rival.family, rival.life) uuid_send(rival.family), rival.life, rival.version, rival.login_id,
    rival.user_name, rival.nas_id, host(rival.source_address), rival.nas_identifier, rival.nas_port,
    rival.called_station_id, rival.calling_station_id, rival.mac::text, rival.started_at, rival.heard_at,
    rival.ended_latest, rival.end_evidence
FROM unnest(
    $1::text::integer[], $2::text::text[], $3::text::macaddr[], $4::text::text[], $5::text::integer[],
    $6::text::bigint[], $7::text::double precision[], $8::text::double precision[]
) AS new (login_id, user_name, mac, calling_station_id, nas_id, nas_port, heard_at, began)
CROSS JOIN LATERAL (
    (SELECT * FROM net.session
    WHERE session.login_id = new.login_id AND session.mac = new.mac AND session.started_at < to_timestamp(new.began)
    ORDER BY session.login_id DESC, session.mac DESC, session.started_at DESC LIMIT $9)
    UNION ALL
    (SELECT * FROM net.session
    WHERE session.login_id = new.login_id AND session.mac = new.mac AND session.started_at >= to_timestamp(new.heard_at)
    ORDER BY session.login_id, session.mac, session.started_at LIMIT $9)
    UNION ALL
    (SELECT * FROM net.session
    WHERE new.mac IS NULL AND session.login_id = new.login_id AND session.mac IS NULL
        AND session.started_at < to_timestamp(new.began) AND session.calling_station_id = new.calling_station_id
    ORDER BY session.login_id DESC, session.mac DESC, session.started_at DESC LIMIT $9)
    UNION ALL
    (SELECT * FROM net.session
    WHERE new.mac IS NULL AND session.login_id = new.login_id AND session.mac IS NULL
        AND session.started_at >= to_timestamp(new.heard_at) AND session.calling_station_id = new.calling_station_id
    ORDER BY session.login_id, session.mac, session.started_at LIMIT $9)
    UNION ALL
    (SELECT * FROM net.session
    WHERE new.nas_port > 0 AND session.nas_id = new.nas_id AND session.nas_port = new.nas_port
        AND session.login_id = new.login_id AND session.started_at < to_timestamp(new.began)
    ORDER BY session.nas_id DESC, session.nas_port DESC, session.login_id DESC, session.started_at DESC LIMIT $9)
    UNION ALL
    (SELECT * FROM net.session
    WHERE new.nas_port > 0 AND session.nas_id = new.nas_id AND session.nas_port = new.nas_port
        AND session.login_id = new.login_id AND session.started_at >= to_timestamp(new.heard_at)
    ORDER BY session.nas_id, session.nas_port, session.login_id, session.started_at LIMIT $9)
    UNION ALL
    (SELECT * FROM net.session
    WHERE new.login_id IS NULL AND new.nas_port > 0 AND session.nas_id = new.nas_id AND session.nas_port = new.nas_port
        AND session.login_id IS NULL AND session.started_at < to_timestamp(new.began)
        AND session.user_name = new.user_name
    ORDER BY session.nas_id DESC, session.nas_port DESC, session.login_id DESC, session.started_at DESC LIMIT $9)
    UNION ALL
    (SELECT * FROM net.session
    WHERE new.login_id IS NULL AND new.nas_port > 0 AND session.nas_id = new.nas_id AND session.nas_port = new.nas_port
        AND session.login_id IS NULL AND session.started_at >= to_timestamp(new.heard_at)
        AND session.user_name = new.user_name
    ORDER BY session.nas_id, session.nas_port, session.login_id, session.started_at LIMIT $9)
) AS rival
WHERE rival.ended_at IS NULL OR rival.started_at >= to_timestamp(new.heard_at)
    OR (rival.end_evidence <> 'stop' AND rival.ended_latest >= to_timestamp(new.began));

-- name: find_undone
-- Sessions of the same logins, or names on the same port, that are thought to have ended when one began that did not begin
-- then: however many others came and went since. Rare, so all of a login's are looked through.
SELECT DISTINCT ON (rival.family, rival.life) uuid_send(rival.family), rival.life, rival.version, rival.login_id,
    rival.user_name, rival.nas_id, host(rival.source_address), rival.nas_identifier, rival.nas_port,
    rival.called_station_id, rival.calling_station_id, rival.mac::text, rival.started_at, rival.heard_at,
    rival.ended_latest, rival.end_evidence
FROM unnest($1::text::integer[], $2::text::text[], $3::text::integer[], $4::text::bigint[])
    AS told (login_id, user_name, nas_id, nas_port)
CROSS JOIN LATERAL (
    SELECT * FROM net.session WHERE session.login_id = told.login_id
    UNION ALL
    SELECT * FROM net.session
    WHERE told.login_id IS NULL AND told.nas_port > 0 AND session.nas_id = told.nas_id
        AND session.nas_port = told.nas_port AND session.login_id IS NULL AND session.user_name = told.user_name
) AS rival
WHERE rival.end_evidence <> 'stop'
    AND rival.ended_latest = ANY (ARRAY(SELECT to_timestamp(at) FROM unnest($5::double precision[]) AS undone (at)));

-- name: find_lives
-- The same of whole families: an id that is used again.
SELECT uuid_send(family), life, version, login_id, user_name, nas_id, host(source_address), nas_identifier, nas_port,
    called_station_id, calling_station_id, mac::text, started_at, heard_at, ended_latest, end_evidence
FROM net.session WHERE family = ANY($1::text::uuid[]);

-- name: lock_rivals
SELECT uuid_send(known.family), known.life
FROM unnest($1::uuid[], $2::integer[], $3::integer[]) AS rival (family, life, version)
JOIN net.session AS known USING (family, life, version)
ORDER BY known.family, known.life FOR UPDATE OF known SKIP LOCKED;

-- name: end_rivals
UPDATE net.session SET
    version = session.version + 1,
    ended_at = CASE WHEN ended.evidence IS NOT NULL THEN session.heard_at END,
    ended_latest = to_timestamp(ended.latest),
    end_evidence = ended.evidence
FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::text[], $5::double precision[])
    AS ended (family, life, version, evidence, latest)
WHERE session.family = ended.family AND session.life = ended.life AND session.version = ended.version;

-- name: add_ends
INSERT INTO net.session_end (families) VALUES ($1::text::uuid[]);

-- name: find_nases
SELECT nas.id, nas.address_space, nas.branch_id, branch.time_zone FROM net.nas
LEFT JOIN erp.branch ON branch.id = nas.branch_id;

-- name: find_contracts
-- Whose a contract is, of what was granted by it.
SELECT contract.id, contract.client_id, contract.branch_id FROM erp.contract WHERE contract.id = ANY($1::text::integer[]);

-- name: find_logins
-- By folded names, which are folded once more by who asks: here it would cost as much as all else. Of deleted logins
-- too, since a name is never given to another one.
SELECT login.name, login.id, login.contract_id, contract.client_id, coalesce(login.plan_id, contract.plan_id),
    contract.branch_id
FROM erp.login
JOIN erp.contract ON contract.id = login.contract_id
WHERE erp.fold_login(login.name) = ANY($1::text[]);

-- name: find_mac_logins
SELECT login.mac, login.id, login.contract_id, contract.client_id, coalesce(login.plan_id, contract.plan_id),
    contract.branch_id
FROM erp.login
JOIN erp.contract ON contract.id = login.contract_id
WHERE login.mac = ANY($1::text[]) AND login.mac_login AND login.deleted_at IS NULL;

-- name: find_branches
SELECT branch.id, branch.time_zone FROM erp.branch;

-- name: find_realm_rules
-- What each branch says of realms in user names (rule R3.4); the row without a branch is for NASes that have none.
SELECT branch.id, erp.parameter_value('strip_realms', branch.id), erp.parameter_value('default_realm', branch.id)
FROM erp.branch
UNION ALL SELECT NULL, erp.parameter_value('strip_realms', NULL), erp.parameter_value('default_realm', NULL);

-- name: note_routers
-- Up to when accounting of each router is drained (rule R5.3), and by how much its clock is wrong (R10).
UPDATE net.router SET
    accounting_at = greatest(router.accounting_at, to_timestamp(heard.at)),
    clock_offset_s = coalesce(heard.clock_offset_s, router.clock_offset_s)
FROM (
    SELECT router.id, told.at, told.clock_offset_s
    FROM unnest($1::integer[], $2::text[], $3::bytea[], $4::double precision[], $5::double precision[])
        AS told (nas_id, source_address, nas_identifier, at, clock_offset_s)
    JOIN net.router ON router.nas_id = told.nas_id AND router.source_address = told.source_address::inet
        AND router.nas_identifier = told.nas_identifier
    ORDER BY router.id
    FOR NO KEY UPDATE OF router SKIP LOCKED
) AS heard
WHERE router.id = heard.id;

-- name: is_alone
-- Whether no other node has drained anything lately.
SELECT NOT EXISTS (SELECT FROM net.node WHERE name <> $1 AND drain_watermark > now() - interval '10 minutes');
