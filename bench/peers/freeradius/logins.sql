-- The logins of the bench in FreeRADIUS's own tables, as a provider would keep them: the password per login, what
-- the plan gives in a group, the fixed address per login. psql variable: logins.
INSERT INTO radcheck (username, attribute, op, value)
  SELECT 'user' || to_char(i, 'FM000000'), 'Cleartext-Password', ':=', 'pass' || to_char(i, 'FM000000')
  FROM generate_series(0, :logins - 1) i;
INSERT INTO radusergroup (username, groupname, priority)
  SELECT 'user' || to_char(i, 'FM000000'), 'plan' || (i % 10), 1 FROM generate_series(0, :logins - 1) i;
INSERT INTO radgroupreply (groupname, attribute, op, value)
  SELECT 'plan' || p, attribute, ':=', value FROM generate_series(0, 9) p, LATERAL (VALUES
    ('Service-Type', 'Framed-User'), ('Framed-Protocol', 'PPP'), ('Acct-Interim-Interval', '300'),
    ('Mikrotik-Rate-Limit', (10 * (p + 1)) || 'M/' || (50 * (p + 1)) || 'M')) x (attribute, value);
INSERT INTO radreply (username, attribute, op, value)
  SELECT 'user' || to_char(i, 'FM000000'), 'Framed-IP-Address', ':=', host('100.64.0.0'::inet + i)
  FROM generate_series(0, :logins - 1) i;
VACUUM ANALYZE;
CHECKPOINT;
