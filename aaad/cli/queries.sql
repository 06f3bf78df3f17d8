-- What the command line asks PostgreSQL.

-- name: ask
INSERT INTO net.question (kind, body, expires_at)
VALUES ($1, $2::jsonb, now() + make_interval(secs => $3))
RETURNING id;

-- name: answers
SELECT node.name, answer.body
FROM net.answer AS answer
JOIN net.node AS node ON node.id = answer.node_id
WHERE answer.question_id = $1;

-- name: nodes
SELECT
    node.id,
    node.name,
    node.version,
    node.state,
    node.records_undrained,
    extract(epoch FROM now() - node.heartbeat_at)::float8 AS heartbeat_age_s,
    extract(epoch FROM now() - node.applied_at)::float8 AS applied_age_s,
    extract(epoch FROM now() - node.drain_watermark)::float8 AS watermark_age_s
FROM net.node AS node
ORDER BY node.name;

-- name: routers
-- Every NAS entry with the routers seen behind it; one without any stands alone.
SELECT
    nas.name AS nas,
    nas.address::text AS nas_address,
    nas.enabled,
    nas.message_authenticator,
    host(router.source_address) AS source_address,
    router.nas_identifier,
    router.armed_at IS NOT NULL AND (router.reset_at IS NULL OR router.reset_at < router.armed_at) AS is_armed,
    extract(epoch FROM now() - router.last_seen)::float8 AS silent_s
FROM net.nas AS nas
LEFT JOIN net.router AS router ON router.nas_id = nas.id
ORDER BY nas.name, router.source_address, router.nas_identifier
LIMIT $1;

-- name: open_holds
SELECT
    hold.id,
    hold.kind,
    hold.cut_off_count,
    hold.logins_count,
    hold.sample,
    extract(epoch FROM now() - hold.opened_at)::float8 AS age_s
FROM net.hold AS hold
WHERE hold.state = 'open';

-- name: open_orders
-- What must become so in the network and is not yet; no row if there is nothing.
SELECT count(*) AS open_count, count(*) FILTER (WHERE state = 'held') AS held_count,
    extract(epoch FROM now() - min(created_at))::float8 AS oldest_age_s
FROM net.network_order WHERE is_open
HAVING count(*) > 0;

-- name: login_by_name
SELECT login.id, login.name, login.deleted_at IS NOT NULL AS is_deleted
FROM erp.login AS login
WHERE erp.fold_login(login.name) = erp.fold_login($1);

-- name: refusals_of_login
-- The counts of a login's refusals, which outlive the journal.
SELECT
    refusal.reason,
    sum(refusal.count)::bigint AS count,
    extract(epoch FROM min(refusal.minute))::float8 AS first_s,
    extract(epoch FROM max(refusal.minute))::float8 AS last_s
FROM net.refusal AS refusal
WHERE refusal.login_id = $1 AND refusal.minute > now() - make_interval(secs => $2)
GROUP BY refusal.reason
ORDER BY last_s DESC;

-- name: refusals_of_unknown_names
-- Where unknown names were refused, with masked samples.
SELECT
    nas.name AS nas,
    host(router.source_address) AS source_address,
    refusal.reason,
    sum(refusal.count)::bigint AS count,
    extract(epoch FROM max(refusal.minute))::float8 AS last_s
FROM net.refusal_unknown AS refusal
JOIN net.router AS router ON router.id = refusal.router_id
JOIN net.nas AS nas ON nas.id = router.nas_id
WHERE refusal.minute > now() - make_interval(secs => $1)
GROUP BY nas.name, router.source_address, refusal.reason
ORDER BY last_s DESC
LIMIT $2;

-- name: free_message_authenticator
-- Every router of a NAS may come without the attribute until it has sent it again.
UPDATE net.router AS router
SET reset_at = now()
FROM net.nas AS nas
WHERE nas.id = router.nas_id AND nas.name = $1
RETURNING host(router.source_address) AS source_address, router.nas_identifier, router.armed_at IS NOT NULL AS was_armed;

-- name: nas_exists
SELECT FROM net.nas WHERE name = $1;

-- name: contests
-- Logins whose devices push each other out (rule R5.4), the latest first.
SELECT
    login.name AS login,
    contest.mac::text AS mac,
    contest.other_mac::text AS other_mac,
    contest.replacements,
    extract(epoch FROM contest.until)::float8 AS until_s
FROM net.login_contest AS contest
JOIN erp.login ON login.id = contest.login_id
WHERE contest.until > now()
ORDER BY contest.began_at DESC, contest.login_id
LIMIT $1;

-- name: sign_session
-- Who writes, for the history, in all transactions of this command.
SELECT set_config('aaad.operator', $1, false);

-- name: session_kind
-- Of which kind the concentrator of an open session is.
SELECT nas.kind FROM net.session
LEFT JOIN net.nas ON nas.id = session.nas_id
WHERE session.family = $1 AND session.life = $2 AND session.ended_at IS NULL;

-- name: open_order
-- The one open order about a session.
SELECT id, kind, state FROM net.network_order WHERE family = $1 AND life = $2 AND target = 'session' AND is_open;

-- name: note_disconnect
-- Into the history of whose session it is.
INSERT INTO erp.history (branch_id, client_id, contract_id, login_id, kind, text, source)
SELECT branch_id, client_id, contract_id, login_id, 'session_disconnected', $3::text, 'api'
FROM net.session WHERE family = $1 AND life = $2;
