-- What follows from ERP rows, where a transaction looks at what was there when it began (REPEATABLE READ, SERIALIZABLE).
--
-- The locks of 0006 put writers in a row; at READ COMMITTED the next statement then sees what the one before did. A
-- transaction that keeps its snapshot gets the same lock and still sees the old rows: it would count with old eyes, and
-- nobody would count after it. PostgreSQL tells it to begin again only where it writes or locks a row that was written
-- since. So what one counts from is written by who changes it:
--
--   * whether single titles count: net.single_receivables_change, written with the parameter, locked by who reads that.
--     The parameter's own row does not serve, since there may have been none.
--   * who a client's contracts and own titles are: his row is written, no longer only locked. Only where single titles
--     count; elsewhere, which is the usual way, none of both is looked at.
--
-- Who changes the parameter counts from all single titles, which leave nothing behind while they do not count: that is
-- what makes them cheap. He, who is rare, finds out whether anything at all was committed since his snapshot.
--
-- At READ COMMITTED nothing of this is needed, and next to nothing is done.

CREATE TABLE net.single_receivables_change (
    is_only boolean PRIMARY KEY DEFAULT true,
    at timestamptz NOT NULL,
    CONSTRAINT single_receivables_change_is_one CHECK (is_only)
);
COMMENT ON TABLE net.single_receivables_change IS
    'One row: when parameter single_receivables_block was last written. Kept by triggers, for transactions that keep a snapshot.';
INSERT INTO net.single_receivables_change (at) VALUES (now());

CREATE FUNCTION erp.keeps_snapshot() RETURNS boolean LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    RETURN current_setting('transaction_isolation') IN ('repeatable read', 'serializable');

CREATE FUNCTION erp.refuse_old_snapshot() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'could not serialize access: others have committed since this transaction began'
        USING ERRCODE = 'serialization_failure',
        HINT = 'Begin again, or write it at READ COMMITTED, which sees what others commit.';
END
$$;
REVOKE EXECUTE ON FUNCTION erp.refuse_old_snapshot FROM PUBLIC;

-- Transactions that the snapshot calls unfinished, and those that began after it: these have the numbers from its end to
-- the first that is not given away, which is told by an error. Others' that are still under way do no harm: who asks
-- here excludes them by a lock, which they get rid of after they have been recorded as committed.
CREATE FUNCTION erp.check_nothing_missed() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    snapshot constant pg_snapshot := pg_current_snapshot();
    started constant numeric := pg_snapshot_xmax(snapshot)::text::numeric;
BEGIN
    IF NOT erp.keeps_snapshot() THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM pg_snapshot_xip(snapshot) AS unfinished WHERE pg_xact_status(unfinished) = 'committed') THEN
        PERFORM erp.refuse_old_snapshot();
    END IF;
    BEGIN
        FOR number IN 0..9999 LOOP
            EXIT WHEN pg_xact_status((started + number)::text::xid8) = 'committed';
        END LOOP;
    EXCEPTION WHEN invalid_parameter_value THEN
        RETURN;  -- all that there are were looked at
    END;
    PERFORM erp.refuse_old_snapshot();
END
$$;
REVOKE EXECUTE ON FUNCTION erp.check_nothing_missed FROM PUBLIC;
COMMENT ON FUNCTION erp.check_nothing_missed IS
    'For triggers: fails in a transaction that keeps a snapshot in which something that was committed since is missing.';

CREATE OR REPLACE FUNCTION erp.contracts_of(clients integer[]) RETURNS integer[] LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(erp.single_receivables_key());
    IF erp.keeps_snapshot() THEN
        PERFORM FROM net.single_receivables_change FOR SHARE;
        IF NOT FOUND THEN  -- somebody has emptied the table
            PERFORM erp.check_nothing_missed();
        END IF;
    END IF;
    IF clients IS NULL OR NOT EXISTS (SELECT FROM erp.parameter WHERE name = 'single_receivables_block' AND value = 'S') THEN
        RETURN '{}';
    END IF;
    PERFORM FROM erp.client WHERE id = ANY(clients) ORDER BY id FOR NO KEY UPDATE;
    UPDATE erp.client SET name = name WHERE id = ANY(clients);
    RETURN ARRAY(SELECT id FROM erp.contract WHERE client_id = ANY(clients));
END
$$;

CREATE OR REPLACE FUNCTION erp.follow_single_receivables() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
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
        PERFORM erp.check_nothing_missed();
        INSERT INTO net.single_receivables_change (at) VALUES (now()) ON CONFLICT (is_only) DO UPDATE SET at = excluded.at;
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

-- The same for contract.access_ends_at: who writes a contract locks the billing type and the branch that he counts from,
-- which leaves nothing behind; who changes these would miss a contract that was made since.

CREATE OR REPLACE FUNCTION erp.follow_billing_type() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    changed integer[];
BEGIN
    PERFORM erp.serve_only('erp.follow_billing_type', TG_RELID, 'erp.billing_type');
    changed := ARRAY(SELECT n.id FROM old_rows AS o JOIN new_rows AS n USING (id)
        WHERE ROW(o.payment, o.prepaid_grace_days) <> ROW(n.payment, n.prepaid_grace_days));
    IF changed <> '{}' THEN
        PERFORM erp.check_nothing_missed();
        UPDATE erp.contract SET access_ends_at = NULL  -- its own trigger says what it becomes
        WHERE paid_until IS NOT NULL AND billing_type_id = ANY(changed);
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION erp.follow_time_zone() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    changed integer[];
BEGIN
    PERFORM erp.serve_only('erp.follow_time_zone', TG_RELID, 'erp.branch');
    changed := ARRAY(SELECT n.id FROM old_rows AS o JOIN new_rows AS n USING (id) WHERE o.time_zone <> n.time_zone);
    IF changed <> '{}' THEN
        PERFORM erp.check_nothing_missed();
        UPDATE erp.contract SET access_ends_at = NULL  -- its own trigger says what it becomes
        WHERE access_ends_at IS NOT NULL AND branch_id = ANY(changed);
    END IF;
    RETURN NULL;
END
$$;
