"""The RADIUS wire and the path of a request. Speaks no SQL, and never depends on PostgreSQL for an answer."""
