-- What of a claim somebody has already. A program that fixes an address tells so by a lock and writes it into the ledger,
-- and loses the lock after it has committed. So the locks are looked at first, and then, in another statement and
-- therefore with a snapshot of then, the ledger: an address that is in neither is nobody's. One statement that looked at
-- both saw the locks of now and the ledger of its beginning, and missed who committed in between.
CREATE FUNCTION net.units_taken(aside net.reserve) RETURNS cidr[] LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    being_fixed cidr[];
    found cidr[];
BEGIN
    SELECT array_agg(unit) INTO being_fixed FROM net.units_being_fixed(aside) AS unit;
    SELECT array_agg(unit) INTO found FROM (
        SELECT unit FROM unnest(being_fixed) AS unit
        UNION SELECT unit FROM net.units_elsewhere(aside) AS unit
        UNION SELECT unit FROM net.units_reported(aside) AS unit) AS taken;
    RETURN coalesce(found, '{}');
END
$$;
COMMENT ON FUNCTION net.units_taken IS 'Units of a reserve that its process must not give out. Only at READ COMMITTED, in a statement after the claim.';
