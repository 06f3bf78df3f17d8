"""Addresses: pools and their ranges, the ledger of leases, what processes set aside. Gives no address to two."""
