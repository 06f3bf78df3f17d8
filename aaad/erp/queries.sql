-- Of the operators' commands: finding, listing and showing the ERP's rows, and the state changes of contracts and
-- logins, one statement each.

-- name: sign
-- $1: who is at the keyboard; the history says so. An operator is found in any case of letters, and is written in one.
SELECT set_config('aaad.operator', coalesce(
    (SELECT name FROM erp.operator WHERE erp.fold_login(name) = erp.fold_login($1::text)), $1::text), true)

-- Finding. $1: the word as typed; $2: the same as an id, or null. The lowest rank counts; several rows of it are
-- several meanings, among which nobody guesses.

-- name: find_branch
SELECT id, name, CASE WHEN lower(name) = lower($1) THEN 1 ELSE 2 END AS rank
FROM erp.branch WHERE lower(name) = lower($1) OR id = $2::integer
ORDER BY rank, id LIMIT 20

-- name: find_client
-- By id, CPF or CNPJ with or without mask, the circuit of a contract, or the whole name.
SELECT id, name, CASE WHEN id = $2::integer THEN 1 WHEN document = erp.canonical_document($1) THEN 2 ELSE 3 END AS rank
FROM erp.client
WHERE id = $2 OR document = erp.canonical_document($1) OR lower(name) = lower($1)
    OR id IN (SELECT client_id FROM erp.contract WHERE lower(circuit) = lower($1))
ORDER BY rank, id LIMIT 20

-- name: find_plan
SELECT id, name, CASE WHEN lower(name) = lower($1) THEN 1 ELSE 2 END AS rank
FROM erp.plan WHERE lower(name) = lower($1) OR id = $2::integer
ORDER BY rank, id LIMIT 20

-- name: find_contract
-- By id, circuit, the name of one of its logins, or its client's document or whole name.
SELECT contract.id, concat_ws(' ', client.name, contract.circuit) AS name,
    CASE WHEN contract.id = $2::integer THEN 1 WHEN lower(contract.circuit) = lower($1) THEN 2 ELSE 3 END AS rank
FROM erp.contract JOIN erp.client ON client.id = contract.client_id
WHERE contract.id = $2 OR lower(contract.circuit) = lower($1)
    OR contract.id IN (SELECT contract_id FROM erp.login WHERE erp.fold_login(login.name) = erp.fold_login($1))
    OR client.document = erp.canonical_document($1) OR lower(client.name) = lower($1)
ORDER BY rank, contract.id LIMIT 20

-- name: find_login
SELECT id, name, CASE WHEN erp.fold_login(name) = erp.fold_login($1) THEN 1 ELSE 2 END AS rank
FROM erp.login WHERE erp.fold_login(name) = erp.fold_login($1) OR id = $2::integer
ORDER BY rank, id LIMIT 20

-- name: find_nas
SELECT id, name, CASE WHEN lower(name) = lower($1) THEN 1 ELSE 2 END AS rank
FROM net.nas WHERE lower(name) = lower($1) OR id = $2::integer
ORDER BY rank, id LIMIT 20

-- name: find_billing_type
SELECT id, name, CASE WHEN lower(name) = lower($1) THEN 1 ELSE 2 END AS rank
FROM erp.billing_type WHERE lower(name) = lower($1) OR id = $2::integer
ORDER BY rank, id LIMIT 20

-- name: find_operator
SELECT id, name, CASE WHEN erp.fold_login(name) = erp.fold_login($1) THEN 1 ELSE 2 END AS rank
FROM erp.operator WHERE erp.fold_login(name) = erp.fold_login($1) OR id = $2::integer
ORDER BY rank, id LIMIT 20

-- name: find_operator_group
SELECT id, name, CASE WHEN lower(name) = lower($1) THEN 1 ELSE 2 END AS rank
FROM erp.operator_group WHERE lower(name) = lower($1) OR id = $2::integer
ORDER BY rank, id LIMIT 20

-- name: find_permission
SELECT id, name, CASE WHEN lower(name) = lower($1) THEN 1 ELSE 2 END AS rank
FROM erp.permission WHERE lower(name) = lower($1) OR id = $2::integer
ORDER BY rank, id LIMIT 20

-- name: find_receivable
SELECT id, due_on::text AS name, 1 AS rank FROM erp.receivable WHERE id = $2::integer AND $1::text <> ''

-- name: find_lent_equipment
SELECT id, kind AS name, 1 AS rank FROM erp.lent_equipment WHERE id = $2::integer AND $1::text <> ''

-- name: find_line
-- By number or by what its provider calls it: the whole of it.
SELECT id, kind || ' ' || identifier AS name, CASE WHEN identifier = $1::text THEN 1 ELSE 2 END AS rank
FROM erp.line WHERE id = $2::integer OR identifier = $1::text ORDER BY rank, id LIMIT 20

-- name: find_contact
SELECT id, name, 1 AS rank FROM erp.contact WHERE id = $2::integer AND $1::text <> ''

-- name: find_address
SELECT id, street AS name, 1 AS rank FROM erp.address WHERE id = $2::integer AND $1::text <> ''

-- name: only_branch
-- The branch of who has only one.
SELECT min(id) AS id FROM erp.branch HAVING count(*) = 1

-- Showing. One JSON document each, every column of the row in it; no password.

-- name: show_client
SELECT to_jsonb(client) || jsonb_build_object(
    'branch', branch.name,
    'contracts', (
        SELECT coalesce(jsonb_agg(jsonb_build_object(
            'id', contract.id, 'kind', contract.kind, 'status', contract.status, 'access_status', contract.access_status,
            'suspended', contract.suspended, 'activated_on', contract.activated_on, 'plan', plan.name,
            'circuit', contract.circuit,
            'logins', (SELECT coalesce(jsonb_agg(login.name ORDER BY login.id), '[]') FROM erp.login
                WHERE login.contract_id = contract.id AND login.deleted_at IS NULL)) ORDER BY contract.id), '[]')
        FROM erp.contract LEFT JOIN erp.plan ON plan.id = contract.plan_id WHERE contract.client_id = client.id)
    ) AS record
FROM erp.client JOIN erp.branch ON branch.id = client.branch_id WHERE client.id = $1

-- name: show_plan
SELECT to_jsonb(plan) || jsonb_build_object(
    'contracts_count', (SELECT count(*) FROM erp.contract WHERE contract.plan_id = plan.id),
    'late_plan', (SELECT late.name FROM erp.plan AS late WHERE late.id = plan.late_plan_id),
    'cap_plan', (SELECT cap.name FROM erp.plan AS cap WHERE cap.id = plan.cap_plan_id),
    'phases', (SELECT coalesce(jsonb_agg(to_jsonb(plan_phase) - 'plan_id' ORDER BY plan_phase.phase), '[]')
        FROM erp.plan_phase WHERE plan_phase.plan_id = plan.id),
    'attributes', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', name, 'value', value) ORDER BY position, id), '[]')
        FROM (SELECT id, position, attribute.name, value FROM erp.plan_attribute AS attribute WHERE plan_id = plan.id) AS given)
    ) AS record
FROM erp.plan WHERE id = $1

-- name: show_contract
SELECT to_jsonb(contract) || jsonb_build_object(
    'client', client.name, 'branch', branch.name, 'plan', plan.name, 'billing_type', billing_type.name,
    'logins', (
        SELECT coalesce(jsonb_agg(jsonb_build_object(
            'id', login.id, 'name', login.name, 'active', login.active, 'authentication', login.authentication,
            'ipv4', host(login.ipv4), 'mac', login.mac, 'deleted_at', login.deleted_at) ORDER BY login.id), '[]')
        FROM erp.login WHERE login.contract_id = contract.id)) AS record
FROM erp.contract
JOIN erp.client ON client.id = contract.client_id
JOIN erp.branch ON branch.id = contract.branch_id
LEFT JOIN erp.plan ON plan.id = contract.plan_id
LEFT JOIN erp.billing_type ON billing_type.id = contract.billing_type_id
WHERE contract.id = $1

-- name: show_login
SELECT to_jsonb(login) - '{password,wpa2_passphrase,contract_kind}'::text[] || jsonb_build_object(
    'has_password', login.password IS NOT NULL,
    'client_id', client.id, 'client', client.name, 'plan', plan.name,
    'contract_status', contract.status, 'access_status', contract.access_status, 'nas', nas.name,
    'attributes', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', name, 'value', value) ORDER BY position, id), '[]')
        FROM (SELECT id, position, attribute.name, value FROM erp.login_attribute AS attribute
            WHERE login_id = login.id) AS given)) AS record
FROM erp.login
LEFT JOIN net.nas ON nas.id = login.nas_id
JOIN erp.contract ON contract.id = login.contract_id
JOIN erp.client ON client.id = contract.client_id
LEFT JOIN erp.plan ON plan.id = contract.plan_id
WHERE login.id = $1

-- name: show_billing_type
SELECT to_jsonb(billing_type) AS record FROM erp.billing_type WHERE id = $1

-- name: show_receivable
SELECT to_jsonb(receivable_state) || jsonb_build_object('client', client.name) AS record
FROM erp.receivable_state JOIN erp.client ON client.id = receivable_state.client_id WHERE receivable_state.id = $1

-- name: show_operator
SELECT to_jsonb(operator) || jsonb_build_object('group', operator_group.name, 'branch', branch.name) AS record
FROM erp.operator
LEFT JOIN erp.operator_group ON operator_group.id = operator.group_id
LEFT JOIN erp.branch ON branch.id = operator.branch_id
WHERE operator.id = $1

-- name: show_lent_equipment
SELECT to_jsonb(lent_equipment) || jsonb_build_object('client', client.name) AS record
FROM erp.lent_equipment JOIN erp.contract ON contract.id = lent_equipment.contract_id
JOIN erp.client ON client.id = contract.client_id WHERE lent_equipment.id = $1

-- name: show_line
SELECT to_jsonb(line) || jsonb_build_object('client', client.name, 'wanted', wish.wanted, 'has_driver', wish.has_driver,
    'order_id', waits.id, 'order_state', waits.state, 'order_reason', waits.step) AS record
FROM erp.line JOIN erp.contract ON contract.id = line.contract_id
JOIN erp.client ON client.id = contract.client_id
JOIN net.line_wish AS wish ON wish.line_id = line.id
LEFT JOIN net.network_order AS waits ON waits.line_id = line.id AND waits.target = 'line' AND waits.is_open
WHERE line.id = $1

-- name: show_contact
SELECT to_jsonb(contact) || jsonb_build_object('client', client.name) AS record
FROM erp.contact JOIN erp.client ON client.id = contact.client_id WHERE contact.id = $1

-- name: show_address
SELECT to_jsonb(address) || jsonb_build_object('client', client.name) AS record
FROM erp.address LEFT JOIN erp.contract ON contract.id = address.contract_id
JOIN erp.client ON client.id = coalesce(address.client_id, contract.client_id) WHERE address.id = $1

-- Listing. The last parameter: how many at most.

-- name: list_clients
-- $1: part of a name, or a document, phone or circuit; empty: all.
SELECT client.id, client.kind, client.name, client.document, client.active, client.city, client.mobile_phone,
    (SELECT count(*) FROM erp.contract WHERE contract.client_id = client.id) AS contracts_count
FROM erp.client
WHERE $1::text = '' OR strpos(lower(name), lower($1)) > 0 OR document = erp.canonical_document($1)
    OR (regexp_replace($1, '[^0-9]', '', 'g') <> ''
        AND regexp_replace($1, '[^0-9]', '', 'g') IN (phone, mobile_phone))
    OR id IN (SELECT client_id FROM erp.contract WHERE lower(circuit) = lower($1))
ORDER BY client.id LIMIT $2

-- name: list_plans
-- $1: part of a name; empty: all.
SELECT plan.id, plan.name, plan.active, plan.upload, plan.download,
    (SELECT count(*) FROM erp.contract WHERE contract.plan_id = plan.id) AS contracts_count
FROM erp.plan WHERE $1::text = '' OR strpos(lower(name), lower($1)) > 0
ORDER BY plan.id LIMIT $2

-- name: list_contracts
-- $1: client, $2: plan, $3: status, $4: access status; null: any.
SELECT contract.id, client.name AS client, plan.name AS plan, contract.kind, contract.status, contract.access_status,
    contract.suspended, contract.activated_on, contract.circuit
FROM erp.contract JOIN erp.client ON client.id = contract.client_id LEFT JOIN erp.plan ON plan.id = contract.plan_id
WHERE contract.client_id IS NOT DISTINCT FROM coalesce($1::integer, contract.client_id)
    AND contract.plan_id IS NOT DISTINCT FROM coalesce($2::integer, contract.plan_id)
    AND contract.status = coalesce($3::text, contract.status)
    AND contract.access_status = coalesce($4::text, contract.access_status)
ORDER BY contract.id LIMIT $5

-- name: list_logins
-- $1: client, $2: contract, $3: part of a name; null: any. $4: deleted ones, too.
SELECT login.id, login.name, client.name AS client, login.contract_id, login.authentication, login.active,
    contract.status AS contract_status, contract.access_status, host(login.ipv4) AS ipv4, login.mac, login.deleted_at
FROM erp.login JOIN erp.contract ON contract.id = login.contract_id JOIN erp.client ON client.id = contract.client_id
WHERE contract.client_id = coalesce($1::integer, contract.client_id)
    AND login.contract_id = coalesce($2::integer, login.contract_id)
    AND ($3::text IS NULL OR strpos(erp.fold_login(login.name), erp.fold_login($3)) > 0)
    AND ($4::boolean OR login.deleted_at IS NULL)
ORDER BY login.id LIMIT $5

-- name: list_billing_types
SELECT id, name, active, payment, notice_days, block_days, block_renegotiated_days, prepaid_grace_days
FROM erp.billing_type ORDER BY id LIMIT $1

-- name: list_receivables
-- $1: client, $2: contract; null: any. $3: also what is paid, cancelled or renegotiated.
SELECT receivable.id, receivable.client_id, client.name AS client, receivable.contract_id, receivable.kind,
    receivable.amount::text AS amount, receivable.due_on, receivable.paid_on, receivable.status, receivable.state,
    receivable.colour
FROM erp.receivable_state AS receivable JOIN erp.client ON client.id = receivable.client_id
WHERE receivable.client_id = coalesce($1::integer, receivable.client_id)
    AND ($2::integer IS NULL OR receivable.contract_id = $2)
    AND ($3::boolean OR (receivable.status IN ('A', 'P') AND NOT receivable.renegotiated))
ORDER BY receivable.due_on, receivable.id LIMIT $4

-- name: list_operators
SELECT operator.id, operator.name, operator.full_name, operator.active, operator_group.name AS "group", branch.name AS branch
FROM erp.operator
LEFT JOIN erp.operator_group ON operator_group.id = operator.group_id
LEFT JOIN erp.branch ON branch.id = operator.branch_id
ORDER BY operator.id LIMIT $1

-- name: list_lent_equipment
-- $1: contract; null: any. $2: also what was returned. $3: part of a kind or identifier, or a whole MAC in any form; empty: any.
SELECT lent_equipment.id, lent_equipment.contract_id, client.name AS client, lent_equipment.kind,
    lent_equipment.identifier, lent_equipment.lent_on, lent_equipment.returned_on
FROM erp.lent_equipment JOIN erp.contract ON contract.id = lent_equipment.contract_id
JOIN erp.client ON client.id = contract.client_id
WHERE lent_equipment.contract_id = coalesce($1::integer, lent_equipment.contract_id)
    AND ($2::boolean OR lent_equipment.returned_on IS NULL)
    AND ($3::text = '' OR strpos(lower(concat_ws(' ', lent_equipment.kind, lent_equipment.identifier)), lower($3)) > 0
        OR erp.canonical_mac(lent_equipment.identifier) = erp.canonical_mac($3))
ORDER BY lent_equipment.id LIMIT $4

-- name: list_lines
-- $1: contract; null: any. $2: kind; null: any. $3: whether only those that are not as they must be.
SELECT wish.line_id AS id, wish.contract_id, client.name AS client, wish.kind, wish.identifier, wish.own_report,
    wish.wanted, wish.state, wish.read_at, waits.id AS order_id, waits.state AS order_state
FROM net.line_wish AS wish JOIN erp.contract ON contract.id = wish.contract_id
JOIN erp.client ON client.id = contract.client_id
LEFT JOIN net.network_order AS waits ON waits.line_id = wish.line_id AND waits.target = 'line' AND waits.is_open
WHERE wish.contract_id = coalesce($1::integer, wish.contract_id) AND wish.kind = coalesce($2::text, wish.kind)
    AND (NOT $3::boolean OR waits.id IS NOT NULL OR coalesce(wish.state, 'active') <> wish.wanted)
ORDER BY wish.line_id LIMIT $4

-- name: list_contacts
-- $1: client; null: any.
SELECT id, client_id, name, role, phone, mobile_phone, email FROM erp.contact
WHERE client_id = coalesce($1::integer, client_id) ORDER BY id LIMIT $2

-- name: list_addresses
-- $1: client, with the addresses of its contracts; null: any.
SELECT address.id, address.client_id, address.contract_id, address.kind, address.postal_code, address.street,
    address.street_number, address.complement, address.district, address.city, address.state
FROM erp.address LEFT JOIN erp.contract ON contract.id = address.contract_id
WHERE coalesce(address.client_id, contract.client_id) = coalesce($1::integer, address.client_id, contract.client_id)
ORDER BY address.id LIMIT $2

-- name: twins_of_address
-- Other clients with the number, street and district of address $1, however spelt.
SELECT other.id, other.name
FROM erp.address LEFT JOIN erp.contract ON contract.id = address.contract_id
JOIN erp.client AS mine ON mine.id = coalesce(address.client_id, contract.client_id)
CROSS JOIN LATERAL erp.clients_at(address.street_number, address.street, address.district) AS there (id)
JOIN erp.client AS other ON other.id = there.id
WHERE address.id = $1 AND other.id <> mine.id
    AND erp.parameter_value('duplicate_address_warning', mine.branch_id) IS DISTINCT FROM 'N'
ORDER BY other.id LIMIT 5

-- name: same_address
-- Other clients with the number, street and district of $1, however spelt (seed S4, line 15).
SELECT other.id, other.name
FROM erp.client AS mine
CROSS JOIN LATERAL erp.clients_at(mine.street_number, mine.street, mine.district) AS there (id)
JOIN erp.client AS other ON other.id = there.id
WHERE mine.id = $1 AND other.id <> $1
    AND erp.parameter_value('duplicate_address_warning', mine.branch_id) IS DISTINCT FROM 'N'
ORDER BY other.id LIMIT 5

-- Deleting. What is linked is named instead of deleted with it.

-- name: links_of_client
SELECT 'contract' AS thing, contract.id, coalesce(contract.circuit, '') AS name
FROM erp.contract WHERE contract.client_id = $1
UNION ALL SELECT 'receivable', receivable.id, receivable.due_on::text FROM erp.receivable WHERE receivable.client_id = $1
ORDER BY thing, id LIMIT 20

-- name: links_of_contract
SELECT 'login' AS thing, login.id, login.name FROM erp.login WHERE login.contract_id = $1
UNION ALL SELECT 'receivable', receivable.id, receivable.due_on::text FROM erp.receivable WHERE receivable.contract_id = $1
UNION ALL SELECT 'lent_equipment', id, kind FROM erp.lent_equipment WHERE contract_id = $1
UNION ALL SELECT 'line', id, kind || ' ' || identifier FROM erp.line WHERE contract_id = $1
ORDER BY thing, id LIMIT 20

-- name: links_of_plan
SELECT 'contract' AS thing, contract.id, client.name
FROM erp.contract JOIN erp.client ON client.id = contract.client_id WHERE contract.plan_id = $1
UNION ALL SELECT 'login', login.id, login.name FROM erp.login WHERE login.plan_id = $1
UNION ALL SELECT 'plan', plan.id, plan.name FROM erp.plan WHERE $1 IN (plan.late_plan_id, plan.cap_plan_id)
UNION ALL SELECT 'plan', phase.plan_id, phase.phase FROM erp.plan_phase AS phase WHERE phase.replacement_plan_id = $1
ORDER BY thing, id LIMIT 20

-- name: links_of_billing_type
SELECT 'contract' AS thing, contract.id, client.name FROM erp.contract JOIN erp.client ON client.id = contract.client_id
WHERE contract.billing_type_id = $1 ORDER BY id LIMIT 20

-- name: delete_client
DELETE FROM erp.client WHERE id = $1 RETURNING id

-- name: delete_contract
DELETE FROM erp.contract WHERE id = $1 RETURNING id

-- name: delete_plan
DELETE FROM erp.plan WHERE id = $1 RETURNING id

-- name: delete_billing_type
DELETE FROM erp.billing_type WHERE id = $1 RETURNING id

-- name: delete_contact
DELETE FROM erp.contact WHERE id = $1 RETURNING id

-- name: delete_address
DELETE FROM erp.address WHERE id = $1 RETURNING id

-- name: delete_line
DELETE FROM erp.line WHERE id = $1 RETURNING id

-- name: delete_login
-- A tombstone: its name is never given to somebody else, its sessions keep whose they were.
SELECT code FROM erp.delete_login($1) WHERE code = 0

-- The life of a contract ---------------------------------------------------------------------------------------
-- One function each, with the answer's code and reason; other columns are particular.

-- name: activate_contract
SELECT code, reason FROM erp.activate_contract($1)

-- name: block_contract
SELECT code, reason FROM erp.block_contract($1)

-- name: unblock_contract
SELECT code, reason FROM erp.unblock_contract($1)

-- name: notify_contract
SELECT code, reason FROM erp.notify_contract($1)

-- name: await_signature
SELECT code, reason FROM erp.await_signature($1)

-- name: sign_contract
SELECT code, reason FROM erp.sign_contract($1)

-- name: suspend_contract
-- $2, $3: first and last day, or null.
SELECT code, reason, begins_on, ends_on, allowed_on FROM erp.suspend_contract($1, $2::text::date, $3::text::date)

-- name: resume_contract
SELECT code, reason FROM erp.resume_contract($1)

-- name: release_contract
-- $2: days, or null for as long as allowed.
SELECT code, reason, released_until FROM erp.release_contract($1, $2::integer)

-- name: release_from_reduction
SELECT code, reason, not_reduced_until FROM erp.release_from_reduction($1, $2::integer)

-- name: change_plan
-- $2: plan, $3: why, or null.
SELECT code, reason, circuit_taken FROM erp.change_plan($1, $2, $3)

-- name: change_owner
-- $2: client; $3: whether the old owner's open titles are cancelled.
SELECT code, reason, old_client_id FROM erp.change_owner($1, $2, $3)

-- name: cancel_contract
-- $2: why, or null; $3: whether what is not due yet is cancelled.
SELECT code, reason FROM erp.cancel_contract($1, $2, $3)

-- name: lent_of_contract
SELECT concat_ws(' ', id, kind, identifier) AS name FROM erp.lent_equipment
WHERE contract_id = $1 AND coalesce(returned_on > current_date + 1, true) ORDER BY id LIMIT 20

-- name: trust_unlock
-- $2: days, or null for as long as allowed. One winner of many who ask at once (rule R4.2).
SELECT code, reason, unlocked_until, due_on FROM erp.unlock_on_trust($1, $2)

-- name: circuit_parts
-- The city where it is installed, else the client's (seed S2, line 245); the client; how many contracts of the client come
-- up to this one.
SELECT client.id AS client_id, coalesce(
        (SELECT address.city FROM erp.address WHERE address.contract_id = contract.id AND address.kind = 'installation'),
        (SELECT address.city FROM erp.address WHERE address.client_id = client.id AND address.kind = 'installation'),
        client.city) AS city, (
    SELECT count(*) FROM erp.contract AS older WHERE older.client_id = contract.client_id AND older.id <= contract.id
    ) AS plan_number
FROM erp.contract JOIN erp.client ON client.id = contract.client_id WHERE contract.id = $1

-- name: set_circuit
UPDATE erp.contract SET circuit = $2 WHERE id = $1 RETURNING id

-- States of a login --------------------------------------------------------------------------------------------

-- name: add_login_attribute
INSERT INTO erp.login_attribute (login_id, position, name, value)
SELECT $1, count(*), $2, $3 FROM erp.login_attribute WHERE login_id = $1 RETURNING id

-- name: delete_login_attribute
-- All of that name.
WITH gone AS (DELETE FROM erp.login_attribute WHERE login_id = $1 AND lower(name) = lower($2) RETURNING id)
SELECT count(*) AS count FROM gone HAVING count(*) > 0

-- name: add_plan_attribute
INSERT INTO erp.plan_attribute (plan_id, position, name, value)
SELECT $1, count(*), $2, $3 FROM erp.plan_attribute WHERE plan_id = $1 RETURNING id

-- name: delete_plan_attribute
-- All of that name.
WITH gone AS (DELETE FROM erp.plan_attribute WHERE plan_id = $1 AND lower(name) = lower($2) RETURNING id)
SELECT count(*) AS count FROM gone HAVING count(*) > 0

-- name: plan_phase
SELECT id, replacement_plan_id, upload, download FROM erp.plan_phase WHERE plan_id = $1 AND phase = $2

-- name: delete_plan_phase
DELETE FROM erp.plan_phase WHERE plan_id = $1 AND phase = $2 RETURNING id

-- name: set_passphrase
UPDATE erp.login SET wpa2_passphrase = $2 WHERE id = $1 AND deleted_at IS NULL RETURNING id

-- name: set_password
SELECT code, reason FROM erp.set_password($1, $2)

-- name: generate_password
SELECT code, reason, password FROM erp.generate_password($1)

-- name: clear_mac
SELECT code, reason FROM erp.clear_mac($1)

-- History ------------------------------------------------------------------------------------------------------

-- name: history_of_client
SELECT id, kind, at, text, operator, source, contract_id, login_id FROM erp.history WHERE client_id = $1
ORDER BY id DESC LIMIT $2

-- name: history_of_contract
SELECT id, kind, at, text, operator, source, contract_id, login_id FROM erp.history WHERE contract_id = $1
ORDER BY id DESC LIMIT $2

-- name: history_of_login
SELECT id, kind, at, text, operator, source, contract_id, login_id FROM erp.history WHERE login_id = $1
ORDER BY id DESC LIMIT $2

-- name: note_on_client
INSERT INTO erp.history (branch_id, client_id, kind, text)
SELECT branch_id, id, 'note', $2 FROM erp.client WHERE id = $1 RETURNING id

-- name: note_on_contract
INSERT INTO erp.history (branch_id, client_id, contract_id, kind, text)
SELECT branch_id, client_id, id, 'note', $2 FROM erp.contract WHERE id = $1 RETURNING id

-- name: note_on_login
INSERT INTO erp.history (branch_id, client_id, contract_id, login_id, kind, text)
SELECT contract.branch_id, contract.client_id, contract.id, login.id, 'note', $2
FROM erp.login JOIN erp.contract ON contract.id = login.contract_id WHERE login.id = $1 RETURNING id

-- name: edit_note
UPDATE erp.history SET text = $2 WHERE id = $1 RETURNING id

-- Parameters ---------------------------------------------------------------------------------------------------

-- name: list_parameters
SELECT parameter.name, branch.name AS branch, parameter.value
FROM erp.parameter LEFT JOIN erp.branch ON branch.id = parameter.branch_id
ORDER BY parameter.name, parameter.branch_id NULLS FIRST

-- name: parameter_value
-- $1: name, $2: a branch or null.
SELECT erp.parameter_value($1, $2::integer) AS value

-- name: set_parameter
-- $2: a branch, or null for the general value.
INSERT INTO erp.parameter (name, branch_id, value) VALUES ($1, $2::integer, $3)
ON CONFLICT ON CONSTRAINT parameter_unique DO UPDATE SET value = excluded.value RETURNING id

-- name: unset_parameter
DELETE FROM erp.parameter WHERE name = $1 AND branch_id IS NOT DISTINCT FROM $2::integer RETURNING id

-- Receivables --------------------------------------------------------------------------------------------------

-- name: pay_receivable
-- $2: the day, or null for today in the branch's zone.
UPDATE erp.receivable SET status = 'R', open_amount = 0, awaiting_confirmation = false,
    paid_on = coalesce($2::text::date, erp.today((SELECT branch_id FROM erp.client WHERE client.id = client_id)))
WHERE id = $1 AND status IN ('A', 'P') RETURNING id

-- name: cancel_receivable
UPDATE erp.receivable SET status = 'C' WHERE id = $1 AND status IN ('A', 'P') RETURNING id

-- Lines --------------------------------------------------------------------------------------------------------

-- name: report_line
SELECT code, reason FROM erp.report_line($1, $2)

-- name: show_line_driver
-- All but the secret and the headers' values, which nobody is shown.
SELECT to_jsonb(driver) - 'secret' || jsonb_build_object('has_secret', secret IS NOT NULL,
    'headers', ARRAY(SELECT jsonb_object_keys(headers)), 'lines', (SELECT count(*) FROM erp.line WHERE line.kind = driver.kind)
) AS record FROM net.line_driver AS driver WHERE driver.kind = coalesce($1::text, driver.kind) ORDER BY driver.kind

-- name: headers_of_line_driver
SELECT headers FROM net.line_driver WHERE kind = $1 FOR UPDATE

-- name: make_line_driver
INSERT INTO net.line_driver (kind, url) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING kind

-- name: set_line_driver
-- $2: the columns that change, as JSON.
UPDATE net.line_driver SET (
    provider, enabled, method, url, headers, secret, body, codes, is_toggle, expected_statuses, expected_pointer,
    expected_text, read_method, read_url, read_body, read_pointer, meanings, timeout_s, settle_s, verify_tls, ca, changed_at
) = (
    fresh.provider, fresh.enabled, fresh.method, fresh.url, fresh.headers, fresh.secret, fresh.body, fresh.codes,
    fresh.is_toggle, fresh.expected_statuses, fresh.expected_pointer, fresh.expected_text, fresh.read_method,
    fresh.read_url, fresh.read_body, fresh.read_pointer, fresh.meanings, fresh.timeout_s, fresh.settle_s,
    fresh.verify_tls, fresh.ca, now())
FROM net.line_driver AS known, jsonb_populate_record(known, $2::jsonb) AS fresh
WHERE line_driver.kind = $1 AND known.kind = $1 RETURNING line_driver.kind

-- Lent equipment -----------------------------------------------------------------------------------------------

-- name: return_equipment
-- $2: the day, or null for today in the branch's zone.
UPDATE erp.lent_equipment SET returned_on = coalesce($2::text::date, greatest(lent_on, erp.today((
    SELECT branch_id FROM erp.contract WHERE contract.id = contract_id)))) WHERE id = $1 AND returned_on IS NULL RETURNING id

-- Operators ----------------------------------------------------------------------------------------------------

-- name: standing_of_operator
-- $1: name; $2: names of permissions. Which of them he has; whether he is known; whether his group has all, and whether
-- anybody's has.
SELECT ARRAY(SELECT asked.name FROM unnest($2::text[]) AS asked (name) WHERE erp.has_permission($1, asked.name)) AS permissions,
    coalesce(bool_or(erp.fold_login(operator.name) = erp.fold_login($1)), false) AS is_known,
    coalesce(bool_or(erp.fold_login(operator.name) = erp.fold_login($1) AND operator_group.all_permissions), false) AS has_all,
    coalesce(bool_or(operator_group.all_permissions), false) AS is_guarded
FROM erp.operator LEFT JOIN erp.operator_group ON operator_group.id = operator.group_id WHERE operator.active

-- name: give_all
-- $2: whether a group has all permissions that allow something, also later ones. Nothing if it is so.
UPDATE erp.operator_group SET all_permissions = $2 WHERE id = $1 AND all_permissions <> $2 RETURNING id

-- name: held_by_all
-- $1: group, $2: permission. A row if the group has it because it has all.
SELECT operator_group.name FROM erp.operator_group CROSS JOIN erp.permission
WHERE operator_group.id = $1 AND permission.id = $2 AND operator_group.all_permissions AND NOT permission.denies

-- name: list_permissions
-- With the groups that have each of them.
SELECT permission.id, permission.name, permission.denies, ARRAY(
    SELECT operator_group.name FROM erp.operator_group
    WHERE (operator_group.all_permissions AND NOT permission.denies) OR EXISTS (
        SELECT FROM erp.operator_group_permission AS given
        WHERE given.group_id = operator_group.id AND given.permission_id = permission.id)
    ORDER BY operator_group.name) AS groups
FROM erp.permission ORDER BY permission.id

-- name: make_operator_group
INSERT INTO erp.operator_group (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id

-- name: grant_permission
-- Nothing if the group has it already.
INSERT INTO erp.operator_group_permission (group_id, permission_id) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING group_id

-- name: take_permission
DELETE FROM erp.operator_group_permission WHERE group_id = $1 AND permission_id = $2 RETURNING group_id
