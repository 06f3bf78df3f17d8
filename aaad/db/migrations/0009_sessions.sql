-- Sessions: what NASes report by accounting, folded. Live ones and those that ended a short while ago are in
-- net.session, which stays small; the others in partitions by the month in which they ended.

ALTER TABLE net.nas
    ADD COLUMN octets_swapped boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN net.nas.octets_swapped IS
    'True: this NAS calls input what goes to the customer. Default: input is what the customer sends (RFC 2866, 5.3).';

ALTER TABLE net.router
    ADD COLUMN accounting_at timestamptz,
    ADD COLUMN clock_offset_s double precision;
COMMENT ON COLUMN net.router.accounting_at IS 'Event time of the latest accounting record drained of it: ages of its sessions count up to here.';
COMMENT ON COLUMN net.router.clock_offset_s IS
    'Its Event-Timestamp less when the record was sent by our clock, of its latest record that has one.';

-- How a session's address is known (rule R9.1).
CREATE DOMAIN net.address_evidence AS text
    CONSTRAINT address_evidence_known CHECK (VALUE IN ('granted', 'reported', 'polled'));

CREATE TABLE net.session (
    -- Which one it is
    family uuid NOT NULL,
    life integer NOT NULL,
    version integer NOT NULL DEFAULT 1,
    summary bytea NOT NULL,
    acct_session_id text NOT NULL,
    user_name text NOT NULL,
    -- Whose it is, as of its beginning
    login_id integer,
    contract_id integer,
    client_id integer,
    plan_id integer,
    branch_id integer,
    time_zone text NOT NULL,
    grant_node integer,
    grant_slot integer,
    grant_serial bigint,
    grant_fingerprint bigint,
    -- Where it is
    nas_id integer NOT NULL,
    source_address inet NOT NULL,
    nas_identifier bytea NOT NULL,
    address_space integer NOT NULL DEFAULT 1,
    nas_port bigint,
    nas_port_id text,
    called_station_id text,
    calling_station_id text,
    mac macaddr,
    circuit_id text,
    -- Its addresses
    ipv4 inet,
    ipv4_evidence net.address_evidence,
    ipv6_prefix cidr,
    ipv6_prefix_evidence net.address_evidence,
    delegated_ipv6_prefix cidr,
    delegated_ipv6_prefix_evidence net.address_evidence,
    -- When
    started_at timestamptz NOT NULL,
    start_seen boolean NOT NULL,
    heard_at timestamptz NOT NULL,
    ended_at timestamptz,
    ended_latest timestamptz,
    end_evidence text,
    terminate_cause integer,
    interim_s integer,
    nas_started_at timestamptz,
    nas_heard_at timestamptz,
    -- How much
    session_time_s bigint NOT NULL DEFAULT 0,
    octets_in bigint NOT NULL DEFAULT 0,
    octets_out bigint NOT NULL DEFAULT 0,
    packets_in bigint NOT NULL DEFAULT 0,
    packets_out bigint NOT NULL DEFAULT 0,
    days date[] NOT NULL DEFAULT '{}',
    day_octets_in bigint[] NOT NULL DEFAULT '{}',
    day_octets_out bigint[] NOT NULL DEFAULT '{}',
    records integer NOT NULL,
    PRIMARY KEY (family, life),
    CONSTRAINT session_end_whole CHECK (
        (ended_at IS NULL) = (end_evidence IS NULL) AND (ended_at IS NULL) = (ended_latest IS NULL)),
    CONSTRAINT session_end_evidence_known CHECK (
        end_evidence IN ('stop', 'nas_restart', 'replaced', 'id_reused', 'gone', 'lost', 'operator')),
    CONSTRAINT session_ends_after_start CHECK (ended_at >= started_at AND ended_latest >= ended_at),
    CONSTRAINT session_days_whole CHECK (
        cardinality(days) = cardinality(day_octets_in) AND cardinality(days) = cardinality(day_octets_out))
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
COMMENT ON TABLE net.session IS 'Connections (conexões) that live or ended a short while ago, folded from accounting.';
COMMENT ON COLUMN net.session.family IS 'Of user name and Acct-Session-Id: the records of one family are folded together.';
COMMENT ON COLUMN net.session.life IS 'Numbers the sessions of a family: an Acct-Session-Id comes again after a reboot.';
COMMENT ON COLUMN net.session.version IS 'Counts up with each change: a fold that read another one is done anew.';
COMMENT ON COLUMN net.session.summary IS 'What the fold knows of the set of records; all columns of time and amount follow from it.';
COMMENT ON COLUMN net.session.time_zone IS 'Of the branch, as of the beginning: days are days there.';
COMMENT ON COLUMN net.session.grant_serial IS 'With node and slot: the grant of which its Class tells; null: it has no Class of ours.';
COMMENT ON COLUMN net.session.started_at IS 'Event time of the Start, or what the other records say of it.';
COMMENT ON COLUMN net.session.heard_at IS 'Event time of its latest record: until then it was certainly connected.';
COMMENT ON COLUMN net.session.ended_at IS 'Until when it was certainly connected, of a session that has ended.';
COMMENT ON COLUMN net.session.ended_latest IS 'Until when it may have been connected: later than ended_at where no Stop came.';
COMMENT ON COLUMN net.session.end_evidence IS 'How the end is known. Only stop is certain; each other one is undone by a later record.';
COMMENT ON COLUMN net.session.terminate_cause IS 'Acct-Terminate-Cause of the Stop (RFC 2866, 5.10).';
COMMENT ON COLUMN net.session.interim_s IS 'Its own interval of Interim-Updates; null: none are known.';
COMMENT ON COLUMN net.session.nas_started_at IS 'Event-Timestamp of the Start by the NAS''s own clock, which may be wrong.';
COMMENT ON COLUMN net.session.octets_in IS 'What the customer sent (upload), whatever the NAS calls it.';
COMMENT ON COLUMN net.session.octets_out IS 'What the customer received (download).';
COMMENT ON COLUMN net.session.days IS 'Days on which counters were reported, ascending; beside each the highest counters reported until its end.';
COMMENT ON COLUMN net.session.records IS 'Distinct records; a repeated one counts once.';
CREATE INDEX session_login ON net.session (login_id, mac);
CREATE INDEX session_nas_port ON net.session (nas_id, nas_port);
CREATE INDEX session_ipv4 ON net.session (ipv4) WHERE ipv4 IS NOT NULL;
CREATE INDEX session_ipv6_prefix ON net.session USING gist (ipv6_prefix inet_ops) WHERE ipv6_prefix IS NOT NULL;
CREATE INDEX session_delegated_ipv6_prefix ON net.session USING gist (delegated_ipv6_prefix inet_ops)
    WHERE delegated_ipv6_prefix IS NOT NULL;
CREATE INDEX session_mac ON net.session (mac);
CREATE INDEX session_ended ON net.session (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE net.session_history (LIKE net.session INCLUDING DEFAULTS INCLUDING COMMENTS INCLUDING CONSTRAINTS)
    PARTITION BY RANGE (ended_at);
ALTER TABLE net.session_history
    ALTER COLUMN ended_at SET NOT NULL,
    ADD PRIMARY KEY (family, life, ended_at);
COMMENT ON TABLE net.session_history IS 'Connections that ended, by the month of their end (UTC). A late record brings one back to net.session.';
CREATE INDEX session_history_login ON net.session_history (login_id, ended_at);
-- Who had an address at an instant: both in one index, so that later holders of the address cost nothing.
CREATE INDEX session_history_ipv4 ON net.session_history
    USING gist (ipv4 inet_ops, tstzrange(started_at, ended_latest, '[]')) WHERE ipv4 IS NOT NULL;
CREATE INDEX session_history_ipv6_prefix ON net.session_history
    USING gist (ipv6_prefix inet_ops, tstzrange(started_at, ended_latest, '[]')) WHERE ipv6_prefix IS NOT NULL;
CREATE INDEX session_history_delegated_ipv6_prefix ON net.session_history
    USING gist (delegated_ipv6_prefix inet_ops, tstzrange(started_at, ended_latest, '[]'))
    WHERE delegated_ipv6_prefix IS NOT NULL;
CREATE INDEX session_history_mac ON net.session_history (mac, ended_at);
-- Reports of a time: history is written in order of the end, so ranges of blocks find it and cost the writer nothing.
CREATE INDEX session_history_ended ON net.session_history USING brin (ended_at)
    WITH (pages_per_range = 32, autosummarize = on);
-- What finds no month's partition, which the daemon makes ahead, is not lost.
CREATE TABLE net.session_history_rest PARTITION OF net.session_history DEFAULT;

CREATE TABLE net.nas_restart (
    nas_id integer NOT NULL,
    source_address inet NOT NULL,
    nas_identifier bytea NOT NULL,
    called_station_id text NOT NULL DEFAULT '',
    at timestamptz NOT NULL,
    kind text NOT NULL,
    PRIMARY KEY (nas_id, source_address, nas_identifier, at, called_station_id, kind),
    CONSTRAINT nas_restart_kind_known CHECK (kind IN ('on', 'off'))
);
COMMENT ON TABLE net.nas_restart IS 'Accounting-On and -Off: sessions of that router that began before have ended (rule R5.2).';
CREATE INDEX nas_restart_at ON net.nas_restart (at);

CREATE TABLE net.granted (
    node integer NOT NULL,
    slot integer NOT NULL,
    serial bigint NOT NULL,
    login_id integer NOT NULL,
    at timestamptz NOT NULL,
    ipv4 inet,
    ipv6_prefix cidr,
    delegated_ipv6_prefix cidr,
    PRIMARY KEY (node, slot, serial)
);
COMMENT ON TABLE net.granted IS 'Addresses of Accepts that accounting may not repeat (RouterOS leaves out IPv6), until their session is known.';
CREATE INDEX granted_at ON net.granted (at);

-- How far every node has drained: ages of sessions count up to here and stand still with it (rule R5.3).
CREATE FUNCTION net.drained_until() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT least(now(), min(drain_watermark)) FROM net.node WHERE drain_watermark IS NOT NULL
$$;

-- All sessions with their state: open, suspended (silent, rule R5.3) or closed. A session is silent after 2.5 of its
-- own intervals, counted up to what is drained and up to the latest record of its router; one without interims never.
CREATE VIEW net.every_session AS
SELECT session.*,
    CASE
        WHEN session.ended_at IS NOT NULL THEN 'closed'
        WHEN session.interim_s IS NULL THEN 'open'
        WHEN least(net.drained_until(), router.accounting_at) - session.heard_at
            > session.interim_s * 2.5 * interval '1 second' THEN 'suspended'
        ELSE 'open'
    END AS state
FROM net.session
LEFT JOIN net.router ON router.nas_id = session.nas_id AND router.source_address = session.source_address
    AND router.nas_identifier = session.nas_identifier
UNION ALL
SELECT session_history.*, 'closed' FROM net.session_history;
COMMENT ON VIEW net.every_session IS 'Live and ended sessions in one, with their state.';
