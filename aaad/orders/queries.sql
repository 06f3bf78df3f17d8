-- Orders to the network: made by the reconciler, carried out by whichever node may, seen and steered by operators.

-- name: put_orders
-- The newest wish for each session wins; the same one again moves nothing. Sessions that ended meanwhile get none. Whoever
-- has the order claimed keeps it: what he brings is of an older wish then, and ends nothing. What only a look has
-- found is not ordered for a login more than three times an hour, nor for a session where somebody cancelled it: whatever
-- makes it differ must not cut a customer for ever. Lists are written anew for each session, and cut nobody. Whom an
-- operator cuts is cut, whatever a look finds, and whatever lists he should be in. What a wish before this one may have put
-- into lists is taken out of them by this one.
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
WHERE NOT ((wished.is_found OR wished.kind = 'lists') AND EXISTS (
    SELECT FROM net.network_order AS asked
    WHERE asked.family = session.family AND asked.life = session.life AND asked.is_open AND asked.target = 'session'
        AND asked.kind = 'disconnect' AND asked.cause = 'operator')) AND (NOT wished.is_found OR (
    SELECT count(*) < 3 AND NOT coalesce(bool_or(state = 'cancelled'), false) FROM net.network_order AS before
    WHERE before.login_id = session.login_id AND NOT before.is_open AND before.kind = wished.kind
        AND before.wanted_fingerprint IS NOT DISTINCT FROM wished.wanted_fingerprint
        AND (before.kind <> 'lists' OR before.family = session.family AND before.life = session.life)
        AND (before.state IN ('done', 'unverified', 'given_up') AND before.ended_at > now() - interval '1 hour'
            OR before.state = 'cancelled' AND before.family = session.family AND before.life = session.life)))
ORDER BY session.family, session.life
ON CONFLICT (family, life) WHERE is_open AND target = 'session' DO UPDATE SET
    mac = excluded.mac, ipv4 = excluded.ipv4, ipv6_prefix = excluded.ipv6_prefix,
    delegated_ipv6_prefix = excluded.delegated_ipv6_prefix, kind = excluded.kind, cause = excluded.cause,
    is_cutting = excluded.is_cutting,
    is_certain = excluded.is_certain AND net.left_in_lists(known, excluded.wanted, excluded.unsaid) IS NULL,
    wanted_fingerprint = excluded.wanted_fingerprint, wanted = excluded.wanted,
    unsaid = coalesce(excluded.unsaid || net.left_in_lists(known, excluded.wanted, excluded.unsaid), excluded.unsaid,
        net.left_in_lists(known, excluded.wanted, excluded.unsaid)),
    attributes = excluded.attributes, needs = excluded.needs, run_id = excluded.run_id, state = excluded.state,
    wish = known.wish + 1, wished_at = now(), step = NULL, attempts = 0, next_at = now(), changed_at = now()
WHERE known.kind <> excluded.kind OR known.wanted_fingerprint IS DISTINCT FROM excluded.wanted_fingerprint
RETURNING known.id, known.family, known.life, known.wish, known.state;

-- name: supersede_orders
-- What is wanted is so already. Only orders that nobody has begun: what was tried may have had its effect; and none that
-- an operator gave, who does not want what the decision grants.
UPDATE net.network_order SET state = 'superseded', ended_at = now(), changed_at = now()
FROM unnest($1::uuid[], $2::integer[]) AS right_already (family, life)
WHERE network_order.family = right_already.family AND network_order.life = right_already.life
    AND network_order.target = 'session' AND network_order.is_open AND network_order.attempts = 0
    AND network_order.claimed_by IS NULL AND network_order.state IN ('todo', 'held', 'redial')
    AND network_order.cause <> 'operator'
RETURNING network_order.id;

-- name: sessions_of_logins
-- The open sessions of logins, and of which kind their concentrators are.
SELECT session.family, session.life, session.acct_session_id, nas.kind
FROM net.session
LEFT JOIN net.nas ON nas.id = session.nas_id
WHERE session.login_id = ANY ($1::integer[]) AND session.ended_at IS NULL;

-- name: list_orders
-- Newest first. Each condition that is null is none.
SELECT listed.id, listed.target, listed.kind, listed.cause, listed.state, listed.is_cutting, listed.attempts, listed.step,
    listed.next_at, listed.created_at, listed.changed_at, listed.ended_at, listed.login_id, login.name AS login,
    listed.contract_id, client.name AS client, listed.nas_id, nas.name AS nas, listed.acct_session_id, listed.user_name,
    host(listed.ipv4) AS ipv4, listed.line_id, line.kind AS line_kind, line.identifier AS line, listed.run_id,
    listed.answers -> -1 AS last_answer
FROM net.network_order AS listed
LEFT JOIN erp.line ON line.id = listed.line_id
LEFT JOIN erp.login ON login.id = listed.login_id
LEFT JOIN erp.contract ON contract.id = listed.contract_id
LEFT JOIN erp.client ON client.id = contract.client_id
LEFT JOIN net.nas ON nas.id = listed.nas_id
WHERE ($1::text[] IS NULL OR listed.state = ANY ($1)) AND ($2::integer IS NULL OR listed.login_id = $2)
    AND ($3::integer IS NULL OR listed.contract_id = $3) AND ($4::integer IS NULL OR listed.nas_id = $4)
    AND ($5::integer IS NULL OR listed.run_id = $5) AND ($6::text IS NULL OR listed.cause = $6)
ORDER BY listed.id DESC LIMIT $7;

-- name: find_order
SELECT network_order.*, login.name AS login, client.name AS client, nas.name AS nas, node.name AS node,
    line.kind AS line_kind, line.identifier AS line
FROM net.network_order
LEFT JOIN erp.line ON line.id = network_order.line_id
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
    SELECT id FROM net.network_order WHERE ended_at < now() - $1::float8 * interval '1 second' AND NOT has_entries
    ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED);

-- name: prune_lists
-- Those that only wrote lists tell of no decision, and there is one for each session.
DELETE FROM net.network_order WHERE id IN (
    SELECT id FROM net.network_order
    WHERE kind = 'lists' AND state IN ('done', 'unverified', 'superseded', 'gone') AND NOT has_entries
        AND ended_at < now() - $1::float8 * interval '1 second'
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
