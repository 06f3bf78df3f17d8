-- Giving addresses out with less work (rule R7.2): in bindings, what most wishes of a batch have in common is said once.

-- Binds one micro-batch for a process, at most one wish for each login and pool: what the login has in the pool by this
-- device already, or had last, is its again, the same device's first; else its candidate is, if the candidate's reserve
-- is still the process's. Waits for no row that others hold. `terms` says of each wish which of the rows of
-- address_spaces, pools, nases, seconds and reserves is its own. Returns beside 0 how many candidates were bound, beside
-- a wish's number which address is its again, and beside that number's negative what became of a candidate that it did
-- not get: 'lost', its reserve is not the process's, or 'taken'. As net.bind_leases, which an older version asks.
-- Every statement of it looks rows up one by one, whatever the planner believes: the plan is made once, perhaps when the
-- table is empty, and a plan that reads all of it, or one made for each batch, would cost more than all else.
CREATE FUNCTION net.bind_batch(node integer, slot integer, life uuid, address_spaces integer[], pools integer[],
    nases integer[], seconds integer[], reserves bigint[], terms integer[], logins integer[], devices bigint[],
    candidates text[])
RETURNS TABLE (number integer, bound text) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    known integer[];
    again integer[] := '{}';
    held bigint[];
    made integer;
BEGIN
    known := ARRAY(
        SELECT wish.n::integer FROM unnest(logins, terms) WITH ORDINALITY AS wish (login_id, term, n)
        WHERE EXISTS (SELECT FROM net.lease WHERE lease.login_id = wish.login_id AND lease.pool_id = pools[wish.term]
            AND lease.state IN ('released', 'bound') OFFSET 0));
    IF known <> '{}' THEN -- by ON CONFLICT, which finds a row by the key and in no other way
        FOR number, bound IN
            WITH kept AS MATERIALIZED (
                SELECT min(known.n) AS n, own.address -- of two that would have the same the first one has it
                FROM unnest(known) AS known (n) CROSS JOIN LATERAL (
                    SELECT lease.address FROM net.lease
                    WHERE lease.login_id = logins[known.n] AND lease.pool_id = pools[terms[known.n]]
                        AND (lease.state = 'released'
                            OR lease.state = 'bound' AND lease.device = devices[known.n] AND lease.device <> 0)
                    ORDER BY lease.device = devices[known.n] DESC, lease.released_at DESC NULLS FIRST
                    LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
                ) AS own
                GROUP BY address_spaces[terms[known.n]], own.address
            ), renewed AS (
                INSERT INTO net.lease (address_space, address, pool_id, state, login_id, device, nas_id, offered_at,
                    valid_until)
                SELECT address_spaces[terms[n]], address, pools[terms[n]], 'bound', logins[n], devices[n], nases[terms[n]],
                    now(), now() + seconds[terms[n]] * interval '1 second'
                FROM kept
                ON CONFLICT (address_space, address) DO UPDATE SET state = 'bound', device = excluded.device,
                    nas_id = excluded.nas_id, offered_at = now(), released_at = NULL, free_from = NULL,
                    valid_until = greatest(CASE WHEN isfinite(lease.valid_until) THEN lease.valid_until END,
                        excluded.valid_until),
                    changed = pg_current_xact_id()
            )
            SELECT kept.n, kept.address::text FROM kept
        LOOP
            again := again || number;
            RETURN NEXT;
        END LOOP;
    END IF;
    held := ARRAY(
        SELECT reserve.id FROM net.reserve
        WHERE reserve.id = ANY (reserves) AND reserve.node_id = node AND reserve.slot = bind_batch.slot
            AND reserve.life = bind_batch.life AND reserve.abandoned_at IS NULL
        FOR SHARE);
    BEGIN
        INSERT INTO net.lease (address_space, address, pool_id, state, login_id, device, nas_id, offered_at, valid_until)
            SELECT address_spaces[wish.term], wish.candidate::cidr, pools[wish.term], 'bound', wish.login_id, wish.device,
                nases[wish.term], now(), now() + seconds[wish.term] * interval '1 second'
            FROM unnest(terms, logins, devices, candidates) WITH ORDINALITY AS wish (term, login_id, device, candidate, n)
            WHERE wish.candidate IS NOT NULL AND reserves[wish.term] = ANY (held) AND wish.n <> ALL (again);
        GET DIAGNOSTICS made = ROW_COUNT;
    EXCEPTION WHEN unique_violation THEN -- seldom, and to look beforehand would cost as much as the row
        INSERT INTO net.lease (address_space, address, pool_id, state, login_id, device, nas_id, offered_at, valid_until)
            SELECT address_spaces[wish.term], wish.candidate::cidr, pools[wish.term], 'bound', wish.login_id, wish.device,
                nases[wish.term], now(), now() + seconds[wish.term] * interval '1 second'
            FROM unnest(terms, logins, devices, candidates) WITH ORDINALITY AS wish (term, login_id, device, candidate, n)
            WHERE wish.candidate IS NOT NULL AND reserves[wish.term] = ANY (held) AND wish.n <> ALL (again)
            ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS made = ROW_COUNT;
    END;
    IF made < cardinality(candidates) - cardinality(again) THEN
        RETURN QUERY
            SELECT -wish.n::integer, CASE WHEN reserves[wish.term] = ANY (held) THEN 'taken' ELSE 'lost' END
            FROM unnest(terms, logins, candidates) WITH ORDINALITY AS wish (term, login_id, candidate, n)
            WHERE wish.candidate IS NOT NULL AND wish.n <> ALL (again) AND NOT EXISTS (
                SELECT FROM net.lease WHERE lease.address_space = address_spaces[wish.term]
                    AND lease.address = wish.candidate::cidr AND lease.login_id = wish.login_id
                    AND lease.changed = pg_current_xact_id() OFFSET 0);
    END IF;
    number := 0;
    bound := made;
    RETURN NEXT;
END
$$;

-- Units of a reserve that are elsewhere by now: in the ledger, set aside anew after they were in it, or excluded. For good:
-- marks of what NASes report go again, and so do exclusions; its process may not have heard of either.
-- A network of another size may be fixed where the range is excluded: it is no unit.
CREATE OR REPLACE FUNCTION net.units_elsewhere(aside net.reserve, for_good boolean DEFAULT false) RETURNS SETOF cidr LANGUAGE plpgsql STABLE
SET jit = off SET enable_seqscan = off AS $$
DECLARE
    range net.pool_range;
    pool net.pool;
    low cidr;
    high cidr;
    is_followed boolean;
BEGIN
    SELECT * INTO pool FROM net.pool AS found WHERE found.id = aside.pool_id;
    IF aside.addresses IS NOT NULL THEN
        -- By other claims: not if it was just made, and then its units need not be looked for in those.
        is_followed := EXISTS (SELECT FROM net.reserve AS later WHERE later.pool_id = aside.pool_id
            AND later.id > aside.id AND later.addresses IS NOT NULL);
        RETURN QUERY SELECT unit FROM unnest(aside.addresses) AS unit
            WHERE EXISTS (SELECT FROM net.lease WHERE address_space = pool.address_space AND address = unit
                    AND NOT (for_good AND state = 'foreign') OFFSET 0)
                OR is_followed AND EXISTS (SELECT FROM net.reserve AS later
                    WHERE later.pool_id = aside.pool_id AND later.id > aside.id AND unit = ANY (later.addresses));
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

-- Whether a reserve of the process's own is used up: the last unit, which is given out last, tells it mostly. Then all of
-- a run are in the ledger, as a rule, and are only counted; what is of another size there is no unit of it.
CREATE OR REPLACE FUNCTION net.is_used_up(aside net.reserve) RETURNS boolean LANGUAGE plpgsql STABLE
SET jit = off SET enable_seqscan = off AS $$
DECLARE
    pool net.pool;
    low cidr;
    high cidr := aside.addresses[cardinality(aside.addresses)];
    given bigint := -1;
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
    END IF;
    RETURN given = aside.until_unit - aside.from_unit OR net.count_left(aside, for_good => true) = 0;
END
$$;
