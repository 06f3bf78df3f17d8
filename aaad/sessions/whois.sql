-- Who had an address at a time, the maps of carrier NAT, and the record of who asked.

-- name: standing
-- What holds for all questions of one command: the database's time, since when and up to when records are here, what may
-- be seen. A node that has never said how far it is drained may hold records of any time; those that are behind by more
-- than $3 are named. What is deferred waits for rows that other programs hold: of it the second octet is the record's
-- tag, and what speaks of sessions counts.
SELECT now() AS now,
    least(net.drained_until(), CASE WHEN behind.has_silent THEN begun.at END) AS complete_until,
    (SELECT max(until) FROM net.history_expired) AS deleted_before, begun.at AS begin_at,
    session_user::text AS database_role, erp.has_permission($1, $2) AS sees_documents, behind.*,
    ARRAY(SELECT record FROM net.spool_deferred WHERE substring(record FROM 2 FOR 1) IN ('\x06', '\x07')) AS deferred,
    EXISTS (SELECT FROM net.session_anywhere WHERE address_changes IS NOT NULL) AS has_changes
FROM (SELECT applied_at AS at FROM net.migration WHERE number = 9) AS begun
CROSS JOIN (
    SELECT coalesce(bool_or(drain_watermark IS NULL), false) AS has_silent,
        coalesce(array_agg(name ORDER BY drain_watermark NULLS FIRST, name), '{}') AS nodes,
        coalesce(array_agg(drain_watermark ORDER BY drain_watermark NULLS FIRST, name), '{}') AS nodes_until,
        coalesce(array_agg(heartbeat_at ORDER BY drain_watermark NULLS FIRST, name), '{}') AS nodes_heard
    FROM net.node WHERE drain_watermark IS NULL OR drain_watermark < now() - $3::interval
) AS behind;

-- name: sessions_with_ipv4
-- Sessions that had one of several addresses, each in a space (null: any) and a time of its own. The indexes of
-- net.session_history hold address and time in one, so that other holders of an address cost nothing.
SELECT asked.place::integer - 1 AS place, session.*, 'ipv4' AS matched, session.ipv4 AS matched_value,
    login.name AS login_name, login.deleted_at AS login_deleted_at, client.name AS client_name,
    client.document AS client_document, contract.client_id AS contract_client_id, nas.name AS nas_name,
    branch.name AS branch_name,
    CASE WHEN session.ended_at IS NULL THEN (
        SELECT every_session.state FROM net.every_session
        WHERE every_session.family = session.family AND every_session.life = session.life AND every_session.ended_at IS NULL)
    ELSE 'closed' END AS state
FROM unnest($1::inet[], $2::integer[], $3::timestamptz[], $4::timestamptz[])
    WITH ORDINALITY AS asked (address, space, first, last, place)
JOIN net.session_anywhere AS session ON session.ipv4 = asked.address
    AND tstzrange(session.started_at, session.ended_latest, '[]') && tstzrange(asked.first, asked.last, '[]')
    AND session.address_space = coalesce(asked.space, session.address_space)
LEFT JOIN erp.login ON login.id = session.login_id
LEFT JOIN erp.client ON client.id = session.client_id
LEFT JOIN erp.contract ON contract.id = session.contract_id
LEFT JOIN erp.branch ON branch.id = session.branch_id
LEFT JOIN net.nas ON nas.id = session.nas_id
LIMIT $5;

-- name: sessions_with_ipv6
-- Sessions whose prefix of the link, or whose delegated prefix, holds what is asked for or lies in it.
SELECT 0 AS place, session.*,
    login.name AS login_name, login.deleted_at AS login_deleted_at, client.name AS client_name,
    client.document AS client_document, contract.client_id AS contract_client_id, nas.name AS nas_name,
    branch.name AS branch_name,
    CASE WHEN session.ended_at IS NULL THEN (
        SELECT every_session.state FROM net.every_session
        WHERE every_session.family = session.family AND every_session.life = session.life AND every_session.ended_at IS NULL)
    ELSE 'closed' END AS state
FROM (
    SELECT found.*, 'ipv6_prefix' AS matched, found.ipv6_prefix AS matched_value FROM net.session_anywhere AS found
    WHERE ipv6_prefix && $1::inet AND tstzrange(started_at, ended_latest, '[]') && tstzrange($3, $4, '[]')
    UNION ALL
    SELECT found.*, 'delegated_ipv6_prefix', found.delegated_ipv6_prefix FROM net.session_anywhere AS found
    WHERE delegated_ipv6_prefix && $1::inet AND tstzrange(started_at, ended_latest, '[]') && tstzrange($3, $4, '[]')
) AS session
LEFT JOIN erp.login ON login.id = session.login_id
LEFT JOIN erp.client ON client.id = session.client_id
LEFT JOIN erp.contract ON contract.id = session.contract_id
LEFT JOIN erp.branch ON branch.id = session.branch_id
LEFT JOIN net.nas ON nas.id = session.nas_id
WHERE $2::integer IS NULL OR session.address_space = $2
LIMIT $5;

-- name: sessions_with_earlier_address
-- Sessions that had one of several addresses or prefixes before another: few, and found by time.
SELECT asked.place::integer - 1 AS place, session.*, change.kind AS matched, change.value::cidr AS matched_value,
    login.name AS login_name, login.deleted_at AS login_deleted_at, client.name AS client_name,
    client.document AS client_document, contract.client_id AS contract_client_id, nas.name AS nas_name,
    branch.name AS branch_name,
    CASE WHEN session.ended_at IS NULL THEN (
        SELECT every_session.state FROM net.every_session
        WHERE every_session.family = session.family AND every_session.life = session.life AND every_session.ended_at IS NULL)
    ELSE 'closed' END AS state
FROM unnest($1::inet[], $2::integer[], $3::timestamptz[], $4::timestamptz[])
    WITH ORDINALITY AS asked (address, space, first, last, place)
JOIN net.session_anywhere AS session ON session.address_changes IS NOT NULL
    AND tstzrange(session.started_at, session.ended_latest, '[]') && tstzrange(asked.first, asked.last, '[]')
    AND session.address_space = coalesce(asked.space, session.address_space)
CROSS JOIN LATERAL jsonb_to_recordset(session.address_changes) AS change (kind text, value inet, until_us bigint)
LEFT JOIN erp.login ON login.id = session.login_id
LEFT JOIN erp.client ON client.id = session.client_id
LEFT JOIN erp.contract ON contract.id = session.contract_id
LEFT JOIN erp.branch ON branch.id = session.branch_id
LEFT JOIN net.nas ON nas.id = session.nas_id
WHERE change.until_us IS NOT NULL AND change.value && asked.address
LIMIT $5;

-- name: maps_of_public
-- The maps that a public address belonged to in a time.
SELECT id, name, address_space, private_first, private_last, public_first, public_last, port_first, port_last, ports_each,
    layout, valid_from, valid_until
FROM net.cgnat_map
WHERE int8range(net.address_number(0, public_first), net.address_number(0, public_last), '[]') @> net.address_number(0, $1::inet)
    AND tstzrange(valid_from, valid_until) && tstzrange($2, $3, '[]')
    AND ($4::integer IS NULL OR address_space = $4)
ORDER BY valid_from, id;

-- name: list_maps
-- All, or those of a name; ended ones only if asked for.
SELECT id, name, address_space, private_first, private_last, public_first, public_last, port_first, port_last, ports_each,
    layout, valid_from, valid_until, added_by, added_at, ended_by, ended_at
FROM net.cgnat_map
WHERE ($1 = '' OR name = $1) AND ($2::boolean OR valid_until IS NULL OR valid_until > now())
ORDER BY name, valid_from, private_first, nth LIMIT $3;

-- name: map_by_id
SELECT id, name, address_space, private_first, private_last, public_first, public_last, port_first, port_last, ports_each,
    layout, valid_from, valid_until
FROM net.cgnat_map WHERE id = $1;

-- name: add_maps
INSERT INTO net.cgnat_map (name, address_space, private_first, private_last, public_first, public_last, port_first,
    port_last, ports_each, layout, nth, valid_from, added_by)
SELECT $1, $2, private_first, private_last, public_first, public_last, port_first, port_last, ports_each, $3, nth, $4, $5
FROM unnest($6::inet[], $7::inet[], $8::inet[], $9::inet[], $10::integer[], $11::integer[], $12::integer[], $13::integer[])
    AS new (private_first, private_last, public_first, public_last, port_first, port_last, ports_each, nth)
RETURNING id;

-- name: end_maps
-- A map ends once; at its beginning if it never held. At most $5 at once: imported ones are many.
UPDATE net.cgnat_map SET valid_until = greatest($3::timestamptz, valid_from), ended_by = $4, ended_at = now()
WHERE id IN (
    SELECT id FROM net.cgnat_map WHERE (id = $1 OR name = $2) AND valid_until IS NULL ORDER BY id LIMIT $5 FOR UPDATE)
RETURNING id;

-- name: make_evidence_key
INSERT INTO net.setting (key, value) VALUES ('evidence_key', $1) ON CONFLICT DO NOTHING;

-- name: evidence_key
SELECT value FROM net.setting WHERE key = 'evidence_key';

-- name: next_evidence
SELECT nextval(pg_get_serial_sequence('net.evidence', 'id'))::integer AS id;

-- name: record_evidence
INSERT INTO net.evidence (id, operator, account, order_number, reason, sha256, signature, public_key)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: find_evidence
SELECT at, operator, order_number, reason, sha256, signature, public_key FROM net.evidence WHERE id = $1;

-- name: record_inquiries
INSERT INTO net.inquiry (operator, account, order_number, reason, documents_shown, evidence_id, question, candidates, logins,
    answer_sha256)
SELECT $1, $2, nullif($3, ''), nullif($4, ''), $5, $6, asked.question::jsonb, asked.candidates,
    string_to_array(asked.logins, ',')::integer[], asked.answer_sha256
FROM unnest($7::text[], $8::integer[], $9::text[], $10::bytea[]) AS asked (question, candidates, logins, answer_sha256);
