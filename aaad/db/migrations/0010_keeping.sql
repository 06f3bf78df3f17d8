-- Keeping sessions: history by month, what is deleted when, sessions that are lost, usage and caps.

-- History -----------------------------------------------------------------------------------------------------

-- A late record of a session that is in history brings it back. Only months from `since` on are looked into, and
-- planned with: so this costs the same however long history is kept. Who calls has looked into net.session before, so
-- that a session that is just being moved is found in one of both. Numbers of lives that came to be used again
-- meanwhile are changed: they name rows and mean nothing else.
CREATE FUNCTION net.recall_session(families uuid[], since timestamptz DEFAULT '-infinity') RETURNS SETOF net.session
LANGUAGE plpgsql AS $$
DECLARE
    recalled net.session;
BEGIN
    FOR recalled IN EXECUTE
        'DELETE FROM net.session_history WHERE family = ANY($1) AND ended_at >= $2 RETURNING *' USING families, since
    LOOP
        IF EXISTS (SELECT FROM net.session WHERE family = recalled.family AND life = recalled.life) THEN
            SELECT max(life) + 1 INTO recalled.life FROM net.session WHERE family = recalled.family;
        END IF;
        INSERT INTO net.session SELECT recalled.*;
        RETURN NEXT recalled;
    END LOOP;
END
$$;
COMMENT ON FUNCTION net.recall_session IS
    'Brings sessions of these families that ended at or after `since` back from history to net.session; returns them.';
