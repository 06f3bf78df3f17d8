-- Keeping the ledger of addresses: what sessions say of it, what is counted, and pools that adopt what lives in them
-- (rules R7.2, R7.3).

ALTER TABLE net.chore ADD COLUMN began_at timestamptz;
COMMENT ON COLUMN net.chore.began_at IS 'When the round that goes on, or went on last, began.';
INSERT INTO net.chore (name) VALUES ('lease_ends'), ('leases'), ('reports'), ('reserves'), ('adoption'), ('pool_use');

CREATE INDEX address_finding_settled ON net.address_finding (settled_at) WHERE settled_at IS NOT NULL;

CREATE FUNCTION net.is_excluded(pool integer, unit cidr) RETURNS boolean LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM net.pool_range JOIN net.pool_exclusion ON pool_exclusion.range_id = pool_range.id
        WHERE pool_range.pool_id = pool AND net.first_host(unit) BETWEEN pool_exclusion.first AND pool_exclusion.last);
END
$$;
COMMENT ON FUNCTION net.is_excluded IS 'Whether this unit of a pool is one that is not given out.';

-- What sessions say of addresses ---------------------------------------------------------------------------------

-- 0.0.0.0 is what a NAS says that knows none; the other two ask it to choose (RFC 2865, 5.8).
CREATE FUNCTION net.is_no_address(address inet) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN address IS NULL OR address IN ('0.0.0.0', '255.255.255.254', '255.255.255.255', '::/128');

-- In this form each question is a look into an index, whatever is asked for.
CREATE FUNCTION net.is_reported(space integer, wanted inet, by_login integer DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    IF family(wanted) = 4 THEN
        RETURN EXISTS (
            SELECT FROM net.session WHERE ipv4 = wanted AND address_space = space AND ended_at IS NULL
                AND (by_login IS NULL OR login_id = by_login));
    END IF;
    RETURN EXISTS (
        SELECT FROM net.session WHERE ipv6_prefix && wanted AND address_space = space AND ended_at IS NULL
            AND (by_login IS NULL OR login_id = by_login))
    OR EXISTS (
        SELECT FROM net.session WHERE delegated_ipv6_prefix && wanted AND address_space = space AND ended_at IS NULL
            AND (by_login IS NULL OR login_id = by_login));
END
$$;
COMMENT ON FUNCTION net.is_reported IS 'Whether a session that lives (of this login, or anybody''s) has this address.';

CREATE FUNCTION net.is_held(lease net.lease) RETURNS boolean LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    kind constant text := (SELECT pool.family FROM net.pool WHERE pool.id = lease.pool_id);
BEGIN
    IF net.is_reported(lease.address_space, lease.address, lease.login_id) THEN
        RETURN true;
    END IF;
    -- A NAS may tell no address at all (RouterOS: of IPv6), or only after a while.
    IF EXISTS (
        SELECT FROM net.session
        WHERE login_id = lease.login_id AND ended_at IS NULL AND address_space = lease.address_space
            AND CASE kind WHEN 'ipv4' THEN net.is_no_address(ipv4) WHEN 'ipv6' THEN ipv6_prefix IS NULL
                ELSE delegated_ipv6_prefix IS NULL END
            AND (mac IS NULL OR lease.device = 0 OR lease.device >= 1::bigint << 62
                OR ('x' || replace(mac::text, ':', ''))::bit(48)::bigint = lease.device)
    ) THEN
        RETURN true;
    END IF;
    -- While he is blocked he may be in another pool; his own address waits for him (rule R4.3).
    RETURN EXISTS (
        SELECT FROM erp.login JOIN erp.contract ON contract.id = login.contract_id
        WHERE login.id = lease.login_id
            AND (contract.access_status IN ('CM', 'CA') OR (contract.trust_unlock_active AND contract.trust_unlock_until < now()))
    ) AND EXISTS (
        SELECT FROM net.session WHERE login_id = lease.login_id AND ended_at IS NULL AND address_space = lease.address_space);
END
$$;
COMMENT ON FUNCTION net.is_held IS 'Whether its login uses this lease, by what its sessions say, or will again when he is not blocked any more.';

-- What is claimed ---------------------------------------------------------------------------------------------------

-- What sessions report is not given out, whatever the ledger says of it: the keeper, who marks it, may come later.
CREATE FUNCTION net.units_reported(aside net.reserve) RETURNS SETOF cidr LANGUAGE plpgsql STABLE
SET jit = off SET enable_seqscan = off AS $$
DECLARE
    pool net.pool;
    low inet;
    high inet;
BEGIN
    SELECT * INTO pool FROM net.pool AS found WHERE found.id = aside.pool_id;
    IF family(aside.addresses[1]) = 4 THEN -- as net.is_reported, without a call for each
        RETURN QUERY SELECT unit FROM unnest(aside.addresses) AS unit WHERE EXISTS (
            SELECT FROM net.session WHERE ipv4 = unit::inet AND address_space = pool.address_space AND ended_at IS NULL
            OFFSET 0);
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
COMMENT ON FUNCTION net.units_reported IS 'Units of a reserve that sessions report which live now: not to be given out.';

-- Pools that adopt (rule R7.3) -----------------------------------------------------------------------------------

ALTER TABLE net.pool
    ADD COLUMN made_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN adopted_at timestamptz;
COMMENT ON COLUMN net.pool.adopted_at IS 'When its adoption ended last.';

-- From what time on, and until when, a router was heard without a gap, since its pools adopt.
CREATE TABLE net.adoption_heard (
    pool_id integer NOT NULL REFERENCES net.pool ON DELETE CASCADE,
    router_id integer NOT NULL REFERENCES net.router ON DELETE CASCADE,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (pool_id, router_id)
);
COMMENT ON TABLE net.adoption_heard IS 'Since when, and until when, accounting of a router is heard without a gap while a pool adopts.';
CREATE INDEX adoption_heard_router ON net.adoption_heard (router_id);

CREATE TABLE net.adoption_reading (
    pool_id integer NOT NULL REFERENCES net.pool ON DELETE CASCADE,
    nas_id integer NOT NULL REFERENCES net.nas ON DELETE CASCADE,
    read_at timestamptz NOT NULL DEFAULT now(),
    source text NOT NULL,
    PRIMARY KEY (pool_id, nas_id)
);
COMMENT ON TABLE net.adoption_reading IS
    'That all addresses of a pool which are in use at a NAS were read and taken into the ledger: as good as having heard it for two interims.';
CREATE INDEX adoption_reading_nas ON net.adoption_reading (nas_id);

CREATE TABLE net.database_seen (
    one integer PRIMARY KEY GENERATED ALWAYS AS (1) STORED,
    system_identifier text NOT NULL,
    timeline text NOT NULL,
    waits boolean NOT NULL,
    standbys integer NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE net.database_seen IS
    'Which PostgreSQL this was when it was looked at last: another one may have lost what it had promised (rule R7.3).';
COMMENT ON COLUMN net.database_seen.waits IS 'Whether a commit waited for a standby then.';

-- As aaad/pools/adopting.py decides it, for the moments until the keeper has looked.
CREATE FUNCTION net.may_have_lost() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM net.database_seen AS seen WHERE seen.system_identifier <> net.change_log_identity()
        OR seen.timeline <> left(pg_walfile_name(pg_current_wal_lsn()), 8)
            AND (NOT seen.waits OR seen.seen_at < now() - interval '600 seconds'))
$$;
COMMENT ON FUNCTION net.may_have_lost IS 'Whether this is another PostgreSQL than at the last look, which may not know all that the last one had promised.';

CREATE FUNCTION net.begin_adoption(pools integer[]) RETURNS SETOF integer LANGUAGE sql AS $$
    DELETE FROM net.adoption_heard USING net.pool
    WHERE adoption_heard.pool_id = pool.id AND pool.id = ANY(pools) AND pool.adopting_since IS NULL;
    UPDATE net.pool SET adopting_since = now()
    WHERE id = ANY(pools) AND kind = 'radius' AND adopting_since IS NULL
    RETURNING id;
$$;
COMMENT ON FUNCTION net.begin_adoption IS 'Lets these pools give out only what is proven unused; returns those that did not adopt already.';

CREATE FUNCTION net.end_adoption(pools integer[]) RETURNS SETOF integer LANGUAGE sql AS $$
    UPDATE net.pool SET adopting_since = NULL, adopted_at = now()
    WHERE id = ANY(pools) AND adopting_since IS NOT NULL
    RETURNING id;
$$;
COMMENT ON FUNCTION net.end_adoption IS 'Lets these pools give out whatever is free: every NAS was heard, or an operator says so.';

-- A pool is made where sessions live already.
CREATE FUNCTION net.adopt_pool_range() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    space constant integer := (SELECT address_space FROM net.pool WHERE id = NEW.pool_id);
BEGIN
    IF EXISTS (
        SELECT FROM net.session
        WHERE ended_at IS NULL AND address_space = space AND ipv4 BETWEEN NEW.first AND NEW.last
    ) OR family(NEW.first) = 6 AND EXISTS (
        SELECT FROM net.session
        WHERE ended_at IS NULL AND address_space = space
            AND (ipv6_prefix BETWEEN NEW.first AND NEW.last OR delegated_ipv6_prefix BETWEEN NEW.first AND NEW.last)
    ) THEN
        PERFORM net.begin_adoption(ARRAY[NEW.pool_id]);
    END IF;
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION net.adopt_pool_range FROM PUBLIC;
CREATE TRIGGER adopt AFTER INSERT ON net.pool_range FOR EACH ROW EXECUTE FUNCTION net.adopt_pool_range();

-- Reserves of nodes that are gone --------------------------------------------------------------------------------

ALTER TABLE net.reserve
    ALTER COLUMN node_id DROP NOT NULL,
    DROP CONSTRAINT reserve_node_id_fkey,
    ADD CONSTRAINT reserve_node_id_fkey FOREIGN KEY (node_id) REFERENCES net.node ON DELETE SET NULL;
COMMENT ON COLUMN net.reserve.node_id IS 'Null: of a node that an operator removed.';

CREATE FUNCTION net.abandon_reserves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE net.reserve SET abandoned_at = now() WHERE node_id = OLD.id;
    RETURN OLD;
END
$$;
REVOKE EXECUTE ON FUNCTION net.abandon_reserves FROM PUBLIC;
CREATE TRIGGER abandon BEFORE DELETE ON net.node FOR EACH ROW EXECUTE FUNCTION net.abandon_reserves();

CREATE INDEX reserve_abandoned ON net.reserve (abandoned_at) WHERE abandoned_at IS NOT NULL;

CREATE FUNCTION net.take_back_reserve(reserve_id bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM net.reserve WHERE id = reserve_id AND abandoned_at IS NOT NULL FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM FROM net.pool_range AS range JOIN net.reserve ON reserve.range_id = range.id
        WHERE reserve.id = reserve_id FOR SHARE OF range SKIP LOCKED;
    IF NOT FOUND AND EXISTS (SELECT FROM net.reserve WHERE id = reserve_id AND range_id IS NOT NULL) THEN
        RETURN NULL;
    END IF;
    RETURN net.return_reserve(reserve_id);
END
$$;
COMMENT ON FUNCTION net.take_back_reserve IS
    'Gives what is left of an abandoned reserve back to its pool; returns how many units, null: somebody holds it.';

-- A mark of what a NAS reported goes when nobody reports it any more. Where the unit belongs to a reserve or was never
-- given out, its row goes, and it is again what it was; else it is nobody's, and others may have it.
CREATE FUNCTION net.free_foreign(space integer, marked cidr, as_of xid8, rests interval) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    mark net.lease;
    place_range net.pool_range;
    place bigint;
    in_reserve bigint;
BEGIN
    SELECT * INTO mark FROM net.lease
    WHERE address_space = space AND address = marked AND changed = as_of AND state = 'foreign' FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    SELECT pool_range.* INTO place_range FROM net.pool_range
    WHERE pool_range.pool_id = mark.pool_id AND net.first_host(marked) BETWEEN first AND last
    FOR SHARE SKIP LOCKED;
    IF place_range.id IS NULL THEN
        -- Of no range: nothing was ever taken away from anything. A range that somebody holds waits for the next time.
        IF NOT EXISTS (
            SELECT FROM net.pool_range WHERE pool_range.pool_id = mark.pool_id AND net.first_host(marked) BETWEEN first AND last)
        THEN
            DELETE FROM net.lease WHERE address_space = space AND address = marked;
            RETURN true;
        END IF;
        RETURN false;
    END IF;
    place := net.unit_number(place_range.first, masklen(marked), marked);
    SELECT id INTO in_reserve FROM net.reserve
    WHERE pool_id = mark.pool_id
        AND (range_id = place_range.id AND place >= from_unit AND place < until_unit OR addresses @> ARRAY[marked]);
    IF in_reserve IS NOT NULL THEN
        PERFORM FROM net.reserve WHERE id = in_reserve FOR SHARE SKIP LOCKED;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
    END IF;
    IF in_reserve IS NOT NULL OR place >= place_range.next
        OR net.is_excluded(mark.pool_id, marked)
    THEN
        DELETE FROM net.lease WHERE address_space = space AND address = marked;
    ELSE
        UPDATE net.lease SET state = 'released', login_id = NULL, device = 0, nas_id = NULL, released_at = now(),
            free_from = now() + rests, changed = pg_current_xact_id()
        WHERE address_space = space AND address = marked;
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION net.free_foreign IS 'Frees the mark of a foreign address, if it still is what was seen; false: not now.';

-- How pools are used ---------------------------------------------------------------------------------------------

-- Exactly, in one statement: size = never + reserved + bound + fixed + foreign + resting + free. What is excluded is in
-- none of them. `offered` are those of the bound ones whose session has not begun, as far as is drained.
CREATE VIEW net.pool_count AS
WITH place AS MATERIALIZED (
    SELECT pool.id AS pool_id, pool.address_space, pool.prefix_length, pool_range.id AS range_id, pool_range.first,
        pool_range.last, pool_range.units, pool_range.next
    FROM net.pool JOIN net.pool_range ON pool_range.pool_id = pool.id
), in_ranges AS (
    SELECT place.pool_id, sum(place.units - coalesce(excluded.units, 0)) AS size,
        sum(place.units - place.next - coalesce(excluded.ahead, 0) - marked.ahead - listed.ahead) AS never
    FROM place
    LEFT JOIN LATERAL (
        SELECT sum(until_unit - from_unit) AS units, sum(greatest(until_unit - greatest(from_unit, place.next), 0)) AS ahead
        FROM net.pool_exclusion WHERE pool_exclusion.range_id = place.range_id
    ) AS excluded ON true
    LEFT JOIN LATERAL (
        -- Foreign and adopted ones: seldom more than a few.
        SELECT count(*) AS ahead FROM net.lease
        WHERE place.next < place.units AND lease.address_space = place.address_space AND lease.pool_id = place.pool_id
            AND lease.address >= net.unit_address(place.first, place.prefix_length, place.next)
            AND lease.address <= place.last AND NOT net.is_excluded(lease.pool_id, lease.address)
    ) AS marked ON true
    LEFT JOIN LATERAL (
        -- Adopted ones that were released and set aside again, before the pool gave out what lies before them.
        SELECT count(*) AS ahead FROM net.reserve CROSS JOIN LATERAL unnest(reserve.addresses) AS unit (address)
        WHERE place.next < place.units AND reserve.pool_id = place.pool_id
            AND unit.address >= net.unit_address(place.first, place.prefix_length, place.next) AND unit.address <= place.last
            AND NOT EXISTS (
                SELECT FROM net.lease WHERE lease.address_space = place.address_space AND lease.address = unit.address)
    ) AS listed ON true
    GROUP BY place.pool_id
), in_reserves AS (
    SELECT reserve.pool_id, sum(net.count_left(reserve) - excluded.units) AS units
    FROM net.reserve
    CROSS JOIN LATERAL (
        -- Of what was set aside before it was excluded.
        SELECT count(*) AS units FROM unnest(reserve.addresses) AS unit (address)
        WHERE net.is_excluded(reserve.pool_id, unit.address) AND unit.address NOT IN (SELECT net.units_elsewhere(reserve))
    ) AS excluded
    GROUP BY reserve.pool_id
), in_ledger AS (
    SELECT leased.pool_id,
        sum(weight) FILTER (WHERE leased.state = 'bound') AS bound,
        sum(weight) FILTER (WHERE leased.state = 'bound' AND offered_at > now() - pool.offer_s * interval '1 second'
            AND NOT net.is_reported(leased.address_space, leased.address)) AS offered,
        sum(weight) FILTER (WHERE leased.state = 'fixed') AS fixed,
        sum(weight) FILTER (WHERE leased.state = 'foreign') AS reported,
        sum(weight) FILTER (WHERE leased.state = 'released' AND free_from > now()) AS resting,
        sum(weight) FILTER (WHERE leased.state = 'released' AND free_from <= now()) AS free
    FROM (
        SELECT pool_id, address_space, address, state, offered_at, free_from, 1 AS weight FROM net.lease WHERE pool_id IS NOT NULL
        UNION ALL
        SELECT lease.pool_id, lease.address_space, lease.address, lease.state, lease.offered_at, lease.free_from, -1
        FROM place
        JOIN net.pool_exclusion ON pool_exclusion.range_id = place.range_id
        JOIN net.lease ON lease.address_space = place.address_space AND lease.pool_id = place.pool_id
            AND lease.address >= network(set_masklen(pool_exclusion.first, place.prefix_length))
            AND lease.address <= network(pool_exclusion.last)
    ) AS leased
    JOIN net.pool ON pool.id = leased.pool_id
    GROUP BY leased.pool_id
)
SELECT pool.id AS pool_id,
    coalesce(in_ranges.size, 0)::bigint AS size,
    coalesce(in_ranges.never, 0)::bigint AS never,
    coalesce(in_reserves.units, 0)::bigint AS reserved,
    coalesce(in_ledger.bound, 0)::bigint AS bound,
    coalesce(in_ledger.offered, 0)::bigint AS offered,
    coalesce(in_ledger.fixed, 0)::bigint AS fixed,
    coalesce(in_ledger.reported, 0)::bigint AS reported,
    coalesce(in_ledger.resting, 0)::bigint AS resting,
    coalesce(in_ledger.free, 0)::bigint AS free
FROM net.pool
LEFT JOIN in_ranges ON in_ranges.pool_id = pool.id
LEFT JOIN in_reserves ON in_reserves.pool_id = pool.id
LEFT JOIN in_ledger ON in_ledger.pool_id = pool.id
WHERE pool.kind = 'radius';
COMMENT ON VIEW net.pool_count IS
    'Of each pool of kind radius how many units are in which state: never + reserved + bound + fixed + reported + resting + free = size. Offered: of the bound ones.';

CREATE TABLE net.pool_use (
    pool_id integer PRIMARY KEY REFERENCES net.pool ON DELETE CASCADE,
    counted_at timestamptz NOT NULL DEFAULT now(),
    size bigint NOT NULL,
    never bigint NOT NULL,
    reserved bigint NOT NULL,
    bound bigint NOT NULL,
    offered bigint NOT NULL,
    fixed bigint NOT NULL,
    reported bigint NOT NULL,
    resting bigint NOT NULL,
    free bigint NOT NULL,
    alarm_since timestamptz,
    exhausted_at timestamptz,
    growth_per_day double precision
);
COMMENT ON TABLE net.pool_use IS 'How each pool was used when it was counted last: see net.pool_count. For metrics and lists; the count itself takes longer.';
COMMENT ON COLUMN net.pool_use.alarm_since IS 'Since when it is used beyond its alarm_percent; null: it is not.';
COMMENT ON COLUMN net.pool_use.exhausted_at IS 'When nothing will be left if use goes on growing as in the last weeks; null: it does not grow, or not for long enough to tell.';

CREATE TABLE net.pool_day (
    pool_id integer NOT NULL REFERENCES net.pool ON DELETE CASCADE,
    day date NOT NULL,
    most_used bigint NOT NULL,
    PRIMARY KEY (pool_id, day)
);
COMMENT ON TABLE net.pool_day IS 'The most units of a pool that were in use on a day (UTC): what the forecast of exhaustion is made of.';
