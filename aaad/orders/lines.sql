-- Statements of aaad/orders/lines.py: orders about lines, from the queue to a provider and back.

-- name: find_node
SELECT id FROM net.node WHERE name = $1;

-- name: sweep_lines
SELECT net.sweep_lines() AS moved;

-- name: find_braked
-- How many lines were to be blocked in the window of $1 seconds by what is not held, of how many; what customers reported
-- and what passed a brake of its own aside.
SELECT count(*) AS blocked, (SELECT count(*) FROM erp.line WHERE active) AS lines
FROM net.network_order AS cutting LEFT JOIN net.run ON run.id = cutting.run_id
WHERE cutting.is_cutting AND cutting.target = 'line' AND cutting.wished_at > now() - $1::float8 * interval '1 second'
    AND cutting.cause <> 'operator' AND cutting.state NOT IN ('held', 'cancelled', 'superseded', 'gone')
    AND NOT coalesce(run.brake_passed, false);

-- name: hold_lines
-- Those that nobody has begun wait for an operator, together with what is held already.
WITH ours AS MATERIALIZED (
    SELECT net.holding_run() AS id
)
UPDATE net.network_order AS cutting SET state = 'held', run_id = ours.id, changed_at = now()
FROM ours
WHERE cutting.is_cutting AND cutting.target = 'line' AND cutting.state = 'todo' AND cutting.claimed_by IS NULL
    AND cutting.attempts = 0 AND cutting.cause <> 'operator'
    AND NOT EXISTS (SELECT FROM net.run WHERE run.id = cutting.run_id AND run.brake_passed)
RETURNING cutting.run_id;

-- name: take_lines
-- Those that are due, at most $2, for node $1, for as long as three requests may take. A claim whose time is over is
-- anybody's.
WITH due AS (
    SELECT waits.id, coalesce(driver.timeout_s, 10) AS timeout_s FROM net.network_order AS waits
    LEFT JOIN erp.line ON line.id = waits.line_id
    LEFT JOIN net.line_driver AS driver ON driver.kind = line.kind
    WHERE waits.target = 'line' AND waits.state IN ('todo', 'doing', 'waiting') AND waits.next_at <= now()
        AND coalesce(waits.claimed_until < now(), true)
    ORDER BY waits.next_at LIMIT $2 FOR UPDATE OF waits SKIP LOCKED
)
UPDATE net.network_order SET
    state = CASE state WHEN 'todo' THEN 'doing' ELSE state END,
    claimed_by = $1::integer,
    claimed_until = now() + (due.timeout_s * 3 + 15) * interval '1 second',
    changed_at = now()
FROM due
WHERE network_order.id = due.id
RETURNING network_order.id;

-- name: find_taken
-- What claimed orders want, of which lines, and how their providers are asked.
SELECT waits.id, waits.wish, waits.kind AS order_kind, waits.cause, waits.attempts, waits.wanted -> 0 ->> 1 AS wanted,
    extract(epoch FROM now() - waits.wished_at)::float8 AS age_s,
    extract(epoch FROM now() - waits.created_at)::float8 AS whole_age_s,
    waits.line_id, line.id IS NOT NULL AS is_known, line.contract_id, line.identifier, line.set_state, line.asked_state,
    extract(epoch FROM now() - line.asked_at)::float8 AS asked_ago_s, driver.*
FROM net.network_order AS waits
LEFT JOIN erp.line ON line.id = waits.line_id
LEFT JOIN net.line_driver AS driver ON driver.kind = line.kind AND driver.enabled
WHERE waits.id = ANY ($1::bigint[]) AND waits.claimed_by = $2::integer AND waits.is_open;

-- name: hold_line
-- Before its order, as whoever changes a line does.
SELECT FROM erp.line WHERE id = $1 FOR NO KEY UPDATE;

-- name: mark_tried
-- Before it is sent: no row, and there is another wish, or somebody else has the order.
UPDATE net.network_order SET attempts = attempts + 1, changed_at = now()
WHERE id = $1 AND claimed_by = $2::integer AND wish = $3 AND is_open AND claimed_until > now() RETURNING id;

-- name: mark_asked
-- Whoever comes after us, should we die now, knows that it may happen yet.
UPDATE erp.line SET asked_at = now(), asked_state = $2 WHERE id = $1;

-- name: save_line
-- $2: what was read, null: nothing. $3: what was made of it. $4: what was asked can happen no more, or has. $5: what it
-- is by the provider's word alone. Nothing by whoever has lost the order $6 meanwhile.
UPDATE erp.line SET
    state = coalesce($2::text, $5::text, state),
    read_at = CASE WHEN $2::text IS NOT NULL THEN now() WHEN $5::text IS NOT NULL THEN NULL ELSE read_at END,
    set_state = coalesce($3::text, set_state),
    asked_at = CASE WHEN $4::boolean THEN NULL ELSE asked_at END
WHERE id = $1 AND EXISTS (SELECT FROM net.network_order WHERE network_order.id = $6::bigint AND claimed_by = $7::integer);

-- name: save_order
-- Where there is another wish meanwhile, the answers are kept and that one goes on.
UPDATE net.network_order AS known SET
    state = CASE WHEN known.wish = $3 THEN $4 ELSE known.state END,
    step = CASE WHEN known.wish = $3 THEN $5 ELSE known.step END,
    next_at = CASE WHEN known.wish = $3 THEN now() + $6::float8 * interval '1 second' ELSE now() END,
    answers = net.last_answers(known.answers || $7::jsonb),
    ended_at = CASE WHEN known.wish = $3 AND $8::boolean THEN now() END,
    claimed_by = NULL, claimed_until = NULL, changed_at = now()
WHERE known.id = $1 AND known.claimed_by = $2::integer AND known.is_open
RETURNING known.kind, known.state, known.wish = $3 AS is_current,
    extract(epoch FROM now() - known.created_at)::float8 AS age_s;

-- name: release_claims
-- Of this node's own life before this one: nobody is at them.
UPDATE net.network_order SET claimed_until = now() - interval '1 second'
WHERE claimed_by = $1 AND is_open AND target = 'line';

-- name: count_open
SELECT state, kind, count(*) AS orders FROM net.network_order
WHERE is_open AND target = 'line' GROUP BY state, kind;
