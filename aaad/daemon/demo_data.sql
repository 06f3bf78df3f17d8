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
    (2, 'Filial Manaus', 'America/Manaus'),
    (3, 'Filial Bloqueio', 'America/Sao_Paulo') -- lets who is blocked into the blocked state

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

-- name: add_special_plans
-- What the ten above have not: late and cap, night and turbo, Hotspot, IPv6, encryption. 11 stands in for others.
INSERT INTO erp.plan (id, name, upload, download, is_limited, upload_burst, download_burst, upload_burst_threshold,
    download_burst_threshold, upload_burst_time_s, download_burst_time_s, priority, late_after_days, late_plan_id,
    cap_gigabytes, cap_kind, cap_plan_id, ipv4_pool, delegated_ipv6_pool, address_list, router_group, filter_ids, dns, mppe)
VALUES
    (11, 'Reduzido 1 Mega', '512k', '1M', true, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL,
        NULL, NULL, NULL, NULL, NULL, 'reduzidos', NULL, '{}', '{}', 'unsaid'),
    (12, 'Fibra 400 Mega', '200M', '400M', true, '250M', '500M', '150M', '300M', 16, 16, 5, 10, 11,
        500, 'M', 11, NULL, NULL, NULL, NULL, '{}', '{}', 'unsaid'),
    (13, 'Fibra Noturna', '50M', '100M', true, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{}', '{}', 'unsaid'),
    (14, 'Hotspot Praça', '5M', '10M', true, NULL, NULL, NULL, NULL, NULL, NULL, 8, 0, NULL,
        NULL, NULL, NULL, 'praca', NULL, NULL, 'hotspot', '{}', '{}', 'unsaid'),
    (15, 'Empresarial IPv6', '1000M', '1000M', false, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL,
        NULL, NULL, NULL, 'empresas', 'empresas-v6', 'empresas', NULL, '{empresas.in,empresas.out}',
        '{198.18.255.53,2001:db8:53::53}', 'allowed')

-- name: add_plan_phases
INSERT INTO erp.plan_phase (plan_id, phase, hours, replacement_plan_id, upload, download) VALUES
    (13, 'turbo', '{0,1,2,3,4,5}', NULL, '200M', '400M'),
    (13, 'reduced', '{19,20,21,22}', 1, NULL, NULL)

-- name: add_parameters
INSERT INTO erp.parameter (name, branch_id, value) VALUES
    ('document_required', NULL, 'N'), ('block_accents_in_logins', NULL, 'N'), ('notice_address_list', NULL, 'avisos'),
    ('blocked_state', 3, 'S'), ('blocked_address_list', 3, 'bloqueados'), ('blocked_ipv4_pool', 3, 'bloqueados'),
    ('blocked_upload', 3, '128k'), ('blocked_download', 3, '256k'), ('blocked_group', 3, 'bloqueados')

-- name: add_billing_types
INSERT INTO erp.billing_type (id, name, payment, prepaid_grace_days) VALUES (1, 'Mensal', 'Pos', 0), (2, 'Pré-pago', 'Pre', 1)

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
    (20, 'F', 'Paula Vieira', true),
    (21, 'F', 'Rita Souza', true),
    (22, 'F', 'Sérgio Lopes', true),
    (23, 'F', 'Tânia Reis', true),
    (24, 'F', 'Úrsula Prado', true),
    (25, 'J', 'Praça Digital', true),
    (26, 'F', 'Vera Castro', true),
    (27, 'F', 'Wagner Dias', true),
    (28, 'F', 'Ximena Prado', true),
    (29, 'J', 'Yuri Matos ME', true),
    (30, 'F', 'Zilda Faria', true),
    (31, 'F', 'Alberto Nunes', true),
    (32, 'F', 'Beatriz Gama', true),
    (33, 'F', 'Caio Brito', true),
    (34, 'F', 'Dora Lins', true),
    (35, 'F', 'Enzo Maia', true),
    (36, 'F', 'Flávia Rosa', true),
    (37, 'F', 'Gil Torres', true)
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
    (20, 8, 'A', 'A', false),
    (21, 4, 'A', 'CA', false),
    (22, 12, 'A', 'A', false),
    (23, 13, 'A', 'A', false),
    (24, 5, 'A', 'A', false),
    (25, 14, 'A', 'A', false),
    (26, 3, 'A', 'A', false),
    (27, 3, 'A', 'A', false),
    (28, 3, 'A', 'A', false),
    (29, 15, 'A', 'A', false),
    (30, 2, 'A', 'A', false),
    (31, 2, 'A', 'A', false),
    (32, 2, 'A', 'A', false),
    (33, 2, 'A', 'A', false),
    (34, 2, 'A', 'A', false),
    (35, 12, 'A', 'A', false),
    (36, 12, 'A', 'A', false),
    (37, 2, 'A', 'A', false)
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

-- name: add_special_logins
-- Password of those who have one: demo1234. So many ways to be known and bound as there are.
INSERT INTO erp.login (id, contract_id, name, password, authentication, ipv4, mac, mac_login, bind_mac, port_id, bind_port,
    circuit_id, bind_circuit, access_hours, cap_reached, upload, download)
SELECT id, contract_id, name, password, authentication, ipv4::inet, mac, authentication = 'D' OR by_mac,
    CASE WHEN bound = 'mac' THEN 'S' ELSE 'P' END,
    CASE WHEN bound = 'port' THEN place END, CASE WHEN bound = 'port' THEN 'S' ELSE 'P' END,
    CASE WHEN bound = 'circuit' THEN place END, CASE WHEN bound = 'circuit' THEN 'S' ELSE 'P' END,
    CASE WHEN bound = 'hours' THEN '{8,9,10,11,12,13,14,15,16,17}'::smallint[] END, is_used_up, upload, download
FROM (VALUES
    (22, 21, 'rita.souza', 'demo1234', 'L', '198.18.0.22', NULL, false, '', '', false, NULL, NULL), -- blocked state
    (23, 22, 'sergio.lopes', 'demo1234', 'L', '198.18.0.23', NULL, false, '', '', false, NULL, NULL), -- late: plan 11
    (24, 23, 'tania.reis', 'demo1234', 'L', '198.18.0.24', NULL, false, '', '', false, NULL, NULL), -- night and turbo
    (25, 24, 'ursula.tv', NULL, 'D', '198.18.0.25', '00005e005301', true, '', '', false, NULL, NULL), -- DHCP by MAC
    (26, 25, 'praca.totem', NULL, 'H', NULL, '00005e005302', true, '', '', false, NULL, NULL), -- Hotspot by MAC
    (27, 25, 'praca.visita', 'demo1234', 'H', NULL, NULL, false, '', '', false, NULL, NULL), -- Hotspot by name
    (28, 26, 'vera.castro', 'demo1234', 'L', '198.18.0.28', '00005e005303', false, 'mac', '', false, NULL, NULL), -- this device only
    (29, 27, 'wagner.dias', 'demo1234', 'L', '198.18.0.29', NULL, false, 'port', 'ether2.100', false, NULL, NULL), -- this VLAN only
    (30, 27, 'wagner.loja', 'demo1234', 'L', '198.18.0.30', NULL, false, 'circuit', 'olt-1 0/1/2:3', false, NULL, NULL), -- this circuit only
    (31, 28, 'ximena.prado', 'demo1234', 'L', '198.18.0.31', NULL, false, '', '', false, NULL, NULL), -- learns whatever comes
    (32, 29, 'yuri.matos', 'demo1234', 'L', '198.18.0.32', NULL, false, '', '', false, NULL, NULL), -- IPv6, routes, attributes
    (33, 30, 'zilda.faria', 'demo1234', 'L', '198.18.0.33', NULL, false, '', '', false, NULL, NULL), -- prepaid, ended
    (34, 31, 'alberto.nunes', 'demo1234', 'L', '198.18.0.34', NULL, false, '', '', false, NULL, NULL), -- prepaid, connects
    (35, 32, 'beatriz.gama', 'demo1234', 'L', '198.18.0.35', NULL, false, '', '', false, NULL, NULL), -- unblocked on a promise
    (36, 33, 'caio.brito', 'demo1234', 'L', '198.18.0.36', NULL, false, '', '', false, NULL, NULL), -- a promise that ended
    (37, 34, 'dora.lins', 'demo1234', 'L', '198.18.0.37', NULL, false, 'hours', '', false, NULL, NULL), -- from 8 to 18 only
    (38, 35, 'enzo.maia', 'demo1234', 'L', '198.18.0.38', NULL, false, '', '', true, NULL, NULL), -- cap used up: plan 11
    (39, 36, 'flavia.rosa', 'demo1234', 'L', '198.18.0.39', NULL, false, '', '', false, NULL, NULL), -- reduced by hand: plan 11
    (40, 37, 'gil.torres', 'demo1234', 'L', '198.18.0.40', NULL, false, '', '', false, '30M', '60M') -- a speed of his own
) AS special (id, contract_id, name, password, authentication, ipv4, mac, by_mac, bound, place, is_used_up, upload, download)

-- name: bind_special_logins
UPDATE erp.login SET
    auto_fill_mac = CASE WHEN id = 31 THEN 'S' ELSE auto_fill_mac END,
    auto_fill_nas = CASE WHEN id = 31 THEN 'S' ELSE auto_fill_nas END,
    auto_fill_port = CASE WHEN id = 31 THEN 'S' ELSE auto_fill_port END,
    auto_fill_circuit = CASE WHEN id = 31 THEN 'S' ELSE auto_fill_circuit END,
    ipv6_prefix = CASE WHEN id = 32 THEN cidr '2001:db8:32:1::/64' END,
    delegated_ipv6_prefix = CASE WHEN id = 32 THEN cidr '2001:db8:3200::/56' END,
    routes = CASE WHEN id = 32 THEN '{198.19.32.0/24,2001:db8:3201::/64}'::cidr[] ELSE '{}' END,
    address_list = CASE WHEN id = 32 THEN 'vip' END,
    wpa2_passphrase = CASE WHEN id = 32 THEN 'senha do wifi' END
WHERE id IN (31, 32)

-- name: add_used_up_cap
-- What enzo.maia has used of his 500 GB this month, so that the cap that he has reached is counted so, too.
INSERT INTO net.session (family, life, summary, acct_session_id, user_name, login_id, contract_id, client_id, plan_id,
    branch_id, time_zone, nas_id, source_address, nas_identifier, started_at, start_seen, heard_at, ended_at, ended_latest,
    end_evidence, terminate_cause, session_time_s, octets_in, octets_out, days, day_octets_in, day_octets_out, records)
SELECT gen_random_uuid(), 0, '', '80000001', login.name, login.id, contract.id, contract.client_id, contract.plan_id,
    branch.id, branch.time_zone, 1, '127.0.0.1', '', now() - interval '2 hours', true, now(), now(), now(),
    'stop', 1, 7200, 20000000000, 512000000000,
    ARRAY[(now() AT TIME ZONE branch.time_zone)::date], '{20000000000}', '{512000000000}', 2
FROM erp.login
JOIN erp.contract ON contract.id = login.contract_id
JOIN erp.branch ON branch.id = contract.branch_id
WHERE login.name = 'enzo.maia'

-- name: add_plan_attributes
INSERT INTO erp.plan_attribute (plan_id, position, name, value) VALUES
    (14, 1, 'WISPr-Redirection-URL', 'https://praca.example'),
    (15, 1, 'Mikrotik-Address-List', 'sem-cgnat')

-- name: add_login_attributes
INSERT INTO erp.login_attribute (login_id, position, name, value) VALUES
    (32, 1, 'Framed-MTU', '1492'),
    (32, 2, 'Reply-Message', 'Bem-vindo')

-- name: add_receivables
-- Of Daniel Rocha one in each state that operators know; the others are what makes someone late.
INSERT INTO erp.receivable (client_id, contract_id, kind, amount, due_on, status, released, renegotiated, paid_on,
    awaiting_confirmation, open_amount)
SELECT client_id, CASE WHEN is_single THEN NULL ELSE client_id END, CASE WHEN is_single THEN 'single' ELSE 'recurring' END,
    99.90, erp.today(1) + due, status, is_released, is_renegotiated, CASE WHEN status = 'R' THEN erp.today(1) + due + 1 END,
    is_reported, CASE WHEN status = 'R' THEN 0 ELSE 99.90 END
FROM (VALUES
    (4, false, -95, 'R', true, false, false),
    (4, false, -65, 'C', true, false, false),
    (4, false, -35, 'A', true, true, false),
    (4, false, -5, 'A', true, false, false),
    (4, false, -4, 'A', true, false, true),
    (4, false, 0, 'A', true, false, false),
    (4, false, 25, 'A', true, false, false),
    (4, false, 55, 'A', false, false, false),
    (4, true, 20, 'A', true, false, false),
    (2, false, -40, 'A', true, false, false),
    (3, false, -40, 'A', true, false, false),
    (21, false, -40, 'A', true, false, false),
    (22, false, -20, 'A', true, false, false),
    (32, false, -20, 'A', true, false, false),
    (33, false, -20, 'A', true, false, false)
) AS title (client_id, is_single, due, status, is_released, is_renegotiated, is_reported)

-- name: set_contracts
-- After their receivables: with nothing overdue nobody is on trust.
UPDATE erp.contract SET
    branch_id = CASE WHEN id = 21 THEN 3 ELSE branch_id END,
    billing_type_id = CASE WHEN id IN (30, 31) THEN 2 ELSE 1 END,
    paid_until = CASE id WHEN 30 THEN current_date - 10 WHEN 31 THEN current_date + 20 END,
    speed_status = CASE WHEN id = 36 THEN 'R' ELSE 'N' END,
    trust_unlock_active = id IN (32, 33),
    trust_unlock_until = CASE id WHEN 32 THEN now() + interval '2 days' WHEN 33 THEN now() - interval '1 day' END
WHERE id < 1001

-- name: add_operators
INSERT INTO erp.operator_group (id, name) VALUES (1, 'Suporte')

-- name: add_operator
INSERT INTO erp.operator (name, full_name, group_id) VALUES ('demo', 'Operador de demonstração', 1)

-- name: add_router_administrators
-- Password of both: demo1234.
INSERT INTO net.router_administrator (name, password, router_group) VALUES
    ('admin', 'demo1234', 'full'), ('leitura', 'demo1234', 'read')

-- name: add_nas
-- $1: the shared secret.
INSERT INTO net.nas (name, address, secret) VALUES ('demo', '127.0.0.0/8', $1)

-- name: set_sequences
-- What is added by hand later gets numbers of its own.
SELECT setval(pg_get_serial_sequence('erp.branch', 'id'), (SELECT max(id) FROM erp.branch)),
    setval(pg_get_serial_sequence('erp.plan', 'id'), (SELECT max(id) FROM erp.plan)),
    setval(pg_get_serial_sequence('erp.client', 'id'), (SELECT max(id) FROM erp.client)),
    setval(pg_get_serial_sequence('erp.contract', 'id'), (SELECT max(id) FROM erp.contract)),
    setval(pg_get_serial_sequence('erp.login', 'id'), (SELECT max(id) FROM erp.login)),
    setval(pg_get_serial_sequence('erp.billing_type', 'id'), (SELECT max(id) FROM erp.billing_type)),
    setval(pg_get_serial_sequence('erp.operator_group', 'id'), (SELECT max(id) FROM erp.operator_group))
