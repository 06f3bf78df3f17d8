"""The node's copy of what authentication reads: records in LMDB, kept true by the change feed. Answers nobody."""
