-- Schema erp, the rest of what an ERP knows: billing types, receivables, contacts and addresses, operators and their
-- permissions, the closed list of parameters; and what follows from them for contracts, kept by triggers.
--
-- Switches with three values are S (yes), N (no) and P (as the parameter says: that of the branch, else the general one).

-- Forms -------------------------------------------------------------------------------------------------------

-- Nodes keep days in 16 bits and instants in 32, and 0 means "none" in both.
CREATE FUNCTION erp.is_day(day date) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN day BETWEEN date '1970-01-02' AND date '2099-12-31';
COMMENT ON FUNCTION erp.is_day IS 'A day that nodes can count with: 1970-01-02 to 2099-12-31.';

CREATE FUNCTION erp.is_instant(instant timestamptz) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN instant BETWEEN timestamptz '1970-01-02 00:00:00+00' AND timestamptz '2100-12-31 23:59:59+00';

CREATE FUNCTION erp.is_three_valued(switch text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN switch IN ('S', 'N', 'P');

-- What a router calls something: a pool, a list, a profile.
CREATE FUNCTION erp.is_router_name(name text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN name ~ '^[!-~]([ -~]{0,126}[!-~])?$';
COMMENT ON FUNCTION erp.is_router_name IS 'Name of a pool, address list or profile on a router: 1 to 128 printable ASCII characters.';

-- Addresses of servers, joined by ; and written as PostgreSQL writes them.
CREATE FUNCTION erp.is_server_list(list text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    item text;
BEGIN
    IF list !~ '^[0-9a-f:.]+(;[0-9a-f:.]+){0,7}$' THEN
        RETURN false;
    END IF;
    FOREACH item IN ARRAY string_to_array(list, ';') LOOP
        IF host(item::inet) <> item THEN
            RETURN false;
        ELSIF family(item::inet) = 4 AND NOT erp.is_host_ipv4(item::inet) THEN
            RETURN false;
        ELSIF family(item::inet) = 6 AND NOT (item::inet <<= inet '2000::/3' OR item::inet <<= inet 'fc00::/7') THEN
            RETURN false;
        END IF;
    END LOOP;
    RETURN true;
EXCEPTION WHEN invalid_text_representation THEN
    RETURN false;
END
$$;
COMMENT ON FUNCTION erp.is_server_list IS 'One to eight IPv4 or IPv6 addresses, joined by ; without spaces.';

CREATE FUNCTION erp.is_realm(realm text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN realm ~ '^[A-Za-z0-9._-]{1,62}$';

-- Parameters --------------------------------------------------------------------------------------------------

CREATE FUNCTION erp.parameter_kind(name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN name IN (
            'block_accents_in_logins', 'document_required', 'blocked_state', 'let_in_awaiting_signature',
            'mac_bind', 'mac_learn', 'nas_bind', 'nas_learn', 'port_bind', 'port_learn', 'circuit_bind', 'circuit_learn',
            'trust_unlock', 'require_notice', 'single_receivables_block', 'inactivate_client_on_last_cancel',
            'login_required_for_internet', 'keep_plan_with_equipment', 'delete_nas_with_cancelled_contracts',
            'allow_inactive_client_with_contracts', 'allow_voluntary_suspension', 'duplicate_address_warning')
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
    END;
COMMENT ON FUNCTION erp.parameter_kind IS 'What values a parameter has, a range for a number; null: there is no such parameter.';

-- Where nothing may be said an empty text says so: a branch without the list that the general value names.
CREATE FUNCTION erp.is_parameter_value(name text, value text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE erp.parameter_kind(name)
        WHEN 'switch' THEN value IN ('S', 'N', 'P')
        WHEN 'speed' THEN erp.is_speed(value)
        WHEN 'name' THEN value = '' OR erp.is_router_name(value)
        WHEN 'addresses' THEN value = '' OR erp.is_server_list(value)
        WHEN 'realms' THEN value IN ('', '*') OR value ~ '^[A-Za-z0-9._-]{1,62}(;[A-Za-z0-9._-]{1,62})*$'
        WHEN 'realm' THEN value = '' OR erp.is_realm(value)
        WHEN 'days' THEN value = '' OR string_to_array(value, ';') <@ ARRAY[
            'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday', 'holiday', 'holiday_eve']
        ELSE CASE WHEN value ~ '^(0|[1-9][0-9]{0,8})$' THEN
            value::integer BETWEEN split_part(erp.parameter_kind(name), ' to ', 1)::integer
                AND split_part(erp.parameter_kind(name), ' to ', 2)::integer
            ELSE false END
    END;

-- Nothing ever read the value of another name, or one that is not valid; what they were is told.
WITH gone AS (
    DELETE FROM erp.parameter WHERE erp.is_parameter_value(name, value) IS NOT TRUE
    RETURNING branch_id, name, value
)
INSERT INTO erp.history (branch_id, kind, text, source)
SELECT branch_id, 'parameter_removed', format('%s = %s: not a parameter, or not a value of it', name, value), 'api' FROM gone;

ALTER TABLE erp.parameter
    DROP CONSTRAINT parameter_value_yes_no_default,
    ADD CONSTRAINT parameter_name_known CHECK (erp.parameter_kind(name) IS NOT NULL),
    ADD CONSTRAINT parameter_value_yes_no_default CHECK (
        erp.parameter_kind(name) <> 'switch' OR value IN ('S', 'N') OR (value = 'P' AND branch_id IS NOT NULL)),
    -- For a switch the one above says it, for another name the one before.
    ADD CONSTRAINT parameter_value_form CHECK (
        erp.parameter_kind(name) = 'switch' OR erp.is_parameter_value(name, value) IS NOT FALSE);

-- Billing types -----------------------------------------------------------------------------------------------

CREATE TABLE erp.billing_type (
    id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    active boolean NOT NULL DEFAULT true,
    payment text NOT NULL DEFAULT 'Pos',
    notice_days integer NOT NULL DEFAULT 5,
    block_days integer NOT NULL DEFAULT 15,
    block_renegotiated_days integer NOT NULL DEFAULT 15,
    prepaid_grace_days integer NOT NULL DEFAULT 0,
    CONSTRAINT billing_type_id_range CHECK (id > 0),
    CONSTRAINT billing_type_name_unique UNIQUE (name),
    CONSTRAINT billing_type_name_no_outer_space CHECK (name <> '' AND erp.is_trimmed(name)),
    CONSTRAINT billing_type_payment_known CHECK (payment IN ('Pre', 'Pos')),
    CONSTRAINT billing_type_notice_days_range CHECK (notice_days BETWEEN 0 AND 365),
    CONSTRAINT billing_type_block_days_range CHECK (block_days BETWEEN 0 AND 365),
    CONSTRAINT billing_type_block_renegotiated_days_range CHECK (block_renegotiated_days BETWEEN 0 AND 365),
    CONSTRAINT billing_type_prepaid_grace_days_range CHECK (prepaid_grace_days BETWEEN 0 AND 365)
);
COMMENT ON TABLE erp.billing_type IS 'How contracts are paid and what happens when they are not (tipo de contrato).';
COMMENT ON COLUMN erp.billing_type.payment IS 'Pre: access ends with what was paid. Pos: paid after use.';
COMMENT ON COLUMN erp.billing_type.notice_days IS 'Days after the due date: notice (avisar ao atrasar).';
COMMENT ON COLUMN erp.billing_type.block_days IS 'Days after the due date: automatic block (bloquear ao atrasar).';
COMMENT ON COLUMN erp.billing_type.block_renegotiated_days IS 'The same for titles of a renegotiation.';
COMMENT ON COLUMN erp.billing_type.prepaid_grace_days IS 'Days of grace after contract.paid_until (dias de carência).';

-- Contracts ---------------------------------------------------------------------------------------------------

-- Days that no node could count with meant "always" or "never" here.
UPDATE erp.contract SET
    suspended_from = least(greatest(suspended_from, date '1970-01-02'), date '2099-12-31'),
    suspended_until = least(greatest(suspended_until, date '1970-01-02'), date '2099-12-31')
WHERE NOT erp.is_day(suspended_from) OR NOT erp.is_day(suspended_until);

ALTER TABLE erp.contract
    ADD COLUMN billing_type_id integer REFERENCES erp.billing_type,
    ADD COLUMN reference text,
    ADD COLUMN oldest_open_due date,
    ADD COLUMN block_automatically text NOT NULL DEFAULT 'S',
    ADD COLUMN do_not_block_until date,
    ADD COLUMN notice_automatically text NOT NULL DEFAULT 'P',
    ADD COLUMN do_not_notice_until date,
    ADD COLUMN trust_unlock text NOT NULL DEFAULT 'P',
    ADD COLUMN trust_unlock_active boolean NOT NULL DEFAULT false,
    ADD COLUMN trust_unlock_until timestamptz,
    ADD COLUMN trust_unlock_used_for_due date,
    ADD COLUMN trust_unlock_restricted boolean NOT NULL DEFAULT false,
    ADD COLUMN trust_unlock_restriction_reason text,
    ADD COLUMN force_access text NOT NULL DEFAULT 'P',
    ADD COLUMN late_speed text NOT NULL DEFAULT 'P',
    ADD COLUMN not_reduced_until date,
    ADD COLUMN speed_status text NOT NULL DEFAULT 'N',
    ADD COLUMN paid_until date,
    ADD COLUMN access_ends_at timestamptz,
    ADD COLUMN logins_max integer,
    ADD COLUMN simultaneous_max integer,
    ADD COLUMN activated_at timestamptz,
    ADD COLUMN notice_at timestamptz,
    ADD COLUMN blocked_at timestamptz,
    ADD COLUMN unblocked_at timestamptz,
    ADD COLUMN trust_unlocked_at timestamptz,
    ADD COLUMN disabled_at timestamptz,
    ADD COLUMN cancelled_on date,
    ADD COLUMN cancellation_reason text,
    ADD CONSTRAINT contract_reference_no_outer_space CHECK (reference <> '' AND erp.is_trimmed(reference)),
    ADD CONSTRAINT contract_suspended_from_range CHECK (erp.is_day(suspended_from)),
    ADD CONSTRAINT contract_suspended_until_range CHECK (erp.is_day(suspended_until)),
    ADD CONSTRAINT contract_block_automatically_known CHECK (block_automatically IN ('S', 'N')),
    ADD CONSTRAINT contract_notice_automatically_known CHECK (erp.is_three_valued(notice_automatically)),
    ADD CONSTRAINT contract_trust_unlock_known CHECK (erp.is_three_valued(trust_unlock)),
    ADD CONSTRAINT contract_trust_unlock_with_until CHECK (NOT trust_unlock_active OR trust_unlock_until IS NOT NULL),
    ADD CONSTRAINT contract_trust_unlock_until_range CHECK (erp.is_instant(trust_unlock_until)),
    ADD CONSTRAINT contract_trust_unlock_restriction_reason_no_outer_space CHECK (
        trust_unlock_restriction_reason <> '' AND erp.is_trimmed(trust_unlock_restriction_reason)),
    ADD CONSTRAINT contract_force_access_known CHECK (erp.is_three_valued(force_access)),
    ADD CONSTRAINT contract_late_speed_known CHECK (erp.is_three_valued(late_speed)),
    ADD CONSTRAINT contract_not_reduced_until_range CHECK (erp.is_day(not_reduced_until)),
    ADD CONSTRAINT contract_speed_status_known CHECK (speed_status IN ('N', 'R')),
    ADD CONSTRAINT contract_paid_until_range CHECK (erp.is_day(paid_until)),
    ADD CONSTRAINT contract_logins_max_range CHECK (logins_max BETWEEN 1 AND 10000),
    ADD CONSTRAINT contract_simultaneous_max_range CHECK (simultaneous_max BETWEEN 1 AND 10000),
    ADD CONSTRAINT contract_cancellation_reason_no_outer_space CHECK (
        cancellation_reason <> '' AND erp.is_trimmed(cancellation_reason));
COMMENT ON COLUMN erp.contract.reference IS 'What tells it from others of the same client, such as the address (referência do plano).';
COMMENT ON COLUMN erp.contract.oldest_open_due IS 'Due date of its oldest open receivable. Kept by triggers; whatever is written.';
COMMENT ON COLUMN erp.contract.block_automatically IS 'S or N (bloqueio automático).';
COMMENT ON COLUMN erp.contract.do_not_block_until IS 'Not blocked automatically up to the end of that day.';
COMMENT ON COLUMN erp.contract.notice_automatically IS 'S, N or P (aviso automático).';
COMMENT ON COLUMN erp.contract.trust_unlock IS 'May be unblocked on a promise: S, N or P, parameter trust_unlock (desbloqueio de confiança).';
COMMENT ON COLUMN erp.contract.trust_unlock_active IS 'Unblocked on a promise until trust_unlock_until; see erp.unlock_on_trust().';
COMMENT ON COLUMN erp.contract.trust_unlock_used_for_due IS 'Due date of the title that the last one was given for: none more until it is paid.';
COMMENT ON COLUMN erp.contract.trust_unlock_restricted IS 'None is given, whatever trust_unlock says (restrição de auto desbloqueio).';
COMMENT ON COLUMN erp.contract.force_access IS 'S: no program changes access_status by itself (forçar status acesso). N and P: it may.';
COMMENT ON COLUMN erp.contract.late_speed IS 'The plan for who is late: S and P as the plan says, N never (liberação de redução de velocidade).';
COMMENT ON COLUMN erp.contract.not_reduced_until IS 'The plan for who is late does not hold up to the end of that day (não reduzir até).';
COMMENT ON COLUMN erp.contract.speed_status IS 'N normal, R reduced: the plan for who is late holds at once.';
COMMENT ON COLUMN erp.contract.paid_until IS 'Billing type Pre: the last day that is paid (pago até).';
COMMENT ON COLUMN erp.contract.access_ends_at IS 'When prepaid access ends, grace included. Kept by triggers; whatever is written.';
COMMENT ON COLUMN erp.contract.logins_max IS 'How many logins it may have; null: any number.';
COMMENT ON COLUMN erp.contract.simultaneous_max IS 'Sessions at once of each login; null: one.';
COMMENT ON COLUMN erp.contract.blocked_at IS 'When it was last blocked. This and its neighbours are kept by a trigger when a status changes.';
CREATE INDEX contract_billing_type ON erp.contract (billing_type_id);
CREATE INDEX contract_branch ON erp.contract (branch_id);
CREATE INDEX contract_trust_unlock ON erp.contract (trust_unlock_until) WHERE trust_unlock_active;

CALL net.follow('erp.contract',
    '{id, client_id, branch_id, plan_id, status, access_status, suspended, suspended_from, suspended_until, oldest_open_due, not_reduced_until, access_ends_at, trust_unlock_active, trust_unlock_until, late_speed, speed_status}');
