"""RouterOS: API connection, enforcing, observing. Empty until orders arrive."""
