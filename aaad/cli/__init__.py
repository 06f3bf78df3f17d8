"""What operators type, and what they are told. Decides nothing."""
