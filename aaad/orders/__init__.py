"""Orders to the network: what must become so in a router or at a provider, until it is seen to be so."""
