"""The network side of an internet provider as one daemon."""
