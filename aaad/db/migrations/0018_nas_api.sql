-- How a concentrator's own API is reached, which tells what RADIUS does not: its pools, who has an address, IPv6.
-- No node follows these columns: what asks routers reads them here, and the request path never learns the password.

ALTER TABLE net.nas
    ADD COLUMN api_port integer,
    ADD COLUMN api_tls boolean NOT NULL DEFAULT true,
    ADD COLUMN api_fingerprint text,
    ADD COLUMN api_ca text,
    ADD COLUMN api_user text,
    ADD COLUMN api_password text,
    ADD CONSTRAINT nas_api_port_range CHECK (api_port BETWEEN 1 AND 65535),
    ADD CONSTRAINT nas_api_fingerprint_form CHECK (api_fingerprint ~ '^[0-9a-f]{64}$'),
    ADD CONSTRAINT nas_api_ca_form CHECK (
        length(api_ca) <= 65536 AND api_ca LIKE '-----BEGIN CERTIFICATE-----%-----END CERTIFICATE-----%'),
    ADD CONSTRAINT nas_api_user_form CHECK (length(api_user) BETWEEN 1 AND 128 AND erp.is_trimmed(api_user)),
    ADD CONSTRAINT nas_api_password_form CHECK (length(api_password) BETWEEN 1 AND 128);
COMMENT ON COLUMN net.nas.api_port IS 'Null: 8729, without TLS 8728.';
COMMENT ON COLUMN net.nas.api_tls IS 'False: its API is spoken to in clear, passwords too.';
COMMENT ON COLUMN net.nas.api_fingerprint IS 'SHA-256 of the one certificate that is believed, in hexadecimal; then neither name nor issuer counts.';
COMMENT ON COLUMN net.nas.api_ca IS 'Certificates in PEM of who may have issued the router''s; null: those that this machine trusts.';
COMMENT ON COLUMN net.nas.api_password IS 'Of api_user in the router: a user of the group read is enough to read.';
