-- What operators and other programs may do to pools, what is refused, and what the history tells of it (rule R7).

ALTER TABLE net.pool ADD COLUMN state_changed xid8 NOT NULL DEFAULT pg_current_xact_id();
COMMENT ON COLUMN net.pool.state_changed IS 'The transaction that changed its state last: whether every node has heard of it (rule R8.2).';

-- Whether another login may have it: it has rested, and every node knows that it was released, or would not use it any
-- more if it does not (rule R7.2).
CREATE FUNCTION net.is_free(lease net.lease) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT lease.state = 'released' AND lease.free_from <= now() AND (
        lease.valid_until + interval '60 seconds' < now()
        OR NOT EXISTS (SELECT FROM net.node WHERE node.snapshot IS NULL OR lease.changed >= pg_snapshot_xmin(node.snapshot)))
$$;
COMMENT ON FUNCTION net.is_free IS 'Whether an address of the ledger may be given to another login now.';

CREATE FUNCTION net.is_excluded(lease net.lease) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM net.pool_range AS range
        JOIN net.pool_exclusion AS exclusion ON exclusion.range_id = range.id
        WHERE range.span @> net.address_place(lease.address_space, lease.address)
            AND lease.address <= exclusion.last AND exclusion.first <= set_masklen(lease.address::inet, masklen(exclusion.first)))
$$;
COMMENT ON FUNCTION net.is_excluded IS 'Whether an address is not given out any more.';

-- Pools ---------------------------------------------------------------------------------------------------------

CREATE FUNCTION net.guard_pool() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    member record;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.state <> OLD.state THEN
            NEW.state_changed := pg_current_xact_id();
        END IF;
        IF ROW(NEW.address_space, NEW.kind, NEW.family, NEW.prefix_length)
            IS DISTINCT FROM ROW(OLD.address_space, OLD.kind, OLD.family, OLD.prefix_length)
            AND (EXISTS (SELECT FROM net.pool_range WHERE pool_id = OLD.id)
                OR EXISTS (SELECT FROM net.lease WHERE pool_id = OLD.id)
                OR EXISTS (SELECT FROM net.pool WHERE OLD.id IN (ipv4_pool_id, ipv6_pool_id, delegated_pool_id)))
        THEN
            RAISE EXCEPTION 'pool "%" has ranges, leases, or stands in another one: address space, kind, family and prefix length stay', OLD.name
                USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_stays_as_used', TABLE = 'pool', SCHEMA = 'net';
        END IF;
    END IF;
    FOR member IN
        SELECT pool.name, wanted.family, pool.family = wanted.family AND pool.address_space = NEW.address_space AS fits, wanted.named
        FROM (VALUES (NEW.ipv4_pool_id, 'ipv4', 'ipv4_pool_id'), (NEW.ipv6_pool_id, 'ipv6', 'ipv6_pool_id'),
            (NEW.delegated_pool_id, 'delegated', 'delegated_pool_id')) AS wanted (id, family, named)
        JOIN net.pool ON pool.id = wanted.id
    LOOP
        IF member.fits IS NOT TRUE THEN
            RAISE EXCEPTION 'pool "%" is not of family % in address space %', member.name, member.family, NEW.address_space
                USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_member_of_family', TABLE = 'pool', SCHEMA = 'net',
                COLUMN = member.named;
        END IF;
    END LOOP;
    RETURN NEW;
END
$$;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OF state, address_space, kind, family, prefix_length, ipv4_pool_id, ipv6_pool_id, delegated_pool_id
    ON net.pool FOR EACH ROW EXECUTE FUNCTION net.guard_pool();

-- A range is of whole units of its pool.
CREATE FUNCTION net.guard_pool_range() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    pool net.pool;
    unit_size numeric;
    origin numeric;
BEGIN
    SELECT * INTO pool FROM net.pool WHERE id = NEW.pool_id;
    IF pool.kind <> 'radius' OR family(NEW.first) <> CASE pool.family WHEN 'ipv4' THEN 4 ELSE 6 END THEN
        RAISE EXCEPTION 'pool "%" has no ranges, or none of that family', pool.name
            USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_range_of_pool', TABLE = 'pool_range', SCHEMA = 'net';
    END IF;
    unit_size := power(2::numeric, CASE family(NEW.first) WHEN 4 THEN 32 ELSE 128 END - pool.prefix_length);
    origin := net.address_place(pool.address_space, NEW.first) - net.address_place(pool.address_space, CASE family(NEW.first) WHEN 4 THEN inet '0.0.0.0' ELSE inet '::' END);
    IF origin % unit_size <> 0
        OR NEW.units * unit_size <> net.address_place(pool.address_space, NEW.last) - net.address_place(pool.address_space, NEW.first) + 1
    THEN
        RAISE EXCEPTION '% to % are not % units of /%', host(NEW.first), host(NEW.last), NEW.units, pool.prefix_length
            USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_range_of_units', TABLE = 'pool_range', SCHEMA = 'net';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OF pool_id, first, last, units ON net.pool_range
    FOR EACH ROW EXECUTE FUNCTION net.guard_pool_range();

-- No address that somebody has, or that a process has set aside, loses its pool. Looked at when the transaction ends, so
-- that a range may be cut into two in between.
CREATE FUNCTION net.keep_pool_range() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    pool net.pool;
    lost record;
BEGIN
    SELECT * INTO pool FROM net.pool WHERE id = OLD.pool_id;
    IF NOT FOUND THEN  -- the pool went, too, and nothing refers to it
        RETURN NULL;
    END IF;
    SELECT lease.address, login.name INTO lost
    FROM net.lease LEFT JOIN erp.login ON login.id = lease.login_id
    WHERE lease.address_space = pool.address_space AND lease.pool_id = pool.id
        AND lease.address BETWEEN set_masklen(OLD.first, pool.prefix_length)::cidr
            AND set_masklen(OLD.last, CASE family(OLD.last) WHEN 4 THEN 32 ELSE 128 END)::cidr
        AND NOT EXISTS (SELECT FROM net.pool_range AS range
            WHERE range.pool_id = pool.id AND lease.address <= range.last
                AND lease.address >= set_masklen(range.first, masklen(lease.address)))
    ORDER BY lease.address LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% of the range is in the ledger, of login "%"', lost.address, coalesce(lost.name, '-')
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'pool_range_in_use', TABLE = 'pool_range', SCHEMA = 'net';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER keep AFTER DELETE OR UPDATE OF pool_id, first, last ON net.pool_range
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION net.keep_pool_range();

-- History ---------------------------------------------------------------------------------------------------------

CREATE INDEX history_pool ON erp.history (id) WHERE kind = 'pool_changed';

CREATE FUNCTION net.tell_pool() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    what text;
BEGIN
    PERFORM erp.serve_only('net.tell_pool', TG_RELID, 'net.pool');
    IF TG_OP = 'UPDATE' THEN
        SELECT string_agg(erp.change_text(key, before ->> key, after ->> key), '; ' ORDER BY key) INTO what
        FROM (SELECT to_jsonb(OLD) - 'state_changed' AS before, to_jsonb(NEW) - 'state_changed' AS after) AS pair,
            jsonb_object_keys(after) AS key;
        IF what IS NULL THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO erp.history (kind, text, source) VALUES ('pool_changed',
        format('pool %s %s: %s', coalesce(NEW.id, OLD.id), coalesce(NEW.name, OLD.name),
            CASE TG_OP WHEN 'INSERT' THEN 'added' WHEN 'DELETE' THEN 'deleted' ELSE what END), 'system');
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION net.tell_pool FROM PUBLIC;
CREATE TRIGGER tell_change AFTER INSERT OR UPDATE OR DELETE ON net.pool FOR EACH ROW EXECUTE FUNCTION net.tell_pool();

CREATE FUNCTION net.tell_pool_part() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pool record;
    row_now jsonb := to_jsonb(CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END);
    what text := CASE TG_TABLE_NAME WHEN 'pool_range' THEN 'range' ELSE 'exclusion' END;
BEGIN
    IF TG_TABLE_NAME = 'pool_range' THEN
        PERFORM erp.serve_only('net.tell_pool_part', TG_RELID, 'net.pool_range');
        SELECT id, name INTO pool FROM net.pool WHERE id = (row_now ->> 'pool_id')::integer;
    ELSE
        PERFORM erp.serve_only('net.tell_pool_part', TG_RELID, 'net.pool_exclusion');
        SELECT p.id, p.name INTO pool FROM net.pool_range AS r JOIN net.pool AS p ON p.id = r.pool_id
        WHERE r.id = (row_now ->> 'range_id')::integer;
    END IF;
    IF pool.id IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO erp.history (kind, text, source) VALUES ('pool_changed', rtrim(concat_ws(' ', 
        format('pool %s %s:', pool.id, pool.name), what,
        CASE TG_OP WHEN 'INSERT' THEN 'added' WHEN 'DELETE' THEN 'removed' ELSE 'changed' END,
        CASE WHEN TG_OP = 'UPDATE' THEN (to_jsonb(OLD) ->> 'first') || ' to ' || (to_jsonb(OLD) ->> 'last') || ' →' END,
        (row_now ->> 'first') || ' to ' || (row_now ->> 'last'), '(' || nullif(btrim(row_now ->> 'why'), '') || ')')), 'system');
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION net.tell_pool_part FROM PUBLIC;
CREATE TRIGGER tell_change AFTER INSERT OR DELETE OR UPDATE OF first, last ON net.pool_range
    FOR EACH ROW EXECUTE FUNCTION net.tell_pool_part();
CREATE TRIGGER tell_change AFTER INSERT OR DELETE OR UPDATE OF from_unit, until_unit ON net.pool_exclusion
    FOR EACH ROW EXECUTE FUNCTION net.tell_pool_part();
