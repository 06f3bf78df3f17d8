"""RouterOS: its API, what it says of itself, what is made of it, and what is wrong with its settings."""
