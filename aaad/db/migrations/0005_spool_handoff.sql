-- Batches that a writer handed over because its disk took nothing (rule R6.3): one row for each life of a writer.

CREATE TABLE net.spool_handoff (
    spool_id uuid NOT NULL,
    life uuid NOT NULL,
    number bigint NOT NULL,
    segment bigint NOT NULL,
    position bigint NOT NULL,
    last_segment bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (spool_id, life)
);
COMMENT ON TABLE net.spool_handoff IS 'The last batch that a life of a writer handed over, so that it is applied once.';
COMMENT ON COLUMN net.spool_handoff.number IS 'Counts up within the life: what is not greater has been applied.';
COMMENT ON COLUMN net.spool_handoff.position IS
    'Behind it, and in the segments after it up to last_segment, nothing that this life wrote counts.';
