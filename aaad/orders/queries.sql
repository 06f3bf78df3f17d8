-- Orders to the network: made by the reconciler, carried out by whichever node may, seen and steered by operators.

-- name: put_orders
-- The newest wish for each session wins; the same one again moves nothing. Sessions that ended meanwhile get none. Whoever
-- has the order claimed keeps it: what he brings is of an older wish then, and ends nothing. What only a look has
-- found is not ordered for a login more than three times an hour, nor for a session where somebody cancelled it: whatever
-- makes it differ must not cut a customer for ever.
WITH wished AS (
    SELECT * FROM unnest(
        $1::uuid[], $2::integer[], $3::boolean[], $4::text[], $5::text[], $6::boolean[], $7::boolean[], $8::bigint[],
        $9::text[], $10::text[], $11::bytea[], $12::text[], $13::integer[], $14::text[], $15::boolean[]
    ) AS wish (family, life, is_ppp, kind, cause, is_cutting, is_certain, wanted_fingerprint, wanted, unsaid, attributes,
        needs, run_id, state, is_found)
)
INSERT INTO net.network_order AS known (
    target, family, life, nas_id, source_address, nas_identifier, acct_session_id, user_name, mac, ipv4, ipv6_prefix,
    delegated_ipv6_prefix, is_ppp, session_started_at, login_id, contract_id, kind, cause, is_cutting, is_certain,
    wanted_fingerprint, wanted, unsaid, attributes, needs, run_id, state)
SELECT
    'session', session.family, session.life, session.nas_id, session.source_address, session.nas_identifier,
    session.acct_session_id, session.user_name, session.mac, session.ipv4, session.ipv6_prefix,
    session.delegated_ipv6_prefix, wished.is_ppp, session.started_at, session.login_id,
    coalesce(login.contract_id, session.contract_id), wished.kind, wished.cause, wished.is_cutting, wished.is_certain,
    wished.wanted_fingerprint, wished.wanted::jsonb, wished.unsaid::jsonb, wished.attributes, wished.needs::xid8,
    wished.run_id, wished.state
FROM wished
JOIN net.session ON session.family = wished.family AND session.life = wished.life AND session.ended_at IS NULL
LEFT JOIN erp.login ON login.id = session.login_id
WHERE NOT wished.is_found OR (
    SELECT count(*) < 3 AND NOT coalesce(bool_or(state = 'cancelled'), false) FROM net.network_order AS before
    WHERE before.login_id = session.login_id AND NOT before.is_open AND before.kind = wished.kind
        AND before.wanted_fingerprint IS NOT DISTINCT FROM wished.wanted_fingerprint
        AND (before.state IN ('done', 'unverified', 'given_up') AND before.ended_at > now() - interval '1 hour'
            OR before.state = 'cancelled' AND before.family = session.family AND before.life = session.life))
ORDER BY session.family, session.life
ON CONFLICT (family, life) WHERE is_open AND target = 'session' DO UPDATE SET
    mac = excluded.mac, ipv4 = excluded.ipv4, ipv6_prefix = excluded.ipv6_prefix,
    delegated_ipv6_prefix = excluded.delegated_ipv6_prefix, kind = excluded.kind, cause = excluded.cause,
    is_cutting = excluded.is_cutting, is_certain = excluded.is_certain,
    wanted_fingerprint = excluded.wanted_fingerprint, wanted = excluded.wanted, unsaid = excluded.unsaid,
    attributes = excluded.attributes, needs = excluded.needs, run_id = excluded.run_id, state = excluded.state,
    wish = known.wish + 1, wished_at = now(), step = NULL, attempts = 0, next_at = now(), changed_at = now()
WHERE known.kind <> excluded.kind OR known.wanted_fingerprint IS DISTINCT FROM excluded.wanted_fingerprint
RETURNING known.id, known.family, known.life, known.wish, known.state;

-- name: supersede_orders
-- What is wanted is so already. Only orders that nobody has begun: what was tried may have had its effect.
UPDATE net.network_order SET state = 'superseded', ended_at = now(), changed_at = now()
FROM unnest($1::uuid[], $2::integer[]) AS right_already (family, life)
WHERE network_order.family = right_already.family AND network_order.life = right_already.life
    AND network_order.target = 'session' AND network_order.is_open AND network_order.attempts = 0
    AND network_order.claimed_by IS NULL AND network_order.state IN ('todo', 'held', 'redial')
RETURNING network_order.id;

-- name: claim_orders
-- Orders about sessions that are due, at most $3 of each NAS and $2 in all, for node $1 and $4 seconds; not of the NASes $5.
-- No Disconnect before every live node has applied the change (rule R8.2). A claim whose time is over is anybody's: its
-- holder died, or will find that his outcome is not taken.
WITH due AS (
    SELECT first.id FROM net.nas
    CROSS JOIN LATERAL (
        SELECT id, next_at FROM net.network_order
        WHERE network_order.nas_id = nas.id AND state IN ('todo', 'doing', 'waiting') AND target = 'session'
            AND next_at <= now() AND coalesce(claimed_until < now(), true)
            AND (kind <> 'disconnect' OR net.is_applied_everywhere(needs))
        ORDER BY next_at LIMIT $3
    ) AS first
    WHERE nas.id <> ALL ($5::integer[])
    ORDER BY first.next_at LIMIT $2
), taken AS (
    SELECT id FROM net.network_order
    WHERE id = ANY (ARRAY(SELECT id FROM due)) AND state IN ('todo', 'doing', 'waiting')
        AND coalesce(claimed_until < now(), true)
    FOR UPDATE SKIP LOCKED
)
UPDATE net.network_order SET
    state = CASE state WHEN 'todo' THEN 'doing' ELSE state END,
    claimed_by = $1::integer,
    claimed_until = now() + $4::float8 * interval '1 second',
    attempts = attempts + (state <> 'waiting')::integer,
    changed_at = now()
FROM taken
WHERE network_order.id = taken.id
RETURNING network_order.*, network_order.needs::text AS needs_text;

-- name: keep_claim
-- Still at it; no row: it is another's by now.
UPDATE net.network_order SET claimed_until = now() + $4::float8 * interval '1 second', step = $5, changed_at = now()
WHERE id = $1 AND claimed_by = $2::integer AND wish = $3 AND is_open
RETURNING id;

-- name: save_outcome
-- What became of a claimed order. If there is another wish meanwhile, the answers are kept and the new wish goes on. What
-- was made true is true in any case ($9: its fingerprint, with the evidence $10).
WITH saved AS (
    UPDATE net.network_order SET
        state = CASE WHEN wish = $3 THEN $4 ELSE state END,
        step = CASE WHEN wish = $3 THEN $5 ELSE step END,
        next_at = CASE WHEN wish = $3 THEN now() + $6::float8 * interval '1 second' ELSE now() END,
        attempts = CASE WHEN wish = $3 THEN attempts ELSE attempts + 1 END,
        answers = net.last_answers(answers || $7::text::jsonb),
        ended_at = CASE WHEN wish = $3 AND $8::boolean THEN now() END,
        claimed_by = NULL, claimed_until = NULL, changed_at = now()
    WHERE id = $1 AND claimed_by = $2::integer AND is_open
    RETURNING id, family, life, wish = $3 AS is_current
), applied AS (
    INSERT INTO net.session_applied (family, life, fingerprint, evidence)
    SELECT family, life, $9::bigint, $10::text FROM saved WHERE $9::bigint IS NOT NULL AND family IS NOT NULL
    ON CONFLICT (family, life) DO UPDATE SET fingerprint = excluded.fingerprint, evidence = excluded.evidence, at = now()
)
SELECT id, is_current FROM saved;

-- name: close_ended
-- Orders about sessions that are over: what had to go is gone.
UPDATE net.network_order SET
    state = CASE WHEN kind = 'disconnect' AND attempts > 0 THEN 'done' ELSE 'gone' END,
    ended_at = now(), changed_at = now(), claimed_by = NULL, claimed_until = NULL
WHERE id IN (
    SELECT network_order.id FROM net.network_order
    WHERE network_order.is_open AND network_order.target = 'session'
        AND NOT EXISTS (
            SELECT FROM net.session
            WHERE session.family = network_order.family AND session.life = network_order.life
                AND session.ended_at IS NULL)
    LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING id, kind, state;

-- name: list_orders
-- Newest first. Each condition that is null is none.
SELECT listed.id, listed.target, listed.kind, listed.cause, listed.state, listed.is_cutting, listed.attempts, listed.step,
    listed.next_at, listed.created_at, listed.changed_at, listed.ended_at, listed.login_id, login.name AS login,
    listed.contract_id, client.name AS client, listed.nas_id, nas.name AS nas, listed.acct_session_id, listed.user_name,
    host(listed.ipv4) AS ipv4, listed.line_id, listed.run_id, listed.answers -> -1 AS last_answer
FROM net.network_order AS listed
LEFT JOIN erp.login ON login.id = listed.login_id
LEFT JOIN erp.contract ON contract.id = listed.contract_id
LEFT JOIN erp.client ON client.id = contract.client_id
LEFT JOIN net.nas ON nas.id = listed.nas_id
WHERE ($1::text[] IS NULL OR listed.state = ANY ($1)) AND ($2::integer IS NULL OR listed.login_id = $2)
    AND ($3::integer IS NULL OR listed.contract_id = $3) AND ($4::integer IS NULL OR listed.nas_id = $4)
    AND ($5::integer IS NULL OR listed.run_id = $5) AND ($6::text IS NULL OR listed.cause = $6)
ORDER BY listed.id DESC LIMIT $7;

-- name: find_order
SELECT network_order.*, login.name AS login, client.name AS client, nas.name AS nas, node.name AS node
FROM net.network_order
LEFT JOIN erp.login ON login.id = network_order.login_id
LEFT JOIN erp.contract ON contract.id = network_order.contract_id
LEFT JOIN erp.client ON client.id = contract.client_id
LEFT JOIN net.nas ON nas.id = network_order.nas_id
LEFT JOIN net.node ON node.id = network_order.claimed_by
WHERE network_order.id = $1;

-- name: retry_order
-- At once instead of at its time, and for a day from now on.
UPDATE net.network_order SET state = 'todo', next_at = now(), changed_at = now(), wished_at = now()
WHERE id = $1 AND state IN ('todo', 'doing', 'waiting', 'redial') AND coalesce(claimed_until < now(), true)
RETURNING id;

-- name: cancel_order
-- The same is not ordered again by a sweep; another change of the customer's makes a new order.
UPDATE net.network_order SET
    state = 'cancelled', ended_at = now(), changed_at = now(), ended_by = $2, claimed_by = NULL, claimed_until = NULL
WHERE id = $1 AND is_open
RETURNING id;

-- name: release_run
-- What the brake held back goes on, and has a day for it.
WITH released AS (
    UPDATE net.network_order SET state = 'todo', next_at = now(), changed_at = now(), wished_at = now()
    WHERE run_id = $1 AND state = 'held'
    RETURNING id
), passed AS (
    UPDATE net.run SET brake_passed = true WHERE id = $1 AND kind = 'orders'
)
SELECT count(*) AS released, pg_notify('aaad_order', '')::text FROM released;

-- name: drop_run
-- What the brake held back is forgotten.
UPDATE net.network_order SET state = 'cancelled', ended_at = now(), changed_at = now(), ended_by = $2
WHERE run_id = $1 AND state = 'held';

-- name: prune_orders
DELETE FROM net.network_order WHERE id IN (
    SELECT id FROM net.network_order WHERE ended_at < now() - $1::float8 * interval '1 second'
    ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED);

-- name: prune_applied
-- Of sessions that are over.
DELETE FROM net.session_applied WHERE (family, life) IN (
    SELECT session_applied.family, session_applied.life FROM net.session_applied
    WHERE NOT EXISTS (
        SELECT FROM net.session
        WHERE session.family = session_applied.family AND session.life = session_applied.life
            AND session.ended_at IS NULL)
    LIMIT $1 FOR UPDATE SKIP LOCKED);
