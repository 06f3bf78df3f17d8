-- Keeping sessions: history by month, what is deleted when, sessions that are lost, usage and caps.

-- History -----------------------------------------------------------------------------------------------------

-- A late record of a session that is in history brings it back. Only months from `since` on are looked into, and
-- planned with: so this costs the same however long history is kept. Who calls has looked into net.session before, so
-- that a session that is just being moved is found in one of both. Numbers of lives that came to be used again
-- meanwhile are changed: they name rows and mean nothing else.
CREATE FUNCTION net.recall_session(families uuid[], since timestamptz DEFAULT '-infinity') RETURNS SETOF net.session
LANGUAGE plpgsql AS $$
DECLARE
    recalled net.session;
BEGIN
    FOR recalled IN EXECUTE
        'DELETE FROM net.session_history WHERE family = ANY($1) AND ended_at >= $2 RETURNING *' USING families, since
    LOOP
        IF EXISTS (SELECT FROM net.session WHERE family = recalled.family AND life = recalled.life) THEN
            SELECT max(life) + 1 INTO recalled.life FROM net.session WHERE family = recalled.family;
        END IF;
        INSERT INTO net.session SELECT recalled.*;
        RETURN NEXT recalled;
    END LOOP;
END
$$;
COMMENT ON FUNCTION net.recall_session IS
    'Brings sessions of these families that ended at or after `since` back from history to net.session; returns them.';

CREATE VIEW net.history_month AS
SELECT partition.oid::regclass AS partition,
    (regexp_match(told.bound, $$FROM \('([^']+)'\)$$))[1]::timestamptz AS since,
    (regexp_match(told.bound, $$TO \('([^']+)'\)$$))[1]::timestamptz AS until
FROM pg_inherits
JOIN pg_class AS partition ON partition.oid = pg_inherits.inhrelid
CROSS JOIN LATERAL (SELECT pg_get_expr(partition.relpartbound, partition.oid)) AS told (bound)
WHERE pg_inherits.inhparent = 'net.session_history'::regclass AND told.bound <> 'DEFAULT';
COMMENT ON VIEW net.history_month IS 'The partitions of net.session_history: sessions that ended at or after since and before until.';

-- One maker of partitions at a time.
CREATE FUNCTION net.history_key() RETURNS bigint LANGUAGE sql STABLE
    RETURN ('net.session_history'::regclass)::oid::bigint;

-- Made beside the history and attached when whole: who reads or writes history waits for a moment, and never for long.
CREATE FUNCTION net.make_history_month(instant timestamptz) RETURNS boolean LANGUAGE plpgsql SET lock_timeout = '1s' AS $$
DECLARE
    month constant timestamp := date_trunc('month', instant AT TIME ZONE 'UTC');
    since constant timestamptz := month AT TIME ZONE 'UTC';
    until constant timestamptz := (month + interval '1 month') AT TIME ZONE 'UTC';
    partition constant text := format('net.%I', 'session_history_' || to_char(month, 'YYYY_MM'));
BEGIN
    PERFORM pg_advisory_xact_lock(net.history_key());
    IF EXISTS (SELECT FROM net.history_month AS known WHERE known.since <= instant AND instant < known.until) THEN
        RETURN false;
    END IF;
    EXECUTE 'CREATE TABLE ' || partition
        || ' (LIKE net.session_history INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES INCLUDING STORAGE)';
    -- What ended in it while it was not there.
    LOCK TABLE net.session_history_rest IN SHARE ROW EXCLUSIVE MODE;
    EXECUTE 'WITH gone AS (DELETE FROM net.session_history_rest WHERE ended_at >= $1 AND ended_at < $2 RETURNING *) '
        || 'INSERT INTO ' || partition || ' SELECT * FROM gone' USING since, until;
    EXECUTE format('ALTER TABLE net.session_history ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)', partition, since, until);
    RETURN true;
END
$$;
COMMENT ON FUNCTION net.make_history_month IS
    'Makes the partition of net.session_history for the month (UTC) of this instant; false: there is one.';

-- This month, the next two, and those of ended sessions that have none: at most $1 of them.
CREATE FUNCTION net.make_history_months(at_most integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    made integer := 0;
    ended timestamptz;
BEGIN
    FOR ahead IN 0..2 LOOP
        made := made + net.make_history_month(now() + ahead * interval '1 month')::integer;
    END LOOP;
    ended := least((SELECT min(ended_at) FROM net.session), (SELECT min(ended_at) FROM net.session_history_rest));
    WHILE ended IS NOT NULL AND made < at_most LOOP
        made := made + net.make_history_month(ended)::integer;
        ended := (date_trunc('month', ended AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC';
        ended := least(
            (SELECT min(ended_at) FROM net.session WHERE ended_at >= ended),
            (SELECT min(ended_at) FROM net.session_history_rest WHERE ended_at >= ended));
    END LOOP;
    RETURN made;
END
$$;

-- Parameters --------------------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION erp.parameter_kind(name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
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
        WHEN name = 'history_days' THEN '365 to 3660'
        WHEN name = 'session_lost_hours' THEN '1 to 720'
    END;

-- Months of history hold sessions of all branches.
ALTER TABLE erp.parameter ADD CONSTRAINT parameter_general_only CHECK (name <> 'history_days' OR branch_id IS NULL);

-- Legal hold and retention (rule R9.2) --------------------------------------------------------------------------

CREATE TABLE net.legal_hold (
    id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    login_id integer,
    address cidr,
    nas_id integer,
    since timestamptz,
    until timestamptz,
    reason text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL DEFAULT erp.current_operator(),
    released_at timestamptz,
    released_by text,
    release_reason text,
    CONSTRAINT legal_hold_id_range CHECK (id > 0),
    CONSTRAINT legal_hold_in_order CHECK (until >= since),
    CONSTRAINT legal_hold_reason_form CHECK (reason <> '' AND erp.is_trimmed(reason) AND length(reason) <= 1000),
    CONSTRAINT legal_hold_release_whole CHECK (
        (released_at IS NULL) = (released_by IS NULL) AND (released_at IS NULL) = (release_reason IS NULL)),
    CONSTRAINT legal_hold_release_reason_form CHECK (
        release_reason <> '' AND erp.is_trimmed(release_reason) AND length(release_reason) <= 1000)
);
COMMENT ON TABLE net.legal_hold IS
    'Sessions that are kept beyond their time, until it is released: those that fit all that is said here; nothing said: all. No foreign keys: it outlives what it names.';
COMMENT ON COLUMN net.legal_hold.address IS 'IPv4 address or network, or IPv6 prefix: of the session''s own addresses, not of CGNAT''s public side.';
COMMENT ON COLUMN net.legal_hold.since IS 'Sessions that may have lived at or after; null: from the first on.';
COMMENT ON COLUMN net.legal_hold.until IS 'Sessions that lived at or before; null: also those to come.';
COMMENT ON COLUMN net.legal_hold.reason IS 'Which order, of whom.';
CREATE INDEX legal_hold_open ON net.legal_hold (id) WHERE released_at IS NULL;

-- What a hold says is never changed and no hold is deleted: it is released, and another one made.
CREATE FUNCTION net.guard_legal_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.released_at IS NULL AND NEW.released_at IS NOT NULL
        AND ROW(NEW.id, NEW.login_id, NEW.address, NEW.nas_id, NEW.since, NEW.until, NEW.reason, NEW.created_at, NEW.created_by)
        IS NOT DISTINCT FROM
        ROW(OLD.id, OLD.login_id, OLD.address, OLD.nas_id, OLD.since, OLD.until, OLD.reason, OLD.created_at, OLD.created_by)
    THEN
        NEW.released_at := now();
        NEW.released_by := erp.current_operator();
        RETURN NEW;
    ELSIF TG_OP = 'INSERT' THEN
        NEW.created_at := now();
        NEW.created_by := erp.current_operator();
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a legal hold is never changed or deleted' USING ERRCODE = 'insufficient_privilege',
        CONSTRAINT = 'legal_hold_append_only', HINT = 'Release it, and write another one.';
END
$$;
REVOKE EXECUTE ON FUNCTION net.guard_legal_hold FROM PUBLIC;
CREATE TRIGGER guard_rows BEFORE INSERT OR UPDATE OR DELETE ON net.legal_hold
    FOR EACH ROW EXECUTE FUNCTION net.guard_legal_hold();
CREATE TRIGGER guard_table BEFORE TRUNCATE ON net.legal_hold
    FOR EACH STATEMENT EXECUTE FUNCTION net.guard_legal_hold();

-- Not in the login's own history, which everybody reads: an order may be secret.
CREATE FUNCTION net.tell_legal_hold() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM erp.serve_only('net.tell_legal_hold', TG_RELID, 'net.legal_hold');
    INSERT INTO erp.history (kind, text, source) VALUES (
        'legal_hold_changed',
        format('legal hold %s: %s', NEW.id, CASE TG_OP WHEN 'INSERT' THEN 'added' ELSE 'released' END), 'system');
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION net.tell_legal_hold FROM PUBLIC;
CREATE TRIGGER tell_change AFTER INSERT OR UPDATE ON net.legal_hold FOR EACH ROW EXECUTE FUNCTION net.tell_legal_hold();

-- A month that is over for so long goes whole. Where sessions in it are held, they alone stay: the law that makes us keep
-- records makes us delete them, too, when their time is over. Holds that come while the month is looked through stop it.
CREATE FUNCTION net.expire_history_month(month regclass, keep interval, OUT outcome text) LANGUAGE plpgsql STRICT
SET lock_timeout = '1s' AS $$
DECLARE
    held constant text := 'EXISTS (SELECT FROM net.legal_hold AS hold WHERE hold.released_at IS NULL
        AND (hold.since IS NULL OR kept.ended_latest >= hold.since) AND (hold.until IS NULL OR kept.started_at <= hold.until)
        AND (hold.login_id IS NULL OR kept.login_id = hold.login_id) AND (hold.nas_id IS NULL OR kept.nas_id = hold.nas_id)
        AND (hold.address IS NULL OR kept.ipv4 <<= hold.address OR kept.ipv6_prefix && hold.address
            OR kept.delegated_ipv6_prefix && hold.address))';
    name constant text := (SELECT relname FROM pg_class WHERE oid = month);
    bounds net.history_month;
    holds_before integer[];
    has_held boolean := false;
    has_others boolean := true;
BEGIN
    IF keep < interval '365 days' THEN
        RAISE EXCEPTION 'sessions are kept for a year at least, not for %', keep USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Lei 12.965/2014, art. 13.';
    END IF;
    IF NOT pg_try_advisory_xact_lock('net.legal_hold'::regclass::oid::bigint) THEN
        outcome := 'busy';
        RETURN;
    END IF;
    SELECT * INTO bounds FROM net.history_month WHERE partition = month;
    IF bounds.until IS NULL OR bounds.until > now() - keep THEN
        outcome := 'not due';
        RETURN;
    END IF;
    EXECUTE format('LOCK TABLE %s IN SHARE MODE', month);
    holds_before := ARRAY(SELECT id FROM net.legal_hold WHERE released_at IS NULL ORDER BY id);
    IF holds_before <> '{}' THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM %s AS kept WHERE %s), EXISTS (SELECT FROM %1$s AS kept WHERE NOT %2$s)',
            month, held) INTO has_held, has_others;
    END IF;
    IF has_held AND NOT has_others THEN
        outcome := 'held';
        RETURN;
    END IF;
    IF has_held THEN
        EXECUTE format('CREATE TABLE net.%I (LIKE net.session_history INCLUDING DEFAULTS INCLUDING CONSTRAINTS '
            'INCLUDING INDEXES INCLUDING STORAGE)', name || '_held');
        EXECUTE format('INSERT INTO net.%I SELECT * FROM %s AS kept WHERE %s', name || '_held', month, held);
    END IF;
    LOCK TABLE net.legal_hold IN SHARE MODE;
    IF holds_before <> ARRAY(SELECT id FROM net.legal_hold WHERE released_at IS NULL ORDER BY id) THEN
        RAISE EXCEPTION 'legal holds changed while % was looked through', month USING ERRCODE = 'serialization_failure';
    END IF;
    EXECUTE format('DROP TABLE %s', month);
    outcome := 'dropped';
    IF has_held THEN
        EXECUTE format('ALTER TABLE net.%I RENAME TO %I', name || '_held', name);
        EXECUTE format('ALTER TABLE net.session_history ATTACH PARTITION net.%I FOR VALUES FROM (%L) TO (%L)',
            name, bounds.since, bounds.until);
        outcome := 'reduced';
    END IF;
END
$$;
REVOKE EXECUTE ON FUNCTION net.expire_history_month FROM PUBLIC;
COMMENT ON FUNCTION net.expire_history_month IS
    'Drops a month of history that is over for longer than `keep`, but for sessions under a legal hold: dropped, reduced, held, not due, or busy: another node is at it.';

-- Silence (rule R5.3) -------------------------------------------------------------------------------------------

-- While a router is not heard at all its sessions do not grow older; when it is heard again they have their time to be
-- heard, too. The longest such time of the last day is remembered: after it, shorter ones are the usual.
ALTER TABLE net.router
    ADD COLUMN silent_since timestamptz,
    ADD COLUMN silent_until timestamptz;
COMMENT ON COLUMN net.router.silent_since IS 'Accounting: the router was not heard from here to silent_until, of late. Kept by a trigger.';

CREATE FUNCTION net.note_router_silence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.accounting_at - OLD.accounting_at >= OLD.silent_until - OLD.silent_since) IS NOT FALSE
        OR NEW.accounting_at - OLD.silent_until > interval '1 day'
    THEN
        NEW.silent_since := OLD.accounting_at;
        NEW.silent_until := NEW.accounting_at;
    END IF;
    RETURN NEW;
END
$$;
REVOKE EXECUTE ON FUNCTION net.note_router_silence FROM PUBLIC;
-- The shortest interval of interims that RouterOS takes is a minute: 2.5 of them.
CREATE TRIGGER note_silence BEFORE UPDATE OF accounting_at ON net.router FOR EACH ROW
    WHEN (NEW.accounting_at - OLD.accounting_at > interval '150 seconds') EXECUTE FUNCTION net.note_router_silence();

CREATE FUNCTION net.silence(
    heard_at timestamptz, interim_s integer, drained_until timestamptz, router_heard_at timestamptz,
    router_silent_since timestamptz, router_silent_until timestamptz
) RETURNS interval LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN least(drained_until, router_heard_at) - CASE
        WHEN router_silent_until > heard_at AND router_silent_until - router_silent_since > interim_s * 2.5 * interval '1 second'
        THEN router_silent_until ELSE heard_at END;
COMMENT ON FUNCTION net.silence IS
    'For how long a session was not heard, up to what is drained and to when its router was heard, without the router''s own silence.';

CREATE OR REPLACE VIEW net.every_session AS
SELECT session.*,
    CASE
        WHEN session.ended_at IS NOT NULL THEN 'closed'
        WHEN session.interim_s IS NULL THEN 'open'
        WHEN net.silence(session.heard_at, session.interim_s, (SELECT net.drained_until()), router.accounting_at,
            router.silent_since, router.silent_until) > session.interim_s * 2.5 * interval '1 second' THEN 'suspended'
        ELSE 'open'
    END AS state
FROM net.session
LEFT JOIN net.router ON router.nas_id = session.nas_id AND router.source_address = session.source_address
    AND router.nas_identifier = session.nas_identifier
UNION ALL
SELECT session_history.*, 'closed' FROM net.session_history;

-- Usage (rule R5.5) ---------------------------------------------------------------------------------------------

CREATE FUNCTION net.session_usage(days date[], highest_in bigint[], highest_out bigint[])
RETURNS TABLE (day date, octets_in bigint, octets_out bigint) LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 3
BEGIN ATOMIC
    SELECT reported.day,
        greatest(reported.octets_in - coalesce(max(reported.octets_in) OVER earlier, 0), 0),
        greatest(reported.octets_out - coalesce(max(reported.octets_out) OVER earlier, 0), 0)
    FROM unnest(days, highest_in, highest_out) AS reported (day, octets_in, octets_out)
    WINDOW earlier AS (ORDER BY reported.day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING);
END;
COMMENT ON FUNCTION net.session_usage IS
    'Of columns days, day_octets_in and day_octets_out of a session: the highest counter reported on each day less the highest of earlier days.';

-- By days of each session's zone. A day lies within two days of the same day in UTC, wherever that zone is and however
-- the end was told.
CREATE FUNCTION net.usage_day(of_login integer, first_day date, last_day date)
RETURNS TABLE (day date, octets_in bigint, octets_out bigint, sessions bigint) LANGUAGE sql STABLE ROWS 30
BEGIN ATOMIC
    SELECT used.day, sum(used.octets_in)::bigint, sum(used.octets_out)::bigint, count(*)
    FROM (
        SELECT session.days, session.day_octets_in, session.day_octets_out
        FROM net.session
        WHERE session.login_id = of_login
        UNION ALL
        SELECT history.days, history.day_octets_in, history.day_octets_out
        FROM net.session_history AS history
        WHERE history.login_id = of_login AND history.ended_at >= (first_day - 2)::timestamp AT TIME ZONE 'UTC'
            AND history.started_at < (last_day + 3)::timestamp AT TIME ZONE 'UTC'
    ) AS reported
    CROSS JOIN LATERAL net.session_usage(reported.days, reported.day_octets_in, reported.day_octets_out) AS used
    WHERE used.day BETWEEN first_day AND last_day
    GROUP BY used.day
    ORDER BY used.day;
END;
COMMENT ON FUNCTION net.usage_day IS
    'Octets of a login by day, from first_day to last_day: octets_in is what the customer sent, sessions those that reported on that day.';

-- Caps ----------------------------------------------------------------------------------------------------------

ALTER TABLE erp.contract
    ADD COLUMN due_day integer,
    ADD CONSTRAINT contract_due_day_range CHECK (due_day BETWEEN 1 AND 31);
COMMENT ON COLUMN erp.contract.due_day IS
    'Day of the month on which it is due (dia de vencimento); null: that of its latest receivable. See erp.due_day().';

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
            erp.change_text('due_day', o.due_day::text, n.due_day::text),
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

CREATE FUNCTION erp.due_day(of_contract integer) RETURNS integer LANGUAGE sql STABLE
    RETURN (SELECT coalesce(
        contract.due_day,
        extract(day FROM (
            SELECT max(receivable.due_on) FROM erp.receivable
            WHERE receivable.contract_id = contract.id AND receivable.kind = 'recurring')),
        extract(day FROM contract.activated_on),
        1)::integer
    FROM erp.contract WHERE contract.id = of_contract);
COMMENT ON FUNCTION erp.due_day IS
    'Day of the month on which a contract''s period begins: its due_day, else that of its latest receivable, else of its activation, else 1.';

CREATE INDEX login_cap_reached ON erp.login (id) WHERE cap_reached;
COMMENT ON COLUMN erp.login.cap_reached IS
    'The cap of the plan is used up: cap_plan_id holds. Kept by the daemon from the sessions'' octets.';
-- It cuts nobody off: the nodes' brake lets it pass (rule R1.3).
INSERT INTO net.run (kind, brake_passed) VALUES ('caps', true);

-- Work that goes through a table bit by bit, one node at a time: where to go on, and when.
CREATE TABLE net.chore (
    name text PRIMARY KEY,
    cursor bigint NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT '-infinity'
);
COMMENT ON TABLE net.chore IS 'Work of the whole cluster that goes on where it was left: whoever locks the row does the next bit.';
INSERT INTO net.chore (name) VALUES ('lost'), ('caps');
