"""Sessions and what the drain writes about them."""
