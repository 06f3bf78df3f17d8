"""Builds every object and starts every service: supervisor, roles, sockets. Knows no packet's octets."""
