-- Of the operators' commands: concentrators, their secrets and router administrators. No secret and no password is read,
-- but for that of a router's API, by who is about to ask it.

-- name: list_nases
SELECT
    nas.id, nas.name, nas.address::text AS address, nas.kind, nas.enabled, nas.message_authenticator,
    nas.timeout_ms, nas.tries, branch.name AS branch,
    1 + coalesce(nas.secret_previous_until > now(), false)::integer
        + (SELECT count(*) FROM net.nas_secret AS further
            WHERE further.nas_id = nas.id AND coalesce(further.valid_until > now(), true))::integer AS secrets_count,
    (SELECT count(*) FROM net.router WHERE router.nas_id = nas.id) AS routers_count,
    (SELECT extract(epoch FROM now() - max(router.last_seen))::float8 FROM net.router WHERE router.nas_id = nas.id)
        AS silent_s
FROM net.nas
LEFT JOIN erp.branch ON branch.id = nas.branch_id
WHERE $1::text = '' OR position(lower($1) IN lower(nas.name)) > 0 OR host(nas.address) = $1
ORDER BY lower(nas.name), nas.id
LIMIT $2::integer;

-- name: show_nas
SELECT to_jsonb(nas) - 'secret' - 'secret_previous' - 'api_password' || jsonb_build_object(
    'branch', branch.name,
    'is_previous_valid', coalesce(nas.secret_previous_until > now(), false),
    'secrets', (
        SELECT coalesce(jsonb_agg(jsonb_build_object(
            'id', further.id, 'note', further.note, 'valid_until', further.valid_until,
            'is_valid', coalesce(further.valid_until > now(), true)) ORDER BY further.id), '[]')
        FROM net.nas_secret AS further WHERE further.nas_id = nas.id),
    'routers', (
        SELECT coalesce(jsonb_agg(to_jsonb(seen) ORDER BY seen.source_address, seen.nas_identifier), '[]')
        FROM (
            SELECT host(router.source_address) AS source_address, encode(router.nas_identifier, 'escape') AS nas_identifier,
                coalesce(router.armed_at > coalesce(router.reset_at, '-infinity'), false) AS is_armed,
                extract(epoch FROM now() - router.last_seen)::float8 AS silent_s, router.clock_offset_s
            FROM net.router WHERE router.nas_id = nas.id ORDER BY router.last_seen DESC LIMIT 100
        ) AS seen)
    ) AS record
FROM net.nas
LEFT JOIN erp.branch ON branch.id = nas.branch_id
WHERE nas.id = $1;

-- name: find_router_access
-- Where a concentrator's API is, and as whom it is asked.
SELECT name, coalesce(host(api_address), CASE WHEN masklen(address) = CASE family(address) WHEN 4 THEN 32 ELSE 128 END
        THEN host(address) END) AS address,
    api_port, api_tls, api_fingerprint, api_ca, api_user, api_password, address_space
FROM net.nas WHERE id = $1;

-- name: links_of_nas
-- Logins that are bound to it, but for those that a parameter lets go with it; and routers that use it.
SELECT 'login' AS thing, login.id, login.name
FROM net.nas
JOIN erp.login ON login.nas_id = nas.id
JOIN erp.contract ON contract.id = login.contract_id
WHERE nas.id = $1 AND NOT (
    'S' = erp.parameter_value('delete_nas_with_cancelled_contracts', nas.branch_id)
    AND (contract.status IN ('I', 'D') OR login.deleted_at IS NOT NULL))
UNION ALL
SELECT 'router', router.id, host(router.source_address)
FROM net.nas
JOIN net.router ON router.nas_id = nas.id
WHERE nas.id = $1 AND nas.enabled AND router.last_seen > now() - interval '1 hour'
ORDER BY thing, id
LIMIT 20;

-- name: delete_nas
DELETE FROM net.nas WHERE id = $1 RETURNING id;

-- name: rotate_secret
-- The secret that was in force is believed for so many seconds more; 0: from now on it is not. One that is still
-- believed since the rotation before becomes a further secret until its own end: some router may not know more.
WITH entry AS (
    SELECT id, secret_previous, secret_previous_until FROM net.nas WHERE id = $1 AND secret <> $2::text FOR NO KEY UPDATE
), kept AS (
    INSERT INTO net.nas_secret (nas_id, secret, note, valid_until)
    SELECT id, secret_previous, $4::text, secret_previous_until FROM entry
    WHERE $3::float8 > 0 AND secret_previous_until > now() AND secret_previous <> $2
    ON CONFLICT (nas_id, secret) DO UPDATE SET
        valid_until = CASE WHEN nas_secret.valid_until IS NOT NULL THEN greatest(nas_secret.valid_until, excluded.valid_until) END
)
UPDATE net.nas SET
    secret = $2,
    secret_previous = CASE WHEN $3 > 0 THEN secret END,
    secret_previous_until = CASE WHEN $3 > 0 THEN now() + make_interval(secs => $3) END
WHERE id = (SELECT id FROM entry)
RETURNING secret_previous_until;

-- name: end_previous_secret
UPDATE net.nas SET secret_previous = NULL, secret_previous_until = NULL
WHERE id = $1 AND secret_previous IS NOT NULL
RETURNING id;

-- name: add_secret
INSERT INTO net.nas_secret (nas_id, secret, note, valid_until)
VALUES ($1, $2::text, $3::text, CASE WHEN $4::float8 > 0 THEN now() + make_interval(secs => $4) END)
RETURNING id, valid_until;

-- name: delete_secret
DELETE FROM net.nas_secret WHERE nas_id = $1 AND id = $2 RETURNING id;

-- name: describe_attribute
-- What the dictionary says of a name, without its tag.
SELECT attribute.name, attribute.kind, attribute.may_be_given,
    CASE attribute.vendor WHEN 0 THEN 253 ELSE 247 END - (position(':' IN $1::text) > 0)::integer AS octets_max, (
    SELECT coalesce(string_agg(named.name, ', ' ORDER BY named.number), '')
    FROM net.dictionary_value AS named WHERE named.attribute = attribute.name) AS names
FROM net.dictionary_attribute AS attribute
WHERE lower(attribute.name COLLATE "C") = lower(split_part($1::text, ':', 1) COLLATE "C");

-- name: find_router_administrator
SELECT
    administrator.id, concat_ws(' @ ', administrator.name, nas.name) AS name,
    CASE WHEN administrator.id = $2::integer THEN 1 ELSE 2 END AS rank
FROM net.router_administrator AS administrator
LEFT JOIN net.nas ON nas.id = administrator.nas_id
WHERE erp.fold_login(administrator.name) = erp.fold_login($1) OR administrator.id = $2
ORDER BY rank, administrator.id
LIMIT 20;

-- name: list_router_administrators
SELECT administrator.id, administrator.name, administrator.router_group, administrator.active, nas.name AS nas
FROM net.router_administrator AS administrator
LEFT JOIN net.nas ON nas.id = administrator.nas_id
WHERE $1::text = '' OR position(lower($1) IN lower(administrator.name)) > 0
ORDER BY lower(administrator.name), administrator.id
LIMIT $2::integer;

-- name: show_router_administrator
SELECT to_jsonb(administrator) - 'password' || jsonb_build_object('nas', nas.name) AS record
FROM net.router_administrator AS administrator
LEFT JOIN net.nas ON nas.id = administrator.nas_id
WHERE administrator.id = $1;

-- name: delete_router_administrator
DELETE FROM net.router_administrator WHERE id = $1 RETURNING id;

-- name: show_legal_hold
SELECT to_jsonb(hold) || jsonb_build_object('login', login.name, 'nas', nas.name) AS record
FROM net.legal_hold AS hold
LEFT JOIN erp.login ON login.id = hold.login_id
LEFT JOIN net.nas ON nas.id = hold.nas_id
WHERE hold.id = $1;

-- name: list_legal_holds
-- Those in force, or with $1 all there ever were.
SELECT
    hold.id, login.name AS login, hold.address::text AS address, nas.name AS nas, hold.since, hold.until, hold.reason,
    hold.created_at, hold.created_by, hold.released_at, hold.released_by, hold.release_reason
FROM net.legal_hold AS hold
LEFT JOIN erp.login ON login.id = hold.login_id
LEFT JOIN net.nas ON nas.id = hold.nas_id
WHERE $1::boolean OR hold.released_at IS NULL
ORDER BY hold.id DESC
LIMIT $2::integer;

-- name: release_legal_hold
-- The database says who and when.
UPDATE net.legal_hold SET released_at = now(), released_by = erp.current_operator(), release_reason = $2
WHERE id = $1 AND released_at IS NULL
RETURNING id;

-- name: find_pool
-- Routers tell upper from lower case in names of pools; who types need not, where only one can be meant.
SELECT pool.id, concat_ws(' ', pool.name, '(' || pool.address_space || ')') AS name,
    CASE WHEN pool.name = $1 THEN 1 WHEN lower(pool.name) = lower($1) THEN 2 ELSE 3 END AS rank
FROM net.pool
WHERE lower(pool.name) = lower($1) OR pool.id = $2::integer
ORDER BY rank, pool.address_space, pool.id
LIMIT 20;

-- name: show_pool
-- With its ranges, what is excluded, and how many name it.
SELECT to_jsonb(pool) || jsonb_build_object(
    'gateway', host(pool.gateway),
    'ipv4_pool', ipv4.name,
    'ipv6_pool', ipv6.name,
    'delegated_pool', delegated.name,
    'ranges', (
        SELECT coalesce(jsonb_agg(jsonb_build_object(
            'id', range.id, 'first', host(range.first), 'last', host(range.last), 'units', range.units,
            'next', range.next) ORDER BY range.first), '[]')
        FROM net.pool_range AS range WHERE range.pool_id = pool.id),
    'exclusions', (
        SELECT coalesce(jsonb_agg(jsonb_build_object(
            'first', host(exclusion.first), 'last', host(exclusion.last),
            'units', exclusion.until_unit - exclusion.from_unit, 'why', exclusion.why) ORDER BY exclusion.first), '[]')
        FROM net.pool_exclusion AS exclusion
        JOIN net.pool_range AS range ON range.id = exclusion.range_id
        WHERE range.pool_id = pool.id),
    'named_by', jsonb_build_object(
        'logins', (SELECT count(*) FROM erp.login WHERE login.deleted_at IS NULL
            AND pool.name IN (login.ipv4_pool, login.ipv6_pool, login.delegated_ipv6_pool)),
        'contracts', (SELECT count(*) FROM erp.contract
            WHERE pool.name IN (contract.ipv4_pool, contract.ipv6_pool, contract.delegated_ipv6_pool)),
        'plans', (SELECT count(*) FROM erp.plan WHERE pool.name IN (plan.ipv4_pool, plan.ipv6_pool, plan.delegated_ipv6_pool)),
        'nases', (SELECT count(*) FROM net.nas
            WHERE pool.name IN (nas.ipv4_pool, nas.ipv6_pool, nas.delegated_ipv6_pool, nas.secondary_pool)),
        'parameters', (SELECT count(*) FROM erp.parameter WHERE parameter.name LIKE '%\_pool' AND parameter.value = pool.name),
        'pools', (SELECT count(*) FROM net.pool AS dual
            WHERE pool.id IN (dual.ipv4_pool_id, dual.ipv6_pool_id, dual.delegated_pool_id)))
    ) AS record
FROM net.pool
LEFT JOIN net.pool AS ipv4 ON ipv4.id = pool.ipv4_pool_id
LEFT JOIN net.pool AS ipv6 ON ipv6.id = pool.ipv6_pool_id
LEFT JOIN net.pool AS delegated ON delegated.id = pool.delegated_pool_id
WHERE pool.id = $1;

-- name: links_of_pool
-- Who names it, unless another address space has a pool of that name; who has an address of it; what is set aside.
(SELECT 'pool' AS thing, dual.id, dual.name FROM net.pool AS dual
    WHERE $1::integer IN (dual.ipv4_pool_id, dual.ipv6_pool_id, dual.delegated_pool_id) ORDER BY dual.id LIMIT 10)
UNION ALL
(SELECT 'lease', coalesce(lease.login_id, 0), concat_ws(' ', lease.address::text, login.name)
    FROM net.lease LEFT JOIN erp.login ON login.id = lease.login_id
    WHERE lease.pool_id = $1 AND (lease.state = 'bound'
        OR lease.state = 'released' AND NOT net.is_forgotten(lease.changed, lease.valid_until)) ORDER BY lease.address LIMIT 10)
UNION ALL
(SELECT 'reserve', coalesce(node.id, 0), concat_ws(' ', node.name, reserve.slot) FROM net.reserve LEFT JOIN net.node ON node.id = reserve.node_id
    WHERE reserve.pool_id = $1 ORDER BY reserve.id LIMIT 10)
UNION ALL
(SELECT named.thing, named.id, named.name
    FROM net.pool, LATERAL (
        (SELECT 'login' AS thing, login.id, login.name FROM erp.login WHERE login.deleted_at IS NULL
            AND pool.name IN (login.ipv4_pool, login.ipv6_pool, login.delegated_ipv6_pool) ORDER BY login.id LIMIT 10)
        UNION ALL
        (SELECT 'contract', contract.id, client.name FROM erp.contract JOIN erp.client ON client.id = contract.client_id
            WHERE pool.name IN (contract.ipv4_pool, contract.ipv6_pool, contract.delegated_ipv6_pool) ORDER BY contract.id LIMIT 10)
        UNION ALL
        (SELECT 'plan', plan.id, plan.name FROM erp.plan
            WHERE pool.name IN (plan.ipv4_pool, plan.ipv6_pool, plan.delegated_ipv6_pool) ORDER BY plan.id LIMIT 10)
        UNION ALL
        (SELECT 'nas', nas.id, nas.name FROM net.nas
            WHERE pool.name IN (nas.ipv4_pool, nas.ipv6_pool, nas.delegated_ipv6_pool, nas.secondary_pool) ORDER BY nas.id LIMIT 10)
        UNION ALL
        (SELECT 'parameter', coalesce(parameter.branch_id, 0), parameter.name FROM erp.parameter
            WHERE parameter.name LIKE '%\_pool' AND parameter.value = pool.name ORDER BY parameter.name LIMIT 10)
    ) AS named
    WHERE pool.id = $1 AND NOT EXISTS (SELECT FROM net.pool AS other WHERE other.name = pool.name AND other.id <> pool.id));

-- name: delete_pool
-- With its ranges, which go first: addresses that rest leave the ledger, fixed ones stay in it, of no pool.
WITH ranges AS (
    DELETE FROM net.pool_range WHERE pool_id = $1 RETURNING id
)
DELETE FROM net.pool WHERE id = $1 AND (SELECT count(*) FROM ranges) >= 0 RETURNING id;

-- name: expected_of_router
-- What a router should say of us: the NAS entry, the secrets that are believed (they are compared and never shown), the
-- addresses at which nodes were heard by it, and the address lists that its branch's parameters name.
SELECT nas.name, nas.kind, nas.address::text AS network, nas.coa_port, nas.timeout_ms,
    ARRAY(
        SELECT secret FROM (
            SELECT nas.secret
            UNION SELECT nas.secret_previous WHERE nas.secret_previous_until > now()
            UNION SELECT further.secret FROM net.nas_secret AS further
            WHERE further.nas_id = nas.id AND coalesce(further.valid_until > now(), true)
        ) AS believed
    ) AS secrets,
    ARRAY(
        SELECT DISTINCT host(heard.local_address)
        FROM net.router
        JOIN net.nas_server AS heard ON heard.router_id = router.id
        WHERE router.nas_id = nas.id
    ) AS servers,
    erp.parameter_value('blocked_address_list', nas.branch_id) AS blocked_address_list,
    erp.parameter_value('blocked_address_list_ipv6', nas.branch_id) AS blocked_address_list_ipv6,
    erp.parameter_value('notice_address_list', nas.branch_id) AS notice_address_list,
    erp.parameter_value('notice_address_list_ipv6', nas.branch_id) AS notice_address_list_ipv6
FROM net.nas WHERE nas.id = $1;

-- name: logins_among
-- Which of these names are logins'.
SELECT named.name FROM unnest($1::text[]) AS named (name)
WHERE EXISTS (
    SELECT FROM erp.login WHERE erp.fold_login(login.name) = erp.fold_login(named.name) AND login.deleted_at IS NULL);
