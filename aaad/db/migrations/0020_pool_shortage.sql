-- Pools of which somebody found nothing: processes that have some set aside give it back (rule R7.2).
CREATE TABLE net.pool_shortage (
    pool_id integer PRIMARY KEY REFERENCES net.pool ON DELETE CASCADE,
    at timestamptz NOT NULL
);
COMMENT ON TABLE net.pool_shortage IS 'When a process last found nothing in a pool: others give back what they have set aside of it.';
