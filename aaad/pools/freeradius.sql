-- Of aaad/pools/freeradius.py: read in the database of a FreeRADIUS. Its tables have grown over the years, so all
-- columns of a row are taken and those that are there are used.

-- name: read_pool
SELECT *, extract(epoch FROM now())::double precision AS now_s
FROM radippool WHERE id > $1 ORDER BY id LIMIT $2;

-- name: read_sessions
SELECT *, extract(epoch FROM now())::double precision AS now_s
FROM radacct WHERE acctstoptime IS NULL AND radacctid > $1 ORDER BY radacctid LIMIT $2;
