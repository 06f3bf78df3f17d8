-- Of one login's sessions on one device or port only the last ones are looked at when another begins. With the beginning in
-- the index they are found without reading all others, of which a customer who comes and goes has many within an hour.

DROP INDEX net.session_login;
CREATE INDEX session_login ON net.session (login_id, mac, started_at);
DROP INDEX net.session_nas_port;
CREATE INDEX session_nas_port ON net.session (nas_id, nas_port, started_at);
