-- A pool as it is on a morning, and no sessions: every address was leased before, to somebody, on some port, and has
-- expired. (An empty user name in all rows, the schema's default, would mislead the planner, to the disadvantage of the
-- stored procedure.) psql variable: addresses.
TRUNCATE radacct, radpostauth;
TRUNCATE radippool RESTART IDENTITY;
INSERT INTO radippool (pool_name, framedipaddress, nasipaddress, pool_key, callingstationid, username, expiry_time)
  SELECT 'main', '10.0.0.0'::inet + i, '10.255.0.' || (1 + i % 4), (15000000 + i)::text,
         'E4:8D:01:' || to_char(i / 10000 % 100, 'FM00') || ':' || to_char(i / 100 % 100, 'FM00') || ':' || to_char(i % 100, 'FM00'),
         'gone' || to_char(i, 'FM000000'), now() - interval '1 day' - (i * 7919 % 86400) * interval '1 second'
  FROM generate_series(0, :addresses - 1) i;
VACUUM ANALYZE radippool;
CHECKPOINT;
