-- The logins of the bench in FreeRADIUS's own tables, without fixed addresses: their plan's group names the pool. Beside
-- them one table with all that a login needs, for the variant that asks for it by one SELECT. psql variable: logins.
INSERT INTO radcheck (username, attribute, op, value)
  SELECT 'user' || to_char(i, 'FM000000'), 'Cleartext-Password', ':=', 'pass' || to_char(i, 'FM000000')
  FROM generate_series(0, :logins - 1) i;
INSERT INTO radusergroup (username, groupname, priority)
  SELECT 'user' || to_char(i, 'FM000000'), 'plan' || (i % 10), 1 FROM generate_series(0, :logins - 1) i;
INSERT INTO radgroupcheck (groupname, attribute, op, value)
  SELECT 'plan' || p, 'Pool-Name', ':=', 'main' FROM generate_series(0, 9) p;
INSERT INTO radgroupreply (groupname, attribute, op, value)
  SELECT 'plan' || p, attribute, ':=', value FROM generate_series(0, 9) p, LATERAL (VALUES
    ('Service-Type', 'Framed-User'), ('Framed-Protocol', 'PPP'), ('Acct-Interim-Interval', '300'),
    ('Mikrotik-Rate-Limit', (10 * (p + 1)) || 'M/' || (50 * (p + 1)) || 'M')) x (attribute, value);
CREATE TABLE subscriber AS
  SELECT 'user' || to_char(i, 'FM000000') AS username, 'pass' || to_char(i, 'FM000000') AS password,
         (10 * (i % 10 + 1)) || 'M/' || (50 * (i % 10 + 1)) || 'M' AS rate, 'main'::text AS pool
  FROM generate_series(0, :logins - 1) i;
ALTER TABLE subscriber ADD PRIMARY KEY (username);
VACUUM ANALYZE;
