-- Statements of aaad/sessions/store.py. Arrays come sorted by key: two drains lock rows in one order.

-- name: make_cursor
-- A spool that is met for the first time begins before its first segment.
INSERT INTO net.spool_cursor (spool_id, node, slot) VALUES ($1, $2, $3) ON CONFLICT (spool_id) DO NOTHING;

-- name: find_cursor
SELECT segment, position FROM net.spool_cursor WHERE spool_id = $1;

-- name: lock_cursor
SELECT segment, position FROM net.spool_cursor WHERE spool_id = $1 FOR UPDATE;

-- name: load_cursors
SELECT spool_id, segment, position FROM net.spool_cursor WHERE spool_id = ANY($1::uuid[]);

-- name: move_cursor
-- Compare and set: whoever finds another position than he read from applies nothing (rule R6.1).
UPDATE net.spool_cursor SET segment = $4, position = $5, updated_at = now()
WHERE spool_id = $1 AND segment = $2 AND position = $3;

-- name: touch_cursors
UPDATE net.spool_cursor SET updated_at = now() WHERE spool_id = ANY($1::uuid[]) RETURNING spool_id, segment, position;

-- name: load_cuts
SELECT life, segment, position, last_segment FROM net.spool_handoff WHERE spool_id = $1 ORDER BY life;

-- name: note_handoff
-- Touches a row only if this batch was not applied before.
INSERT INTO net.spool_handoff AS known (spool_id, life, number, segment, position, last_segment)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (spool_id, life) DO UPDATE SET
    number = excluded.number,
    segment = excluded.segment,
    position = excluded.position,
    last_segment = excluded.last_segment,
    updated_at = now()
WHERE known.number < excluded.number;

-- name: find_handoff
SELECT number FROM net.spool_handoff WHERE spool_id = $1 AND life = $2;

-- name: forget_handoffs
-- Of lives that ended so long ago that their segments are gone.
DELETE FROM net.spool_handoff WHERE updated_at < now() - $1::double precision * interval '1 second';

-- name: limit_waits
-- For the rest of the transaction: how long each statement waits for a row that somebody else holds; and since it reads
-- and writes by keys only, that it does so whatever PostgreSQL takes the tables' sizes for.
SELECT set_config('lock_timeout', $1, true), set_config('plan_cache_mode', 'force_generic_plan', true),
    set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true);

-- name: commit_lazily
-- The cursor and the rows are lost together if PostgreSQL dies before it has written them to disk, and then drained
-- again from the spool (rule R6.1): nobody waits for that disk.
SELECT set_config('synchronous_commit', 'off', true);

-- name: commit_for_good
-- Of a batch that was handed over there is no copy in a spool: whatever the server's default is, its disk is waited for.
SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';

-- name: limit_statements
SELECT set_config('statement_timeout', $1, true);

-- name: defer
-- All of them or none: what lies there already is counted up to the bound $3.
INSERT INTO net.spool_deferred (node, record)
SELECT $1, deferred.record FROM unnest($2::bytea[]) WITH ORDINALITY AS deferred (record, ordinal)
WHERE (SELECT count(*) FROM (SELECT FROM net.spool_deferred WHERE node = $1 LIMIT $3) AS known) < $3
ORDER BY deferred.ordinal;

-- name: load_deferred
SELECT id, record FROM net.spool_deferred WHERE node = $1 AND id > $2 ORDER BY id LIMIT $3;

-- name: delete_deferred
DELETE FROM net.spool_deferred WHERE id = ANY($1::bigint[]);

-- name: upsert_routers
-- A router is made on the first proof of its secret (rule R2.1); of a NAS that was deleted meanwhile nothing is kept.
-- Another secret than it proved before is taken over (rule R2.2), the same one again changes nothing.
INSERT INTO net.router AS known
    (nas_id, source_address, nas_identifier, first_seen, last_seen, secret_fingerprint, secret_proven_at)
SELECT seen.nas_id, seen.source_address::inet, seen.nas_identifier, to_timestamp(seen.at_s), to_timestamp(seen.at_s),
    seen.secret_fingerprint, CASE WHEN seen.secret_fingerprint <> '' THEN to_timestamp(seen.proven_at_s) END
FROM unnest($1::integer[], $2::text[], $3::bytea[], $4::double precision[], $5::bytea[], $6::double precision[])
    WITH ORDINALITY AS seen (nas_id, source_address, nas_identifier, at_s, secret_fingerprint, proven_at_s, ordinal)
JOIN net.nas ON nas.id = seen.nas_id
ORDER BY seen.ordinal
ON CONFLICT (nas_id, source_address, nas_identifier) DO UPDATE SET
    first_seen = least(known.first_seen, excluded.first_seen),
    last_seen = greatest(known.last_seen, excluded.last_seen),
    (secret_fingerprint, secret_proven_at) = (
        SELECT proven.secret_fingerprint, proven.at
        FROM (VALUES
            (1, excluded.secret_fingerprint, excluded.secret_proven_at),
            (2, known.secret_fingerprint, known.secret_proven_at)
        ) AS proven (place, secret_fingerprint, at)
        WHERE proven.place = 2 OR (excluded.secret_fingerprint NOT IN ('', known.secret_fingerprint)
            AND excluded.secret_proven_at >= coalesce(known.secret_proven_at, '-infinity'))
        ORDER BY proven.place LIMIT 1);

-- name: upsert_servers
-- Which of this node's addresses a router speaks to (rule R2.6).
INSERT INTO net.nas_server AS known (router_id, node_id, local_address, last_heard)
SELECT router.id, node.id, heard.local_address::inet, to_timestamp(heard.at_s)
FROM unnest($2::integer[], $3::text[], $4::bytea[], $5::text[], $6::double precision[])
    WITH ORDINALITY AS heard (nas_id, source_address, nas_identifier, local_address, at_s, ordinal)
JOIN net.router ON router.nas_id = heard.nas_id AND router.source_address = heard.source_address::inet
    AND router.nas_identifier = heard.nas_identifier
JOIN net.node ON node.name = $1
ORDER BY heard.ordinal
ON CONFLICT (router_id, node_id, local_address) DO UPDATE SET
    last_heard = greatest(known.last_heard, excluded.last_heard);

-- name: arm_routers
-- The ratchet of rule R2.3. What was verified before an operator's reset arms nothing.
UPDATE net.router SET armed_at = to_timestamp(armed.at_s)
FROM unnest($1::integer[], $2::text[], $3::bytea[], $4::double precision[])
    AS armed (nas_id, source_address, nas_identifier, at_s)
WHERE router.nas_id = armed.nas_id AND router.source_address = armed.source_address::inet
    AND router.nas_identifier = armed.nas_identifier
    AND (router.reset_at IS NULL OR router.reset_at < to_timestamp(armed.at_s))
    AND (router.armed_at IS NULL OR router.armed_at <= router.reset_at);

-- name: add_refusals
INSERT INTO net.refusal AS known (login_id, reason, minute, count)
SELECT refused.login_id, refused.reason, to_timestamp(refused.minute * 60.0), refused.count
FROM unnest($1::integer[], $2::text[], $3::bigint[], $4::bigint[])
    WITH ORDINALITY AS refused (login_id, reason, minute, count, ordinal)
ORDER BY refused.ordinal
ON CONFLICT (login_id, reason, minute) DO UPDATE SET count = known.count + excluded.count;

-- name: add_refusals_unknown
-- At a router that has proved its secret: others could be invented without end. $7 holds each row's sample joined by
-- U+001F, since arrays of arrays must be of one length; $8 is how many names are kept.
INSERT INTO net.refusal_unknown AS known (router_id, reason, minute, count, sample)
SELECT router.id, refused.reason, to_timestamp(refused.minute * 60.0), refused.count,
    string_to_array(refused.sample, E'\x1f')
FROM unnest($1::integer[], $2::text[], $3::bytea[], $4::text[], $5::bigint[], $6::bigint[], $7::text[])
    WITH ORDINALITY AS refused (nas_id, source_address, nas_identifier, reason, minute, count, sample, ordinal)
JOIN net.router ON router.nas_id = refused.nas_id AND router.source_address = refused.source_address::inet
    AND router.nas_identifier = refused.nas_identifier
ORDER BY refused.ordinal
ON CONFLICT (router_id, reason, minute) DO UPDATE SET
    count = known.count + excluded.count,
    sample = ARRAY(
        SELECT DISTINCT name FROM unnest(known.sample || excluded.sample) AS name ORDER BY name LIMIT $8);

-- name: mark_learned
-- What is learned from those who connect cuts nobody off: the nodes' brake lets it pass (rule R1.3).
SELECT set_config('aaad.run', (SELECT max(id)::text FROM net.run WHERE kind = 'learned' AND brake_passed), true);

-- name: bind_macs
-- The first device binds the login; a later one changes nothing, nor does one whose login is not to be filled any more,
-- here or in its branch. Never waits for the ERP: what it holds is tried again later.
UPDATE erp.login SET mac = learned.mac
FROM (
    SELECT login.id, wanted.mac
    FROM unnest($1::integer[], $2::text[]) AS wanted (login_id, mac)
    JOIN erp.login ON login.id = wanted.login_id
    JOIN erp.contract ON contract.id = login.contract_id
    WHERE login.mac IS NULL AND login.deleted_at IS NULL
        AND CASE login.auto_fill_mac WHEN 'P' THEN erp.parameter_value('mac_learn', contract.branch_id)
            ELSE login.auto_fill_mac END = 'S'
    ORDER BY login.id
    FOR UPDATE OF login NOWAIT
) AS learned
WHERE login.id = learned.id;

-- name: bind_nases
-- The same for the concentrator; one that is gone meanwhile binds nobody.
UPDATE erp.login SET nas_id = learned.nas_id
FROM (
    SELECT login.id, nas.id AS nas_id
    FROM unnest($1::integer[], $2::text[]) AS wanted (login_id, nas_id)
    JOIN erp.login ON login.id = wanted.login_id
    JOIN erp.contract ON contract.id = login.contract_id
    JOIN net.nas ON nas.id = wanted.nas_id::integer
    WHERE login.nas_id IS NULL AND login.deleted_at IS NULL
        AND CASE login.auto_fill_nas WHEN 'P' THEN erp.parameter_value('nas_learn', contract.branch_id)
            ELSE login.auto_fill_nas END = 'S'
    ORDER BY login.id
    FOR UPDATE OF login NOWAIT
) AS learned
WHERE login.id = learned.id;

-- name: bind_ports
-- The same for the port.
UPDATE erp.login SET port_id = learned.port_id
FROM (
    SELECT login.id, wanted.port_id
    FROM unnest($1::integer[], $2::text[]) AS wanted (login_id, port_id)
    JOIN erp.login ON login.id = wanted.login_id
    JOIN erp.contract ON contract.id = login.contract_id
    WHERE login.port_id IS NULL AND login.deleted_at IS NULL
        AND CASE login.auto_fill_port WHEN 'P' THEN erp.parameter_value('port_learn', contract.branch_id)
            ELSE login.auto_fill_port END = 'S'
    ORDER BY login.id
    FOR UPDATE OF login NOWAIT
) AS learned
WHERE login.id = learned.id;

-- name: bind_circuits
-- The same for the circuit.
UPDATE erp.login SET circuit_id = learned.circuit_id
FROM (
    SELECT login.id, wanted.circuit_id
    FROM unnest($1::integer[], $2::text[]) AS wanted (login_id, circuit_id)
    JOIN erp.login ON login.id = wanted.login_id
    JOIN erp.contract ON contract.id = login.contract_id
    WHERE login.circuit_id IS NULL AND login.deleted_at IS NULL
        AND CASE login.auto_fill_circuit WHEN 'P' THEN erp.parameter_value('circuit_learn', contract.branch_id)
            ELSE login.auto_fill_circuit END = 'S'
    ORDER BY login.id
    FOR UPDATE OF login NOWAIT
) AS learned
WHERE login.id = learned.id;

-- name: save_watermark
-- Ages of sessions count up to here (rule R5.3). Waits for nobody: the next second it is due again.
UPDATE net.node SET drain_watermark = to_timestamp($2), records_undrained = $3
WHERE id = (SELECT id FROM net.node WHERE name = $1 FOR NO KEY UPDATE SKIP LOCKED);
