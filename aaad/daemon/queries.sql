-- The control role's statements.

-- name: heartbeat
-- This node lives; the first heartbeat makes its row.
INSERT INTO net.node AS node (name, version, started_at, heartbeat_at, state)
VALUES ($1, $2, $3, now(), $4::jsonb)
ON CONFLICT (name) DO UPDATE
SET version = excluded.version, started_at = excluded.started_at, heartbeat_at = now(), state = excluded.state
RETURNING id;

-- name: open_questions
-- What this node has not answered yet.
SELECT question.id, question.kind, question.body
FROM net.question AS question
WHERE question.expires_at > now()
  AND NOT EXISTS (
      SELECT FROM net.answer AS answer
      JOIN net.node AS node ON node.id = answer.node_id
      WHERE answer.question_id = question.id AND node.name = $1)
ORDER BY question.id
LIMIT $2;

-- name: answer_question
-- Nothing happens if the question is gone or was answered already.
INSERT INTO net.answer (question_id, node_id, body)
SELECT question.id, node.id, $3::jsonb
FROM net.question AS question, net.node AS node
WHERE question.id = $1 AND node.name = $2
ON CONFLICT DO NOTHING;

-- name: prune_questions
-- Answers go with their question.
DELETE FROM net.question WHERE expires_at < now() - interval '1 minute';

-- name: prune_changes
SELECT net.prune_changes(make_interval(secs => $1)) AS pruned;

-- name: prune_refusals
DELETE FROM net.refusal WHERE minute < now() - make_interval(secs => $1);

-- name: prune_unknown_refusals
DELETE FROM net.refusal_unknown WHERE minute < now() - make_interval(secs => $1);
