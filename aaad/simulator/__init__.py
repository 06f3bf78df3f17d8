"""Concentrators and subscribers that do not exist, dialling a RADIUS server as real ones do.

For tests, the throw-away node, the bench, and whoever wants to see a server at work before his customers do. It is
written apart from the server on purpose and imports nothing of it, not even a hash: an error there cannot cancel
itself out here. An import contract holds that.
"""
