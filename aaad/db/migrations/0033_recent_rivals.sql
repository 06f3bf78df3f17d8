-- Of one login's sessions on one device or port only those next to an instant are looked at when another begins. With the
-- beginning in the index they are found without reading all others, of which a customer who comes and goes has many
-- within an hour, and a router that gives many customers one port has more.

DROP INDEX net.session_login;
CREATE INDEX session_login ON net.session (login_id, mac, started_at);
DROP INDEX net.session_nas_port;
CREATE INDEX session_nas_port ON net.session (nas_id, nas_port, login_id, started_at);

-- Looks for sessions that were overlooked so.
INSERT INTO net.chore (name) VALUES ('overlooked');
