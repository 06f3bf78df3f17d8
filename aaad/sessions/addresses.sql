-- Statements of aaad/sessions/addresses.py: the ledger of addresses, as the drain writes it. Arrays come sorted by key.

-- name: find_pools
SELECT id FROM net.pool WHERE id = ANY ($1::integer[]);

-- name: lock_leases
-- The rows of these addresses that nobody else holds now.
SELECT lease.address_space, lease.address::text AS address, lease.state, lease.login_id,
    extract(epoch FROM lease.offered_at)::float8 AS offered_at_s,
    extract(epoch FROM lease.released_at)::float8 AS released_at_s
FROM unnest($1::integer[], $2::text[]) AS given (address_space, address)
JOIN net.lease ON lease.address_space = given.address_space AND lease.address = given.address::cidr
FOR UPDATE OF lease SKIP LOCKED;

-- name: add_leases
-- Those that are not returned stand there since, or somebody holds them.
INSERT INTO net.lease (address_space, address, pool_id, state, login_id, device, nas_id, offered_at, valid_until)
SELECT given.address_space, given.address::cidr, CASE given.state WHEN 'bound' THEN given.pool_id END, given.state,
    given.login_id, given.device, given.nas_id, to_timestamp(given.at_s), to_timestamp(given.at_s + given.valid_s)
FROM unnest($1::integer[], $2::text[], $3::integer[], $4::integer[], $5::bigint[], $6::integer[], $7::float8[],
    $8::integer[], $9::text[]) WITH ORDINALITY
    AS given (address_space, address, pool_id, login_id, device, nas_id, at_s, valid_s, state, ordinal)
ORDER BY given.ordinal
ON CONFLICT (address_space, address) DO NOTHING
RETURNING address_space, address::text AS address;

-- name: bind_known
-- Rows that were locked and judged. How long nodes may believe in a lease only ever grows.
UPDATE net.lease SET
    state = 'bound', pool_id = coalesce(lease.pool_id, given.pool_id), login_id = given.login_id, device = given.device,
    nas_id = given.nas_id, offered_at = to_timestamp(given.at_s), released_at = NULL, free_from = NULL,
    valid_until = greatest(CASE WHEN isfinite(lease.valid_until) THEN lease.valid_until END,
        to_timestamp(given.at_s + given.valid_s)),
    changed = pg_current_xact_id()
FROM unnest($1::integer[], $2::text[], $3::integer[], $4::integer[], $5::bigint[], $6::integer[], $7::float8[],
    $8::integer[]) AS given (address_space, address, pool_id, login_id, device, nas_id, at_s, valid_s)
WHERE lease.address_space = given.address_space AND lease.address = given.address::cidr;

-- name: note_findings
INSERT INTO net.address_finding AS known
    (address_space, address, kind, login_id, holder_id, nas_id, first_seen, last_seen)
SELECT given.address_space, given.address::cidr, given.kind, given.login_id, given.holder_id, given.nas_id,
    to_timestamp(given.at_s), to_timestamp(given.at_s)
FROM unnest($1::integer[], $2::text[], $3::text[], $4::integer[], $5::integer[], $6::integer[], $7::float8[])
    WITH ORDINALITY AS given (address_space, address, kind, login_id, holder_id, nas_id, at_s, ordinal)
ORDER BY given.ordinal
ON CONFLICT (address_space, address, kind, coalesce(login_id, 0)) WHERE settled_at IS NULL DO UPDATE SET
    holder_id = excluded.holder_id,
    first_seen = least(known.first_seen, excluded.first_seen),
    last_seen = greatest(known.last_seen, excluded.last_seen);
