"""Sessions: the drain that writes them, who is connected, who had an address. Touches no RADIUS socket."""
