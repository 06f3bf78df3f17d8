-- Claims and bindings with less work (rule R7.2): what a claim locks it finds by its place, and who of a batch had something
-- before is found in one look.

-- Binds one micro-batch for a process, as before. Statements look rows up by index, whatever the planner believes: the plan
-- is made once, perhaps when the table is empty.
CREATE OR REPLACE FUNCTION net.bind_batch(node integer, slot integer, life uuid, address_spaces integer[], pools integer[],
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
    -- Most have had nothing yet; so one look into the index for all, and only then whose wishes those are.
    known := ARRAY(SELECT DISTINCT lease.login_id FROM net.lease
        WHERE lease.login_id = ANY (logins) AND lease.state IN ('released', 'bound'));
    IF known <> '{}' THEN
        known := ARRAY(
            SELECT wish.n::integer FROM unnest(logins) WITH ORDINALITY AS wish (login_id, n)
            WHERE wish.login_id = ANY (known));
    END IF;
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

-- Units that were given back or released and are nobody's by now, the longest free first. Looks at few more rows than it
-- takes, and by index, whatever the statistics say: they are of another hour, and all of a large table is never what is
-- wanted. Locks and deletes by place: a row that was changed meanwhile has another one, and another `changed`. The price
-- that such a plan is given would make PostgreSQL compile it, for a second or two.
CREATE OR REPLACE FUNCTION net.claim_released(wanted_pool integer, how_many integer, since timestamptz) RETURNS cidr[]
LANGUAGE plpgsql SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
    -- Below it every node has settled all; what lies beyond is looked at more closely.
    horizon constant xid8 := (SELECT CASE WHEN bool_or(settled IS NULL) THEN '0' ELSE min(pg_snapshot_xmin(settled)::text::bigint)
        END::text::xid8 FROM net.node);
    places tid[];
    found cidr[];
    taken cidr[] := '{}';
    more cidr[];
BEGIN
    LOOP
        found := '{}';
        FOR source IN 1..2 LOOP
            IF source = 1 THEN
                SELECT array_agg(own.place), array_agg(own.address) INTO places, more FROM (
                    SELECT own.place, own.address FROM (
                        SELECT ctid AS place, changed, valid_until FROM net.lease
                        WHERE pool_id = wanted_pool AND state = 'released' AND free_from <= now() AND free_from >= since
                            AND released_at >= since
                        ORDER BY free_from LIMIT how_many + 1024
                    ) AS oldest CROSS JOIN LATERAL (
                        SELECT lease.ctid AS place, lease.address FROM net.lease
                        WHERE lease.ctid = oldest.place AND lease.changed = oldest.changed AND lease.state = 'released'
                        FOR UPDATE SKIP LOCKED
                    ) AS own
                    WHERE oldest.changed < horizon OR net.is_forgotten(oldest.changed, oldest.valid_until) LIMIT how_many
                ) AS own;
            ELSE
                SELECT array_agg(own.place), array_agg(own.address) INTO places, more FROM (
                    SELECT own.place, own.address FROM (
                        SELECT ctid AS place, changed FROM net.lease
                        WHERE pool_id = wanted_pool AND state = 'released' AND valid_until < now() - interval '60 seconds'
                            AND free_from <= now() AND released_at >= since
                        ORDER BY valid_until LIMIT how_many
                    ) AS oldest CROSS JOIN LATERAL (
                        SELECT lease.ctid AS place, lease.address FROM net.lease
                        WHERE lease.ctid = oldest.place AND lease.changed = oldest.changed AND lease.state = 'released'
                        FOR UPDATE SKIP LOCKED
                    ) AS own
                    LIMIT how_many - cardinality(found)
                ) AS own;
            END IF;
            DELETE FROM net.lease WHERE ctid = ANY (places);
            found := found || coalesce(more, '{}');
            EXIT WHEN cardinality(found) >= how_many;
        END LOOP;
        -- What is excluded is nobody's, until the exclusion is removed: by somebody who waits for this, or was too early for it.
        WITH excluded AS MATERIALIZED (
            SELECT exclusion.first, exclusion.last
            FROM net.pool_exclusion AS exclusion JOIN net.pool_range AS range ON range.id = exclusion.range_id
            WHERE range.pool_id = wanted_pool AND EXISTS (SELECT FROM unnest(found) AS unit
                WHERE net.first_host(unit) BETWEEN exclusion.first AND exclusion.last)
            FOR KEY SHARE OF exclusion SKIP LOCKED
        )
        SELECT array_agg(unit ORDER BY unit) INTO taken FROM unnest(found) AS unit
        WHERE NOT EXISTS (SELECT FROM excluded WHERE net.first_host(unit) BETWEEN excluded.first AND excluded.last);
        EXIT WHEN taken IS NOT NULL OR cardinality(found) = 0;
    END LOOP;
    RETURN taken;
END
$$;

-- Made once, too: each of their questions has one index that can answer it, and to plan them anew for each claim would cost
-- as much as a hundred of its units.
ALTER FUNCTION net.units_elsewhere(net.reserve, boolean) SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION net.units_reported(net.reserve) SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION net.is_used_up(net.reserve) SET plan_cache_mode = force_generic_plan;
