-- What operators and other programs may do to pools, what is refused, and what the history tells of it (rule R7).

ALTER TABLE net.pool ADD COLUMN state_changed xid8 NOT NULL DEFAULT pg_current_xact_id();
COMMENT ON COLUMN net.pool.state_changed IS 'The transaction that changed its state last: whether every node has heard of it (rule R8.2).';

-- Pools ---------------------------------------------------------------------------------------------------------

CREATE FUNCTION net.guard_pool() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    member record;
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.state <> OLD.state THEN
        NEW.state_changed := pg_current_xact_id();
    END IF;
    IF NEW.gateway IS NOT NULL THEN
        NEW.gateway := host(NEW.gateway)::inet;
        IF family(NEW.gateway) <> (CASE NEW.family WHEN 'ipv4' THEN 4 ELSE 6 END) OR NEW.kind <> 'radius' THEN
            RAISE EXCEPTION '% is no gateway of a pool of kind % and family %', host(NEW.gateway), NEW.kind, NEW.family
                USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_gateway_of_family', TABLE = 'pool', SCHEMA = 'net',
                COLUMN = 'gateway';
        END IF;
    END IF;
    FOR member IN
        SELECT pool.name, wanted.family, wanted.named,
            pool.family = wanted.family AND pool.address_space = NEW.address_space AS fits
        FROM (VALUES (NEW.ipv4_pool_id, 'ipv4', 'ipv4_pool_id'), (NEW.ipv6_pool_id, 'ipv6', 'ipv6_pool_id'),
            (NEW.delegated_pool_id, 'delegated', 'delegated_pool_id')) AS wanted (id, family, named)
        JOIN net.pool ON pool.id = wanted.id
    LOOP
        IF member.fits IS NOT TRUE THEN
            RAISE EXCEPTION 'pool "%" is not of family % in address space %', member.name, member.family, NEW.address_space
                USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_' || member.named || '_of_family', TABLE = 'pool',
                SCHEMA = 'net', COLUMN = member.named;
        END IF;
    END LOOP;
    IF TG_OP = 'UPDATE' AND (NEW.family, NEW.address_space) IS DISTINCT FROM (OLD.family, OLD.address_space)
        AND EXISTS (SELECT FROM net.pool WHERE OLD.id IN (ipv4_pool_id, ipv6_pool_id, delegated_pool_id))
    THEN
        RAISE EXCEPTION 'pool "%" stands in another one: its address space and family stay', OLD.name
            USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_member_stays', TABLE = 'pool', SCHEMA = 'net';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER guard BEFORE INSERT OR
    UPDATE OF state, address_space, kind, family, gateway, ipv4_pool_id, ipv6_pool_id, delegated_pool_id
    ON net.pool FOR EACH ROW EXECUTE FUNCTION net.guard_pool();

-- The concentrator's own address is never given out. One that was its own before stays excluded until somebody includes it.
CREATE FUNCTION net.exclude_gateway() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO net.pool_exclusion (range_id, from_unit, until_unit, why)
    SELECT range.id, unit, unit + 1, 'gateway'
    FROM net.pool_range AS range
    JOIN net.pool ON pool.id = range.pool_id
    CROSS JOIN LATERAL net.unit_number(range.first, pool.prefix_length, pool.gateway) AS unit
    WHERE pool.id = CASE TG_TABLE_NAME WHEN 'pool' THEN (to_jsonb(NEW) ->> 'id')::integer ELSE (to_jsonb(NEW) ->> 'pool_id')::integer END
        AND pool.gateway BETWEEN range.first AND range.last
        AND NOT EXISTS (SELECT FROM net.pool_exclusion AS known
            WHERE known.range_id = range.id AND unit >= known.from_unit AND unit < known.until_unit);
    RETURN NULL;
END
$$;
CREATE TRIGGER exclude_gateway AFTER UPDATE OF gateway ON net.pool FOR EACH ROW EXECUTE FUNCTION net.exclude_gateway();
CREATE TRIGGER exclude_gateway AFTER INSERT OR UPDATE OF last ON net.pool_range
    FOR EACH ROW EXECUTE FUNCTION net.exclude_gateway();

REVOKE EXECUTE ON FUNCTION net.guard_pool, net.exclude_gateway, net.adopt_pool_range, net.abandon_reserves FROM PUBLIC;

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
CREATE TRIGGER tell_change AFTER INSERT OR DELETE ON net.pool_exclusion
    FOR EACH ROW EXECUTE FUNCTION net.tell_pool_part();
