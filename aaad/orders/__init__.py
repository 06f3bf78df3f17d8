"""Orders: making the network agree with what is decided, and knowing that it does."""
