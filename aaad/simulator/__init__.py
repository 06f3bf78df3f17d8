"""Peers that do not exist on a test machine. Shares no code with radius and mikrotik."""
