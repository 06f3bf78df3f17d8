-- The throw-away node's data: a provider with ten plans, numbered logins, and a few customers in every state.
-- One transaction; every constraint and trigger is at work, as for any program that writes these tables.

-- name: is_seeded
-- Whether this database was seeded: the NAS entry comes last.
SELECT EXISTS (SELECT FROM net.nas WHERE name = 'demo') AS seeded

-- name: count_numbered_logins
SELECT count(*) AS count FROM erp.login WHERE name ~ '^user[0-9]{6,7}$' AND deleted_at IS NULL

-- name: add_branches
INSERT INTO erp.branch (id, name, time_zone) VALUES
    (1, 'Matriz', 'America/Sao_Paulo'),
    (2, 'Filial Manaus', 'America/Manaus')

-- name: add_plans
INSERT INTO erp.plan (id, name, active, upload, download, session_timeout_s, idle_timeout_s, interim_interval_s) VALUES
    (1, 'Fibra 100 Mega', true, '50M', '100M', 0, 0, 300),
    (2, 'Fibra 200 Mega', true, '100M', '200M', 0, 0, 300),
    (3, 'Fibra 300 Mega', true, '150M', '300M', 0, 0, 300),
    (4, 'Fibra 500 Mega', true, '250M', '500M', 0, 0, 300),
    (5, 'Fibra 700 Mega', true, '350M', '700M', 0, 0, 300),
    (6, 'Fibra 1 Giga', true, '500M', '1000M', 0, 0, 300),
    (7, 'Rádio 10 Mega', true, '2M', '10M', 0, 0, 600),
    (8, 'Rádio 20 Mega', false, '5M', '20M', 0, 0, 600),
    (9, 'Empresarial 200 Mega dedicado', true, '200M', '200M', 0, 0, 300),
    (10, 'Temporário 50 Mega', true, '25M', '50M', 86400, 600, 300)

-- name: add_parameters
INSERT INTO erp.parameter (name, value) VALUES ('document_required', 'N'), ('block_accents_in_logins', 'N')

-- name: add_numbered_clients
-- $1: how many. Identifiers begin at 1001; below are the named customers. Nine in ten are persons.
INSERT INTO erp.client (id, branch_id, kind, name, document, email, mobile_phone, postal_code, city, state)
SELECT
    1001 + number,
    CASE WHEN number % 20 = 19 THEN 2 ELSE 1 END,
    CASE WHEN number % 10 = 9 THEN 'J' ELSE 'F' END,
    CASE WHEN number % 10 = 9 THEN 'Empresa ' ELSE 'Cliente ' END || label,
    CASE WHEN number % 10 = 9 THEN cnpj.body || cnpj.first || erp.check_digit(cnpj.body || cnpj.first, 8)
        ELSE cpf.body || cpf.first || erp.check_digit(cpf.body || cpf.first, 10) END,
    'cliente' || label || '@example.com',
    '119' || lpad((10000000 + number)::text, 8, '0'),
    lpad((1000000 + number % 9000)::text, 8, '0'),
    CASE WHEN number % 20 = 19 THEN 'Manaus' ELSE 'São Paulo' END,
    CASE WHEN number % 20 = 19 THEN 'AM' ELSE 'SP' END
FROM generate_series(0, $1::integer - 1) AS number
CROSS JOIN LATERAL (SELECT lpad(number::text, greatest(6, length(number::text)), '0')) AS named (label)
CROSS JOIN LATERAL (
    SELECT body, erp.check_digit(body, 10) FROM (SELECT lpad((100000000 + number)::text, 9, '0')) AS made (body)
) AS cpf (body, first)
CROSS JOIN LATERAL (
    SELECT body, erp.check_digit(body, 8) FROM (SELECT lpad((10000000 + number)::text, 8, '0') || '0001') AS made (body)
) AS cnpj (body, first)

-- name: add_numbered_contracts
-- $1: how many.
INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status, access_status, activated_on)
SELECT 1001 + number, 1001 + number, CASE WHEN number % 20 = 19 THEN 2 ELSE 1 END, 1 + number % 10, 'A', 'A', current_date
FROM generate_series(0, $1::integer - 1) AS number

-- name: add_numbered_logins
-- $1: how many. user000000 with pass000000 and so on, each with an address of 100.64.0.0/10 from 100.64.1.0 on.
INSERT INTO erp.login (id, contract_id, name, password, ipv4, connection_type)
SELECT 1001 + number, 1001 + number, 'user' || label, 'pass' || label, inet '100.64.1.0' + number, 'F'
FROM generate_series(0, $1::integer - 1) AS number
CROSS JOIN LATERAL (SELECT lpad(number::text, greatest(6, length(number::text)), '0')) AS named (label)

-- name: add_named_clients
INSERT INTO erp.client (id, branch_id, kind, name, document, active, email, mobile_phone, city, state)
SELECT id, 1, kind, name,
    CASE kind
        WHEN 'F' THEN cpf.body || cpf.first || erp.check_digit(cpf.body || cpf.first, 10)
        WHEN 'J' THEN cnpj.body || cnpj.first || erp.check_digit(cnpj.body || cnpj.first, 8)
    END,
    active, 'contato' || id || '@example.com', '1199000' || lpad(id::text, 4, '0'), 'São Paulo', 'SP'
FROM (VALUES
    (1, 'F', 'Ana Pereira', true),
    (2, 'F', 'Bruno Costa', true),
    (3, 'F', 'Carla Dias', true),
    (4, 'F', 'Daniel Rocha', true),
    (5, 'F', 'Elisa Nunes', true),
    (6, 'F', 'Fábio Lima', true),
    (7, 'F', 'Gabriela Melo', true),
    (8, 'F', 'Hugo Alves', true),
    (9, 'F', 'Irene Barros', true),
    (10, 'F', 'João Pinto', true),
    (11, 'F', 'Karina Teixeira', true),
    (12, 'F', 'Leandro Moura', true),
    (13, 'F', 'Márcia Freitas', true),
    (14, 'F', 'Nelson Cardoso', true),
    (15, 'F', 'Olívia Ramos', false),
    (16, 'J', 'Padaria Central Ltda', true),
    (17, 'J', 'Prefeitura de Exemplo', true),
    (18, 'E', 'John Smith', true),
    (19, 'F', 'José da Conceição', true),
    (20, 'F', 'Paula Vieira', true)
) AS named (id, kind, name, active)
CROSS JOIN LATERAL (
    SELECT body, erp.check_digit(body, 10) FROM (SELECT lpad((700000000 + id)::text, 9, '0')) AS made (body)
) AS cpf (body, first)
CROSS JOIN LATERAL (
    -- Since July 2026 a CNPJ may hold letters.
    SELECT body, erp.check_digit(body, 8) FROM (SELECT 'DEMO' || lpad(id::text, 4, '0') || '0001') AS made (body)
) AS cnpj (body, first)

-- name: add_named_contracts
INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status, access_status, suspended, activated_on)
SELECT id, id, 1, plan_id, status, access_status, suspended, CASE WHEN status <> 'P' THEN current_date END
FROM (VALUES
    (1, 6, 'A', 'A', false),
    (2, 3, 'A', 'CM', false),
    (3, 3, 'A', 'CA', false),
    (4, 2, 'A', 'FA', false),
    (5, 4, 'A', 'AA', false),
    (6, 4, 'A', 'CE', false),
    (7, 1, 'A', 'D', false),
    (8, 5, 'P', 'A', false),
    (9, 7, 'I', 'D', false),
    (10, 7, 'N', 'D', false),
    (11, 8, 'D', 'D', false),
    (12, 2, 'A', 'A', true),
    (13, 2, 'A', 'A', false),
    (14, 2, 'A', 'A', false),
    (15, 2, 'A', 'A', false),
    (16, 9, 'A', 'A', false),
    (17, 9, 'A', 'A', false),
    (18, 10, 'A', 'A', false),
    (19, 7, 'A', 'A', false),
    (20, 8, 'A', 'A', false)
) AS named (id, plan_id, status, access_status, suspended)

-- name: add_named_logins
-- Password of all: demo1234. The comments tell what an Access-Request of each should come to.
INSERT INTO erp.login (id, contract_id, name, password, password_md5, active, ipv4, mac, auto_fill_mac,
    connection_type, deleted_at)
SELECT id, contract_id, name, CASE WHEN is_md5 THEN md5('demo1234') ELSE 'demo1234' END, is_md5, active,
    ipv4::inet, mac, CASE WHEN auto_fill_mac THEN 'S' ELSE 'P' END, connection_type, CASE WHEN deleted THEN now() END
FROM (VALUES
    (1, 1, 'ana.pereira', false, true, '198.18.0.1', NULL, false, 'F', false), -- connects
    (2, 2, 'bruno.costa', false, true, '198.18.0.2', NULL, false, 'F', false), -- blocked by hand
    (3, 3, 'carla.dias', false, true, '198.18.0.3', NULL, false, 'F', false), -- blocked for payment
    (4, 4, 'daniel.rocha', false, true, '198.18.0.4', NULL, false, 'F', false), -- late, connects
    (5, 5, 'elisa.nunes', false, true, '198.18.0.5', NULL, false, 'F', false), -- awaits signature
    (6, 6, 'fabio.lima', false, true, '198.18.0.6', NULL, false, 'F', false), -- the same, old code
    (7, 7, 'gabriela.melo', false, true, '198.18.0.7', NULL, false, 'F', false), -- access disabled
    (8, 8, 'hugo.alves', false, true, '198.18.0.8', NULL, false, 'F', false), -- contract not signed yet
    (9, 9, 'irene.barros', false, true, '198.18.0.9', NULL, false, '58', false), -- contract inactive
    (10, 10, 'joao.pinto', false, true, '198.18.0.10', NULL, false, '58', false), -- blacklisted
    (11, 11, 'karina.teixeira', false, true, '198.18.0.11', NULL, false, '24', false), -- withdrawn
    (12, 12, 'leandro.moura', false, true, '198.18.0.12', NULL, false, 'F', false), -- suspended by himself
    (13, 13, 'marcia.freitas', false, false, '198.18.0.13', NULL, false, 'F', false), -- login inactive
    (14, 14, 'nelson.cardoso', false, true, '198.18.0.14', NULL, false, 'F', true), -- login deleted
    (15, 15, 'olivia.ramos', false, true, '198.18.0.15', NULL, false, 'F', false), -- client inactive
    (16, 16, 'padaria.central@demo', false, true, '198.18.0.16', 'D4CA6D0A0B0C', false, 'F', false), -- connects
    (17, 16, 'padaria.caixa@demo', false, true, '198.18.0.17', NULL, true, 'F', false), -- connects, learns its device
    (18, 17, 'prefeitura-01', true, true, '198.18.0.18', NULL, false, 'F', false), -- connects, password stored as MD5
    (19, 18, 'john_smith', false, true, NULL, NULL, true, 'LTE', false), -- connects, no address of ours
    (20, 19, 'josé.conceição', false, true, '198.18.0.20', NULL, false, '58', false), -- connects
    (21, 20, 'PAULA.VIEIRA', false, true, '198.18.0.21', NULL, false, '58', false) -- connects, typed in any case
) AS named (id, contract_id, name, is_md5, active, ipv4, mac, auto_fill_mac, connection_type, deleted)

-- name: add_nas
-- $1: the shared secret.
INSERT INTO net.nas (name, address, secret) VALUES ('demo', '127.0.0.0/8', $1)

-- name: set_sequences
-- What is added by hand later gets numbers of its own.
SELECT setval(pg_get_serial_sequence('erp.branch', 'id'), (SELECT max(id) FROM erp.branch)),
    setval(pg_get_serial_sequence('erp.plan', 'id'), (SELECT max(id) FROM erp.plan)),
    setval(pg_get_serial_sequence('erp.client', 'id'), (SELECT max(id) FROM erp.client)),
    setval(pg_get_serial_sequence('erp.contract', 'id'), (SELECT max(id) FROM erp.contract)),
    setval(pg_get_serial_sequence('erp.login', 'id'), (SELECT max(id) FROM erp.login))
