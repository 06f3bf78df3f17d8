-- What the nodes' replicas copy for addresses (rule R7): the pools that contracts and concentrators name, beside those of
-- logins and plans. Leases are followed by net.lease.changed alone, without triggers (aaad/replica/leases.py).

CALL net.follow('erp.contract',
    '{id, client_id, branch_id, plan_id, status, access_status, suspended, suspended_from, suspended_until, oldest_open_due, not_reduced_until, access_ends_at, trust_unlock_active, trust_unlock_until, late_speed, speed_status, ipv4_pool, ipv6_pool, delegated_ipv6_pool}');
CALL net.follow('net.nas',
    '{id, name, address, secret, secret_previous, secret_previous_until, kind, enabled, message_authenticator, timeout_ms, tries, branch_id, address_space, coa_address, coa_port, api_address, octets_swapped, ipv4_pool, ipv6_pool, delegated_ipv6_pool}');

DROP VIEW net.login_source;
CREATE VIEW net.login_source AS
SELECT source.*, hashtextextended(source::text, 0) AS digest
FROM (
    SELECT
        login.id AS login_id,
        login.name,
        login.contract_id,
        contract.client_id,
        coalesce(login.plan_id, contract.plan_id) AS plan_id,
        contract.branch_id,
        login.active AS login_active,
        login.deleted_at IS NOT NULL AS deleted,
        client.active AS client_active,
        contract.status AS contract_status,
        contract.access_status,
        contract.suspended,
        contract.suspended_from,
        contract.suspended_until,
        contract.oldest_open_due,
        contract.not_reduced_until,
        contract.access_ends_at,
        contract.trust_unlock_active,
        contract.trust_unlock_until,
        contract.late_speed,
        contract.speed_status,
        login.authentication,
        login.password,
        login.password_md5,
        login.ipv4,
        login.mac,
        login.auto_fill_mac,
        login.bind_mac,
        login.nas_id,
        login.auto_fill_nas,
        login.bind_nas,
        login.port_id,
        login.auto_fill_port,
        login.bind_port,
        login.circuit_id,
        login.auto_fill_circuit,
        login.bind_circuit,
        login.mac_login,
        erp.hours_mask(login.access_hours) AS hours,
        login.cap_reached,
        login.upload,
        login.download,
        coalesce(login.ipv4_pool, contract.ipv4_pool) AS ipv4_pool,
        coalesce(login.ipv6_pool, contract.ipv6_pool) AS ipv6_pool,
        coalesce(login.delegated_ipv6_pool, contract.delegated_ipv6_pool) AS delegated_ipv6_pool,
        login.ipv6_prefix::text AS ipv6_prefix,
        login.delegated_ipv6_prefix::text AS delegated_ipv6_prefix,
        login.routes::text[] AS routes,
        login.address_list,
        login.address_list_ipv6,
        login.dns::text[] AS dns,
        extra.attributes,
        contest.until AS contest_until,
        contest.mac::text AS contest_mac
    FROM erp.login
    JOIN erp.contract ON contract.id = login.contract_id
    JOIN erp.client ON client.id = contract.client_id
    CROSS JOIN LATERAL (
        SELECT string_agg(encoded, '' ORDER BY position, id) AS attributes
        FROM erp.login_attribute WHERE login_attribute.login_id = login.id
    ) AS extra
    LEFT JOIN net.login_contest AS contest ON contest.login_id = login.id
) AS source;
COMMENT ON VIEW net.login_source IS 'One row for each login with all that decides about it. Ask with WHERE login_id = ANY(…).';

-- By a row's login nodes learn whose leases to read again. Of a row that changes hands, or goes while it is bound, nobody
-- could tell whose it was: so that is logged. It is seldom, and costs nothing where login_id is not written.
CREATE FUNCTION net.log_lost_lease() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO net.change (kind, key) VALUES ('lease', OLD.login_id);
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION net.log_lost_lease FROM PUBLIC;
CREATE TRIGGER log_moved AFTER UPDATE OF login_id ON net.lease FOR EACH ROW
    WHEN (OLD.login_id IS DISTINCT FROM NEW.login_id AND OLD.login_id IS NOT NULL AND OLD.state IN ('bound', 'released'))
    EXECUTE FUNCTION net.log_lost_lease();
CREATE TRIGGER log_delete AFTER DELETE ON net.lease FOR EACH ROW WHEN (OLD.state = 'bound')
    EXECUTE FUNCTION net.log_lost_lease();

-- A ledger that was emptied is read anew.
CREATE TRIGGER log_truncate AFTER TRUNCATE ON net.lease FOR EACH STATEMENT EXECUTE FUNCTION net.log_change();
