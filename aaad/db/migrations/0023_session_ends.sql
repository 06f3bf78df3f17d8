-- Sessions that end are found without an index on their end. It made each Stop write an entry of every index, where
-- else the row is written in its place: more than all else of it.

DROP INDEX net.session_ended;

-- Room in each page for another version of every row in it: sessions that began together are often heard together.
ALTER TABLE net.session SET (fillfactor = 45);

CREATE TABLE net.session_end (
    at timestamptz NOT NULL DEFAULT now(),
    families uuid[] NOT NULL
);
COMMENT ON TABLE net.session_end IS
    'Families of sessions that the drain has seen end, a row for each batch, for an hour: whose leases may be released.';

-- Ended sessions are moved to history by rounds through the table.
INSERT INTO net.chore (name) VALUES ('move');
