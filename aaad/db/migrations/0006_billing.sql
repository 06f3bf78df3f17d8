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

-- Branches and plans ------------------------------------------------------------------------------------------

-- PostgreSQL also takes names in any case, offsets and rules such as <-03>3, none of which nodes know.
CREATE OR REPLACE FUNCTION erp.check_time_zone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (TG_OP = 'INSERT' OR NEW.time_zone <> OLD.time_zone) AND (
        NEW.time_zone ~ '^(posix|right)/' OR NEW.time_zone IN ('Factory', 'localtime', 'posixrules')
        OR NOT EXISTS (SELECT FROM pg_timezone_names AS known WHERE known.name = NEW.time_zone))
    THEN
        RAISE EXCEPTION 'time zone "%" is not known', NEW.time_zone
            USING ERRCODE = 'check_violation', CONSTRAINT = 'branch_time_zone_known', SCHEMA = 'erp', TABLE = 'branch',
            COLUMN = 'time_zone', HINT = 'Use an IANA name in its exact case, such as America/Sao_Paulo or America/Manaus.';
    END IF;
    RETURN NEW;
END
$$;
-- The list of names is read from many files: not for the usual one.
DROP TRIGGER check_time_zone ON erp.branch;
CREATE TRIGGER check_time_zone BEFORE INSERT OR UPDATE OF time_zone ON erp.branch FOR EACH ROW
    WHEN (NEW.time_zone <> 'America/Sao_Paulo') EXECUTE FUNCTION erp.check_time_zone();
UPDATE erp.branch SET time_zone = known.name FROM pg_timezone_names AS known
WHERE lower(known.name) = lower(regexp_replace(branch.time_zone, '^posix/', '', 'i')) AND known.name <> branch.time_zone;

-- What nodes hold in memory is bounded.
CREATE FUNCTION erp.is_short(name text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN length(name) <= 128;
CREATE FUNCTION erp.shortened(name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN btrim(left(name, 128), E' \t\n\r\f\v\u00a0');
UPDATE erp.branch SET name = erp.shortened(name) WHERE NOT erp.is_short(name);
UPDATE erp.plan SET name = erp.shortened(name) WHERE NOT erp.is_short(name);
UPDATE net.nas SET name = erp.shortened(name) WHERE NOT erp.is_short(name);
ALTER TABLE erp.branch ADD CONSTRAINT branch_name_length CHECK (erp.is_short(name));
ALTER TABLE erp.plan ADD CONSTRAINT plan_name_length CHECK (erp.is_short(name));
ALTER TABLE net.nas ADD CONSTRAINT nas_name_length CHECK (erp.is_short(name));
DROP FUNCTION erp.shortened;

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
        WHEN 'realms' THEN value IN ('', '*') OR value ~ '^[A-Za-z0-9._-]{1,62}(;[A-Za-z0-9._-]{1,62}){0,15}$'
        WHEN 'realm' THEN value = '' OR erp.is_realm(value)
        WHEN 'days' THEN value = '' OR (length(value) <= 128 AND string_to_array(value, ';') <@ ARRAY[
            'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday', 'holiday', 'holiday_eve'])
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

-- Days that no node could count with meant "always" or "never" here. An open end stays open: least() and greatest()
-- alone would make a day of it.
UPDATE erp.contract SET
    suspended_from = CASE WHEN suspended_from IS NOT NULL
        THEN least(greatest(suspended_from, date '1970-01-02'), date '2099-12-31') END,
    suspended_until = CASE WHEN suspended_until IS NOT NULL
        THEN least(greatest(suspended_until, date '1970-01-02'), date '2099-12-31') END
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
    ADD COLUMN trust_unlock_used_for_receivable integer,
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
    ADD COLUMN inclusion_reason text,
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
    ADD CONSTRAINT contract_inclusion_reason_known CHECK (
        inclusion_reason IN ('I', 'U', 'D', 'M', 'T', 'L', 'N', 'R')),
    ADD CONSTRAINT contract_cancellation_reason_no_outer_space CHECK (
        cancellation_reason <> '' AND erp.is_trimmed(cancellation_reason));
COMMENT ON COLUMN erp.contract.reference IS 'What tells it from others of the same client, such as the address (referência do plano).';
COMMENT ON COLUMN erp.contract.oldest_open_due IS 'Due date of its oldest open receivable. Kept by triggers; whatever is written.';
COMMENT ON COLUMN erp.contract.block_automatically IS 'S or N (bloqueio automático).';
COMMENT ON COLUMN erp.contract.do_not_block_until IS 'Not blocked automatically up to the end of that day.';
COMMENT ON COLUMN erp.contract.notice_automatically IS 'S, N or P (aviso automático).';
COMMENT ON COLUMN erp.contract.trust_unlock IS 'May be unblocked on a promise: S, N or P, parameter trust_unlock (desbloqueio de confiança).';
COMMENT ON COLUMN erp.contract.trust_unlock_active IS 'Unblocked on a promise until trust_unlock_until; see erp.unlock_on_trust().';
COMMENT ON COLUMN erp.contract.trust_unlock_used_for_due IS 'Due date of the title that the last one was given for: none more until it is paid. Null: free for another.';
COMMENT ON COLUMN erp.contract.trust_unlock_used_for_receivable IS 'That title, where it is known: none more until it is received or cancelled.';
COMMENT ON COLUMN erp.contract.trust_unlock_restricted IS 'None is given, whatever trust_unlock says (restrição de auto desbloqueio).';
COMMENT ON COLUMN erp.contract.force_access IS 'S: no program changes access_status by itself (forçar status acesso). N and P: it may.';
COMMENT ON COLUMN erp.contract.late_speed IS 'The plan for who is late: S and P as the plan says, N never (liberação de redução de velocidade).';
COMMENT ON COLUMN erp.contract.not_reduced_until IS 'The plan for who is late does not hold up to the end of that day (não reduzir até).';
COMMENT ON COLUMN erp.contract.speed_status IS 'N normal, R reduced: the plan for who is late holds at once.';
COMMENT ON COLUMN erp.contract.paid_until IS 'Billing type Pre: the last day that is paid (pago até).';
COMMENT ON COLUMN erp.contract.access_ends_at IS 'When prepaid access ends, grace included. Kept by triggers; whatever is written.';
COMMENT ON COLUMN erp.contract.logins_max IS 'How many logins it may have; null: any number.';
COMMENT ON COLUMN erp.contract.inclusion_reason IS
    'For people (motivo_inclusao): I installation, U upgrade, D downgrade, M move, T technology, L other holder, N negotiation, R reactivation.';
COMMENT ON COLUMN erp.contract.simultaneous_max IS 'Sessions at once of each login; null: one.';
COMMENT ON COLUMN erp.contract.blocked_at IS 'When it was last blocked. This and its neighbours are kept by a trigger when a status changes.';
CREATE INDEX contract_billing_type ON erp.contract (billing_type_id);
CREATE INDEX contract_branch ON erp.contract (branch_id);
CREATE INDEX contract_trust_unlock ON erp.contract (trust_unlock_until) WHERE trust_unlock_active;

CALL net.follow('erp.contract',
    '{id, client_id, branch_id, plan_id, status, access_status, suspended, suspended_from, suspended_until, oldest_open_due, not_reduced_until, access_ends_at, trust_unlock_active, trust_unlock_until, late_speed, speed_status}');

-- The day that it is in a branch, and the instant at which a day is over there.
CREATE FUNCTION erp.today(of_branch integer) RETURNS date LANGUAGE sql STABLE
    RETURN (SELECT (now() AT TIME ZONE time_zone)::date FROM erp.branch WHERE id = of_branch);

CREATE FUNCTION erp.end_of_day(day date, of_branch integer) RETURNS timestamptz LANGUAGE sql STABLE
    RETURN (SELECT (day + 1)::timestamp AT TIME ZONE time_zone FROM erp.branch WHERE id = of_branch);

-- What follows from a contract's statuses: dates for people, and the end of a trust unlock ----------------------

CREATE FUNCTION erp.keep_contract_dates() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM erp.serve_only('erp.keep_contract_dates', TG_RELID, 'erp.contract');
    -- A date that the statement itself brings stays as it is.
    IF NEW.access_status <> OLD.access_status THEN
        IF NEW.access_status IN ('CM', 'CA') AND NEW.blocked_at IS NOT DISTINCT FROM OLD.blocked_at THEN
            NEW.blocked_at := now();
        ELSIF NEW.access_status = 'D' AND NEW.disabled_at IS NOT DISTINCT FROM OLD.disabled_at THEN
            NEW.disabled_at := now();
        END IF;
        IF NEW.access_status = 'FA' AND NEW.notice_at IS NOT DISTINCT FROM OLD.notice_at THEN
            NEW.notice_at := now();
        END IF;
        IF OLD.access_status IN ('CM', 'CA') AND NEW.access_status IN ('A', 'FA')
            AND NEW.unblocked_at IS NOT DISTINCT FROM OLD.unblocked_at
        THEN
            NEW.unblocked_at := now();
        END IF;
    END IF;
    IF NEW.status <> OLD.status THEN
        IF NEW.status = 'A' THEN
            IF NEW.activated_at IS NOT DISTINCT FROM OLD.activated_at THEN
                NEW.activated_at := now();
            END IF;
            NEW.activated_on := coalesce(NEW.activated_on, erp.today(NEW.branch_id));
            IF NEW.cancelled_on IS NOT DISTINCT FROM OLD.cancelled_on THEN
                NEW.cancelled_on := NULL;
                NEW.cancellation_reason := NULL;
            END IF;
        ELSIF NEW.status IN ('I', 'D') AND OLD.status NOT IN ('I', 'D') THEN
            NEW.cancelled_on := coalesce(NEW.cancelled_on, erp.today(NEW.branch_id));
        END IF;
    END IF;
    RETURN NEW;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.keep_contract_dates FROM PUBLIC;
CREATE TRIGGER keep_dates BEFORE UPDATE OF status, access_status ON erp.contract FOR EACH ROW
    WHEN (NEW.status <> OLD.status OR NEW.access_status <> OLD.access_status)
    EXECUTE FUNCTION erp.keep_contract_dates();

-- A trust unlock is over when nothing is overdue any more, or when the contract is blocked again. What it was given for
-- stays: a payment that is taken back does not make another one possible.
CREATE FUNCTION erp.end_trust_unlock() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM erp.serve_only('erp.end_trust_unlock', TG_RELID, 'erp.contract');
    IF NEW.access_status NOT IN ('A', 'FA') OR NEW.oldest_open_due IS NULL
        OR NEW.oldest_open_due >= erp.today(NEW.branch_id)
    THEN
        NEW.trust_unlock_active := false;
        NEW.trust_unlock_until := NULL;
    END IF;
    RETURN NEW;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.end_trust_unlock FROM PUBLIC;
CREATE TRIGGER trust_unlock_end BEFORE UPDATE OF oldest_open_due, access_status ON erp.contract FOR EACH ROW
    WHEN (NEW.trust_unlock_active AND (
        NEW.oldest_open_due IS DISTINCT FROM OLD.oldest_open_due OR NEW.access_status NOT IN ('A', 'FA')))
    EXECUTE FUNCTION erp.end_trust_unlock();

-- The end of prepaid access -----------------------------------------------------------------------------------
--
-- Who changes a billing type's days or a branch's zone writes contracts; who writes contracts reads both. So that neither
-- waits for the other with half of his rows in hand, each first takes one lock for the whole table: writers of contracts
-- share it, before they lock a row. The others wait for them with nothing in hand, and only shortly, since
-- meanwhile new writers of contracts wait, too.

CREATE FUNCTION erp.share_contracts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared('erp.contract'::regclass::oid::bigint);
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.share_contracts FROM PUBLIC;
CREATE TRIGGER share_contracts BEFORE INSERT OR UPDATE ON erp.contract
    FOR EACH STATEMENT EXECUTE FUNCTION erp.share_contracts();

CREATE FUNCTION erp.take_contracts() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
BEGIN
    PERFORM pg_advisory_xact_lock('erp.contract'::regclass::oid::bigint);
    RETURN NULL;
EXCEPTION WHEN lock_not_available THEN
    RAISE EXCEPTION 'other programs are writing contracts' USING ERRCODE = 'lock_not_available',
        HINT = 'Try again when their transactions are over.';
END
$$;
REVOKE EXECUTE ON FUNCTION erp.take_contracts FROM PUBLIC;
CREATE TRIGGER take_contracts BEFORE UPDATE OF payment, prepaid_grace_days ON erp.billing_type
    FOR EACH STATEMENT EXECUTE FUNCTION erp.take_contracts();
CREATE TRIGGER take_contracts BEFORE UPDATE OF time_zone ON erp.branch
    FOR EACH STATEMENT EXECUTE FUNCTION erp.take_contracts();

-- Billing type and branch are locked as well, so that a REPEATABLE READ transaction, which may see old days, fails.
CREATE FUNCTION erp.keep_access_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    grace_days integer;
BEGIN
    PERFORM erp.serve_only('erp.keep_access_end', TG_RELID, 'erp.contract');
    NEW.access_ends_at := NULL;
    IF NEW.billing_type_id IS NOT NULL AND NEW.paid_until IS NOT NULL THEN
        SELECT CASE WHEN payment = 'Pre' THEN prepaid_grace_days END INTO grace_days
        FROM erp.billing_type WHERE id = NEW.billing_type_id FOR SHARE;
        IF grace_days IS NOT NULL THEN
            PERFORM FROM erp.branch WHERE id = NEW.branch_id FOR SHARE;
            NEW.access_ends_at := erp.end_of_day(NEW.paid_until + grace_days, NEW.branch_id);
        END IF;
    END IF;
    RETURN NEW;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.keep_access_end FROM PUBLIC;
CREATE TRIGGER keep_access_end
    BEFORE INSERT OR UPDATE OF billing_type_id, paid_until, branch_id, access_ends_at ON erp.contract FOR EACH ROW
    WHEN (NEW.billing_type_id IS NOT NULL OR NEW.access_ends_at IS NOT NULL)
    EXECUTE FUNCTION erp.keep_access_end();

CREATE FUNCTION erp.follow_billing_type() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM erp.serve_only('erp.follow_billing_type', TG_RELID, 'erp.billing_type');
    UPDATE erp.contract SET access_ends_at = NULL  -- its own trigger says what it becomes
    WHERE paid_until IS NOT NULL AND billing_type_id IN (
        SELECT n.id FROM old_rows AS o JOIN new_rows AS n USING (id)
        WHERE ROW(o.payment, o.prepaid_grace_days) <> ROW(n.payment, n.prepaid_grace_days));
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.follow_billing_type FROM PUBLIC;
CREATE TRIGGER contracts_follow AFTER UPDATE ON erp.billing_type
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION erp.follow_billing_type();

CREATE FUNCTION erp.follow_time_zone() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM erp.serve_only('erp.follow_time_zone', TG_RELID, 'erp.branch');
    UPDATE erp.contract SET access_ends_at = NULL  -- its own trigger says what it becomes
    WHERE access_ends_at IS NOT NULL AND branch_id IN (
        SELECT n.id FROM old_rows AS o JOIN new_rows AS n USING (id) WHERE o.time_zone <> n.time_zone);
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.follow_time_zone FROM PUBLIC;
CREATE TRIGGER contracts_follow AFTER UPDATE ON erp.branch REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION erp.follow_time_zone();

-- Receivables -------------------------------------------------------------------------------------------------

CREATE TABLE erp.receivable (
    id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    client_id integer NOT NULL REFERENCES erp.client,
    contract_id integer REFERENCES erp.contract,
    kind text NOT NULL DEFAULT 'recurring',
    amount numeric(12, 2) NOT NULL,
    open_amount numeric(12, 2),
    due_on date NOT NULL,
    status text NOT NULL DEFAULT 'A',
    released boolean NOT NULL DEFAULT true,
    renegotiated boolean NOT NULL DEFAULT false,
    of_renegotiation boolean NOT NULL DEFAULT false,
    awaiting_confirmation boolean NOT NULL DEFAULT false,
    paid_on date,
    created_at timestamptz NOT NULL DEFAULT now(),
    is_open boolean NOT NULL GENERATED ALWAYS AS (
        status IN ('A', 'P') AND released AND NOT renegotiated AND NOT awaiting_confirmation) STORED,
    CONSTRAINT receivable_id_range CHECK (id > 0),
    CONSTRAINT receivable_kind_known CHECK (kind IN ('recurring', 'single')),
    CONSTRAINT receivable_recurring_has_contract CHECK (contract_id IS NOT NULL OR kind = 'single'),
    CONSTRAINT receivable_amount_range CHECK (amount >= 0),
    CONSTRAINT receivable_open_amount_range CHECK (open_amount >= 0),
    CONSTRAINT receivable_due_on_range CHECK (erp.is_day(due_on)),
    CONSTRAINT receivable_status_known CHECK (status IN ('A', 'R', 'P', 'C')),
    CONSTRAINT receivable_received_has_paid_on CHECK (paid_on IS NOT NULL OR status <> 'R')
);
COMMENT ON TABLE erp.receivable IS 'A title that a client has to pay (conta a receber, boleto).';
COMMENT ON COLUMN erp.receivable.contract_id IS 'Null: of the client alone (avulso). It counts for the contract while that is this client''s.';
COMMENT ON COLUMN erp.receivable.kind IS 'recurring, or single (avulso): counts where parameter single_receivables_block is S.';
COMMENT ON COLUMN erp.receivable.open_amount IS 'What is left to be paid; null: not said.';
COMMENT ON COLUMN erp.receivable.status IS 'A to receive, P received in part, R received, C cancelled.';
COMMENT ON COLUMN erp.receivable.released IS 'False: not handed to the client yet (liberado).';
COMMENT ON COLUMN erp.receivable.renegotiated IS 'Replaced by other titles: it blocks no more, those do.';
COMMENT ON COLUMN erp.receivable.of_renegotiation IS 'One of those titles: billing_type.block_renegotiated_days counts for it.';
COMMENT ON COLUMN erp.receivable.awaiting_confirmation IS 'Reported as paid, not booked yet: it blocks no more, until this is taken back.';
COMMENT ON COLUMN erp.receivable.is_open IS 'Counts as debt: A or P, released, neither renegotiated nor awaiting confirmation. Never written.';
CREATE INDEX receivable_client ON erp.receivable (client_id, due_on);
CREATE INDEX receivable_contract ON erp.receivable (contract_id, due_on);
CREATE INDEX receivable_open_of_contract ON erp.receivable (contract_id, due_on) WHERE is_open;
CREATE INDEX receivable_open_of_client ON erp.receivable (client_id, due_on) WHERE is_open AND contract_id IS NULL;

-- The states and colours of the screen that operators know.
CREATE VIEW erp.receivable_state AS
SELECT receivable.*, told.state,
    CASE told.state
        WHEN 'a_vencer' THEN 'azul'
        WHEN 'vence_hoje' THEN 'laranja'
        WHEN 'vencido' THEN 'vermelho'
        WHEN 'recebido_em_dia' THEN 'verde_claro'
        WHEN 'recebido_em_atraso' THEN 'verde_escuro'
        WHEN 'renegociado' THEN 'cinza'
    END AS colour
FROM erp.receivable
JOIN erp.client ON client.id = receivable.client_id
LEFT JOIN erp.contract ON contract.id = receivable.contract_id
JOIN erp.branch ON branch.id = coalesce(contract.branch_id, client.branch_id)
CROSS JOIN LATERAL (SELECT CASE
    WHEN receivable.renegotiated THEN 'renegociado'
    WHEN receivable.status = 'C' THEN 'cancelado'
    WHEN receivable.status = 'R' AND receivable.paid_on <= receivable.due_on THEN 'recebido_em_dia'
    WHEN receivable.status = 'R' THEN 'recebido_em_atraso'
    WHEN receivable.due_on > (now() AT TIME ZONE branch.time_zone)::date THEN 'a_vencer'
    WHEN receivable.due_on = (now() AT TIME ZONE branch.time_zone)::date THEN 'vence_hoje'
    ELSE 'vencido'
END) AS told (state);
COMMENT ON VIEW erp.receivable_state IS
    'Receivables with state and colour (azul, laranja, vermelho, verde_claro, verde_escuro, cinza; none when cancelled) in the branch''s zone.';

-- contract.oldest_open_due ------------------------------------------------------------------------------------
--
-- Two writers of titles of one contract do not see each other's rows. So each first locks the contracts that it touches
-- and then, in another statement and therefore with a snapshot of then, counts anew. The contract is written even if its
-- day stays the same: a transaction at REPEATABLE READ, which cannot see anew, is so told to begin again.

CREATE FUNCTION erp.settle_oldest_due(contracts integer[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared('erp.contract'::regclass::oid::bigint);  -- as erp.share_contracts()
    PERFORM FROM erp.contract WHERE id = ANY(contracts) ORDER BY id FOR NO KEY UPDATE;
    -- Dynamic, so that it is planned for as many contracts as there are.
    EXECUTE '
        UPDATE erp.contract SET oldest_open_due = least(
            (SELECT min(due_on) FROM erp.receivable
             WHERE receivable.contract_id = contract.id AND receivable.client_id = contract.client_id AND is_open
                AND (receivable.kind = ''recurring'' OR singles_count)),
            (SELECT min(due_on) FROM erp.receivable
             WHERE singles_count AND receivable.client_id = contract.client_id AND receivable.contract_id IS NULL AND is_open))
        FROM (
            SELECT id, erp.parameter_value(''single_receivables_block'', id) IS NOT DISTINCT FROM ''S'' AS singles_count
            FROM erp.branch
        ) AS branch
        WHERE contract.id = ANY($1) AND branch.id = contract.branch_id' USING contracts;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.settle_oldest_due FROM PUBLIC;
COMMENT ON FUNCTION erp.settle_oldest_due IS 'For triggers: counts contract.oldest_open_due anew.';

-- Who lets single titles count, or not, excludes who writes such titles or contracts that they may count for.
CREATE FUNCTION erp.single_receivables_key() RETURNS bigint LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    RETURN ('erp.receivable'::regclass)::oid::bigint;

-- A client's own titles count for all his contracts: his row is locked, too, since a contract may be in the making.
CREATE FUNCTION erp.contracts_of(clients integer[]) RETURNS integer[] LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(erp.single_receivables_key());
    IF clients IS NULL OR NOT EXISTS (SELECT FROM erp.parameter WHERE name = 'single_receivables_block' AND value = 'S') THEN
        RETURN '{}';
    END IF;
    PERFORM FROM erp.client WHERE id = ANY(clients) ORDER BY id FOR NO KEY UPDATE;
    RETURN ARRAY(SELECT id FROM erp.contract WHERE client_id = ANY(clients));
END
$$;
REVOKE EXECUTE ON FUNCTION erp.contracts_of FROM PUBLIC;

CREATE FUNCTION erp.follow_receivables() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    changed constant text := CASE TG_OP
        WHEN 'INSERT' THEN 'SELECT client_id, contract_id, kind FROM new_rows WHERE is_open'
        WHEN 'DELETE' THEN 'SELECT client_id, contract_id, kind FROM old_rows WHERE is_open'
        -- A changed id is an old row without a new one and the reverse.
        ELSE 'SELECT v.client_id, v.contract_id, v.kind FROM old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id
            CROSS JOIN LATERAL (VALUES (o.client_id, o.contract_id, o.kind), (n.client_id, n.contract_id, n.kind))
                AS v (client_id, contract_id, kind)
            WHERE (o.is_open OR n.is_open) AND v.client_id IS NOT NULL
                AND ROW(o.client_id, o.contract_id, o.kind, o.due_on, o.is_open)
                    IS DISTINCT FROM ROW(n.client_id, n.contract_id, n.kind, n.due_on, n.is_open)'
    END;
    contracts integer[];
    clients integer[];
    has_singles boolean;
    stranger integer;
BEGIN
    PERFORM erp.serve_only('erp.follow_receivables', TG_RELID, 'erp.receivable');
    IF TG_OP = 'TRUNCATE' THEN
        UPDATE erp.contract SET oldest_open_due = NULL WHERE oldest_open_due IS NOT NULL;
        RETURN NULL;
    END IF;
    -- One that is to be paid would never count. Of a contract that changed hands afterwards the old owner's titles stay.
    IF TG_OP <> 'DELETE' THEN
        EXECUTE 'SELECT n.contract_id FROM new_rows AS n JOIN erp.contract ON contract.id = n.contract_id '
            || CASE TG_OP WHEN 'UPDATE' THEN 'LEFT JOIN old_rows AS o ON o.id = n.id ' ELSE '' END
            || 'WHERE n.status IN (''A'', ''P'') AND contract.client_id <> n.client_id '
            || CASE TG_OP WHEN 'UPDATE'
                THEN 'AND ROW(o.client_id, o.contract_id) IS DISTINCT FROM ROW(n.client_id, n.contract_id) ' ELSE '' END
            || 'LIMIT 1' INTO stranger;
        IF stranger IS NOT NULL THEN
            RAISE EXCEPTION 'contract % is not one of the receivable''s client', stranger
                USING ERRCODE = 'check_violation', CONSTRAINT = 'receivable_contract_of_client', SCHEMA = 'erp',
                TABLE = 'receivable', COLUMN = 'contract_id';
        END IF;
    END IF;
    EXECUTE 'SELECT array_agg(DISTINCT contract_id) FILTER (WHERE contract_id IS NOT NULL),
        array_agg(DISTINCT client_id) FILTER (WHERE contract_id IS NULL), bool_or(kind = ''single'')
        FROM (' || changed || ') AS changed' INTO contracts, clients, has_singles;
    IF has_singles THEN
        contracts := contracts || erp.contracts_of(clients);
    END IF;
    IF contracts <> '{}' THEN
        PERFORM erp.settle_oldest_due(contracts);
    END IF;
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.follow_receivables FROM PUBLIC;
CREATE TRIGGER contracts_follow_insert AFTER INSERT ON erp.receivable REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION erp.follow_receivables();
CREATE TRIGGER contracts_follow_update AFTER UPDATE ON erp.receivable
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION erp.follow_receivables();
CREATE TRIGGER contracts_follow_delete AFTER DELETE ON erp.receivable REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION erp.follow_receivables();
CREATE TRIGGER contracts_follow_truncate AFTER TRUNCATE ON erp.receivable
    FOR EACH STATEMENT EXECUTE FUNCTION erp.follow_receivables();

-- A contract that is new, another client's or another branch's.
CREATE FUNCTION erp.follow_contract() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    clients integer[];
    contracts integer[];
BEGIN
    PERFORM erp.serve_only('erp.follow_contract', TG_RELID, 'erp.contract');
    IF TG_OP = 'INSERT' THEN
        IF NOT EXISTS (SELECT FROM new_rows) THEN
            RETURN NULL;
        END IF;
        clients := ARRAY(SELECT DISTINCT client_id FROM new_rows);
        contracts := erp.contracts_of(clients);
        IF contracts <> '{}' THEN
            contracts := ARRAY(SELECT DISTINCT contract.id FROM erp.receivable
                JOIN erp.contract ON contract.client_id = receivable.client_id
                WHERE receivable.client_id = ANY(clients) AND receivable.contract_id IS NULL AND receivable.is_open);
        END IF;
    ELSE
        EXECUTE 'SELECT array_agg(n.id), array_agg(DISTINCT n.client_id) FROM old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id
            WHERE n.id IS NOT NULL AND ROW(o.client_id, o.branch_id) IS DISTINCT FROM ROW(n.client_id, n.branch_id)'
            INTO contracts, clients;
        IF contracts IS NOT NULL THEN
            PERFORM erp.contracts_of(clients);
        END IF;
    END IF;
    IF contracts <> '{}' THEN
        PERFORM erp.settle_oldest_due(contracts);
    END IF;
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.follow_contract FROM PUBLIC;
CREATE TRIGGER due_follows_insert AFTER INSERT ON erp.contract REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION erp.follow_contract();
CREATE TRIGGER due_follows_update AFTER UPDATE ON erp.contract REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION erp.follow_contract();

-- Whether single titles count.
CREATE FUNCTION erp.follow_single_receivables() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    is_touched boolean := true;
BEGIN
    PERFORM erp.serve_only('erp.follow_single_receivables', TG_RELID, 'erp.parameter');
    CASE TG_OP
    WHEN 'INSERT' THEN
        is_touched := EXISTS (SELECT FROM new_rows WHERE name = 'single_receivables_block');
    WHEN 'DELETE' THEN
        is_touched := EXISTS (SELECT FROM old_rows WHERE name = 'single_receivables_block');
    WHEN 'UPDATE' THEN
        is_touched := EXISTS (SELECT FROM old_rows WHERE name = 'single_receivables_block')
            OR EXISTS (SELECT FROM new_rows WHERE name = 'single_receivables_block');
    ELSE NULL;
    END CASE;
    IF is_touched THEN
        PERFORM pg_advisory_xact_lock(erp.single_receivables_key());
        PERFORM erp.settle_oldest_due(ARRAY(
            SELECT contract.id FROM erp.receivable JOIN erp.contract ON contract.id = receivable.contract_id
            WHERE receivable.is_open AND receivable.kind = 'single'
            UNION
            SELECT contract.id FROM erp.receivable JOIN erp.contract ON contract.client_id = receivable.client_id
            WHERE receivable.is_open AND receivable.contract_id IS NULL));
    END IF;
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.follow_single_receivables FROM PUBLIC;
CREATE TRIGGER due_follows_insert AFTER INSERT ON erp.parameter REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION erp.follow_single_receivables();
CREATE TRIGGER due_follows_update AFTER UPDATE ON erp.parameter
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION erp.follow_single_receivables();
CREATE TRIGGER due_follows_delete AFTER DELETE ON erp.parameter REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION erp.follow_single_receivables();
CREATE TRIGGER due_follows_truncate AFTER TRUNCATE ON erp.parameter
    FOR EACH STATEMENT EXECUTE FUNCTION erp.follow_single_receivables();

-- Nobody else writes the day: the functions above do, in a trigger and with the rights of the table's owner.
CREATE FUNCTION erp.guard_oldest_due() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() < 2 OR current_user <> (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = TG_RELID) THEN
        NEW.oldest_open_due := CASE WHEN TG_OP = 'UPDATE' THEN OLD.oldest_open_due END;
    END IF;
    RETURN NEW;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.guard_oldest_due FROM PUBLIC;
CREATE TRIGGER guard_oldest_due_insert BEFORE INSERT ON erp.contract FOR EACH ROW
    WHEN (NEW.oldest_open_due IS NOT NULL) EXECUTE FUNCTION erp.guard_oldest_due();
CREATE TRIGGER guard_oldest_due_update BEFORE UPDATE OF oldest_open_due ON erp.contract FOR EACH ROW
    WHEN (NEW.oldest_open_due IS DISTINCT FROM OLD.oldest_open_due) EXECUTE FUNCTION erp.guard_oldest_due();

-- Trust unlock (rule R4.2) ------------------------------------------------------------------------------------

-- One statement for who asks; the row's lock makes one winner of many. Codes as IXC answers them.
CREATE FUNCTION erp.unlock_on_trust(
    contract_id integer, days integer DEFAULT NULL,
    OUT code integer, OUT reason text, OUT unlocked_until timestamptz, OUT due_on date
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked constant integer := unlock_on_trust.contract_id;
    contract erp.contract;
    title integer;
    is_known_paid boolean;
BEGIN
    IF days < 1 THEN
        RAISE EXCEPTION 'a trust unlock lasts at least one day, not %', days USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock_shared('erp.contract'::regclass::oid::bigint);  -- as erp.share_contracts()
    SELECT * INTO contract FROM erp.contract AS c WHERE c.id = asked FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        code := 106;
        reason := 'contract_not_found';
        RETURN;
    END IF;
    due_on := contract.trust_unlock_used_for_due;
    -- Its title is settled, whatever was reported or became of its day, and none as old is open. Where that title is not
    -- known and none is open, titles of this contract are known here.
    is_known_paid := due_on IS NULL OR (
        NOT EXISTS (
            SELECT FROM erp.receivable AS used
            WHERE used.id = contract.trust_unlock_used_for_receivable AND used.status IN ('A', 'P')
                AND used.client_id = contract.client_id AND coalesce(used.contract_id, asked) = asked)
        AND CASE WHEN contract.oldest_open_due IS NOT NULL THEN contract.oldest_open_due > due_on
            ELSE contract.trust_unlock_used_for_receivable IS NOT NULL OR EXISTS (
                SELECT FROM erp.receivable AS known
                WHERE known.client_id = contract.client_id AND coalesce(known.contract_id, asked) = asked
                    AND known.due_on <= contract.trust_unlock_used_for_due) END);
    SELECT answer.code, answer.reason INTO code, reason FROM (VALUES
        (1, contract.status <> 'A', 109, 'contract_inactive'),
        (2, contract.access_status IN ('A', 'FA'), 107, 'not_needed'),
        (3, contract.access_status <> 'CA', 109, 'not_blocked_automatically'),
        (4, contract.trust_unlock_restricted, 109, 'not_allowed'),
        (5, 'N' = coalesce(nullif(contract.trust_unlock, 'P'), erp.parameter_value('trust_unlock', contract.branch_id)),
            109, 'not_allowed'),
        (6, NOT is_known_paid, 113, 'already_used'),
        (7, true, 0, 'unlocked')
    ) AS answer (place, holds, code, reason) WHERE answer.holds ORDER BY place LIMIT 1;
    IF code = 0 THEN
        due_on := coalesce(contract.oldest_open_due, erp.today(contract.branch_id));
        SELECT oldest.id INTO title FROM erp.receivable AS oldest
        WHERE oldest.client_id = contract.client_id AND coalesce(oldest.contract_id, asked) = asked AND oldest.is_open
            AND oldest.due_on = contract.oldest_open_due
        ORDER BY oldest.kind <> 'recurring', oldest.id LIMIT 1;
        unlocked_until := erp.end_of_day(erp.today(contract.branch_id) + least(days,
            coalesce(erp.parameter_value('trust_unlock_days', contract.branch_id)::integer, 3)), contract.branch_id);
        UPDATE erp.contract SET access_status = 'A', trust_unlock_active = true, trust_unlock_until = unlocked_until,
            trust_unlock_used_for_due = due_on, trust_unlock_used_for_receivable = title, trust_unlocked_at = now()
        WHERE id = asked;
    ELSIF code <> 113 THEN
        due_on := NULL;
    END IF;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.unlock_on_trust FROM PUBLIC;
COMMENT ON FUNCTION erp.unlock_on_trust IS
    'Unblocks an automatically blocked contract on a promise, once until the title is paid. Code 0 done, 106 no such contract, 107 not needed, 109 not possible, 113 already used for the title of due_on.';

-- Contacts and addresses --------------------------------------------------------------------------------------

CREATE TABLE erp.contact (
    id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    client_id integer NOT NULL REFERENCES erp.client ON DELETE CASCADE,
    name text NOT NULL,
    role text,
    phone text,
    mobile_phone text,
    email text,
    CONSTRAINT contact_id_range CHECK (id > 0),
    CONSTRAINT contact_name_no_outer_space CHECK (name <> '' AND erp.is_trimmed(name)),
    CONSTRAINT contact_role_no_outer_space CHECK (role <> '' AND erp.is_trimmed(role)),
    CONSTRAINT contact_phone_brazilian CHECK (erp.is_phone(phone)),
    CONSTRAINT contact_mobile_phone_brazilian CHECK (erp.is_phone(mobile_phone)),
    CONSTRAINT contact_email_list CHECK (erp.is_email_list(email)),
    CONSTRAINT contact_reachable CHECK (num_nonnulls(phone, mobile_phone, email) > 0)
);
COMMENT ON TABLE erp.contact IS 'Another person or number by which a client is reached (contato).';
COMMENT ON COLUMN erp.contact.role IS 'Who that is: mother, doorman, finance.';
CREATE INDEX contact_client ON erp.contact (client_id);

-- Number, street and district without accents, case and doubled spaces; null unless all three are there.
CREATE FUNCTION erp.address_key(street_number text, street text, district text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN street_number <> '' AND street <> '' AND district <> '' THEN
        erp.fold_login(regexp_replace(
            regexp_replace(normalize(street_number || E'\n' || street || E'\n' || district, NFD), '[\u0300-\u036f]', '', 'g'),
            '[ \t\u00a0]+', ' ', 'g'))
    END;
COMMENT ON FUNCTION erp.address_key IS 'What two spellings of one address have in common.';

CREATE TABLE erp.address (
    id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    client_id integer REFERENCES erp.client ON DELETE CASCADE,
    contract_id integer REFERENCES erp.contract ON DELETE CASCADE,
    kind text NOT NULL,
    postal_code text,
    street text NOT NULL,
    street_number text,
    complement text,
    district text,
    city text NOT NULL,
    state text NOT NULL,
    CONSTRAINT address_id_range CHECK (id > 0),
    CONSTRAINT address_of_client_or_contract CHECK (num_nonnulls(client_id, contract_id) = 1),
    CONSTRAINT address_unique UNIQUE NULLS NOT DISTINCT (client_id, contract_id, kind),
    CONSTRAINT address_kind_known CHECK (kind IN ('installation', 'billing')),
    CONSTRAINT address_postal_code_eight_digits CHECK (erp.is_postal_code(postal_code)),
    CONSTRAINT address_street_no_outer_space CHECK (street <> '' AND erp.is_trimmed(street)),
    CONSTRAINT address_street_number_no_outer_space CHECK (erp.is_trimmed(street_number)),
    CONSTRAINT address_complement_no_outer_space CHECK (erp.is_trimmed(complement)),
    CONSTRAINT address_district_no_outer_space CHECK (erp.is_trimmed(district)),
    CONSTRAINT address_city_no_outer_space CHECK (city <> '' AND erp.is_trimmed(city)),
    CONSTRAINT address_state_known CHECK (state IN (
        'AC', 'AL', 'AM', 'AP', 'BA', 'CE', 'DF', 'ES', 'GO', 'MA', 'MG', 'MS', 'MT', 'PA', 'PB', 'PE', 'PI', 'PR',
        'RJ', 'RN', 'RO', 'RR', 'RS', 'SC', 'SE', 'SP', 'TO'))
);
COMMENT ON TABLE erp.address IS 'Where something is installed or billed, if not at the client''s own address: of a client, or of one contract.';
CREATE INDEX address_client ON erp.address (client_id);
CREATE INDEX address_contract ON erp.address (contract_id);
CREATE INDEX address_by_key ON erp.address (erp.address_key(street_number, street, district));
CREATE INDEX client_by_address_key ON erp.client (erp.address_key(street_number, street, district));

CREATE FUNCTION erp.clients_at(street_number text, street text, district text) RETURNS SETOF integer
LANGUAGE sql STABLE ROWS 2
BEGIN ATOMIC
    SELECT client.id FROM erp.client
    WHERE erp.address_key(client.street_number, client.street, client.district)
        = erp.address_key(clients_at.street_number, clients_at.street, clients_at.district)
    UNION
    SELECT coalesce(address.client_id, contract.client_id)
    FROM erp.address LEFT JOIN erp.contract ON contract.id = address.contract_id
    WHERE erp.address_key(address.street_number, address.street, address.district)
        = erp.address_key(clients_at.street_number, clients_at.street, clients_at.district)
    ORDER BY 1;
END;
COMMENT ON FUNCTION erp.clients_at IS
    'Clients with this number, street and district, however spelt: a warning for who enters another, no refusal.';

-- Operators ---------------------------------------------------------------------------------------------------

CREATE TABLE erp.permission (
    id integer PRIMARY KEY,
    name text NOT NULL,
    denies boolean NOT NULL DEFAULT false,
    CONSTRAINT permission_id_range CHECK (id > 0),
    CONSTRAINT permission_name_unique UNIQUE (name),
    CONSTRAINT permission_name_no_outer_space CHECK (name <> '' AND erp.is_trimmed(name))
);
COMMENT ON TABLE erp.permission IS 'What an operator may be allowed to do.';
COMMENT ON COLUMN erp.permission.denies IS 'True: who has it may not.';
INSERT INTO erp.permission (id, name, denies) VALUES
    (1, 'Contrato de Cliente', false),
    (2, 'Adicionar Plano', false),
    (3, 'Adicionar Tarefa Agendada', false),
    (4, 'Alterar Data de Último Fechamento', false),
    (5, 'Alterar Multa Editar Contrato', false),
    (6, 'Apagar Login de Radius', false),
    (7, 'Apagar Plano/Apagar Domínio', false),
    (8, 'Autorizador de Planos', false),
    (9, 'Cancelar Plano', false),
    (10, 'Compra de Produtos', false),
    (11, 'Dar Descontos em Planos', false),
    (12, 'Editar Dados do Plano', false),
    (13, 'Editar Senha de Radius', false),
    (14, 'Editar Status de Planos', false),
    (15, 'Editar IP do Plano', false),
    (16, 'Editar Valor de Novo Plano', false),
    (17, 'Editar Vencimento do Plano', false),
    (18, 'Excluir Terminal de Voz', false),
    (19, 'Habilitar Planos Suspensos', false),
    (20, 'Movimento de Patrimônio', false),
    (21, 'Mudar Plano', false),
    (22, 'Mudança de Plano do Cliente', false),
    (23, 'Não Editar Combo Plano Habilitado', true),
    (24, 'Patrimônios', false),
    (25, 'Permite Alterar Multa Contrato', false),
    (26, 'Permite Editar a Taxa de Instalação', false),
    (27, 'Procurar Patrimônio', false),
    (28, 'Status Planos', false),
    (29, 'Tabela de Retenção de Impostos', false),
    (30, 'Tarefas', false),
    (31, 'Tarefas Agendadas', false),
    (32, 'Trocar Dono de Plano', false),
    (33, 'Trocar Tipo de Plano ao Editar', false),
    (34, 'Ver Senha Campo Extra', false),
    (35, 'Ver Contas a Pagar', false),
    (36, 'Ver Senha Domínio', false),
    (37, 'Ver Senha E-Mail', false),
    (38, 'Ver Senha do Login de FTP', false),
    (39, 'Ver Senha Login Radius', false);

CREATE TABLE erp.operator_group (
    id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    all_permissions boolean NOT NULL DEFAULT false,
    CONSTRAINT operator_group_id_range CHECK (id > 0),
    CONSTRAINT operator_group_name_unique UNIQUE (name),
    CONSTRAINT operator_group_name_no_outer_space CHECK (name <> '' AND erp.is_trimmed(name))
);
COMMENT ON COLUMN erp.operator_group.all_permissions IS 'True: all that allow, also those to come.';

CREATE TABLE erp.operator_group_permission (
    group_id integer NOT NULL REFERENCES erp.operator_group ON DELETE CASCADE,
    permission_id integer NOT NULL REFERENCES erp.permission,
    PRIMARY KEY (group_id, permission_id)
);

CREATE TABLE erp.operator (
    id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    full_name text,
    active boolean NOT NULL DEFAULT true,
    group_id integer REFERENCES erp.operator_group,
    branch_id integer REFERENCES erp.branch,
    CONSTRAINT operator_id_range CHECK (id > 0),
    CONSTRAINT operator_name_no_outer_space CHECK (name <> '' AND erp.is_trimmed(name)),
    CONSTRAINT operator_full_name_no_outer_space CHECK (full_name <> '' AND erp.is_trimmed(full_name))
);
COMMENT ON TABLE erp.operator IS 'A person of the provider; programs name him with SET aaad.operator.';
COMMENT ON COLUMN erp.operator.group_id IS 'Null: may do nothing.';
CREATE UNIQUE INDEX operator_name_unique ON erp.operator (erp.fold_login(name));
CREATE INDEX operator_of_group ON erp.operator (group_id);
CREATE INDEX operator_of_branch ON erp.operator (branch_id);

CREATE FUNCTION erp.has_permission(operator_name text, permission_name text) RETURNS boolean LANGUAGE sql STABLE
    RETURN EXISTS (
        SELECT FROM erp.operator
        JOIN erp.operator_group ON operator_group.id = operator.group_id
        JOIN erp.permission ON permission.name = permission_name
        WHERE erp.fold_login(operator.name) = erp.fold_login(operator_name) AND operator.active
            AND ((operator_group.all_permissions AND NOT permission.denies) OR EXISTS (
                SELECT FROM erp.operator_group_permission AS given
                WHERE given.group_id = operator.group_id AND given.permission_id = permission.id)));
COMMENT ON FUNCTION erp.has_permission IS 'Whether an active operator''s group has it. One that denies must be given by name.';

-- Rules that a parameter or a contract switches on ------------------------------------------------------------

-- A contract of status I or D is over.
CREATE FUNCTION erp.check_client_inactive() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM erp.serve_only('erp.check_client_inactive', TG_RELID, 'erp.client');
    IF 'N' = erp.parameter_value('allow_inactive_client_with_contracts', NEW.branch_id)
        AND EXISTS (SELECT FROM erp.contract WHERE client_id = OLD.id AND status NOT IN ('I', 'D'))
    THEN
        RAISE EXCEPTION 'the client has contracts that are not cancelled, and allow_inactive_client_with_contracts is N'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'client_inactive_without_contracts', SCHEMA = 'erp',
            TABLE = 'client', COLUMN = 'active';
    END IF;
    RETURN NEW;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.check_client_inactive FROM PUBLIC;
CREATE TRIGGER check_inactive BEFORE UPDATE OF active ON erp.client FOR EACH ROW
    WHEN (OLD.active AND NOT NEW.active) EXECUTE FUNCTION erp.check_client_inactive();

-- Two last contracts cancelled at once: who comes second sees the first.
CREATE FUNCTION erp.inactivate_client() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM erp.serve_only('erp.inactivate_client', TG_RELID, 'erp.contract');
    IF 'S' = erp.parameter_value('inactivate_client_on_last_cancel', NEW.branch_id) THEN
        PERFORM FROM erp.client WHERE id = NEW.client_id FOR NO KEY UPDATE;
        UPDATE erp.client SET active = false WHERE id = NEW.client_id AND active AND NOT EXISTS (
            SELECT FROM erp.contract WHERE client_id = NEW.client_id AND status NOT IN ('I', 'D'));
    END IF;
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.inactivate_client FROM PUBLIC;
CREATE TRIGGER inactivate_client AFTER UPDATE OF status ON erp.contract FOR EACH ROW
    WHEN (NEW.status IN ('I', 'D') AND OLD.status NOT IN ('I', 'D')) EXECUTE FUNCTION erp.inactivate_client();

CREATE FUNCTION erp.check_contract_active() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM erp.serve_only('erp.check_contract_active', TG_RELID, 'erp.contract');
    IF (TG_OP = 'INSERT' OR OLD.status <> 'A' OR OLD.kind <> 'I')
        AND EXISTS (SELECT FROM erp.parameter WHERE name = 'login_required_for_internet' AND value = 'S') -- the usual case, at once
        AND 'S' = erp.parameter_value('login_required_for_internet', NEW.branch_id)
        AND NOT EXISTS (SELECT FROM erp.login WHERE contract_id = NEW.id AND deleted_at IS NULL)
    THEN
        RAISE EXCEPTION 'an internet contract needs a login to become active, since login_required_for_internet is S'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'contract_active_with_login', SCHEMA = 'erp', TABLE = 'contract',
            COLUMN = 'status', HINT = 'Write the contract with status P, then its login, then status A.';
    END IF;
    RETURN NEW;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.check_contract_active FROM PUBLIC;
CREATE TRIGGER check_active BEFORE INSERT OR UPDATE OF status, kind ON erp.contract FOR EACH ROW
    WHEN (NEW.status = 'A' AND NEW.kind = 'I') EXECUTE FUNCTION erp.check_contract_active();

CREATE FUNCTION erp.check_contract_suspension() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM erp.serve_only('erp.check_contract_suspension', TG_RELID, 'erp.contract');
    IF (TG_OP = 'INSERT' OR NOT OLD.suspended)
        AND 'N' = erp.parameter_value('allow_voluntary_suspension', NEW.branch_id)
    THEN
        RAISE EXCEPTION 'contracts are not suspended at the client''s wish, since allow_voluntary_suspension is N'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'contract_suspension_allowed', SCHEMA = 'erp',
            TABLE = 'contract', COLUMN = 'suspended';
    END IF;
    RETURN NEW;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.check_contract_suspension FROM PUBLIC;
CREATE TRIGGER check_suspension BEFORE INSERT OR UPDATE OF suspended ON erp.contract FOR EACH ROW
    WHEN (NEW.suspended) EXECUTE FUNCTION erp.check_contract_suspension();

-- contract.logins_max. Contracts with a limit are locked, so that two writers count each other's logins.
CREATE FUNCTION erp.check_logins_max() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    limited integer[];
    too_full integer;
BEGIN
    PERFORM erp.serve_only('erp.check_logins_max', TG_RELID, 'erp.login');
    IF TG_LEVEL = 'ROW' THEN
        limited := ARRAY[NEW.contract_id];
    ELSE
        EXECUTE 'SELECT array_agg(DISTINCT contract.id) FROM new_rows JOIN erp.contract ON contract.id = new_rows.contract_id
            WHERE contract.logins_max IS NOT NULL AND new_rows.deleted_at IS NULL' INTO limited;
        IF limited IS NULL THEN
            RETURN NULL;
        END IF;
    END IF;
    PERFORM FROM erp.contract WHERE id = ANY(limited) ORDER BY id FOR NO KEY UPDATE;
    SELECT contract.id INTO too_full FROM erp.contract JOIN erp.login ON login.contract_id = contract.id
    WHERE contract.id = ANY(limited) AND login.deleted_at IS NULL
    GROUP BY contract.id, contract.logins_max HAVING count(*) > contract.logins_max LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'contract % has as many logins as its logins_max allows', too_full
            USING ERRCODE = 'check_violation', CONSTRAINT = 'login_within_logins_max', SCHEMA = 'erp', TABLE = 'login',
            COLUMN = 'contract_id';
    END IF;
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.check_logins_max FROM PUBLIC;
CREATE TRIGGER check_logins_max_insert AFTER INSERT ON erp.login REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION erp.check_logins_max();
-- Moved, or taken back from deletion.
CREATE TRIGGER check_logins_max_update AFTER UPDATE OF contract_id, deleted_at ON erp.login FOR EACH ROW
    WHEN (NEW.deleted_at IS NULL AND (OLD.deleted_at IS NOT NULL OR NEW.contract_id <> OLD.contract_id))
    EXECUTE FUNCTION erp.check_logins_max();

-- History -----------------------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION erp.tell_contract() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM erp.serve_only('erp.tell_contract', TG_RELID, 'erp.contract');
    INSERT INTO erp.history (branch_id, client_id, contract_id, kind, text, source)
    SELECT branch_id, client_id, contract_id, 'contract_changed', text, 'system' FROM (
        SELECT n.branch_id, n.client_id, n.id AS contract_id, concat_ws('; ',
            erp.change_text('status', o.status, n.status),
            erp.change_text('access_status', o.access_status, n.access_status),
            erp.change_text('suspended', o.suspended::text, n.suspended::text),
            erp.change_text('suspended_from', o.suspended_from::text, n.suspended_from::text),
            erp.change_text('suspended_until', o.suspended_until::text, n.suspended_until::text),
            erp.change_text('plan', o.plan_id::text, n.plan_id::text),
            erp.change_text('client', o.client_id::text, n.client_id::text),
            erp.change_text('branch', o.branch_id::text, n.branch_id::text),
            erp.change_text('kind', o.kind, n.kind),
            erp.change_text('circuit', o.circuit, n.circuit),
            erp.change_text('billing_type', o.billing_type_id::text, n.billing_type_id::text),
            erp.change_text('paid_until', o.paid_until::text, n.paid_until::text),
            erp.change_text('block_automatically', o.block_automatically, n.block_automatically),
            erp.change_text('do_not_block_until', o.do_not_block_until::text, n.do_not_block_until::text),
            erp.change_text('notice_automatically', o.notice_automatically, n.notice_automatically),
            erp.change_text('do_not_notice_until', o.do_not_notice_until::text, n.do_not_notice_until::text),
            erp.change_text('trust_unlock', o.trust_unlock, n.trust_unlock),
            erp.change_text('trust_unlock_active', o.trust_unlock_active::text, n.trust_unlock_active::text),
            erp.change_text('trust_unlock_until', o.trust_unlock_until::text, n.trust_unlock_until::text),
            erp.change_text('trust_unlock_restricted', o.trust_unlock_restricted::text, n.trust_unlock_restricted::text),
            erp.change_text('force_access', o.force_access, n.force_access),
            erp.change_text('late_speed', o.late_speed, n.late_speed),
            erp.change_text('not_reduced_until', o.not_reduced_until::text, n.not_reduced_until::text),
            erp.change_text('speed_status', o.speed_status, n.speed_status),
            erp.change_text('logins_max', o.logins_max::text, n.logins_max::text),
            erp.change_text('simultaneous_max', o.simultaneous_max::text, n.simultaneous_max::text),
            erp.change_text('inclusion_reason', o.inclusion_reason, n.inclusion_reason),
            erp.change_hidden('cancellation_reason', o.cancellation_reason, n.cancellation_reason)) AS text
        FROM old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id
    ) AS edit WHERE text <> '';
    RETURN NULL;
END
$$;

-- Contacts and addresses are personal: that one came, changed or went, never what it says.
CREATE FUNCTION erp.tell_reach() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    is_address boolean := TG_TABLE_NAME = 'address';
    label text;
    of_contract integer;
    of_client integer;
BEGIN
    PERFORM erp.serve_only('erp.tell_reach', TG_RELID,
        CASE WHEN is_address THEN 'erp.address'::regclass ELSE 'erp.contact'::regclass END);
    IF is_address THEN
        label := coalesce(NEW.kind, OLD.kind) || ' address';
        of_contract := coalesce(NEW.contract_id, OLD.contract_id);
        of_client := coalesce(NEW.client_id, OLD.client_id,
            (SELECT client_id FROM erp.contract WHERE contract.id = of_contract));
    ELSE
        label := 'contact';
        of_client := coalesce(NEW.client_id, OLD.client_id);
    END IF;
    INSERT INTO erp.history (client_id, contract_id, kind, text, source) VALUES (
        of_client, of_contract, CASE WHEN of_contract IS NULL THEN 'client_changed' ELSE 'contract_changed' END,
        label || ': ' || CASE TG_OP WHEN 'INSERT' THEN 'added' WHEN 'UPDATE' THEN 'changed' ELSE 'removed' END, 'system');
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.tell_reach FROM PUBLIC;
CREATE TRIGGER tell_change AFTER INSERT OR DELETE ON erp.contact FOR EACH ROW EXECUTE FUNCTION erp.tell_reach();
CREATE TRIGGER tell_update AFTER UPDATE ON erp.contact FOR EACH ROW WHEN (NEW.* IS DISTINCT FROM OLD.*)
    EXECUTE FUNCTION erp.tell_reach();
CREATE TRIGGER tell_change AFTER INSERT OR DELETE ON erp.address FOR EACH ROW EXECUTE FUNCTION erp.tell_reach();
CREATE TRIGGER tell_update AFTER UPDATE ON erp.address FOR EACH ROW WHEN (NEW.* IS DISTINCT FROM OLD.*)
    EXECUTE FUNCTION erp.tell_reach();

-- Settings of the provider by which customers are treated.
CREATE FUNCTION erp.tell_setting() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    told text;
BEGIN
    PERFORM erp.serve_only('erp.tell_setting', TG_RELID,
        CASE WHEN TG_TABLE_NAME = 'billing_type' THEN 'erp.billing_type'::regclass ELSE 'erp.parameter'::regclass END);
    IF TG_TABLE_NAME = 'billing_type' THEN
        told := nullif(concat_ws('; ',
            erp.change_text('payment', OLD.payment, NEW.payment),
            erp.change_text('notice_days', OLD.notice_days::text, NEW.notice_days::text),
            erp.change_text('block_days', OLD.block_days::text, NEW.block_days::text),
            erp.change_text('block_renegotiated_days', OLD.block_renegotiated_days::text, NEW.block_renegotiated_days::text),
            erp.change_text('prepaid_grace_days', OLD.prepaid_grace_days::text, NEW.prepaid_grace_days::text)), '');
        INSERT INTO erp.history (kind, text, source)
        SELECT 'billing_type_changed', NEW.name || ': ' || told, 'system' WHERE told IS NOT NULL;
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        -- An empty value is shown, since it says something else than none.
        told := erp.change_text(OLD.name, coalesce(nullif(OLD.value, ''), '""'),
            CASE WHEN TG_OP = 'UPDATE' AND NEW.name = OLD.name AND NEW.branch_id IS NOT DISTINCT FROM OLD.branch_id
                THEN coalesce(nullif(NEW.value, ''), '""') END);
        INSERT INTO erp.history (branch_id, kind, text, source)
        SELECT OLD.branch_id, 'parameter_changed', told, 'system' WHERE told IS NOT NULL;
    END IF;
    IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND ROW(NEW.name, NEW.branch_id) IS DISTINCT FROM ROW(OLD.name, OLD.branch_id)) THEN
        INSERT INTO erp.history (branch_id, kind, text, source)
        VALUES (NEW.branch_id, 'parameter_changed', erp.change_text(NEW.name, NULL, coalesce(nullif(NEW.value, ''), '""')), 'system');
    END IF;
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.tell_setting FROM PUBLIC;
CREATE TRIGGER tell_change AFTER INSERT OR UPDATE OR DELETE ON erp.parameter FOR EACH ROW EXECUTE FUNCTION erp.tell_setting();
CREATE TRIGGER tell_update AFTER UPDATE ON erp.billing_type FOR EACH ROW EXECUTE FUNCTION erp.tell_setting();
