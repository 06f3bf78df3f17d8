-- Sessions that end are found without an index on their end. It made each Stop write an entry of every index, where
-- else the row is written in its place: more than all else of it.

DROP INDEX net.session_ended;

-- Room in each page for another version of every row in it: sessions that began together are often heard together.
ALTER TABLE net.session SET (fillfactor = 45);

CREATE TABLE net.session_end (
    at timestamptz NOT NULL DEFAULT now(),
    families uuid[] NOT NULL,
    look_from timestamptz NOT NULL DEFAULT now(),
    looks integer NOT NULL DEFAULT 0
);
COMMENT ON TABLE net.session_end IS
    'Families of sessions of which one has ended, many in a row: whose leases may be released. Whoever looks at them takes the row away.';
COMMENT ON COLUMN net.session_end.looks IS 'How often there was a lease which somebody seemed to have all the same.';

-- Ended sessions are moved to history by rounds through the table.
INSERT INTO net.chore (name) VALUES ('move');
