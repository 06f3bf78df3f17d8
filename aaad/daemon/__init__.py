"""Builds every object and starts every service: supervisor, roles, sockets."""
