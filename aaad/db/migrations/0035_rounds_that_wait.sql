-- Rounds through the sessions that can wait do so while a node's drain is behind: what they use of PostgreSQL is the drain's.
-- Not the one that moves what has ended into history, without which the table would grow by what the drain writes.

ALTER TABLE net.chore ADD COLUMN can_wait boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN net.chore.can_wait IS 'Whether its next bit waits while a drain is behind, a minute at most.';
UPDATE net.chore SET can_wait = true WHERE name IN ('lost', 'overlooked', 'reports');

CREATE FUNCTION net.is_drain_behind() RETURNS boolean LANGUAGE sql STABLE AS $$
    -- The watermark of one that is not behind is 5 s old, and 6 s until it is told anew. A node that is not heard of may be
    -- gone for good.
    SELECT EXISTS (
        SELECT FROM net.node
        WHERE drain_watermark < now() - interval '6.5 seconds' AND records_undrained >= 10000
            AND heartbeat_at > now() - interval '60 seconds'
    )
$$;
COMMENT ON FUNCTION net.is_drain_behind() IS 'Whether the drain of a node that lives is behind.';
