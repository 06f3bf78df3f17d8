-- Simultaneous use of a login (rule R5.4).

CREATE OR REPLACE FUNCTION erp.parameter_kind(name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN name IN (
            'block_accents_in_logins', 'document_required', 'blocked_state', 'let_in_awaiting_signature',
            'mac_bind', 'mac_learn', 'nas_bind', 'nas_learn', 'port_bind', 'port_learn', 'circuit_bind', 'circuit_learn',
            'trust_unlock', 'require_notice', 'single_receivables_block', 'inactivate_client_on_last_cancel',
            'login_required_for_internet', 'keep_plan_with_equipment', 'delete_nas_with_cancelled_contracts',
            'allow_inactive_client_with_contracts', 'allow_voluntary_suspension', 'duplicate_address_warning',
            'simultaneous_refuse')
            THEN 'switch'
        WHEN name IN ('blocked_upload', 'blocked_download') THEN 'speed'
        WHEN name IN (
            'blocked_ipv4_pool', 'blocked_ipv6_pool', 'blocked_delegated_ipv6_pool', 'blocked_group',
            'blocked_address_list', 'blocked_address_list_ipv6', 'notice_address_list', 'notice_address_list_ipv6',
            'ipv4_pool', 'ipv6_pool', 'delegated_ipv6_pool')
            THEN 'name'
        WHEN name = 'dns' THEN 'addresses'
        WHEN name = 'strip_realms' THEN 'realms'
        WHEN name = 'default_realm' THEN 'realm'
        WHEN name = 'no_block_days' THEN 'days'
        WHEN name = 'session_timeout_max_s' THEN '60 to 31536000'
        WHEN name = 'trust_unlock_days' THEN '1 to 30'
        WHEN name = 'days_after_notice' THEN '0 to 365'
        WHEN name = 'password_length' THEN '12 to 64'
        WHEN name = 'history_days' THEN '365 to 3660'
        WHEN name = 'session_lost_hours' THEN '1 to 720'
    END;

-- Where begins are counted: devices that push each other out are found by when their sessions began.
CREATE INDEX session_started ON net.session (started_at) INCLUDE (login_id);

-- Devices that push each other out -------------------------------------------------------------------------------

CREATE TABLE net.login_contest (
    login_id integer PRIMARY KEY,
    mac macaddr NOT NULL,
    nas_id integer NOT NULL,
    other_mac macaddr NOT NULL,
    replacements integer NOT NULL,
    began_at timestamptz NOT NULL DEFAULT now(),
    until timestamptz NOT NULL,
    CONSTRAINT login_contest_devices_differ CHECK (mac <> other_mac),
    CONSTRAINT login_contest_in_order CHECK (until > began_at),
    CONSTRAINT login_contest_replacements_range CHECK (replacements > 0)
);
COMMENT ON TABLE net.login_contest IS
    'Logins whose devices were pushing each other out: until `until` only the device that was connected first gets in. Kept by the daemon, without a foreign key, since it is deleted soon.';
COMMENT ON COLUMN net.login_contest.mac IS 'The device that was connected first; nas_id: where.';
COMMENT ON COLUMN net.login_contest.other_mac IS 'The device that came last of those that are kept out.';
COMMENT ON COLUMN net.login_contest.replacements IS 'How often one took the place of another within ten minutes.';
CREATE INDEX login_contest_until ON net.login_contest (until);

-- A contest stands in its login's record.
CREATE FUNCTION net.log_login_contest() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    run constant integer := net.current_run();
    written bigint;
BEGIN
    PERFORM erp.serve_only('net.log_login_contest', TG_RELID, 'net.login_contest');
    CASE TG_OP
    WHEN 'TRUNCATE' THEN
        INSERT INTO net.change (kind, key, run_id) VALUES ('truncate', 0, run);
    WHEN 'DELETE' THEN
        INSERT INTO net.change (kind, key, run_id) SELECT 'login', login_id, run FROM old_rows;
    ELSE
        INSERT INTO net.change (kind, key, run_id) SELECT 'login', login_id, run FROM new_rows;
    END CASE;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written > 0 THEN
        PERFORM pg_notify('aaad_change', '');
    END IF;
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION net.log_login_contest FROM PUBLIC;
CREATE TRIGGER log_insert AFTER INSERT ON net.login_contest REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION net.log_login_contest();
CREATE TRIGGER log_update AFTER UPDATE ON net.login_contest REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION net.log_login_contest();
CREATE TRIGGER log_delete AFTER DELETE ON net.login_contest REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION net.log_login_contest();
CREATE TRIGGER log_truncate AFTER TRUNCATE ON net.login_contest
    FOR EACH STATEMENT EXECUTE FUNCTION net.log_login_contest();

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
        login.ipv4_pool,
        login.ipv6_pool,
        login.delegated_ipv6_pool,
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

INSERT INTO net.chore (name) VALUES ('contests');
