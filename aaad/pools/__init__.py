"""Addresses: ranges, leases and claims. Empty until leases arrive."""
