-- Claims of what was somebody's before with less work (rule R7.2): what of a reserve is elsewhere is found in one look into the
-- index for all its units, and plans are made once.

-- Units of a reserve that are elsewhere by now: in the ledger, set aside anew after they were in it, or excluded. For good:
-- marks of what NASes report go again, and so do exclusions; its process may not have heard of either.
-- A network of another size may be fixed where the range is excluded: it is no unit.
CREATE OR REPLACE FUNCTION net.units_elsewhere(aside net.reserve, for_good boolean DEFAULT false) RETURNS SETOF cidr LANGUAGE plpgsql STABLE
SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    range net.pool_range;
    pool net.pool;
    low cidr;
    high cidr;
BEGIN
    SELECT * INTO pool FROM net.pool AS found WHERE found.id = aside.pool_id;
    IF aside.addresses IS NOT NULL THEN
        -- Not by other claims if it was just made, and then its units need not be looked for in those.
        IF NOT EXISTS (SELECT FROM net.reserve AS later WHERE later.pool_id = aside.pool_id
            AND later.id > aside.id AND later.addresses IS NOT NULL)
        THEN
            RETURN QUERY SELECT address FROM net.lease
                WHERE address_space = pool.address_space AND address = ANY (aside.addresses)
                    AND NOT (for_good AND state = 'foreign');
            RETURN;
        END IF;
        RETURN QUERY SELECT address FROM net.lease
                WHERE address_space = pool.address_space AND address = ANY (aside.addresses)
                    AND NOT (for_good AND state = 'foreign')
            UNION (SELECT unnest(aside.addresses) INTERSECT SELECT unnest(later.addresses) FROM net.reserve AS later
                WHERE later.pool_id = aside.pool_id AND later.id > aside.id);
        RETURN;
    END IF;
    SELECT * INTO range FROM net.pool_range AS found WHERE found.id = aside.range_id;
    low := net.unit_address(range.first, pool.prefix_length, aside.from_unit);
    high := net.unit_address(range.first, pool.prefix_length, aside.until_unit - 1);
    -- What was fixed within the range and given back before the range's turn came may be set aside by an older reserve.
    RETURN QUERY SELECT address FROM net.lease
            WHERE address_space = pool.address_space AND address >= low AND address <= high AND masklen(address) = pool.prefix_length
                AND NOT (for_good AND state = 'foreign')
        UNION SELECT unit FROM net.reserve AS other, unnest(other.addresses) AS unit
            WHERE other.pool_id = aside.pool_id AND unit >= low AND unit <= high
        UNION SELECT net.unit_address(range.first, pool.prefix_length, number) FROM net.pool_exclusion AS excluded,
            generate_series(greatest(excluded.from_unit, aside.from_unit),
                least(excluded.until_unit, aside.until_unit) - 1) AS number
            WHERE excluded.range_id = range.id AND excluded.from_unit < aside.until_unit
                AND excluded.until_unit > aside.from_unit AND NOT (for_good AND excluded.since >= aside.claimed_at);
END
$$;

-- Whether a reserve of the process's own is used up: the last unit, which is given out last, tells it mostly. Then all are
-- in the ledger, as a rule, and are only counted; what is of another size than a run's units is none of them.
CREATE OR REPLACE FUNCTION net.is_used_up(aside net.reserve) RETURNS boolean LANGUAGE plpgsql STABLE
SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    pool net.pool;
    low cidr;
    high cidr := aside.addresses[cardinality(aside.addresses)];
    given bigint;
BEGIN
    SELECT * INTO pool FROM net.pool AS found WHERE found.id = aside.pool_id;
    IF aside.range_id IS NOT NULL THEN
        SELECT net.unit_address(range.first, pool.prefix_length, aside.from_unit),
            net.unit_address(range.first, pool.prefix_length, aside.until_unit - 1)
            INTO low, high FROM net.pool_range AS range WHERE range.id = aside.range_id;
    END IF;
    IF NOT EXISTS (SELECT FROM net.lease WHERE address_space = pool.address_space AND address = high) THEN
        RETURN false;
    END IF;
    IF low IS NOT NULL THEN
        SELECT count(*) INTO given FROM net.lease
            WHERE address_space = pool.address_space AND address >= low AND address <= high
                AND masklen(address) = pool.prefix_length AND state <> 'foreign';
    ELSE
        SELECT count(*) INTO given FROM net.lease
            WHERE address_space = pool.address_space AND address = ANY (aside.addresses) AND state <> 'foreign';
    END IF;
    RETURN given = coalesce(cardinality(aside.addresses), aside.until_unit - aside.from_unit)
        OR net.count_left(aside, for_good => true) = 0;
END
$$;

-- What sessions report is not given out, whatever the ledger says of it: the keeper, who marks it, may come later.
CREATE OR REPLACE FUNCTION net.units_reported(aside net.reserve) RETURNS SETOF cidr LANGUAGE plpgsql STABLE
SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    pool net.pool;
    low inet;
    high inet;
BEGIN
    SELECT * INTO pool FROM net.pool AS found WHERE found.id = aside.pool_id;
    IF family(aside.addresses[1]) = 4 THEN -- as net.is_reported, in one look for all
        RETURN QUERY SELECT DISTINCT ipv4::cidr FROM net.session
            WHERE ipv4 = ANY (aside.addresses::inet[]) AND address_space = pool.address_space AND ended_at IS NULL;
        RETURN;
    ELSIF aside.addresses IS NOT NULL THEN
        RETURN QUERY SELECT unit FROM unnest(aside.addresses) AS unit WHERE net.is_reported(pool.address_space, unit);
        RETURN;
    END IF;
    SELECT net.unit_address(first, pool.prefix_length, aside.from_unit),
        net.last_host(net.unit_address(first, pool.prefix_length, aside.until_unit - 1))
        INTO low, high FROM net.pool_range WHERE id = aside.range_id;
    IF family(low) = 4 THEN
        RETURN QUERY SELECT DISTINCT network(set_masklen(ipv4, pool.prefix_length)) FROM net.session
            WHERE ipv4 BETWEEN net.first_host(low) AND high AND address_space = pool.address_space AND ended_at IS NULL;
        RETURN;
    END IF;
    RETURN QUERY SELECT DISTINCT network(set_masklen(told.address, pool.prefix_length))
        FROM (
            SELECT ipv6_prefix FROM net.session
            WHERE ipv6_prefix >= low AND ipv6_prefix <= high AND address_space = pool.address_space AND ended_at IS NULL
            UNION ALL
            SELECT delegated_ipv6_prefix FROM net.session
            WHERE delegated_ipv6_prefix >= low AND delegated_ipv6_prefix <= high AND address_space = pool.address_space
                AND ended_at IS NULL
        ) AS told (address)
        WHERE masklen(told.address) >= pool.prefix_length;
END
$$;

-- As aaad/pools/adopting.py decides it, for the moments until the keeper has looked. In PL/pgSQL, which keeps its plan: what
-- claims ask was planned anew for each.
CREATE OR REPLACE FUNCTION net.may_have_lost() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM net.database_seen AS seen WHERE seen.system_identifier <> net.change_log_identity()
        OR seen.timeline <> left(pg_walfile_name(pg_current_wal_lsn()), 8)
            AND (NOT seen.waits OR seen.seen_at < now() - interval '600 seconds'));
END
$$;

ALTER FUNCTION net.units_taken(net.reserve) SET plan_cache_mode = force_generic_plan;
