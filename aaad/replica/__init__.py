"""The node's copy of what authentication reads: compiled records in LMDB, kept true by the change feed."""
