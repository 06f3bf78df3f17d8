-- Which way a concentrator counts octets stands in the replica: accounting is recorded with it (aaad/radius/accounting.py).

CALL net.follow('net.nas',
    '{id, name, address, secret, secret_previous, secret_previous_until, kind, enabled, message_authenticator, timeout_ms, tries, branch_id, address_space, coa_address, coa_port, api_address, octets_swapped}');
