-- Statements of aaad/sessions/open_sessions.py and contests.py (rule R5.4).

-- name: find_open_sessions
-- Of each login the latest open sessions, how many it may have, where each one's NAS takes orders, and from which address
-- of this node: the one that its router spoke to last (rule R2.6). A NAS that was deleted takes none.
SELECT
    wanted.login_id,
    coalesce(login.simultaneous_max, contract.simultaneous_max, 1) AS allowed,
    session.family,
    session.life,
    session.nas_id,
    host(session.source_address) AS source_address,
    session.nas_identifier,
    session.acct_session_id,
    session.user_name,
    session.mac::text AS mac,
    session.calling_station_id,
    session.nas_port_id,
    host(session.ipv4) AS ipv4,
    host(coalesce(nas.coa_address, session.source_address)) AS coa_address,
    coalesce(nas.coa_port, 0) AS coa_port,
    server.local_address
FROM unnest($1::integer[]) AS wanted (login_id)
JOIN erp.login ON login.id = wanted.login_id
JOIN erp.contract ON contract.id = login.contract_id
CROSS JOIN LATERAL (
    SELECT * FROM net.every_session
    WHERE every_session.login_id = wanted.login_id AND every_session.state = 'open'
    ORDER BY every_session.started_at DESC, every_session.family, every_session.life
    LIMIT $3
) AS session
LEFT JOIN net.nas ON nas.id = session.nas_id
LEFT JOIN LATERAL (
    SELECT host(heard.local_address) AS local_address
    FROM net.router
    JOIN net.nas_server AS heard ON heard.router_id = router.id
    JOIN net.node ON node.id = heard.node_id
    WHERE router.nas_id = session.nas_id AND router.source_address = session.source_address
        AND router.nas_identifier = session.nas_identifier AND node.name = $2
    ORDER BY heard.last_heard DESC LIMIT 1
) AS server ON true;

-- name: find_busy_logins
-- Logins of which enough sessions began in the window for a contest, busiest first.
SELECT login_id FROM net.session
WHERE started_at > now() - $1::double precision * interval '1 second' AND started_at <= now() AND login_id IS NOT NULL
GROUP BY login_id HAVING count(*) > $2
ORDER BY count(*) DESC, login_id LIMIT $3;

-- name: find_lived
-- Sessions of these logins that began or were connected in the window, of each the latest $3.
SELECT
    wanted.login_id,
    coalesce(login.simultaneous_max, contract.simultaneous_max, 1) AS allowed,
    lived.family,
    lived.life,
    lived.mac::text AS mac,
    lived.nas_id,
    extract(epoch FROM lived.started_at)::float8 AS started_s,
    extract(epoch FROM lived.ended_latest)::float8 AS ended_s,
    extract(epoch FROM now())::float8 AS now_s
FROM unnest($1::integer[]) AS wanted (login_id)
JOIN erp.login ON login.id = wanted.login_id
JOIN erp.contract ON contract.id = login.contract_id
CROSS JOIN LATERAL (
    SELECT * FROM net.session
    WHERE session.login_id = wanted.login_id AND session.mac IS NOT NULL
        AND (session.ended_latest IS NULL OR session.ended_latest > now() - 2 * $2::double precision * interval '1 second')
    ORDER BY session.started_at DESC, session.family, session.life
    LIMIT $3
) AS lived;

-- name: hold_contests
-- From now on, and of one that goes on for as long after its last replacement, with the device that is kept already.
INSERT INTO net.login_contest AS known (login_id, mac, nas_id, other_mac, replacements, until)
SELECT new.login_id, new.mac, new.nas_id, new.other_mac, new.replacements,
    now() + $7::double precision * interval '1 second'
FROM unnest($1::integer[], $2::macaddr[], $3::integer[], $4::macaddr[], $5::integer[])
    AS new (login_id, mac, nas_id, other_mac, replacements)
ORDER BY new.login_id
ON CONFLICT (login_id) DO UPDATE SET
    until = (
        SELECT to_timestamp(last.at_s) + $7::double precision * interval '1 second'
        FROM unnest($1::integer[], $6::double precision[]) AS last (login_id, at_s) WHERE last.login_id = known.login_id),
    replacements = excluded.replacements
WHERE known.until < (
    SELECT to_timestamp(last.at_s) + $7::double precision * interval '1 second'
    FROM unnest($1::integer[], $6::double precision[]) AS last (login_id, at_s) WHERE last.login_id = known.login_id)
RETURNING login_id, (xmax = 0) AS is_new;

-- name: end_contests
DELETE FROM net.login_contest WHERE login_id IN (
    SELECT login_id FROM net.login_contest WHERE until <= now() ORDER BY login_id LIMIT $1 FOR UPDATE SKIP LOCKED);

-- name: count_contests
SELECT count(*) AS count FROM net.login_contest WHERE until > now();
