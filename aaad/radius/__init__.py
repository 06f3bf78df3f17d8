"""The RADIUS wire and the path of a request."""
