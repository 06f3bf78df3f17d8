-- The agenda: what is known of contracts, the tasks, and what tasks do.

-- name: take_planning
-- Whoever holds the row plans; nobody waits for him.
SELECT cursor FROM net.chore WHERE name = 'agenda' AND due_at <= now() FOR UPDATE SKIP LOCKED;

-- name: take_planning_now
-- The same on an operator's wish, also before the next planning is due.
SELECT cursor FROM net.chore WHERE name = 'agenda' FOR UPDATE SKIP LOCKED;

-- name: leave_planning
UPDATE net.chore SET due_at = now() + $1::float8 * interval '1 second' WHERE name = 'agenda';

-- name: sign
SELECT set_config('aaad.operator', $1, true);

-- name: mark_run
-- The brake of the agenda agreed, or an operator did: nodes and orders hold nothing of it back.
SELECT set_config('aaad.run', $1::integer::text, true);

-- name: moment
SELECT extract(epoch FROM now())::float8 AS now_s;

-- name: parameters
SELECT name, coalesce(branch_id, 0) AS branch_id, value FROM erp.parameter;

-- name: steps
SELECT billing_type_id, action, since, days FROM erp.ladder_step
ORDER BY billing_type_id NULLS FIRST, array_position('{notify,reduce,block,propose_termination}', action), days NULLS FIRST;

-- name: holidays
SELECT coalesce(branch_id, 0) AS branch_id, day - date '1970-01-01' AS day FROM erp.holiday
WHERE day > current_date - 2 ORDER BY day LIMIT 10000;

-- name: active_contracts
SELECT count(*) AS count FROM erp.contract WHERE status = 'A';

-- name: candidates
-- Contracts of which something may be due by the clock or by what is owed.
SELECT contract.id
FROM erp.contract
JOIN (SELECT id, (now() AT TIME ZONE time_zone)::date AS today FROM erp.branch) AS branch ON branch.id = contract.branch_id
WHERE contract.status = 'A' AND (
    contract.oldest_open_due < branch.today AND contract.access_status IN ('A', 'FA', 'CA')
    OR contract.trust_unlock_active AND contract.trust_unlock_until <= now()
    OR contract.suspended AND contract.suspended_until < branch.today
    OR contract.access_ends_at <= now())
ORDER BY contract.id;

-- name: contract_facts
SELECT
    contract.id, contract.client_id, client.name AS client, contract.branch_id, branch.time_zone,
    contract.billing_type_id, contract.status, contract.access_status,
    contract.oldest_open_due,
    contract.block_automatically = 'S' AS block_automatically,
    contract.notice_automatically <> 'N' AS notice_automatically,
    contract.late_speed <> 'N' AS late_speed,
    contract.force_access = 'S' AS is_forced,
    contract.do_not_block_until, contract.do_not_notice_until, contract.not_reduced_until,
    contract.speed_status = 'R' AS is_reduced,
    contract.blocked_at, contract.unblocked_at,
    contract.trust_unlock_active AS is_on_trust,
    CASE WHEN contract.trust_unlock_active THEN
        greatest(contract.trust_unlock_until, erp.end_of_day(contract.oldest_open_due, contract.branch_id)) END AS trust_ends_at,
    coalesce(contract.released_at > contract.trust_unlocked_at, contract.released_at IS NOT NULL) AS is_release,
    contract.suspended, contract.suspended_from, contract.suspended_until, contract.access_ends_at,
    billing_type.notice_days, billing_type.block_days, billing_type.block_renegotiated_days,
    titles.due_on AS title_due_on, titles.contract_id AS title_contract_id, titles.is_single AS title_is_single,
    titles.of_renegotiation AS title_of_renegotiation, notices.told_at AS notices
FROM erp.contract
JOIN erp.branch ON branch.id = contract.branch_id
JOIN erp.client ON client.id = contract.client_id
LEFT JOIN erp.billing_type ON billing_type.id = contract.billing_type_id
CROSS JOIN LATERAL (
    SELECT array_agg(open.due_on) AS due_on, array_agg(coalesce(open.contract_id, 0)) AS contract_id,
        array_agg(open.kind = 'single') AS is_single, array_agg(open.of_renegotiation) AS of_renegotiation
    FROM (
        SELECT due_on, contract_id, kind, of_renegotiation FROM erp.receivable
        WHERE receivable.client_id = contract.client_id AND receivable.is_open
            AND (receivable.contract_id = contract.id OR receivable.contract_id IS NULL)
        ORDER BY due_on LIMIT 100
    ) AS open
) AS titles
CROSS JOIN LATERAL (
    SELECT array_agg(told.told_at) AS told_at FROM (
        SELECT told_at FROM erp.notice
        WHERE notice.contract_id = contract.id AND notice.client_id = contract.client_id
            AND notice.told_at >= contract.oldest_open_due
        ORDER BY told_at LIMIT 100
    ) AS told
) AS notices
WHERE contract.id = ANY ($1::integer[])
ORDER BY contract.id;

-- name: known_keys
SELECT key FROM erp.task WHERE key = ANY ($1::text[]);

-- name: recent_blocks
-- What passed the brake in a day without an operator's word, and what it holds: later blocks join that.
SELECT count(*) AS count FROM erp.task JOIN net.run ON run.id = task.run_id AND run.kind = 'agenda'
WHERE task.kind = 'block' AND (
    task.state = 'held'
    OR run.brake_passed AND task.created_at > now() - interval '24 hours' AND task.state IN ('todo', 'done'));

-- name: held_run
-- The run that the brake holds, if there is one; locked, so that nobody releases it before what joins it is there.
SELECT run.id FROM net.run WHERE run.kind = 'agenda' AND NOT run.brake_passed
    AND EXISTS (SELECT FROM erp.task WHERE task.run_id = run.id AND task.state = 'held')
ORDER BY run.id DESC LIMIT 1 FOR NO KEY UPDATE OF run;

-- name: open_run
INSERT INTO net.run (kind, brake_passed) VALUES ('agenda', $1) RETURNING id;

-- name: put_tasks
INSERT INTO erp.task (kind, contract_id, key, due_at, arguments, state, run_id)
SELECT kind, contract_id, key, to_timestamp(due_s), arguments::jsonb, state, run_id
FROM unnest($1::text[], $2::integer[], $3::text[], $4::float8[], $5::text[], $6::text[], $7::integer[])
    AS wanted (kind, contract_id, key, due_s, arguments, state, run_id)
ON CONFLICT (key) WHERE key IS NOT NULL DO NOTHING
RETURNING id, kind, state;

-- name: claim_tasks
-- Due tasks of one kind and run, for as long as the transaction lives; what gives service back goes first. Who cannot
-- end sessions ($3) leaves them to who can.
WITH first AS (
    SELECT kind, run_id FROM erp.task
    WHERE state = 'todo' AND next_at <= now() AND ($2::bigint[] IS NULL OR id = ANY ($2)) AND ($3 OR kind <> 'disconnect')
    ORDER BY kind NOT IN ('unblock', 'resume', 'unblock_by_hand'), next_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
)
SELECT task.id, task.kind, task.contract_id, task.login_id, task.arguments::text AS arguments, task.run_id, task.attempts,
    task.created_by
FROM erp.task JOIN first ON first.kind = task.kind AND first.run_id IS NOT DISTINCT FROM task.run_id
WHERE task.state = 'todo' AND task.next_at <= now() AND ($2::bigint[] IS NULL OR task.id = ANY ($2))
ORDER BY task.next_at, task.id LIMIT $1
FOR UPDATE OF task SKIP LOCKED;

-- name: finish_tasks
-- What was needless may be planned again; what waits for its hour stays.
UPDATE erp.task SET
    state = told.state,
    result = nullif(told.result, ''),
    attempts = attempts + (told.state <> 'todo')::integer,
    key = CASE WHEN told.state = 'cancelled' THEN NULL ELSE key END,
    next_at = CASE WHEN told.state = 'todo' THEN to_timestamp(told.next_s) ELSE next_at END,
    ended_at = CASE WHEN told.state <> 'todo' THEN now() END,
    ended_by = CASE WHEN told.state <> 'todo' THEN $5 END
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::float8[]) AS told (id, state, result, next_s)
WHERE task.id = told.id;

-- name: fail_task
-- Tried in vain: again later, and not for ever.
UPDATE erp.task SET
    attempts = attempts + 1, result = $2, next_at = now() + $3::float8 * interval '1 second',
    state = CASE WHEN attempts + 1 >= $4 THEN 'failed' ELSE state END,
    ended_at = CASE WHEN attempts + 1 >= $4 THEN now() END,
    ended_by = CASE WHEN attempts + 1 >= $4 THEN $5 END
WHERE id = $1 AND state = 'todo'
RETURNING state;

-- name: share_contracts
-- Before rows of contracts are locked, as their writers do.
SELECT pg_advisory_xact_lock_shared('erp.contract'::regclass::oid::bigint);

-- name: hold_contracts
-- What is judged is not changed by others until it is written. Whom somebody is changing just now is left for later: the
-- others, held together here, must not wait for him, nor their payments.
SELECT id FROM erp.contract WHERE id = ANY ($1::integer[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED;

-- name: give_notice
-- Status FA gives notice by its trigger; who has it already is told once more.
WITH wanted AS (
    SELECT * FROM unnest($1::integer[], $2::date[]) AS asked (id, due_on)
), held AS MATERIALIZED (
    SELECT contract.id, contract.client_id, contract.access_status FROM erp.contract JOIN wanted ON wanted.id = contract.id
    WHERE contract.status = 'A' AND contract.access_status IN ('A', 'FA') AND contract.force_access <> 'S'
        AND contract.oldest_open_due = wanted.due_on
    ORDER BY contract.id FOR NO KEY UPDATE OF contract
), told AS (
    UPDATE erp.contract SET access_status = 'FA' FROM held WHERE contract.id = held.id AND held.access_status = 'A'
    RETURNING contract.id
), again AS (
    INSERT INTO erp.notice (contract_id, client_id, channel, due_on, amount, text_sha256)
    SELECT held.id, held.client_id, 'page', owed.due_on, owed.amount, sha256(convert_to(owed.said, 'UTF8'))
    FROM held CROSS JOIN LATERAL erp.notice_text(held.id) AS owed WHERE held.access_status = 'FA'
    RETURNING contract_id
)
SELECT id FROM told UNION ALL SELECT contract_id FROM again;

-- name: block_late
-- CA. Whoever paid, was let in on trust or was switched off meanwhile is not blocked.
WITH wanted AS (
    SELECT * FROM unnest($1::integer[], $2::date[]) AS asked (id, due_on)
), held AS MATERIALIZED (
    SELECT contract.id FROM erp.contract JOIN wanted ON wanted.id = contract.id
    WHERE contract.status = 'A' AND contract.access_status IN ('A', 'FA') AND contract.force_access <> 'S'
        AND contract.block_automatically = 'S' AND NOT contract.trust_unlock_active
        AND contract.oldest_open_due = wanted.due_on
    ORDER BY contract.id FOR NO KEY UPDATE OF contract
)
UPDATE erp.contract SET access_status = 'CA' FROM held WHERE contract.id = held.id RETURNING contract.id;

-- name: reduce_late
WITH wanted AS (
    SELECT * FROM unnest($1::integer[], $2::date[]) AS asked (id, due_on)
), held AS MATERIALIZED (
    SELECT contract.id FROM erp.contract JOIN wanted ON wanted.id = contract.id
    WHERE contract.status = 'A' AND contract.access_status IN ('A', 'FA') AND contract.force_access <> 'S'
        AND contract.speed_status = 'N' AND contract.oldest_open_due = wanted.due_on
    ORDER BY contract.id FOR NO KEY UPDATE OF contract
)
UPDATE erp.contract SET speed_status = 'R', reduced_at = now() FROM held WHERE contract.id = held.id RETURNING contract.id;

-- name: unblock_paid
-- A from CA and FA, never from CM. With nothing overdue any more, which is so where a payment's own transaction could not
-- do it, full speed, too.
WITH wanted AS (
    SELECT * FROM unnest($1::integer[], $2::date[]) AS asked (id, due_on)
), held AS MATERIALIZED (
    SELECT contract.id, coalesce(contract.oldest_open_due >= erp.today(contract.branch_id), true) AS is_paid
    FROM erp.contract JOIN wanted ON wanted.id = contract.id
    WHERE contract.access_status IN ('CA', 'FA') AND contract.force_access <> 'S'
        AND contract.oldest_open_due IS NOT DISTINCT FROM wanted.due_on
    ORDER BY contract.id FOR NO KEY UPDATE OF contract
)
UPDATE erp.contract SET access_status = 'A',
    speed_status = CASE WHEN held.is_paid AND reduced_at IS NOT NULL THEN 'N' ELSE speed_status END,
    reduced_at = CASE WHEN NOT held.is_paid THEN reduced_at END
FROM held WHERE contract.id = held.id RETURNING contract.id;

-- name: free_of_trust
-- What it was given for is paid, and what is open is none to be blocked for: its end must not block.
WITH wanted AS (
    SELECT * FROM unnest($1::integer[], $2::date[]) AS asked (id, due_on)
), held AS MATERIALIZED (
    SELECT contract.id FROM erp.contract JOIN wanted ON wanted.id = contract.id
    WHERE contract.trust_unlock_active AND contract.access_status IN ('A', 'FA')
        AND contract.oldest_open_due = wanted.due_on
    ORDER BY contract.id FOR NO KEY UPDATE OF contract
)
UPDATE erp.contract SET trust_unlock_active = false, trust_unlock_until = NULL
FROM held WHERE contract.id = held.id RETURNING contract.id;

-- name: end_trust
-- The decision has said blocked since that moment; now the status says so, too (rule R4.2).
WITH held AS MATERIALIZED (
    SELECT contract.id FROM erp.contract
    WHERE contract.id = ANY ($1::integer[]) AND contract.access_status IN ('A', 'FA') AND contract.trust_unlock_active
        AND greatest(contract.trust_unlock_until, erp.end_of_day(contract.oldest_open_due, contract.branch_id)) <= now()
    ORDER BY contract.id FOR NO KEY UPDATE OF contract
)
UPDATE erp.contract SET access_status = 'CA' FROM held WHERE contract.id = held.id RETURNING contract.id;

-- name: end_suspension
SELECT contract.id, done.code, done.reason
FROM erp.contract
JOIN erp.branch ON branch.id = contract.branch_id
CROSS JOIN LATERAL erp.resume_contract(contract.id) AS done
WHERE contract.id = ANY ($1::integer[]) AND contract.suspended
    AND contract.suspended_until < (now() AT TIME ZONE branch.time_zone)::date;

-- name: tell_prepaid_end
INSERT INTO erp.history (branch_id, client_id, contract_id, kind, text, source)
SELECT branch_id, client_id, id, 'prepaid_ended', format('paid until %s', paid_until), 'api' FROM erp.contract
WHERE id = ANY ($1::integer[]) AND access_ends_at <= now()
RETURNING contract_id AS id;

-- name: tell_proposal
INSERT INTO erp.history (branch_id, client_id, contract_id, kind, text, source)
SELECT branch_id, client_id, id, 'termination_proposed',
    format('blocked since %s, overdue since %s', blocked_at::date, oldest_open_due), 'api' FROM erp.contract
WHERE id = ANY ($1::integer[]) AND access_status = 'CA'
RETURNING contract_id AS id;

-- name: change_plan
SELECT code, reason FROM erp.change_plan($1, $2, $3);

-- name: block_contract
SELECT code, reason FROM erp.block_contract($1);

-- name: unblock_contract
SELECT code, reason FROM erp.unblock_contract($1);

-- name: cancel_contract
SELECT code, reason FROM erp.cancel_contract($1, $2, $3);

-- name: logins_of
SELECT id FROM erp.login WHERE (contract_id = $1 OR id = $2) AND deleted_at IS NULL ORDER BY id;

-- name: purge_tasks
DELETE FROM erp.task WHERE id IN (
    SELECT id FROM erp.task WHERE ended_at < now() - interval '400 days' AND kind <> 'purge' ORDER BY ended_at LIMIT 5000)
    OR kind = 'purge' AND ended_at < now() - interval '7 days';

-- name: list_tasks
SELECT task.id, task.kind, task.contract_id, client.name AS client, login.name AS login, task.due_at, task.next_at,
    task.state, task.attempts, task.result, task.run_id, task.created_by, task.created_at, task.ended_at, task.ended_by,
    task.arguments::text AS arguments
FROM erp.task
LEFT JOIN erp.contract ON contract.id = task.contract_id
LEFT JOIN erp.client ON client.id = contract.client_id
LEFT JOIN erp.login ON login.id = task.login_id
WHERE ($1::text IS NULL AND ($2 OR task.ended_at IS NULL OR task.state = 'failed') OR task.state = $1)
    AND ($3::text IS NULL OR task.kind = $3) AND ($4::integer IS NULL OR task.contract_id = $4)
    AND ($5::integer IS NULL OR task.run_id = $5) AND ($6::bigint IS NULL OR task.id = $6)
ORDER BY task.ended_at IS NOT NULL, CASE WHEN task.ended_at IS NULL THEN task.next_at END, task.ended_at DESC, task.id
LIMIT $7;

-- name: held_counts
SELECT task.run_id, count(*) AS count FROM erp.task WHERE task.state = 'held' GROUP BY task.run_id ORDER BY task.run_id;

-- name: add_task
INSERT INTO erp.task (kind, contract_id, login_id, due_at, next_at, arguments)
VALUES ($1, $2, $3, $4, $4, $5::text::jsonb) RETURNING id;

-- name: cancel_task
UPDATE erp.task SET state = 'cancelled', ended_at = now(), ended_by = $2, result = 'by_operator'
WHERE id = $1 AND state IN ('todo', 'held') RETURNING id;

-- name: cancel_run
UPDATE erp.task SET state = 'cancelled', ended_at = now(), ended_by = $2, result = 'by_operator'
WHERE run_id = $1 AND state IN ('todo', 'held') RETURNING id;

-- name: retry_task
UPDATE erp.task SET state = 'todo', next_at = now(), attempts = 0, ended_at = NULL, ended_by = NULL
WHERE id = $1 AND state IN ('failed', 'todo') RETURNING id;

-- name: release_run
-- An operator's word instead of the brake's: it counts no more against later runs.
WITH run AS (
    UPDATE net.run SET brake_passed = true, kind = 'agenda_released'
    WHERE id = $1 AND kind = 'agenda' AND NOT brake_passed RETURNING id
)
UPDATE erp.task SET state = 'todo', next_at = now() FROM run
WHERE task.run_id = run.id AND task.state = 'held' RETURNING task.id;

-- name: list_holidays
SELECT holiday.id, holiday.day, holiday.name, branch.name AS branch FROM erp.holiday
LEFT JOIN erp.branch ON branch.id = holiday.branch_id
WHERE holiday.day >= current_date OR $1 ORDER BY holiday.day, holiday.id LIMIT $2;

-- name: add_holiday
INSERT INTO erp.holiday (branch_id, day, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING id;

-- name: delete_holiday
DELETE FROM erp.holiday WHERE id = $1 RETURNING id;

-- name: zone_of
SELECT branch.time_zone FROM erp.contract JOIN erp.branch ON branch.id = contract.branch_id
WHERE contract.id = coalesce($1, (SELECT login.contract_id FROM erp.login WHERE login.id = $2));
