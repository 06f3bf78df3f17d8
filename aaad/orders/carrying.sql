-- Statements of aaad/orders/carrying.py: orders about sessions, from the queue to a router and back.

-- name: find_node
SELECT id FROM net.node WHERE name = $1;

-- name: take_orders
-- Those that are due and that this node, $1, may carry out (rule R2.6): its routers are those that speak to it; of others
-- only such as no live node speaks for and that have an API. For each NAS so many as there is room ($2 and $3, else $4),
-- in all $5, the oldest first, for $6 seconds; such as only write lists last, in a room of their own ($7, else $8): there
-- may be thousands, and they keep nobody else waiting. No Disconnect before every live node has applied the change (rule
-- R8.2). A claim whose time is over is anybody's: until then an order is not due, so what is in hand is not passed over
-- each time. That entries may stand in a router's lists is said before they are written: whoever writes them may die.
-- Rows are found by their numbers alone, whatever the planner takes the counts to be.
WITH server AS MATERIALIZED (
    SELECT router.nas_id, router.source_address, router.nas_identifier, bool_or(nas_server.node_id = $1) AS is_ours
    FROM net.nas_server
    JOIN net.router ON router.id = nas_server.router_id
    JOIN net.node ON node.id = nas_server.node_id
    WHERE node.id = $1 OR node.heartbeat_at > now() - interval '60 seconds'
    GROUP BY router.nas_id, router.source_address, router.nas_identifier
), due AS MATERIALIZED (
    SELECT first.id FROM net.nas
    LEFT JOIN unnest($2::integer[], $3::integer[], $7::integer[]) AS known (nas_id, room, lists_room)
        ON known.nas_id = nas.id
    CROSS JOIN LATERAL (
        (SELECT waits.id, waits.next_at, false AS is_lists FROM net.network_order AS waits
        WHERE waits.nas_id = nas.id AND waits.state IN ('todo', 'doing', 'waiting') AND waits.target = 'session'
            AND waits.kind <> 'lists' AND coalesce(known.room, $4) > 0
            AND waits.next_at <= now() AND coalesce(waits.claimed_until < now(), true)
            AND (
                (waits.nas_id, waits.source_address, waits.nas_identifier) IN (
                    SELECT nas_id, source_address, nas_identifier FROM server WHERE is_ours)
                OR nas.api_user IS NOT NULL AND nas.api_password IS NOT NULL
                AND (waits.nas_id, waits.source_address, waits.nas_identifier) NOT IN (
                    SELECT nas_id, source_address, nas_identifier FROM server))
            AND (waits.kind <> 'disconnect' OR net.is_applied_everywhere(waits.needs))
        ORDER BY waits.next_at LIMIT coalesce(known.room, $4))
        UNION ALL
        (SELECT waits.id, waits.next_at, true FROM net.network_order AS waits
        WHERE waits.nas_id = nas.id AND waits.state IN ('todo', 'doing', 'waiting') AND waits.target = 'session'
            AND waits.kind = 'lists' AND coalesce(known.lists_room, $8) > 0
            AND waits.next_at <= now() AND coalesce(waits.claimed_until < now(), true)
            AND (
                (waits.nas_id, waits.source_address, waits.nas_identifier) IN (
                    SELECT nas_id, source_address, nas_identifier FROM server WHERE is_ours)
                OR (waits.nas_id, waits.source_address, waits.nas_identifier) NOT IN (
                    SELECT nas_id, source_address, nas_identifier FROM server))
        ORDER BY waits.next_at LIMIT coalesce(known.lists_room, $8))
    ) AS first
    ORDER BY first.is_lists, first.next_at LIMIT $5
), taken AS MATERIALIZED (
    SELECT id, claimed_by IS NOT NULL AS is_stale, has_entries AS had_entries FROM net.network_order
    WHERE id = ANY (ARRAY(SELECT id FROM due)) AND state IN ('todo', 'doing', 'waiting')
        AND coalesce(claimed_until < now(), true)
    FOR UPDATE SKIP LOCKED
)
UPDATE net.network_order SET
    state = CASE state WHEN 'todo' THEN 'doing' ELSE state END,
    claimed_by = $1::integer,
    claimed_until = now() + $6::float8 * interval '1 second',
    next_at = now() + $6::float8 * interval '1 second',
    has_entries = has_entries OR kind <> 'disconnect' AND wanted::text LIKE '%Address-List%',
    changed_at = CASE state WHEN 'waiting' THEN changed_at ELSE now() END
WHERE id = ANY (ARRAY(SELECT id FROM taken))
RETURNING network_order.*, needs::text AS needs_text, id = ANY (ARRAY(SELECT id FROM taken WHERE is_stale)) AS is_stale,
    id = ANY (ARRAY(SELECT id FROM taken WHERE had_entries)) AS had_entries;

-- name: find_grounds
-- What each order stands on now: from which address of this node, $2, its router may be asked, whether that router shares
-- its address with others (one that is heard no more was renamed: the other name is its own), whether all nodes have applied the change, and what accounting says of the session.
SELECT
    network_order.id,
    server.local_address,
    EXISTS (
        SELECT FROM net.router AS beside
        WHERE beside.nas_id = network_order.nas_id AND beside.source_address = network_order.source_address
            AND beside.nas_identifier <> network_order.nas_identifier
            AND beside.last_seen > now() - interval '1 hour') AND coalesce(own.is_heard, true) AS is_shared,
    net.is_applied_everywhere(network_order.needs) AS is_known,
    coalesce(session.state, 'closed') AS session_state,
    coalesce(session.heard_at > network_order.changed_at + interval '2 seconds', false) AS is_heard_since,
    network_order.changed_at < now() - $3::float8 * interval '1 second' AS has_waited,
    host(session.ipv4) AS ipv4,
    session.ipv6_prefix::text AS ipv6_prefix,
    session.delegated_ipv6_prefix::text AS delegated_ipv6_prefix,
    extract(epoch FROM now() - coalesce(network_order.session_started_at, now()))::float8 AS age_s
FROM net.network_order
LEFT JOIN net.nas ON nas.id = network_order.nas_id
LEFT JOIN net.every_session AS session ON session.family = network_order.family AND session.life = network_order.life
    AND session.ended_at IS NULL
LEFT JOIN LATERAL (
    SELECT router.last_seen > now() - interval '1 hour' AS is_heard FROM net.router
    WHERE router.nas_id = network_order.nas_id AND router.source_address = network_order.source_address
        AND router.nas_identifier = network_order.nas_identifier
) AS own ON true
LEFT JOIN LATERAL (
    SELECT host(heard.local_address) AS local_address
    FROM net.router
    JOIN net.nas_server AS heard ON heard.router_id = router.id
    WHERE router.nas_id = network_order.nas_id AND router.source_address = network_order.source_address
        AND router.nas_identifier = network_order.nas_identifier AND heard.node_id = $2
    ORDER BY heard.last_heard DESC LIMIT 1
) AS server ON true
WHERE network_order.id = ANY ($1::bigint[]);

-- name: find_secrets
-- All that a NAS entry's routers may have, and which one each proved last (rule R2.2).
SELECT
    nas.id, nas.name, nas.kind, host(nas.coa_address) AS coa_address, nas.coa_port,
    host(nas.api_address) AS api_address, nas.api_port, nas.api_tls, nas.api_fingerprint, nas.api_ca, nas.api_user,
    nas.api_password,
    array_remove(ARRAY[nas.secret, CASE WHEN nas.secret_previous_until > now() THEN nas.secret_previous END], NULL) || ARRAY(
        SELECT secret FROM net.nas_secret
        WHERE nas_secret.nas_id = nas.id AND coalesce(valid_until > now(), true) ORDER BY nas_secret.id) AS secrets
FROM net.nas WHERE nas.id = ANY ($1::integer[]);

-- name: find_proven
-- The fingerprints of the secrets that routers proved.
SELECT nas_id, host(source_address) AS source_address, nas_identifier, secret_fingerprint
FROM net.router WHERE nas_id = ANY ($1::integer[]) AND secret_fingerprint <> '';

-- name: find_fingerprint_key
SELECT value FROM net.setting WHERE key = 'class_key';

-- name: save_outcomes
-- What became of claimed orders. Where there is another wish meanwhile, the answers are kept and that one goes on; what was
-- made true is true in any case. A session that its router does not have any more has ended: a later record says otherwise.
-- By coalesce() the planner expects many of them, and joins once instead of once for each.
WITH told AS (
    SELECT * FROM unnest(
        $2::bigint[], $3::integer[], $4::text[], $5::text[], $6::float8[], $7::text[], $8::boolean[], $9::integer[],
        $10::bigint[], $11::text[], $12::boolean[], $13::boolean[]
    ) AS told (id, wish, state, step, wait_s, answers, is_over, tried, fingerprint, evidence, is_session_over, has_entries)
), saved AS (
    UPDATE net.network_order AS known SET
        state = CASE WHEN known.wish = told.wish THEN told.state ELSE known.state END,
        step = CASE WHEN known.wish = told.wish THEN told.step ELSE known.step END,
        next_at = CASE WHEN known.wish = told.wish THEN now() + told.wait_s * interval '1 second' ELSE now() END,
        attempts = CASE WHEN known.wish = told.wish THEN known.attempts + told.tried ELSE greatest(known.attempts, told.tried) END,
        answers = CASE WHEN jsonb_array_length(known.answers) + jsonb_array_length(told.answers::jsonb) <= 16
            THEN known.answers || told.answers::jsonb ELSE net.last_answers(known.answers || told.answers::jsonb) END,
        ended_at = CASE WHEN known.wish = told.wish AND told.is_over THEN now() END,
        has_entries = told.has_entries, claimed_by = NULL, claimed_until = NULL,
        changed_at = CASE WHEN told.state = 'waiting' AND known.state = 'waiting' THEN known.changed_at ELSE now() END
    FROM told
    WHERE known.id = told.id AND known.id = ANY ($2::bigint[]) AND coalesce(known.is_open AND known.claimed_by = $1::integer, false)
    RETURNING known.id, known.family, known.life, known.kind, known.cause, known.state, known.created_at,
        known.wish = told.wish AS is_current, told.fingerprint, told.evidence, told.is_session_over
), applied AS (
    INSERT INTO net.session_applied (family, life, fingerprint, evidence)
    SELECT family, life, fingerprint, evidence FROM saved WHERE fingerprint IS NOT NULL
    ON CONFLICT (family, life) DO UPDATE SET fingerprint = excluded.fingerprint, evidence = excluded.evidence, at = now()
), over AS (
    SELECT session.family, session.life FROM net.session JOIN saved USING (family, life)
    WHERE saved.is_session_over AND session.ended_at IS NULL
    FOR NO KEY UPDATE OF session SKIP LOCKED
), closed AS (
    UPDATE net.session SET
        ended_at = greatest(heard_at, started_at), ended_latest = greatest(now(), heard_at, started_at),
        end_evidence = 'gone', version = version + 1
    FROM over WHERE session.family = over.family AND session.life = over.life
    RETURNING session.family
), worded AS (
    INSERT INTO net.session_end (families) SELECT array_agg(family) FROM closed HAVING count(*) > 0
)
SELECT id, kind, cause, state, is_current, extract(epoch FROM now() - created_at)::float8 AS age_s FROM saved;

-- name: count_live
SELECT count(*) AS live_count FROM net.session WHERE ended_at IS NULL;

-- name: may_cut
-- Whether a session may be ended for a change that was not counted as cutting when it was wished: as long as less than $4
-- were cut in $5 seconds, or its run passed the brake. Then it counts from now on; else it belongs to the run that holds
-- back (rule R8.4), which is $6 if that is one still. No row: it is another's by now, or there is another wish.
WITH asked AS (
    SELECT network_order.id, network_order.is_cutting OR coalesce(run.brake_passed, false) OR $4::integer > (
        SELECT count(*) FROM net.network_order AS cutting
        LEFT JOIN net.run AS passed ON passed.id = cutting.run_id
        WHERE cutting.is_cutting AND cutting.wished_at > now() - $5::float8 * interval '1 second'
            AND cutting.state NOT IN ('held', 'cancelled', 'superseded') AND NOT coalesce(passed.brake_passed, false)
    ) AS is_allowed
    FROM net.network_order
    LEFT JOIN net.run ON run.id = network_order.run_id
    WHERE network_order.id = $1 AND network_order.claimed_by = $2::integer AND network_order.wish = $3
        AND network_order.is_open
), known AS (
    SELECT max(run.id) AS id FROM net.run
    WHERE run.kind = 'orders' AND NOT run.brake_passed AND (run.id = $6::integer OR EXISTS (
        SELECT FROM net.network_order AS held WHERE held.run_id = run.id AND held.state = 'held'))
), made AS (
    INSERT INTO net.run (kind) SELECT 'orders' FROM asked, known WHERE NOT asked.is_allowed AND known.id IS NULL
    RETURNING id
)
UPDATE net.network_order SET
    is_cutting = network_order.is_cutting OR asked.is_allowed,
    wished_at = CASE WHEN asked.is_allowed THEN now() ELSE wished_at END,
    run_id = CASE WHEN asked.is_allowed THEN run_id ELSE coalesce(known.id, made.id) END
FROM asked CROSS JOIN known LEFT JOIN made ON true
WHERE network_order.id = asked.id
RETURNING asked.is_allowed, network_order.run_id;

-- name: is_newest
SELECT FROM net.network_order
WHERE id = $1 AND claimed_by = $2::integer AND wish = $3 AND is_open;

-- name: release_claims
-- Of this node, but for those that it knows to be in hand, $2: nobody is at them.
UPDATE net.network_order SET claimed_until = now() - interval '1 second', next_at = now()
WHERE claimed_by = $1 AND is_open AND target = 'session' AND id <> ALL ($2::bigint[]);

-- name: take_leftovers
-- Orders by which entries of ours may have come into a router's address lists for a session that is over: at most $1, not
-- again for $2 seconds. If the customer is connected, by whichever entry of net.nas: his addresses, and the lists that were
-- written for them; whether it is to be seen first what becomes of him: he came within $3 seconds, or something is ordered.
WITH over AS (
    SELECT wrote.id FROM net.network_order AS wrote
    WHERE wrote.has_entries AND NOT wrote.is_open AND wrote.next_at <= now() AND NOT EXISTS (
        SELECT FROM net.session
        WHERE session.family = wrote.family AND session.life = wrote.life AND session.ended_at IS NULL)
    ORDER BY wrote.next_at LIMIT $1 FOR UPDATE SKIP LOCKED
), wrote AS (
    UPDATE net.network_order SET next_at = now() + $2::float8 * interval '1 second'
    WHERE id = ANY (ARRAY(SELECT id FROM over))
    RETURNING id, nas_id, source_address, login_id, user_name
)
SELECT wrote.id, wrote.nas_id, host(wrote.source_address) AS source_address, wrote.login_id, wrote.user_name,
    coalesce(back.is_open, false) AS is_open, coalesce(back.addresses, '{}') AS addresses,
    coalesce(back.lists, '{}') AS lists
FROM wrote
LEFT JOIN LATERAL (
    SELECT bool_or(session.started_at > now() - $3::float8 * interval '1 second' OR ordered.is_open) AS is_open,
        array_agg(DISTINCT host(session.ipv4)) FILTER (WHERE session.ipv4 IS NOT NULL)
        || array_agg(DISTINCT session.ipv6_prefix::text) FILTER (WHERE session.ipv6_prefix IS NOT NULL)
        || array_agg(DISTINCT session.delegated_ipv6_prefix::text) FILTER (WHERE session.delegated_ipv6_prefix IS NOT NULL)
            AS addresses,
        array_agg(DISTINCT named.pair ->> 1) FILTER (WHERE named.pair IS NOT NULL) AS lists
    FROM net.session
    LEFT JOIN net.network_order AS ordered ON ordered.login_id = session.login_id AND ordered.family = session.family
        AND ordered.life = session.life AND ordered.kind <> 'disconnect'
    LEFT JOIN LATERAL jsonb_array_elements(CASE WHEN ordered.has_entries THEN ordered.wanted END) AS named (pair)
        ON named.pair ->> 0 LIKE '%Address-List%'
    WHERE session.login_id = wrote.login_id AND session.ended_at IS NULL
) AS back ON true;

-- name: forget_leftovers
UPDATE net.network_order SET has_entries = false WHERE id = ANY ($1::bigint[]);

-- name: close_ended_orders
-- Orders about sessions that are over: what had to go is gone. Who is at one of them will find it.
WITH ended AS (
    SELECT network_order.id FROM net.network_order
    WHERE network_order.is_open AND network_order.target = 'session' AND coalesce(claimed_until < now(), true)
        AND NOT EXISTS (
            SELECT FROM net.session
            WHERE session.family = network_order.family AND session.life = network_order.life
                AND session.ended_at IS NULL)
    LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE net.network_order SET
    state = CASE WHEN kind = 'disconnect' AND attempts > 0 THEN 'done' ELSE 'gone' END,
    ended_at = now(), changed_at = now(), claimed_by = NULL, claimed_until = NULL
FROM ended WHERE network_order.id = ended.id
RETURNING network_order.id, kind, cause, state, extract(epoch FROM now() - created_at)::float8 AS age_s;

-- name: wake_heard
-- Orders that wait for accounting, and whose session was heard since: it lives.
UPDATE net.network_order SET next_at = now()
FROM net.session
WHERE network_order.state = 'waiting' AND network_order.target = 'session' AND network_order.next_at > now()
    AND coalesce(claimed_until < now(), true) AND step IN ('stop_awaited', 'no_such_session')
    AND session.family = network_order.family AND session.life = network_order.life AND session.ended_at IS NULL
    AND session.heard_at > network_order.changed_at + interval '2 seconds';

-- name: wake_reachable
-- Orders that waited for a redial since their router could not be told from others, and that have a way now, or whose
-- address is one router's alone by now. They have a day from now on.
UPDATE net.network_order SET state = 'todo', next_at = now(), changed_at = now(), wished_at = now()
FROM net.nas
WHERE network_order.is_open AND network_order.state = 'redial' AND network_order.target = 'session' AND nas.id = network_order.nas_id
    AND step = 'behind_nat' AND coalesce(claimed_until < now(), true)
    AND (nas.coa_address IS NOT NULL OR nas.api_address IS NOT NULL OR 2 > (
        SELECT count(*) FROM net.router
        WHERE router.nas_id = network_order.nas_id AND router.source_address = network_order.source_address
            AND router.last_seen > now() - interval '1 hour'));

-- name: give_up
-- What was not to be done for so long; what the brake holds, and what waits for a redial, may wait.
UPDATE net.network_order SET state = 'given_up', ended_at = now(), changed_at = now(), claimed_by = NULL, claimed_until = NULL
WHERE id IN (
    SELECT id FROM net.network_order
    WHERE state IN ('todo', 'doing', 'waiting') AND target = 'session' AND coalesce(claimed_until < now(), true)
        AND (wished_at < now() - $1::float8 * interval '1 second'
            OR NOT EXISTS (SELECT FROM net.nas WHERE nas.id = network_order.nas_id))
    LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING id, kind, cause, state, extract(epoch FROM now() - created_at)::float8 AS age_s;

-- name: count_open
-- Those about sessions.
SELECT state, kind, count(*) AS count, extract(epoch FROM now() - min(created_at))::float8 AS oldest_s
FROM net.network_order WHERE is_open AND target = 'session' GROUP BY state, kind;
