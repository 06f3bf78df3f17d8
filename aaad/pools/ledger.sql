-- Statements of aaad/pools/store.py (rule R7.2).

-- name: claim_units
-- Null: nothing of the pool is free now.
SELECT net.claim_units($1::integer, $2::integer, $3::integer, $4::uuid, $5::integer) AS id;

-- name: read_reserve
-- In a statement after the claim, since only then each program that fixes addresses either sees the claim or is seen.
-- $2: it was made just now. Then units of their own were in the ledger, as nobody's, until the claim took them out: nobody
-- else can have put them there before it, and who does so afterwards sees the claim, or is seen at the binding.
SELECT
    reserve.id,
    reserve.pool_id,
    pool.address_space,
    pool.prefix_length,
    host(range.first) AS first,
    reserve.from_unit,
    reserve.until_unit,
    reserve.addresses::text AS addresses, -- as text, which is read at once
    CASE WHEN $2::boolean AND reserve.addresses IS NOT NULL THEN ARRAY(SELECT net.units_reported(reserve))
        ELSE net.units_taken(reserve) END::text[] AS taken
FROM net.reserve
JOIN net.pool ON pool.id = reserve.pool_id
LEFT JOIN net.pool_range AS range ON range.id = reserve.range_id
WHERE reserve.id = $1::bigint;

-- name: list_reserves
SELECT id FROM net.reserve
WHERE node_id = $1::integer AND slot = $2::integer AND life = $3::uuid AND abandoned_at IS NULL ORDER BY id;

-- name: bind_batch
-- Arrays as text: the driver would look at each element of an array in several ways.
SELECT number, bound, pg_current_xact_id()::text::bigint AS transaction
FROM net.bind_batch($1::integer, $2::integer, $3::uuid, $4::text::integer[], $5::text::integer[], $6::text::integer[],
    $7::text::integer[], $8::text::bigint[], $9::text::integer[], $10::text::integer[], $11::text::bigint[],
    $12::text::text[]);

-- name: give_back
SELECT net.give_back($1::bigint, $2::text[]::cidr[]) AS given;

-- name: abandon_reserves
UPDATE net.reserve SET abandoned_at = now()
WHERE node_id = $1::integer AND slot = $2::integer AND life <> $3::uuid AND abandoned_at IS NULL;
