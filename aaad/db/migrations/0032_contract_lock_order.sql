-- Who finds that a contract changed hands while he waited for it begins anew, without what he has locked by then. He held
-- rows of clients, and would have locked others before them: against a statement that writes titles of several clients, who
-- locks clients in the order of their ids, that was a deadlock.

-- Locks a contract as those do who change it, and returns it; all null if there is none. Whose client's row or titles will
-- be needed, too, locks those first, as who writes titles does: the title, its client, the contract.
CREATE OR REPLACE FUNCTION erp.hold_contract(
    asked integer, with_client boolean DEFAULT false, other_client integer DEFAULT NULL, with_titles boolean DEFAULT false
) RETURNS erp.contract LANGUAGE plpgsql AS $$
DECLARE
    held erp.contract;
    owner integer;
BEGIN
    IF with_titles THEN
        PERFORM FROM erp.receivable WHERE contract_id = asked AND status IN ('A', 'P') ORDER BY id FOR NO KEY UPDATE;
    END IF;
    PERFORM pg_advisory_xact_lock_shared('erp.contract'::regclass::oid::bigint);  -- as erp.share_contracts()
    IF NOT with_client THEN
        SELECT * INTO held FROM erp.contract WHERE id = asked FOR NO KEY UPDATE;
        RETURN held;
    END IF;
    LOOP
        BEGIN
            SELECT client_id INTO owner FROM erp.contract WHERE id = asked;
            PERFORM FROM erp.client WHERE id IN (owner, other_client) ORDER BY id FOR NO KEY UPDATE;
            SELECT * INTO held FROM erp.contract WHERE id = asked FOR NO KEY UPDATE;
            IF held.client_id IS NOT DISTINCT FROM owner THEN
                RETURN held;
            END IF;
            RAISE EXCEPTION 'contract % changed hands', asked USING ERRCODE = 'AAA01';
        EXCEPTION WHEN SQLSTATE 'AAA01' THEN
            NULL;  -- its locks went with it
        END;
    END LOOP;
END
$$;
