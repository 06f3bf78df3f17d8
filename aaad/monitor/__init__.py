"""Equipment that is pinged and polled. Empty until monitoring arrives."""
