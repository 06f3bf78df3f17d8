-- What is given back, or included again, while another process claims it (rule R7.2). A claim deletes a unit's row and sets
-- the unit aside, in one transaction. Whoever inserts that row meanwhile waits for its end, finds no row, and inserts: by
-- the snapshot with which it began, nobody had set the unit aside. Then the unit was in a reserve and free, for a second
-- process to claim, and both could give it out while PostgreSQL was away. So whoever inserts such rows looks once more
-- afterwards, in another statement and therefore with a snapshot of then, and takes out what is set aside by now: nobody
-- has seen those rows yet. A claim that comes later finds the row, or none.

-- Units of a reserve that nobody got: back to the pool, for anybody at once. Only at READ COMMITTED.
CREATE OR REPLACE FUNCTION net.give_back(reserve bigint, units cidr[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    aside net.reserve;
    space integer;
    given cidr[];
    claimed cidr[];
BEGIN
    IF erp.keeps_snapshot() THEN
        PERFORM erp.refuse_old_snapshot(); -- what others set aside meanwhile would not be seen
    END IF;
    SELECT * INTO aside FROM net.reserve AS found WHERE found.id = give_back.reserve FOR UPDATE;
    SELECT pool.address_space INTO space FROM net.pool WHERE pool.id = aside.pool_id;
    WITH made AS (
        INSERT INTO net.lease (address_space, address, pool_id, state, released_at, free_from)
            SELECT space, unit, aside.pool_id, 'released', now(), now()
            FROM unnest(units) AS unit
            WHERE space IS NOT NULL AND NOT EXISTS (SELECT FROM net.reserve AS later
                WHERE later.pool_id = aside.pool_id AND later.id > aside.id AND unit = ANY (later.addresses))
            ORDER BY unit
            ON CONFLICT DO NOTHING
            RETURNING address
    )
    SELECT coalesce(array_agg(made.address), '{}') INTO given FROM made;
    SELECT coalesce(array_agg(DISTINCT unit), '{}') INTO claimed
        FROM net.reserve AS later, unnest(later.addresses) AS unit
        WHERE later.pool_id = aside.pool_id AND later.id > aside.id AND unit IN (SELECT unnest(given));
    IF claimed <> '{}' THEN
        DELETE FROM net.lease WHERE address_space = space AND address = ANY (claimed);
    END IF;
    IF net.count_left(aside, for_good => true) = 0 THEN
        DELETE FROM net.reserve AS found WHERE found.id = aside.id;
    END IF;
    RETURN cardinality(given) - cardinality(claimed);
END
$$;

-- An exclusion says which units; its addresses are kept beside. Claims of the range wait: they are short, and so is this.
CREATE OR REPLACE FUNCTION net.place_exclusion() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    range net.pool_range;
    pool net.pool;
    behind bigint;
    held net.lease;
    included cidr[];
    claimed cidr[];
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF erp.keeps_snapshot() THEN
            PERFORM erp.refuse_old_snapshot(); -- what others claim meanwhile would not be seen
        END IF;
        -- Programs that fix addresses in it have to end first, so that what they fix is seen below.
        PERFORM pg_advisory_xact_lock('net.pool_range'::regclass::oid::bigint);
    END IF;
    SELECT * INTO range FROM net.pool_range WHERE id = coalesce(NEW.range_id, OLD.range_id) FOR NO KEY UPDATE;
    SELECT * INTO pool FROM net.pool WHERE id = range.pool_id;
    IF TG_OP = 'INSERT' AND TG_WHEN = 'AFTER' THEN
        -- What a node may still give to its last login keeps its row: nobody else can have it fixed until all have heard.
        DELETE FROM net.lease AS gone WHERE gone.address_space = pool.address_space AND gone.state = 'released'
            AND gone.address >= network(NEW.first) AND gone.address <= network(NEW.last)
            AND (gone.login_id IS NULL OR net.is_forgotten(gone.changed, gone.valid_until));
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.until_unit > range.units THEN
            RAISE EXCEPTION 'the range has % units', range.units USING ERRCODE = 'check_violation', SCHEMA = 'net',
                TABLE = 'pool_exclusion', CONSTRAINT = 'pool_exclusion_in_range';
        END IF;
        NEW.since := clock_timestamp(); -- who claimed earlier did not see it, who did not had to wait
        NEW.first := net.first_host(net.unit_address(range.first, pool.prefix_length, NEW.from_unit));
        NEW.last := net.last_host(net.unit_address(range.first, pool.prefix_length, NEW.until_unit - 1));
        RETURN NEW;
    END IF;
    IF range.id IS NULL THEN
        RETURN NULL; -- the range goes with it
    END IF;
    SELECT * INTO held FROM net.ledger_within(pool.address_space, OLD.first, OLD.last) AS lease
        WHERE masklen(lease.address) <> pool.prefix_length ORDER BY lease.address LIMIT 1;
    IF held.address IS NOT NULL THEN
        RAISE EXCEPTION '%', net.lease_words(held) USING ERRCODE = 'exclusion_violation', SCHEMA = 'net',
            TABLE = 'pool_exclusion', CONSTRAINT = 'pool_exclusion_in_use';
    END IF;
    UPDATE net.lease SET pool_id = pool.id, changed = pg_current_xact_id()
        WHERE address_space = pool.address_space AND address >= network(OLD.first) AND address <= network(OLD.last)
            AND pool_id IS NULL;
    -- Claims went past it: what is nobody's is given out again once whoever had it before cannot have it any more.
    behind := least(OLD.until_unit, range.next) - OLD.from_unit;
    IF behind > 1048576 THEN
        RAISE EXCEPTION '% units were passed by already: take them into a range of their own', behind
            USING ERRCODE = 'check_violation', SCHEMA = 'net', TABLE = 'pool_exclusion', CONSTRAINT = 'pool_exclusion_small';
    END IF;
    WITH made AS (
        INSERT INTO net.lease (address_space, address, pool_id, state, released_at, free_from, valid_until)
            SELECT pool.address_space, unit, pool.id, 'released',
                coalesce(pool.adopting_since - interval '1 second', now()), -- that it is unused is not proven
                now() + pool.quarantine_s * interval '1 second', now() + pool.valid_s * interval '1 second'
            FROM generate_series(OLD.from_unit, OLD.from_unit + behind - 1) AS number,
                net.unit_address(range.first, pool.prefix_length, number) AS unit
            WHERE NOT EXISTS (SELECT FROM net.reserve AS aside WHERE aside.pool_id = pool.id
                AND (aside.range_id = range.id AND number >= aside.from_unit AND number < aside.until_unit
                    AND aside.claimed_at < OLD.since OR unit = ANY (aside.addresses)))
            ORDER BY unit
            ON CONFLICT DO NOTHING
            RETURNING address
    )
    SELECT coalesce(array_agg(made.address), '{}') INTO included FROM made;
    SELECT coalesce(array_agg(DISTINCT unit), '{}') INTO claimed
        FROM net.reserve AS aside, unnest(aside.addresses) AS unit
        WHERE aside.pool_id = pool.id AND unit IN (SELECT unnest(included));
    IF claimed <> '{}' THEN
        DELETE FROM net.lease WHERE address_space = pool.address_space AND address = ANY (claimed);
    END IF;
    RETURN NULL;
END
$$;
