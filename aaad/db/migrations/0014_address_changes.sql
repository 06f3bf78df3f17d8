-- Addresses that changed within a session, and since when history is whole: both decide what may be answered about the
-- past (rules R9.1, R9.2).

ALTER TABLE net.session ADD COLUMN address_changes jsonb;
ALTER TABLE net.session_history ADD COLUMN address_changes jsonb;
COMMENT ON COLUMN net.session.address_changes IS
    'Of kinds of address that changed within the session each one that was reported, in order: kind, value, since_us (null: not known), until_us (null: the last one). Null: none changed.';
COMMENT ON COLUMN net.session_history.address_changes IS 'As in net.session.';

-- The few of them are found by time, and their addresses looked at one by one.
CREATE INDEX session_address_changes ON net.session (started_at) WHERE address_changes IS NOT NULL;
CREATE INDEX session_history_address_changes ON net.session_history USING gist (tstzrange(started_at, ended_latest, '[]'))
    WHERE address_changes IS NOT NULL;

CREATE FUNCTION net.held_address(address_changes jsonb, wanted inet) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN EXISTS (
        SELECT FROM jsonb_to_recordset(address_changes) AS change (value inet) WHERE change.value && wanted);
COMMENT ON FUNCTION net.held_address IS 'Whether one of a session''s address_changes lies in an address or prefix, or holds it.';

CREATE OR REPLACE VIEW net.session_anywhere AS
SELECT family, life, acct_session_id, user_name, login_id, contract_id, client_id, branch_id, time_zone, nas_id,
    source_address, nas_identifier, address_space, nas_port_id, calling_station_id, mac, circuit_id, ipv4, ipv4_evidence,
    ipv6_prefix, ipv6_prefix_evidence, delegated_ipv6_prefix, delegated_ipv6_prefix_evidence, started_at, start_seen,
    heard_at, ended_at, ended_latest, end_evidence, terminate_cause, address_changes
FROM net.session
UNION ALL
SELECT family, life, acct_session_id, user_name, login_id, contract_id, client_id, branch_id, time_zone, nas_id,
    source_address, nas_identifier, address_space, nas_port_id, calling_station_id, mac, circuit_id, ipv4, ipv4_evidence,
    ipv6_prefix, ipv6_prefix_evidence, delegated_ipv6_prefix, delegated_ipv6_prefix_evidence, started_at, start_seen,
    heard_at, ended_at, ended_latest, end_evidence, terminate_cause, address_changes
FROM net.session_history;

-- Months whose sessions were deleted, all or all but held ones: who asks about a time before has to be told.
CREATE TABLE net.history_expired (
    until timestamptz PRIMARY KEY,
    expired_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE net.history_expired IS
    'Sessions that ended before `until` were deleted when their time was over, but for held ones (rule R9.2).';

CREATE OR REPLACE FUNCTION net.expire_history_month(month regclass, keep interval, OUT outcome text) LANGUAGE plpgsql STRICT
SET lock_timeout = '1s' AS $$
DECLARE
    held constant text := 'EXISTS (SELECT FROM net.legal_hold AS hold WHERE hold.released_at IS NULL
        AND (hold.since IS NULL OR kept.ended_latest >= hold.since) AND (hold.until IS NULL OR kept.started_at <= hold.until)
        AND (hold.login_id IS NULL OR kept.login_id = hold.login_id) AND (hold.nas_id IS NULL OR kept.nas_id = hold.nas_id)
        AND (hold.address IS NULL OR kept.ipv4 <<= hold.address OR kept.ipv6_prefix && hold.address
            OR kept.delegated_ipv6_prefix && hold.address OR net.held_address(kept.address_changes, hold.address)))';
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
    INSERT INTO net.history_expired (until) VALUES (bounds.until) ON CONFLICT DO NOTHING;
END
$$;
