-- What the network gives and asks: every speed of a plan, every binding of a login, extra RADIUS attributes checked when
-- they are written, people who may log in to routers.
--
-- Switches with three values are S (yes), N (no) and P (as the parameter says: that of the branch, else the general one).

-- Forms -------------------------------------------------------------------------------------------------------

CREATE FUNCTION erp.is_hours(hours smallint[]) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN hours IS NULL OR CASE WHEN array_ndims(hours) = 1 THEN cardinality(hours) <= 24 AND array_position(hours, NULL) IS NULL
        AND hours <@ ARRAY[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23]::smallint[] ELSE false END;
COMMENT ON FUNCTION erp.is_hours IS 'Hours of the day: 0 is 00:00 to 00:59, 23 is 23:00 to 23:59. Null: all.';

CREATE FUNCTION erp.hours_mask(hours smallint[]) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce((SELECT bit_or(1 << hour) FROM unnest(hours) AS hour), 0);
COMMENT ON FUNCTION erp.hours_mask IS 'The same as 24 bits, bit 0 for hour 0; 0: all.';

CREATE FUNCTION erp.speed_bits(speed text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN erp.is_speed(speed)
        THEN left(speed, -1)::bigint * CASE right(speed, 1) WHEN 'k' THEN 1000 ELSE 1000000 END END;
COMMENT ON FUNCTION erp.speed_bits IS 'Bits a second; null if it is no speed.';

CREATE FUNCTION erp.are_router_names(names text[]) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(array_ndims(names), 1) = 1 AND cardinality(names) <= 8 AND (SELECT coalesce(bool_and(erp.is_router_name(name) IS TRUE), true) FROM unnest(names) AS name);

CREATE FUNCTION erp.is_host_ipv6(address inet) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN family(address) <> 6 OR masklen(address) <> 128 THEN false
        ELSE address <<= inet '2000::/3' OR address <<= inet 'fc00::/7' END;

CREATE FUNCTION erp.are_servers(addresses inet[]) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(array_ndims(addresses), 1) = 1 AND cardinality(addresses) <= 8 AND (
        SELECT coalesce(bool_and((erp.is_host_ipv4(address) OR erp.is_host_ipv6(address)) IS TRUE), true)
        FROM unnest(addresses) AS address);
COMMENT ON FUNCTION erp.are_servers IS 'Up to eight IPv4 and IPv6 addresses of hosts.';

CREATE FUNCTION erp.is_ipv6_prefix(prefix cidr, shortest integer, longest integer) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN family(prefix) = 6 AND masklen(prefix) BETWEEN shortest AND longest
        AND (prefix <<= inet '2000::/3' OR prefix <<= inet 'fc00::/7');

-- Networks behind a customer's device: never the default route, and none that holds only hosts no session may have.
CREATE FUNCTION erp.are_routes(networks cidr[]) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(array_ndims(networks), 1) = 1 AND cardinality(networks) <= 16 AND (
        SELECT coalesce(bool_and((
            CASE family(network) WHEN 4 THEN masklen(network) >= 8 AND erp.is_host_ipv4(host(network)::inet)
                ELSE erp.is_ipv6_prefix(network, 16, 128) END) IS TRUE), true)
        FROM unnest(networks) AS network);
COMMENT ON FUNCTION erp.are_routes IS 'Up to 16 networks, IPv4 from /8 and IPv6 from /16 on.';

-- What a concentrator calls a port or a circuit. Some send spaces inside, none control characters that matter.
CREATE FUNCTION erp.is_port_name(name text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN octet_length(name) BETWEEN 1 AND 512 AND erp.is_trimmed(name) AND name !~ '[\x01-\x1f\x7f]';
COMMENT ON FUNCTION erp.is_port_name IS '1 to 512 octets without control characters and outer spaces.';

-- Plans -------------------------------------------------------------------------------------------------------

ALTER TABLE erp.plan
    ADD COLUMN is_limited boolean NOT NULL DEFAULT true,
    ADD COLUMN upload_burst text,
    ADD COLUMN download_burst text,
    ADD COLUMN upload_burst_threshold text,
    ADD COLUMN download_burst_threshold text,
    ADD COLUMN upload_burst_time_s integer,
    ADD COLUMN download_burst_time_s integer,
    ADD COLUMN priority integer,
    ADD COLUMN upload_guaranteed text,
    ADD COLUMN download_guaranteed text,
    ADD COLUMN normal_hours smallint[],
    ADD COLUMN may_change_speed boolean NOT NULL DEFAULT true,
    ADD COLUMN late_after_days integer NOT NULL DEFAULT 0,
    ADD COLUMN late_plan_id integer REFERENCES erp.plan,
    ADD COLUMN cap_gigabytes integer,
    ADD COLUMN cap_kind text,
    ADD COLUMN cap_plan_id integer REFERENCES erp.plan,
    ADD COLUMN ipv4_pool text,
    ADD COLUMN ipv6_pool text,
    ADD COLUMN delegated_ipv6_pool text,
    ADD COLUMN address_list text,
    ADD COLUMN address_list_ipv6 text,
    ADD COLUMN router_group text,
    ADD COLUMN filter_ids text[] NOT NULL DEFAULT '{}',
    ADD COLUMN dns inet[] NOT NULL DEFAULT '{}',
    ADD COLUMN mppe text NOT NULL DEFAULT 'unsaid',
    ADD CONSTRAINT plan_upload_burst_form CHECK (erp.is_speed(upload_burst)),
    ADD CONSTRAINT plan_download_burst_form CHECK (erp.is_speed(download_burst)),
    ADD CONSTRAINT plan_upload_burst_threshold_form CHECK (erp.is_speed(upload_burst_threshold)),
    ADD CONSTRAINT plan_download_burst_threshold_form CHECK (erp.is_speed(download_burst_threshold)),
    ADD CONSTRAINT plan_upload_burst_time_range CHECK (upload_burst_time_s BETWEEN 1 AND 3600),
    ADD CONSTRAINT plan_download_burst_time_range CHECK (download_burst_time_s BETWEEN 1 AND 3600),
    ADD CONSTRAINT plan_burst_not_below_speed CHECK (
        erp.speed_bits(upload_burst) >= erp.speed_bits(upload)
        AND erp.speed_bits(download_burst) >= erp.speed_bits(download)),
    ADD CONSTRAINT plan_burst_whole CHECK (
        (upload_burst IS NOT NULL OR num_nonnulls(upload_burst_threshold, upload_burst_time_s) = 0)
        AND (download_burst IS NOT NULL OR num_nonnulls(download_burst_threshold, download_burst_time_s) = 0)),
    ADD CONSTRAINT plan_priority_range CHECK (priority BETWEEN 1 AND 8),
    ADD CONSTRAINT plan_upload_guaranteed_form CHECK (erp.is_speed(upload_guaranteed)),
    ADD CONSTRAINT plan_download_guaranteed_form CHECK (erp.is_speed(download_guaranteed)),
    ADD CONSTRAINT plan_guaranteed_not_above_speed CHECK (
        erp.speed_bits(upload_guaranteed) <= erp.speed_bits(upload)
        AND erp.speed_bits(download_guaranteed) <= erp.speed_bits(download)),
    ADD CONSTRAINT plan_normal_hours_form CHECK (erp.is_hours(normal_hours)),
    ADD CONSTRAINT plan_late_after_days_range CHECK (late_after_days BETWEEN 0 AND 365),
    ADD CONSTRAINT plan_late_after_days_with_plan CHECK (late_after_days = 0 OR late_plan_id IS NOT NULL),
    ADD CONSTRAINT plan_late_plan_is_another CHECK (late_plan_id <> id),
    ADD CONSTRAINT plan_cap_whole CHECK (
        (cap_gigabytes IS NULL) = (cap_kind IS NULL) AND (cap_gigabytes IS NULL) = (cap_plan_id IS NULL)),
    ADD CONSTRAINT plan_cap_gigabytes_range CHECK (cap_gigabytes BETWEEN 1 AND 1000000),
    ADD CONSTRAINT plan_cap_kind_known CHECK (cap_kind IN ('M', 'U', 'P')),
    ADD CONSTRAINT plan_cap_plan_is_another CHECK (cap_plan_id <> id),
    ADD CONSTRAINT plan_ipv4_pool_form CHECK (erp.is_router_name(ipv4_pool)),
    ADD CONSTRAINT plan_ipv6_pool_form CHECK (erp.is_router_name(ipv6_pool)),
    ADD CONSTRAINT plan_delegated_ipv6_pool_form CHECK (erp.is_router_name(delegated_ipv6_pool)),
    ADD CONSTRAINT plan_address_list_form CHECK (erp.is_router_name(address_list)),
    ADD CONSTRAINT plan_address_list_ipv6_form CHECK (erp.is_router_name(address_list_ipv6)),
    ADD CONSTRAINT plan_router_group_form CHECK (erp.is_router_name(router_group)),
    ADD CONSTRAINT plan_filter_ids_form CHECK (erp.are_router_names(filter_ids)),
    ADD CONSTRAINT plan_dns_form CHECK (erp.are_servers(dns)),
    ADD CONSTRAINT plan_mppe_known CHECK (mppe IN ('unsaid', 'allowed', 'required'));
COMMENT ON COLUMN erp.plan.is_limited IS 'False: no rate is sent, whatever the speeds say (qos_ativo).';
COMMENT ON COLUMN erp.plan.upload_burst IS 'Speed for a short while (burst), in the form of upload.';
COMMENT ON COLUMN erp.plan.upload_burst_threshold IS 'A burst is allowed while the average over upload_burst_time_s lies below this.';
COMMENT ON COLUMN erp.plan.priority IS '1 highest to 8; null: the router''s own.';
COMMENT ON COLUMN erp.plan.upload_guaranteed IS 'What it gets when the line is full (garantia).';
COMMENT ON COLUMN erp.plan.normal_hours IS 'When the plan''s own speeds hold (horas_normal); null: always, but for the hours of its phases.';
COMMENT ON COLUMN erp.plan.may_change_speed IS 'False: its own speed holds at all hours, whatever its hours and phases say (alteracao_velocidade).';
COMMENT ON COLUMN erp.plan.late_after_days IS 'From so many days after the oldest due date on late_plan_id holds; 0: never (reduzir_dias_atraso).';
COMMENT ON COLUMN erp.plan.cap_gigabytes IS 'After so much traffic cap_plan_id holds (franquia).';
COMMENT ON COLUMN erp.plan.cap_kind IS 'Counted in: M the month, U the last 30 days, P the contract''s period.';
COMMENT ON COLUMN erp.plan.ipv4_pool IS 'Name of a pool on the router; null: as the branch''s parameter says. So the other two.';
COMMENT ON COLUMN erp.plan.address_list IS 'Firewall list that sessions are put on.';
COMMENT ON COLUMN erp.plan.router_group IS 'PPP or Hotspot profile on the router (Mikrotik-Group).';
COMMENT ON COLUMN erp.plan.filter_ids IS 'Filter-Id, each as it is.';
COMMENT ON COLUMN erp.plan.dns IS 'DNS servers, the first of each kind first; empty: as the branch''s parameter says.';
COMMENT ON COLUMN erp.plan.mppe IS 'Whether PPP is encrypted: unsaid, allowed, required.';
CREATE INDEX plan_late_plan ON erp.plan (late_plan_id);
CREATE INDEX plan_cap_plan ON erp.plan (cap_plan_id);

CREATE TABLE erp.plan_phase (
    id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    plan_id integer NOT NULL REFERENCES erp.plan ON DELETE CASCADE,
    phase text NOT NULL,
    active boolean NOT NULL DEFAULT true,
    hours smallint[] NOT NULL,
    replacement_plan_id integer REFERENCES erp.plan,
    upload text,
    download text,
    upload_burst text,
    download_burst text,
    upload_burst_threshold text,
    download_burst_threshold text,
    upload_burst_time_s integer,
    download_burst_time_s integer,
    priority integer,
    upload_guaranteed text,
    download_guaranteed text,
    CONSTRAINT plan_phase_id_range CHECK (id > 0),
    CONSTRAINT plan_phase_unique UNIQUE (plan_id, phase),
    CONSTRAINT plan_phase_phase_known CHECK (phase IN ('reduced', 'turbo')),
    CONSTRAINT plan_phase_hours_form CHECK (erp.is_hours(hours)),
    CONSTRAINT plan_phase_upload_form CHECK (erp.is_speed(upload)),
    CONSTRAINT plan_phase_download_form CHECK (erp.is_speed(download)),
    CONSTRAINT plan_phase_speed_or_plan CHECK (
        CASE WHEN replacement_plan_id IS NULL THEN upload IS NOT NULL AND download IS NOT NULL
            ELSE num_nonnulls(upload, download, upload_burst, download_burst, upload_burst_threshold,
                download_burst_threshold, upload_burst_time_s, download_burst_time_s, priority, upload_guaranteed,
                download_guaranteed) = 0 END),
    CONSTRAINT plan_phase_replacement_is_another CHECK (replacement_plan_id <> plan_id),
    CONSTRAINT plan_phase_upload_burst_form CHECK (erp.is_speed(upload_burst)),
    CONSTRAINT plan_phase_download_burst_form CHECK (erp.is_speed(download_burst)),
    CONSTRAINT plan_phase_upload_burst_threshold_form CHECK (erp.is_speed(upload_burst_threshold)),
    CONSTRAINT plan_phase_download_burst_threshold_form CHECK (erp.is_speed(download_burst_threshold)),
    CONSTRAINT plan_phase_upload_burst_time_range CHECK (upload_burst_time_s BETWEEN 1 AND 3600),
    CONSTRAINT plan_phase_download_burst_time_range CHECK (download_burst_time_s BETWEEN 1 AND 3600),
    CONSTRAINT plan_phase_burst_not_below_speed CHECK (
        erp.speed_bits(upload_burst) >= erp.speed_bits(upload)
        AND erp.speed_bits(download_burst) >= erp.speed_bits(download)),
    CONSTRAINT plan_phase_burst_whole CHECK (
        (upload_burst IS NOT NULL OR num_nonnulls(upload_burst_threshold, upload_burst_time_s) = 0)
        AND (download_burst IS NOT NULL OR num_nonnulls(download_burst_threshold, download_burst_time_s) = 0)),
    CONSTRAINT plan_phase_priority_range CHECK (priority BETWEEN 1 AND 8),
    CONSTRAINT plan_phase_upload_guaranteed_form CHECK (erp.is_speed(upload_guaranteed)),
    CONSTRAINT plan_phase_download_guaranteed_form CHECK (erp.is_speed(download_guaranteed)),
    CONSTRAINT plan_phase_guaranteed_not_above_speed CHECK (
        erp.speed_bits(upload_guaranteed) <= erp.speed_bits(upload)
        AND erp.speed_bits(download_guaranteed) <= erp.speed_bits(download))
);
COMMENT ON TABLE erp.plan_phase IS 'Another speed of a plan at some hours: reduced (night and the like), turbo. Where both hold, turbo does.';
COMMENT ON COLUMN erp.plan_phase.hours IS 'In the zone of the login''s branch: 0 is 00:00 to 00:59.';
COMMENT ON COLUMN erp.plan_phase.replacement_plan_id IS 'The plan whose speed holds then; else the speeds here.';
CREATE INDEX plan_phase_replacement ON erp.plan_phase (replacement_plan_id);

-- Logins ------------------------------------------------------------------------------------------------------

DROP VIEW net.login_source;

ALTER TABLE erp.login
    ALTER COLUMN auto_fill_mac DROP DEFAULT,
    ALTER COLUMN auto_fill_mac TYPE text USING CASE WHEN auto_fill_mac THEN 'S' ELSE 'N' END,
    ALTER COLUMN auto_fill_mac SET DEFAULT 'P',
    ADD COLUMN bind_mac text NOT NULL DEFAULT 'P',
    ADD COLUMN nas_id integer REFERENCES net.nas,
    ADD COLUMN auto_fill_nas text NOT NULL DEFAULT 'P',
    ADD COLUMN bind_nas text NOT NULL DEFAULT 'P',
    ADD COLUMN port_id text,
    ADD COLUMN auto_fill_port text NOT NULL DEFAULT 'P',
    ADD COLUMN bind_port text NOT NULL DEFAULT 'P',
    ADD COLUMN circuit_id text,
    ADD COLUMN auto_fill_circuit text NOT NULL DEFAULT 'P',
    ADD COLUMN bind_circuit text NOT NULL DEFAULT 'P',
    ADD COLUMN mac_login boolean NOT NULL DEFAULT false,
    ADD COLUMN access_hours smallint[],
    ADD COLUMN cap_reached boolean NOT NULL DEFAULT false,
    ADD COLUMN upload text,
    ADD COLUMN download text,
    ADD COLUMN ipv4_pool text,
    ADD COLUMN ipv6_pool text,
    ADD COLUMN delegated_ipv6_pool text,
    ADD COLUMN ipv6_prefix cidr,
    ADD COLUMN delegated_ipv6_prefix cidr,
    ADD COLUMN routes cidr[] NOT NULL DEFAULT '{}',
    ADD COLUMN address_list text,
    ADD COLUMN address_list_ipv6 text,
    ADD COLUMN dns inet[] NOT NULL DEFAULT '{}',
    ADD COLUMN simultaneous_max integer,
    ADD COLUMN plan_link text,
    ADD COLUMN equipment_kind text,
    ADD COLUMN wpa2_passphrase text,
    ADD CONSTRAINT login_auto_fill_mac_known CHECK (erp.is_three_valued(auto_fill_mac)),
    ADD CONSTRAINT login_bind_mac_known CHECK (erp.is_three_valued(bind_mac)),
    ADD CONSTRAINT login_auto_fill_nas_known CHECK (erp.is_three_valued(auto_fill_nas)),
    ADD CONSTRAINT login_bind_nas_known CHECK (erp.is_three_valued(bind_nas)),
    ADD CONSTRAINT login_port_id_form CHECK (erp.is_port_name(port_id)),
    ADD CONSTRAINT login_auto_fill_port_known CHECK (erp.is_three_valued(auto_fill_port)),
    ADD CONSTRAINT login_bind_port_known CHECK (erp.is_three_valued(bind_port)),
    ADD CONSTRAINT login_circuit_id_form CHECK (erp.is_port_name(circuit_id)),
    ADD CONSTRAINT login_auto_fill_circuit_known CHECK (erp.is_three_valued(auto_fill_circuit)),
    ADD CONSTRAINT login_bind_circuit_known CHECK (erp.is_three_valued(bind_circuit)),
    ADD CONSTRAINT login_access_hours_form CHECK (erp.is_hours(access_hours)),
    ADD CONSTRAINT login_upload_form CHECK (erp.is_speed(upload)),
    ADD CONSTRAINT login_download_form CHECK (erp.is_speed(download)),
    ADD CONSTRAINT login_speed_whole CHECK ((upload IS NULL) = (download IS NULL)),
    ADD CONSTRAINT login_ipv4_pool_form CHECK (erp.is_router_name(ipv4_pool)),
    ADD CONSTRAINT login_ipv6_pool_form CHECK (erp.is_router_name(ipv6_pool)),
    ADD CONSTRAINT login_delegated_ipv6_pool_form CHECK (erp.is_router_name(delegated_ipv6_pool)),
    ADD CONSTRAINT login_ipv6_prefix_form CHECK (erp.is_ipv6_prefix(ipv6_prefix, 48, 128)),
    ADD CONSTRAINT login_delegated_ipv6_prefix_form CHECK (erp.is_ipv6_prefix(delegated_ipv6_prefix, 32, 64)),
    ADD CONSTRAINT login_ipv6_prefix_unique EXCLUDE USING gist ((ipv6_prefix::inet) inet_ops WITH &&)
        WHERE (deleted_at IS NULL AND ipv6_prefix IS NOT NULL),
    ADD CONSTRAINT login_delegated_ipv6_prefix_unique EXCLUDE USING gist ((delegated_ipv6_prefix::inet) inet_ops WITH &&)
        WHERE (deleted_at IS NULL AND delegated_ipv6_prefix IS NOT NULL),
    ADD CONSTRAINT login_routes_form CHECK (routes = '{}' OR erp.are_routes(routes)),
    ADD CONSTRAINT login_address_list_form CHECK (erp.is_router_name(address_list)),
    ADD CONSTRAINT login_address_list_ipv6_form CHECK (erp.is_router_name(address_list_ipv6)),
    ADD CONSTRAINT login_dns_form CHECK (dns = '{}' OR erp.are_servers(dns)),
    ADD CONSTRAINT login_simultaneous_max_range CHECK (simultaneous_max BETWEEN 1 AND 10000),
    ADD CONSTRAINT login_plan_link_known CHECK (plan_link IN ('D', 'C', 'P', 'G')),
    ADD CONSTRAINT login_equipment_kind_known CHECK (equipment_kind IN ('C', 'P')),
    ADD CONSTRAINT login_wpa2_passphrase_form CHECK (wpa2_passphrase ~ '^[ -~]{8,63}$');
COMMENT ON COLUMN erp.login.mac IS
    'Its device (see bind_mac). Any usual form may be written; it is stored as AA:BB:CC:DD:EE:FF.';
COMMENT ON COLUMN erp.login.auto_fill_mac IS 'Fill mac, while it is empty, from the first device that connects: S, N or P (mac_learn).';
COMMENT ON COLUMN erp.login.bind_mac IS 'Only the device of mac connects: S, N or P (parameter mac_bind).';
COMMENT ON COLUMN erp.login.nas_id IS 'Its concentrator; auto_fill_nas and bind_nas as for mac (nas_learn, nas_bind).';
COMMENT ON COLUMN erp.login.port_id IS 'Its port or VLAN as the concentrator calls it (NAS-Port-Id); port_learn, port_bind.';
COMMENT ON COLUMN erp.login.circuit_id IS 'Its circuit (Agent-Circuit-Id of option 82 or PPPoE+); circuit_learn, circuit_bind.';
COMMENT ON COLUMN erp.login.mac_login IS 'Its device''s address is its user name: always for authentication M and D, by choice for H.';
COMMENT ON COLUMN erp.login.access_hours IS 'Hours in which it may connect, in the zone of the branch; null: all.';
COMMENT ON COLUMN erp.login.cap_reached IS 'The cap of the plan is used up: cap_plan_id holds.';
COMMENT ON COLUMN erp.login.upload IS 'Its own speed instead of the plan''s; upload and download together.';
COMMENT ON COLUMN erp.login.ipv4_pool IS 'Name of a pool on the router; null: the plan''s. So the other two, and the lists.';
COMMENT ON COLUMN erp.login.ipv6_prefix IS 'Fixed prefix of the link (Framed-IPv6-Prefix).';
COMMENT ON COLUMN erp.login.delegated_ipv6_prefix IS 'Fixed prefix for the networks behind its device (Delegated-IPv6-Prefix).';
COMMENT ON COLUMN erp.login.routes IS 'Networks behind its device (Framed-Route, Framed-IPv6-Route).';
COMMENT ON COLUMN erp.login.dns IS 'DNS servers of its own, the first of each kind first; empty: the plan''s.';
COMMENT ON COLUMN erp.login.simultaneous_max IS 'Its sessions at once; null: as many as the contract says.';
COMMENT ON COLUMN erp.login.plan_link IS 'For people (tipo_vinculo_plano): D default, C of the contract, P prepaid, G free.';
COMMENT ON COLUMN erp.login.equipment_kind IS 'For people (tipo_equipamento): C lent by the provider, P the customer''s own.';
COMMENT ON COLUMN erp.login.wpa2_passphrase IS 'Of its access point, 8 to 63 printable characters.';
CREATE INDEX login_nas ON erp.login (nas_id) WHERE nas_id IS NOT NULL;

-- Who authenticates by his device's address. Of two rows written before this rule the older one keeps the address.
UPDATE erp.login SET mac_login = true
WHERE authentication IN ('M', 'D') AND mac IS NOT NULL AND NOT EXISTS (
    SELECT FROM erp.login AS older
    WHERE older.mac = login.mac AND older.id < login.id AND older.authentication IN ('M', 'D') AND older.deleted_at IS NULL);
ALTER TABLE erp.login
    DROP CONSTRAINT login_password_required,
    ADD CONSTRAINT login_password_required CHECK (
        password IS NOT NULL OR authentication NOT IN ('L', 'H') OR mac_login),
    ADD CONSTRAINT login_mac_login_with_mac CHECK (mac IS NOT NULL OR NOT mac_login),
    ADD CONSTRAINT login_mac_login_of_kind CHECK (authentication IN ('H', 'M', 'D') OR NOT mac_login);
CREATE UNIQUE INDEX login_mac_login_unique ON erp.login (mac) WHERE mac_login AND deleted_at IS NULL;

CREATE FUNCTION erp.keep_mac_login() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.mac_login := true;
    RETURN NEW;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.keep_mac_login FROM PUBLIC;
CREATE TRIGGER keep_mac_login BEFORE INSERT OR UPDATE OF authentication, mac, mac_login ON erp.login
    FOR EACH ROW WHEN (NEW.authentication IN ('M', 'D') AND NOT NEW.mac_login) EXECUTE FUNCTION erp.keep_mac_login();

-- Concentrators -----------------------------------------------------------------------------------------------

UPDATE net.nas SET kind = 'other' WHERE kind NOT IN ('mikrotik', 'accel_ppp', 'huawei', 'juniper', 'cisco', 'other');
ALTER TABLE net.nas
    DROP CONSTRAINT nas_kind_form,
    ADD CONSTRAINT nas_kind_known CHECK (kind IN ('mikrotik', 'accel_ppp', 'huawei', 'juniper', 'cisco', 'other'));
COMMENT ON COLUMN net.nas.kind IS 'What it understands: mikrotik, accel_ppp, huawei, juniper, cisco, other (what the RFCs say).';

-- A concentrator with logins bound to it is not deleted; with the parameter, those of cancelled contracts let it go.
CREATE FUNCTION net.free_cancelled_logins() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM erp.serve_only('net.free_cancelled_logins', TG_RELID, 'net.nas');
    IF 'S' = erp.parameter_value('delete_nas_with_cancelled_contracts', OLD.branch_id) THEN
        UPDATE erp.login SET nas_id = NULL
        FROM erp.contract
        WHERE login.nas_id = OLD.id AND contract.id = login.contract_id
            AND (contract.status IN ('I', 'D') OR login.deleted_at IS NOT NULL);
    END IF;
    RETURN OLD;
END
$$;
REVOKE EXECUTE ON FUNCTION net.free_cancelled_logins FROM PUBLIC;
CREATE TRIGGER free_cancelled_logins BEFORE DELETE ON net.nas
    FOR EACH ROW EXECUTE FUNCTION net.free_cancelled_logins();

CREATE TABLE net.router_administrator (
    id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    password text NOT NULL,
    router_group text NOT NULL DEFAULT 'read',
    nas_id integer REFERENCES net.nas ON DELETE CASCADE,
    active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT router_administrator_id_range CHECK (id > 0),
    CONSTRAINT router_administrator_name_form CHECK (erp.is_login_name(name)),
    CONSTRAINT router_administrator_password_form CHECK (password ~ '^[!-~]([ -~]{0,126}[!-~])?$'),
    CONSTRAINT router_administrator_router_group_form CHECK (erp.is_router_name(router_group))
);
COMMENT ON TABLE net.router_administrator IS 'A person who may log in to routers; customers never do (rule R2.5).';
COMMENT ON COLUMN net.router_administrator.router_group IS 'The router''s user group: read, write, full or one of its own.';
COMMENT ON COLUMN net.router_administrator.nas_id IS 'Null: every concentrator. An entry for one counts before that for all.';
CREATE UNIQUE INDEX router_administrator_unique ON net.router_administrator (erp.fold_login(name), nas_id) NULLS NOT DISTINCT;
CREATE INDEX router_administrator_nas ON net.router_administrator (nas_id);

-- The dictionary ----------------------------------------------------------------------------------------------
-- The same rows as aaad/radius/dictionary_data.py; a test holds that.

CREATE TABLE net.dictionary_attribute (
    name text PRIMARY KEY,
    vendor integer NOT NULL,
    code smallint NOT NULL,
    kind text NOT NULL,
    may_be_given boolean NOT NULL,
    CONSTRAINT dictionary_attribute_unique UNIQUE (vendor, code),
    CONSTRAINT dictionary_attribute_code_range CHECK (code BETWEEN 1 AND 255),
    CONSTRAINT dictionary_attribute_kind_known CHECK (kind IN ('string', 'integer', 'ipaddr', 'ipv6addr', 'ipv6prefix',
        'octets', 'ifid', 'date', 'tagged_string', 'tagged_integer'))
);
COMMENT ON TABLE net.dictionary_attribute IS 'RADIUS attributes that are known by name; vendor 0: those of the RFCs.';
COMMENT ON COLUMN net.dictionary_attribute.may_be_given IS
    'As an extra attribute of a plan or login. What the server sets itself, or would break a reply, may not.';
CREATE UNIQUE INDEX dictionary_attribute_folded ON net.dictionary_attribute (lower(name COLLATE "C"));

CREATE TABLE net.dictionary_value (
    attribute text NOT NULL REFERENCES net.dictionary_attribute ON DELETE CASCADE,
    name text NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (attribute, name),
    CONSTRAINT dictionary_value_number_range CHECK (number BETWEEN 0 AND 4294967295)
);
COMMENT ON TABLE net.dictionary_value IS 'Names of numbers, such as Framed-Compression 1: Van-Jacobson-TCP-IP.';

INSERT INTO net.dictionary_attribute (name, vendor, code, kind, may_be_given) VALUES
    ('Framed-IP-Netmask', 0, 9, 'ipaddr', true),
    ('Framed-Routing', 0, 10, 'integer', true),
    ('Filter-Id', 0, 11, 'string', true),
    ('Framed-MTU', 0, 12, 'integer', true),
    ('Framed-Compression', 0, 13, 'integer', true),
    ('Reply-Message', 0, 18, 'string', true),
    ('Callback-Number', 0, 19, 'string', true),
    ('Callback-Id', 0, 20, 'string', true),
    ('Framed-Route', 0, 22, 'string', true),
    ('Termination-Action', 0, 29, 'integer', true),
    ('Egress-VLANID', 0, 56, 'integer', true),
    ('Ingress-Filters', 0, 57, 'integer', true),
    ('Egress-VLAN-Name', 0, 58, 'string', true),
    ('User-Priority-Table', 0, 59, 'octets', true),
    ('Port-Limit', 0, 62, 'integer', true),
    ('Tunnel-Type', 0, 64, 'tagged_integer', true),
    ('Tunnel-Medium-Type', 0, 65, 'tagged_integer', true),
    ('Tunnel-Client-Endpoint', 0, 66, 'tagged_string', true),
    ('Tunnel-Server-Endpoint', 0, 67, 'tagged_string', true),
    ('Configuration-Token', 0, 78, 'string', true),
    ('Tunnel-Private-Group-Id', 0, 81, 'tagged_string', true),
    ('Tunnel-Assignment-Id', 0, 82, 'tagged_string', true),
    ('Tunnel-Preference', 0, 83, 'tagged_integer', true),
    ('Chargeable-User-Identity', 0, 89, 'octets', true),
    ('Tunnel-Client-Auth-Id', 0, 90, 'tagged_string', true),
    ('Tunnel-Server-Auth-Id', 0, 91, 'tagged_string', true),
    ('NAS-Filter-Rule', 0, 92, 'string', true),
    ('Framed-Interface-Id', 0, 96, 'ifid', true),
    ('Framed-IPv6-Route', 0, 99, 'string', true),
    ('Framed-IPv6-Address', 0, 168, 'ipv6addr', true),
    ('DNS-Server-IPv6-Address', 0, 169, 'ipv6addr', true),
    ('Route-IPv6-Information', 0, 170, 'ipv6prefix', true),
    ('User-Name', 0, 1, 'string', false),
    ('User-Password', 0, 2, 'string', false),
    ('CHAP-Password', 0, 3, 'octets', false),
    ('NAS-IP-Address', 0, 4, 'ipaddr', false),
    ('NAS-Port', 0, 5, 'integer', false),
    ('Service-Type', 0, 6, 'integer', false),
    ('Framed-Protocol', 0, 7, 'integer', false),
    ('Framed-IP-Address', 0, 8, 'ipaddr', false),
    ('State', 0, 24, 'octets', false),
    ('Class', 0, 25, 'octets', false),
    ('Session-Timeout', 0, 27, 'integer', false),
    ('Idle-Timeout', 0, 28, 'integer', false),
    ('Called-Station-Id', 0, 30, 'string', false),
    ('Calling-Station-Id', 0, 31, 'string', false),
    ('NAS-Identifier', 0, 32, 'string', false),
    ('Proxy-State', 0, 33, 'octets', false),
    ('Acct-Status-Type', 0, 40, 'integer', false),
    ('Acct-Delay-Time', 0, 41, 'integer', false),
    ('Acct-Input-Octets', 0, 42, 'integer', false),
    ('Acct-Output-Octets', 0, 43, 'integer', false),
    ('Acct-Session-Id', 0, 44, 'string', false),
    ('Acct-Authentic', 0, 45, 'integer', false),
    ('Acct-Session-Time', 0, 46, 'integer', false),
    ('Acct-Input-Packets', 0, 47, 'integer', false),
    ('Acct-Output-Packets', 0, 48, 'integer', false),
    ('Acct-Terminate-Cause', 0, 49, 'integer', false),
    ('Acct-Multi-Session-Id', 0, 50, 'string', false),
    ('Acct-Link-Count', 0, 51, 'integer', false),
    ('Acct-Input-Gigawords', 0, 52, 'integer', false),
    ('Acct-Output-Gigawords', 0, 53, 'integer', false),
    ('Event-Timestamp', 0, 55, 'date', false),
    ('CHAP-Challenge', 0, 60, 'octets', false),
    ('NAS-Port-Type', 0, 61, 'integer', false),
    ('Tunnel-Password', 0, 69, 'tagged_string', false),
    ('Connect-Info', 0, 77, 'string', false),
    ('EAP-Message', 0, 79, 'octets', false),
    ('Message-Authenticator', 0, 80, 'octets', false),
    ('Acct-Interim-Interval', 0, 85, 'integer', false),
    ('NAS-Port-Id', 0, 87, 'string', false),
    ('Framed-Pool', 0, 88, 'string', false),
    ('NAS-IPv6-Address', 0, 95, 'ipv6addr', false),
    ('Framed-IPv6-Prefix', 0, 97, 'ipv6prefix', false),
    ('Framed-IPv6-Pool', 0, 100, 'string', false),
    ('Error-Cause', 0, 101, 'integer', false),
    ('Delegated-IPv6-Prefix', 0, 123, 'ipv6prefix', false),
    ('Delegated-IPv6-Prefix-Pool', 0, 171, 'string', false),
    ('Stateful-IPv6-Address-Pool', 0, 172, 'string', false),
    ('MS-BAP-Usage', 311, 13, 'integer', true),
    ('MS-Link-Utilization-Threshold', 311, 14, 'integer', true),
    ('MS-Link-Drop-Time-Limit', 311, 15, 'integer', true),
    ('MS-Filter', 311, 22, 'octets', true),
    ('MS-Primary-NBNS-Server', 311, 30, 'ipaddr', true),
    ('MS-Secondary-NBNS-Server', 311, 31, 'ipaddr', true),
    ('MS-CHAP-Response', 311, 1, 'octets', false),
    ('MS-CHAP-Error', 311, 2, 'string', false),
    ('MS-MPPE-Encryption-Policy', 311, 7, 'integer', false),
    ('MS-MPPE-Encryption-Type', 311, 8, 'integer', false),
    ('MS-RAS-Vendor', 311, 9, 'integer', false),
    ('MS-CHAP-Domain', 311, 10, 'string', false),
    ('MS-CHAP-Challenge', 311, 11, 'octets', false),
    ('MS-CHAP-MPPE-Keys', 311, 12, 'octets', false),
    ('MS-MPPE-Send-Key', 311, 16, 'octets', false),
    ('MS-MPPE-Recv-Key', 311, 17, 'octets', false),
    ('MS-RAS-Version', 311, 18, 'string', false),
    ('MS-Acct-Auth-Type', 311, 23, 'integer', false),
    ('MS-Acct-EAP-Type', 311, 24, 'integer', false),
    ('MS-CHAP2-Response', 311, 25, 'octets', false),
    ('MS-CHAP2-Success', 311, 26, 'octets', false),
    ('MS-Primary-DNS-Server', 311, 28, 'ipaddr', false),
    ('MS-Secondary-DNS-Server', 311, 29, 'ipaddr', false),
    ('MS-RAS-Client-Name', 311, 34, 'string', false),
    ('MS-RAS-Client-Version', 311, 35, 'string', false),
    ('Mikrotik-Recv-Limit', 14988, 1, 'integer', true),
    ('Mikrotik-Xmit-Limit', 14988, 2, 'integer', true),
    ('Mikrotik-Wireless-Forward', 14988, 4, 'integer', true),
    ('Mikrotik-Wireless-Skip-Dot1x', 14988, 5, 'integer', true),
    ('Mikrotik-Wireless-Enc-Algo', 14988, 6, 'integer', true),
    ('Mikrotik-Wireless-Enc-Key', 14988, 7, 'string', false),
    ('Mikrotik-Mark-Id', 14988, 11, 'string', true),
    ('Mikrotik-Advertise-URL', 14988, 12, 'string', true),
    ('Mikrotik-Advertise-Interval', 14988, 13, 'integer', true),
    ('Mikrotik-Recv-Limit-Gigawords', 14988, 14, 'integer', true),
    ('Mikrotik-Xmit-Limit-Gigawords', 14988, 15, 'integer', true),
    ('Mikrotik-Wireless-PSK', 14988, 16, 'string', false),
    ('Mikrotik-Total-Limit', 14988, 17, 'integer', true),
    ('Mikrotik-Total-Limit-Gigawords', 14988, 18, 'integer', true),
    ('Mikrotik-Address-List', 14988, 19, 'string', true),
    ('Mikrotik-Wireless-MPKey', 14988, 20, 'string', false),
    ('Mikrotik-Wireless-Comment', 14988, 21, 'string', true),
    ('Mikrotik-DHCP-Option-Set', 14988, 23, 'string', true),
    ('Mikrotik-DHCP-Option-Param-STR1', 14988, 24, 'string', true),
    ('Mikrotik-DHCP-Option-Param-STR2', 14988, 25, 'string', true),
    ('Mikrotik-Wireless-VLANID', 14988, 26, 'integer', true),
    ('Mikrotik-Wireless-VLANIDtype', 14988, 27, 'integer', true),
    ('Mikrotik-Wireless-Minsignal', 14988, 28, 'string', true),
    ('Mikrotik-Wireless-Maxsignal', 14988, 29, 'string', true),
    ('Mikrotik-Switching-Filter', 14988, 30, 'string', true),
    ('Mikrotik-Group', 14988, 3, 'string', false),
    ('Mikrotik-Rate-Limit', 14988, 8, 'string', false),
    ('Mikrotik-Realm', 14988, 9, 'string', false),
    ('Mikrotik-Host-IP', 14988, 10, 'ipaddr', false),
    ('Mikrotik-Delegated-IPv6-Pool', 14988, 22, 'string', false),
    ('WISPr-Redirection-URL', 14122, 4, 'string', true),
    ('WISPr-Bandwidth-Min-Up', 14122, 5, 'integer', true),
    ('WISPr-Bandwidth-Min-Down', 14122, 6, 'integer', true),
    ('WISPr-Bandwidth-Max-Up', 14122, 7, 'integer', true),
    ('WISPr-Bandwidth-Max-Down', 14122, 8, 'integer', true),
    ('WISPr-Session-Terminate-Time', 14122, 9, 'string', true),
    ('WISPr-Session-Terminate-End-Of-Day', 14122, 10, 'string', true),
    ('WISPr-Billing-Class-Of-Service', 14122, 11, 'string', true),
    ('WISPr-Location-ID', 14122, 1, 'string', false),
    ('WISPr-Location-Name', 14122, 2, 'string', false),
    ('WISPr-Logoff-URL', 14122, 3, 'string', false),
    ('Ascend-Client-Gateway', 529, 132, 'ipaddr', true),
    ('Ascend-Client-Primary-DNS', 529, 135, 'ipaddr', true),
    ('Ascend-Client-Secondary-DNS', 529, 136, 'ipaddr', true),
    ('Ascend-Client-Assign-DNS', 529, 137, 'integer', true),
    ('Ascend-Data-Rate', 529, 197, 'integer', true),
    ('Ascend-Xmit-Rate', 529, 255, 'integer', true),
    ('Cisco-AVPair', 9, 1, 'string', true),
    ('Cisco-Policy-Up', 9, 37, 'string', true),
    ('Cisco-Policy-Down', 9, 38, 'string', true),
    ('Cisco-Service-Name', 9, 51, 'string', true),
    ('Cisco-Sub-QoS-Pol-In', 9, 55, 'string', true),
    ('Cisco-Sub-QoS-Pol-Out', 9, 56, 'string', true),
    ('Cisco-Sub-PBR-Policy-In', 9, 59, 'string', true),
    ('Cisco-Sub-Activate-Service', 9, 60, 'string', true),
    ('Cisco-Sub-Deactivate-Service', 9, 63, 'string', true),
    ('Cisco-Account-Info', 9, 250, 'string', true),
    ('Cisco-Service-Info', 9, 251, 'string', true),
    ('Cisco-Command-Code', 9, 252, 'string', true),
    ('Cisco-Control-Info', 9, 253, 'string', true),
    ('Cisco-NAS-Port', 9, 2, 'string', false),
    ('Huawei-Input-Burst-Size', 2011, 1, 'integer', true),
    ('Huawei-Input-Average-Rate', 2011, 2, 'integer', true),
    ('Huawei-Input-Peak-Rate', 2011, 3, 'integer', true),
    ('Huawei-Output-Burst-Size', 2011, 4, 'integer', true),
    ('Huawei-Output-Average-Rate', 2011, 5, 'integer', true),
    ('Huawei-Output-Peak-Rate', 2011, 6, 'integer', true),
    ('Huawei-Remanent-Volume', 2011, 15, 'integer', true),
    ('Huawei-ISP-ID', 2011, 17, 'string', true),
    ('Huawei-Command', 2011, 20, 'integer', true),
    ('Huawei-Priority', 2011, 22, 'integer', true),
    ('Huawei-PortalURL', 2011, 27, 'string', true),
    ('Huawei-Exec-Privilege', 2011, 29, 'integer', true),
    ('Huawei-Qos-Profile-Name', 2011, 31, 'string', true),
    ('Huawei-IGMP-Enable', 2011, 37, 'integer', true),
    ('Huawei-Up-Priority', 2011, 61, 'integer', true),
    ('Huawei-Down-Priority', 2011, 62, 'integer', true),
    ('Huawei-Tunnel-VPN-Instance', 2011, 63, 'string', true),
    ('Huawei-User-Class', 2011, 66, 'string', true),
    ('Huawei-Subnet-Mask', 2011, 72, 'ipaddr', true),
    ('Huawei-Gateway-Address', 2011, 73, 'ipaddr', true),
    ('Huawei-Input-Peak-Burst-Size', 2011, 77, 'integer', true),
    ('Huawei-Output-Peak-Burst-Size', 2011, 78, 'integer', true),
    ('Huawei-Zone-Name', 2011, 81, 'string', true),
    ('Huawei-Data-Filter', 2011, 82, 'string', true),
    ('Huawei-Access-Service', 2011, 83, 'string', true),
    ('Huawei-Accounting-Level', 2011, 84, 'integer', true),
    ('Huawei-Portal-Mode', 2011, 85, 'integer', true),
    ('Huawei-DPI-Policy-Name', 2011, 86, 'string', true),
    ('Huawei-Policy-Route', 2011, 87, 'ipaddr', true),
    ('Huawei-Framed-Pool', 2011, 88, 'string', true),
    ('Huawei-Queue-Profile', 2011, 91, 'string', true),
    ('Huawei-Multicast-Profile', 2011, 93, 'string', true),
    ('Huawei-VPN-Instance', 2011, 94, 'string', true),
    ('Huawei-Policy-Name', 2011, 95, 'string', true),
    ('Huawei-Tunnel-Group-Name', 2011, 96, 'string', true),
    ('Huawei-User-Multicast-Type', 2011, 99, 'integer', true),
    ('Huawei-Reduced-PIR', 2011, 100, 'integer', true),
    ('Huawei-Primary-DNS', 2011, 135, 'ipaddr', true),
    ('Huawei-Secondary-DNS', 2011, 136, 'ipaddr', true),
    ('Huawei-Domain-Name', 2011, 138, 'string', true),
    ('Huawei-HTTP-Redirect-URL', 2011, 140, 'string', true),
    ('Huawei-QoS-Profile-Type', 2011, 142, 'integer', true),
    ('Huawei-DNS-Server-IPv6-address', 2011, 154, 'ipv6addr', true),
    ('Huawei-DHCPv4-Option121', 2011, 155, 'string', true),
    ('Huawei-DHCPv4-Option43', 2011, 156, 'string', true),
    ('Huawei-Framed-Pool-Group', 2011, 157, 'string', true),
    ('Huawei-NAT-Policy-Name', 2011, 160, 'string', true),
    ('Huawei-Down-QOS-Profile-Name', 2011, 182, 'string', true),
    ('Huawei-Port-Mirror', 2011, 183, 'integer', true),
    ('Huawei-Account-Info', 2011, 184, 'string', true),
    ('Huawei-Service-Info', 2011, 185, 'string', true),
    ('Huawei-AVpair', 2011, 188, 'string', true),
    ('Huawei-Control-Identifier', 2011, 24, 'integer', false),
    ('Huawei-Result-Code', 2011, 25, 'integer', false),
    ('Huawei-Connect-ID', 2011, 26, 'integer', false),
    ('Huawei-User-Mac', 2011, 153, 'string', false),
    ('Huawei-Framed-IPv6-Address', 2011, 158, 'ipv6addr', false),
    ('Huawei-NAT-Public-Address', 2011, 161, 'ipaddr', false),
    ('Huawei-NAT-Start-Port', 2011, 162, 'integer', false),
    ('Huawei-NAT-End-Port', 2011, 163, 'integer', false),
    ('Huawei-NAT-Port-Range-Update', 2011, 165, 'integer', false),
    ('Huawei-Public-IP-Addr-State', 2011, 168, 'integer', false),
    ('Huawei-Auth-Type', 2011, 180, 'integer', false),
    ('Huawei-Delegated-IPv6-Prefix-Pool', 2011, 191, 'string', false),
    ('Huawei-Flow-Info', 2011, 211, 'string', false),
    ('Huawei-Version', 2011, 254, 'string', false),
    ('Huawei-Product-ID', 2011, 255, 'string', false),
    ('ERX-Virtual-Router-Name', 4874, 1, 'string', true),
    ('ERX-Address-Pool-Name', 4874, 2, 'string', true),
    ('ERX-Local-Loopback-Interface', 4874, 3, 'string', true),
    ('ERX-Primary-Dns', 4874, 4, 'ipaddr', true),
    ('ERX-Secondary-Dns', 4874, 5, 'ipaddr', true),
    ('ERX-Ingress-Policy-Name', 4874, 10, 'string', true),
    ('ERX-Egress-Policy-Name', 4874, 11, 'string', true),
    ('ERX-Ingress-Statistics', 4874, 12, 'integer', true),
    ('ERX-Egress-Statistics', 4874, 13, 'integer', true),
    ('ERX-Sa-Validate', 4874, 22, 'integer', true),
    ('ERX-Igmp-Enable', 4874, 23, 'integer', true),
    ('ERX-Redirect-VR-Name', 4874, 25, 'string', true),
    ('ERX-Qos-Profile-Name', 4874, 26, 'string', true),
    ('ERX-Pppoe-Max-Sessions', 4874, 27, 'integer', true),
    ('ERX-Pppoe-Url', 4874, 28, 'string', true),
    ('ERX-Service-Bundle', 4874, 31, 'string', true),
    ('ERX-IpV6-Virtual-Router', 4874, 45, 'string', true),
    ('ERX-Ipv6-Primary-Dns', 4874, 47, 'ipv6addr', true),
    ('ERX-Ipv6-Secondary-Dns', 4874, 48, 'ipv6addr', true),
    ('ERX-Service-Description', 4874, 53, 'string', true),
    ('ERX-Dhcp-Options', 4874, 55, 'octets', true),
    ('ERX-Interface-Desc', 4874, 63, 'string', true),
    ('ERX-Service-Activate', 4874, 65, 'tagged_string', true),
    ('ERX-Service-Deactivate', 4874, 66, 'string', true),
    ('ERX-Service-Volume', 4874, 67, 'tagged_integer', true),
    ('ERX-Service-Timeout', 4874, 68, 'tagged_integer', true),
    ('ERX-Service-Statistics', 4874, 69, 'tagged_integer', true),
    ('ERX-IGMP-Access-Name', 4874, 71, 'string', true),
    ('ERX-MLD-Version', 4874, 77, 'integer', true),
    ('ERX-IGMP-Version', 4874, 78, 'integer', true),
    ('ERX-Qos-Parameters', 4874, 82, 'string', true),
    ('ERX-Service-Session', 4874, 83, 'string', true),
    ('ERX-IP-Block-Multicast', 4874, 101, 'integer', true),
    ('ERX-IPv6-Ingress-Policy-Name', 4874, 106, 'string', true),
    ('ERX-IPv6-Egress-Policy-Name', 4874, 107, 'string', true),
    ('ERX-CoS-Shaping-Pmt-Type', 4874, 108, 'string', true),
    ('ERX-DHCP-Guided-Relay-Server', 4874, 109, 'ipaddr', true),
    ('ERX-Qos-Set-Name', 4874, 130, 'string', true),
    ('ERX-Service-Acct-Interval', 4874, 140, 'tagged_integer', true),
    ('ERX-Max-Clients-Per-Interface', 4874, 143, 'integer', true),
    ('ERX-CoS-Scheduler-Pmt-Type', 4874, 146, 'string', true),
    ('ERX-Backup-Address-Pool', 4874, 147, 'string', true),
    ('ERX-IPv6-NdRa-Pool-Name', 4874, 157, 'string', true),
    ('ERX-PppoE-Padn', 4874, 158, 'string', true),
    ('ERX-Client-Profile-Name', 4874, 174, 'string', true),
    ('ERX-Cos-Shaping-Rate', 4874, 177, 'string', true),
    ('ERX-Input-Interface-Filter', 4874, 191, 'string', true),
    ('ERX-Output-Interface-Filter', 4874, 192, 'string', true),
    ('ERX-IPv4-Input-Service-Set', 4874, 196, 'string', true),
    ('ERX-IPv4-Output-Service-Set', 4874, 197, 'string', true),
    ('ERX-IPv4-Input-Service-Filter', 4874, 198, 'string', true),
    ('ERX-IPv4-Output-Service-Filter', 4874, 199, 'string', true),
    ('ERX-IPv6-Input-Service-Set', 4874, 200, 'string', true),
    ('ERX-IPv6-Output-Service-Set', 4874, 201, 'string', true),
    ('ERX-IPv6-Input-Service-Filter', 4874, 202, 'string', true),
    ('ERX-IPv6-Output-Service-Filter', 4874, 203, 'string', true),
    ('ERX-PPP-Username', 4874, 36, 'string', false),
    ('ERX-Dhcp-Mac-Addr', 4874, 56, 'string', false),
    ('ERX-Dhcp-Gi-Address', 4874, 57, 'ipaddr', false),
    ('ERX-L2c-Up-Stream-Data', 4874, 92, 'string', false),
    ('ERX-L2c-Down-Stream-Data', 4874, 93, 'string', false),
    ('ERX-Acc-Loop-Cir-Id', 4874, 110, 'string', false),
    ('ERX-Acc-Aggr-Cir-Id-Asc', 4874, 112, 'string', false),
    ('ERX-IPv6-NdRa-Prefix', 4874, 129, 'ipv6prefix', false),
    ('ERX-DownStream-Calc-Rate', 4874, 141, 'integer', false),
    ('ERX-UpStream-Calc-Rate', 4874, 142, 'integer', false),
    ('ERX-IPv6-Acct-Input-Octets', 4874, 151, 'integer', false),
    ('ERX-IPv6-Acct-Output-Octets', 4874, 152, 'integer', false),
    ('ERX-IPv6-Delegated-Pool-Name', 4874, 161, 'string', false),
    ('ADSL-Agent-Circuit-Id', 3561, 1, 'string', false),
    ('ADSL-Agent-Remote-Id', 3561, 2, 'string', false),
    ('Actual-Data-Rate-Upstream', 3561, 129, 'integer', false),
    ('Actual-Data-Rate-Downstream', 3561, 130, 'integer', false),
    ('Minimum-Data-Rate-Upstream', 3561, 131, 'integer', false),
    ('Minimum-Data-Rate-Downstream', 3561, 132, 'integer', false),
    ('Attainable-Data-Rate-Upstream', 3561, 133, 'integer', false),
    ('Attainable-Data-Rate-Downstream', 3561, 134, 'integer', false),
    ('Maximum-Data-Rate-Upstream', 3561, 135, 'integer', false),
    ('Maximum-Data-Rate-Downstream', 3561, 136, 'integer', false),
    ('Minimum-Data-Rate-Upstream-Low-Power', 3561, 137, 'integer', false),
    ('Minimum-Data-Rate-Downstream-Low-Power', 3561, 138, 'integer', false),
    ('Maximum-Interleaving-Delay-Upstream', 3561, 139, 'integer', false),
    ('Actual-Interleaving-Delay-Upstream', 3561, 140, 'integer', false),
    ('Maximum-Interleaving-Delay-Downstream', 3561, 141, 'integer', false),
    ('Actual-Interleaving-Delay-Downstream', 3561, 142, 'integer', false),
    ('Access-Loop-Encapsulation', 3561, 144, 'octets', false),
    ('IWF-Session', 3561, 254, 'octets', false),
    ('Client-DNS-Pri', 2352, 1, 'ipaddr', true),
    ('Client-DNS-Sec', 2352, 2, 'ipaddr', true),
    ('Context-Name', 2352, 4, 'string', true),
    ('Police-Rate', 2352, 12, 'integer', true),
    ('Ip-Address-Pool-Name', 2352, 36, 'string', true),
    ('Qos-Policing-Profile-Name', 2352, 87, 'string', true),
    ('Qos-Metering-Profile-Name', 2352, 88, 'string', true),
    ('Qos-Policy-Queuing', 2352, 89, 'string', true),
    ('Forward-Policy', 2352, 92, 'string', true),
    ('IP-Interface-Name', 2352, 104, 'string', true),
    ('NAT-Policy-Name', 2352, 105, 'string', true),
    ('HTTP-Redirect-Profile-Name', 2352, 107, 'string', true),
    ('QOS-Rate-Inbound', 2352, 156, 'string', true),
    ('QOS-Rate-Outbound', 2352, 157, 'string', true),
    ('Dynamic-Policy-Filter', 2352, 164, 'string', true),
    ('HTTP-Redirect-URL', 2352, 165, 'string', true),
    ('Dynamic-QoS-Param', 2352, 196, 'string', true),
    ('RB-IPV6-DNS', 2352, 207, 'string', true),
    ('Agent-Remote-Id', 2352, 96, 'string', false),
    ('Agent-Circuit-Id', 2352, 97, 'string', false),
    ('DHCP-Vendor-Class-ID', 2352, 125, 'string', false),
    ('Mac-Addr', 2352, 145, 'string', false);
INSERT INTO net.dictionary_value (attribute, name, number) VALUES
    ('Framed-Routing', 'None', 0), ('Framed-Routing', 'Broadcast', 1), ('Framed-Routing', 'Listen', 2),
    ('Framed-Routing', 'Broadcast-Listen', 3), ('Framed-Compression', 'None', 0),
    ('Framed-Compression', 'Van-Jacobson-TCP-IP', 1), ('Framed-Compression', 'IPX-Header-Compression', 2),
    ('Framed-Compression', 'Stac-LZS', 3), ('Termination-Action', 'Default', 0),
    ('Termination-Action', 'RADIUS-Request', 1), ('Ingress-Filters', 'Enabled', 1),
    ('Ingress-Filters', 'Disabled', 2), ('Tunnel-Type', 'PPTP', 1), ('Tunnel-Type', 'L2F', 2),
    ('Tunnel-Type', 'L2TP', 3), ('Tunnel-Type', 'ATMP', 4), ('Tunnel-Type', 'VTP', 5), ('Tunnel-Type', 'AH', 6),
    ('Tunnel-Type', 'IP', 7), ('Tunnel-Type', 'MIN-IP', 8), ('Tunnel-Type', 'ESP', 9), ('Tunnel-Type', 'GRE', 10),
    ('Tunnel-Type', 'DVS', 11), ('Tunnel-Type', 'IP-in-IP', 12), ('Tunnel-Type', 'VLAN', 13),
    ('Tunnel-Medium-Type', 'IP', 1), ('Tunnel-Medium-Type', 'IPv4', 1), ('Tunnel-Medium-Type', 'IPv6', 2),
    ('Tunnel-Medium-Type', 'NSAP', 3), ('Tunnel-Medium-Type', 'HDLC', 4), ('Tunnel-Medium-Type', 'BBN-1822', 5),
    ('Tunnel-Medium-Type', 'IEEE-802', 6), ('Tunnel-Medium-Type', 'E.163', 7), ('Tunnel-Medium-Type', 'E.164', 8),
    ('Tunnel-Medium-Type', 'F.69', 9), ('Tunnel-Medium-Type', 'X.121', 10), ('Tunnel-Medium-Type', 'IPX', 11),
    ('Tunnel-Medium-Type', 'Appletalk', 12), ('Tunnel-Medium-Type', 'DecNet-IV', 13),
    ('Tunnel-Medium-Type', 'Banyan-Vines', 14), ('Tunnel-Medium-Type', 'E.164-NSAP', 15),
    ('Service-Type', 'Login-User', 1), ('Service-Type', 'Framed-User', 2),
    ('Service-Type', 'Callback-Login-User', 3), ('Service-Type', 'Callback-Framed-User', 4),
    ('Service-Type', 'Outbound-User', 5), ('Service-Type', 'Administrative-User', 6),
    ('Service-Type', 'NAS-Prompt-User', 7), ('Service-Type', 'Authenticate-Only', 8),
    ('Service-Type', 'Callback-NAS-Prompt', 9), ('Service-Type', 'Call-Check', 10),
    ('Service-Type', 'Callback-Administrative', 11), ('Service-Type', 'Authorize-Only', 17),
    ('Framed-Protocol', 'PPP', 1), ('Framed-Protocol', 'SLIP', 2), ('Framed-Protocol', 'ARAP', 3),
    ('Framed-Protocol', 'Gandalf-SLML', 4), ('Framed-Protocol', 'Xylogics-IPX-SLIP', 5),
    ('Framed-Protocol', 'X.75-Synchronous', 6), ('Acct-Status-Type', 'Start', 1), ('Acct-Status-Type', 'Stop', 2),
    ('Acct-Status-Type', 'Alive', 3), ('Acct-Status-Type', 'Interim-Update', 3),
    ('Acct-Status-Type', 'Accounting-On', 7), ('Acct-Status-Type', 'Accounting-Off', 8),
    ('Acct-Status-Type', 'Failed', 15), ('Acct-Authentic', 'RADIUS', 1), ('Acct-Authentic', 'Local', 2),
    ('Acct-Authentic', 'Remote', 3), ('Acct-Authentic', 'Diameter', 4), ('Acct-Terminate-Cause', 'User-Request', 1),
    ('Acct-Terminate-Cause', 'Lost-Carrier', 2), ('Acct-Terminate-Cause', 'Lost-Service', 3),
    ('Acct-Terminate-Cause', 'Idle-Timeout', 4), ('Acct-Terminate-Cause', 'Session-Timeout', 5),
    ('Acct-Terminate-Cause', 'Admin-Reset', 6), ('Acct-Terminate-Cause', 'Admin-Reboot', 7),
    ('Acct-Terminate-Cause', 'Port-Error', 8), ('Acct-Terminate-Cause', 'NAS-Error', 9),
    ('Acct-Terminate-Cause', 'NAS-Request', 10), ('Acct-Terminate-Cause', 'NAS-Reboot', 11),
    ('Acct-Terminate-Cause', 'Port-Unneeded', 12), ('Acct-Terminate-Cause', 'Port-Preempted', 13),
    ('Acct-Terminate-Cause', 'Port-Suspended', 14), ('Acct-Terminate-Cause', 'Service-Unavailable', 15),
    ('Acct-Terminate-Cause', 'Callback', 16), ('Acct-Terminate-Cause', 'User-Error', 17),
    ('Acct-Terminate-Cause', 'Host-Request', 18), ('Acct-Terminate-Cause', 'Supplicant-Restart', 19),
    ('Acct-Terminate-Cause', 'Reauthentication-Failure', 20), ('Acct-Terminate-Cause', 'Port-Reinit', 21),
    ('Acct-Terminate-Cause', 'Port-Disabled', 22), ('NAS-Port-Type', 'Async', 0), ('NAS-Port-Type', 'Sync', 1),
    ('NAS-Port-Type', 'ISDN', 2), ('NAS-Port-Type', 'ISDN-V120', 3), ('NAS-Port-Type', 'ISDN-V110', 4),
    ('NAS-Port-Type', 'Virtual', 5), ('NAS-Port-Type', 'PIAFS', 6), ('NAS-Port-Type', 'HDLC-Clear-Channel', 7),
    ('NAS-Port-Type', 'X.25', 8), ('NAS-Port-Type', 'X.75', 9), ('NAS-Port-Type', 'G.3-Fax', 10),
    ('NAS-Port-Type', 'SDSL', 11), ('NAS-Port-Type', 'ADSL-CAP', 12), ('NAS-Port-Type', 'ADSL-DMT', 13),
    ('NAS-Port-Type', 'IDSL', 14), ('NAS-Port-Type', 'Ethernet', 15), ('NAS-Port-Type', 'xDSL', 16),
    ('NAS-Port-Type', 'Cable', 17), ('NAS-Port-Type', 'Wireless-Other', 18),
    ('NAS-Port-Type', 'Wireless-802.11', 19), ('NAS-Port-Type', 'Token-Ring', 20), ('NAS-Port-Type', 'FDDI', 21),
    ('Error-Cause', 'Invalid-Attribute-Value', 407), ('Error-Cause', 'Multiple-Session-Selection-Unsupported', 508),
    ('Error-Cause', 'Residual-Context-Removed', 201), ('Error-Cause', 'Invalid-EAP-Packet', 202),
    ('Error-Cause', 'Unsupported-Attribute', 401), ('Error-Cause', 'Missing-Attribute', 402),
    ('Error-Cause', 'NAS-Identification-Mismatch', 403), ('Error-Cause', 'Invalid-Request', 404),
    ('Error-Cause', 'Unsupported-Service', 405), ('Error-Cause', 'Unsupported-Extension', 406),
    ('Error-Cause', 'Administratively-Prohibited', 501), ('Error-Cause', 'Proxy-Request-Not-Routable', 502),
    ('Error-Cause', 'Session-Context-Not-Found', 503), ('Error-Cause', 'Session-Context-Not-Removable', 504),
    ('Error-Cause', 'Proxy-Processing-Error', 505), ('Error-Cause', 'Resources-Unavailable', 506),
    ('Error-Cause', 'Request-Initiated', 507), ('MS-BAP-Usage', 'Not-Allowed', 0), ('MS-BAP-Usage', 'Allowed', 1),
    ('MS-BAP-Usage', 'Required', 2), ('MS-MPPE-Encryption-Policy', 'Encryption-Allowed', 1),
    ('MS-MPPE-Encryption-Policy', 'Encryption-Required', 2), ('MS-Acct-Auth-Type', 'PAP', 1),
    ('MS-Acct-Auth-Type', 'CHAP', 2), ('MS-Acct-Auth-Type', 'MS-CHAP-1', 3), ('MS-Acct-Auth-Type', 'MS-CHAP-2', 4),
    ('MS-Acct-Auth-Type', 'EAP', 5), ('MS-Acct-EAP-Type', 'MD5', 4), ('MS-Acct-EAP-Type', 'OTP', 5),
    ('MS-Acct-EAP-Type', 'Generic-Token-Card', 6), ('MS-Acct-EAP-Type', 'TLS', 13),
    ('Mikrotik-Wireless-Enc-Algo', 'No-encryption', 0), ('Mikrotik-Wireless-Enc-Algo', '40-bit-WEP', 1),
    ('Mikrotik-Wireless-Enc-Algo', '104-bit-WEP', 2), ('Mikrotik-Wireless-Enc-Algo', 'AES-CCM', 3),
    ('Mikrotik-Wireless-Enc-Algo', 'TKIP', 4), ('Mikrotik-Wireless-VLANIDtype', '802.1q', 0),
    ('Mikrotik-Wireless-VLANIDtype', '802.1ad', 1), ('Ascend-Client-Assign-DNS', 'DNS-Assign-No', 0),
    ('Ascend-Client-Assign-DNS', 'DNS-Assign-Yes', 1), ('Huawei-Portal-Mode', 'PADM', 0),
    ('Huawei-Portal-Mode', 'Redirectional', 1), ('Huawei-Portal-Mode', 'Non-captive', 2),
    ('Huawei-QoS-Profile-Type', 'Original', 0), ('Huawei-QoS-Profile-Type', 'L2TP-Inbound', 1),
    ('Huawei-QoS-Profile-Type', 'L2TP-Outbound', 2), ('Huawei-QoS-Profile-Type', 'L2TP', 3),
    ('Huawei-Port-Mirror', 'Disable', 0), ('Huawei-Port-Mirror', 'Uplink-Enable', 1),
    ('Huawei-Port-Mirror', 'Downlink-Enable', 2), ('Huawei-Port-Mirror', 'Enable', 3),
    ('Huawei-Result-Code', 'Succeeded', 0), ('Huawei-Public-IP-Addr-State', 'Safe', 0),
    ('Huawei-Public-IP-Addr-State', 'Warning', 1), ('Huawei-Public-IP-Addr-State', 'Danger', 2),
    ('Huawei-Auth-Type', 'PPP', 1), ('Huawei-Auth-Type', 'Web', 2), ('Huawei-Auth-Type', 'Dot1x', 3),
    ('Huawei-Auth-Type', 'Fast', 4), ('Huawei-Auth-Type', 'Bind', 5), ('Huawei-Auth-Type', 'WLAN', 6),
    ('Huawei-Auth-Type', 'Administrative', 7), ('Huawei-Auth-Type', 'Tunnel', 8), ('Huawei-Auth-Type', 'MIP', 9),
    ('Huawei-Auth-Type', 'None', 10), ('ERX-Ingress-Statistics', 'disable', 0),
    ('ERX-Ingress-Statistics', 'enable', 1), ('ERX-Egress-Statistics', 'disable', 0),
    ('ERX-Egress-Statistics', 'enable', 1), ('ERX-Sa-Validate', 'disable', 0), ('ERX-Sa-Validate', 'enable', 1),
    ('ERX-Igmp-Enable', 'disable', 0), ('ERX-Igmp-Enable', 'enable', 1), ('ERX-Service-Statistics', 'disabled', 0),
    ('ERX-Service-Statistics', 'time', 1), ('ERX-Service-Statistics', 'time-volume', 2),
    ('ERX-MLD-Version', 'v1', 1), ('ERX-MLD-Version', 'v2', 2), ('ERX-IGMP-Version', 'v1', 1),
    ('ERX-IGMP-Version', 'v2', 2), ('ERX-IGMP-Version', 'v3', 3), ('ERX-IP-Block-Multicast', 'disabled', 0),
    ('ERX-IP-Block-Multicast', 'enabled', 1);

-- Extra attributes --------------------------------------------------------------------------------------------

CREATE FUNCTION net.refuse_attribute(rule text, problem text, hint text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', problem USING ERRCODE = 'check_violation', CONSTRAINT = rule,
        COLUMN = CASE rule WHEN 'attribute_value_form' THEN 'value' ELSE 'name' END, HINT = hint;
END
$$;

-- The octets of a value without any header. Null if it is none of its kind.
CREATE FUNCTION net.encode_value(attribute text, kind text, value text) RETURNS bytea LANGUAGE plpgsql STABLE AS $$
DECLARE
    number bigint;
BEGIN
    CASE kind
    WHEN 'string', 'tagged_string' THEN
        RETURN convert_to(value, 'UTF8');
    WHEN 'integer', 'tagged_integer' THEN
        SELECT named.number INTO number FROM net.dictionary_value AS named
            WHERE named.attribute = encode_value.attribute AND lower(named.name COLLATE "C") = lower(value COLLATE "C");
        IF number IS NULL AND value ~ '^[0-9]{1,10}$' THEN
            number := value::bigint;
        END IF;
        IF number <= (CASE kind WHEN 'integer' THEN 4294967295 ELSE 16777215 END) THEN
            RETURN substr(int8send(number), CASE kind WHEN 'integer' THEN 5 ELSE 6 END);
        END IF;
    WHEN 'date' THEN
        IF value ~ '^[0-9]{1,10}$' THEN
            number := value::bigint;
        ELSIF value ~ '(Z|[+-][0-9]{2}(:?[0-9]{2})?)$' THEN
            number := extract(epoch FROM value::timestamptz);
        END IF;
        IF number BETWEEN 0 AND 4294967295 THEN
            RETURN substr(int8send(number), 5);
        END IF;
    WHEN 'ipaddr' THEN
        IF value ~ '^[0-9.]+$' AND host(value::inet) = value THEN
            RETURN substr(inet_send(value::inet), 5);
        END IF;
    WHEN 'ipv6addr' THEN
        IF family(value::inet) = 6 AND masklen(value::inet) = 128 THEN
            RETURN substr(inet_send(value::inet), 5);
        END IF;
    WHEN 'ipv6prefix' THEN
        -- RFC 3162, 2.3: a reserved octet, the length, the prefix; bits behind the prefix are zero.
        IF value ~ '/' AND family(value::cidr) = 6 THEN
            RETURN '\x00'::bytea || substr(int4send(masklen(value::cidr)), 4) || substr(inet_send(value::cidr), 5);
        END IF;
    WHEN 'ifid' THEN
        IF value ~ '^[0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4}){3}$' THEN
            RETURN (SELECT decode(string_agg(lpad(part, 4, '0'), '' ORDER BY place), 'hex')
                FROM string_to_table(value, ':') WITH ORDINALITY AS listed (part, place));
        END IF;
    WHEN 'octets' THEN
        RETURN decode(regexp_replace(value, '^0x', ''), 'hex');
    END CASE;
    RETURN NULL;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION net.encode_value IS 'The octets of a value of this kind; null if it is not one. See net.encode_attribute().';

CREATE FUNCTION net.encode_attribute(name text, value text) RETURNS bytea LANGUAGE plpgsql STABLE STRICT AS $$
DECLARE
    plain_name constant text := split_part(name, ':', 1);
    tag_text constant text := substr(name, length(plain_name) + 2);
    attribute net.dictionary_attribute;
    octets bytea;
    octets_max integer;
    is_tagged boolean;
    allowed text;
BEGIN
    SELECT * INTO attribute FROM net.dictionary_attribute AS known
        WHERE lower(known.name COLLATE "C") = lower(plain_name COLLATE "C");
    IF attribute.name IS NULL THEN
        PERFORM net.refuse_attribute('attribute_name_known', format('attribute "%s" is not known', plain_name),
            'net.dictionary_attribute lists the names that are allowed.');
    ELSIF NOT attribute.may_be_given THEN
        PERFORM net.refuse_attribute('attribute_may_be_given',
            format('attribute "%s" is set by the server itself or has no place in a reply', attribute.name),
            'Allowed are those of net.dictionary_attribute with may_be_given; for addresses, pools, speeds, times, lists and groups there are columns.');
    END IF;
    is_tagged := attribute.kind LIKE 'tagged%';
    IF position(':' IN name) > 0 AND (NOT is_tagged OR tag_text !~ '^([1-9]|[12][0-9]|3[01])$') THEN
        PERFORM net.refuse_attribute('attribute_name_known', format('attribute "%s" cannot have this tag', attribute.name),
            CASE WHEN is_tagged THEN 'Allowed are tags from 1 to 31, such as Tunnel-Type:1.' ELSE 'It has no tag.' END);
    END IF;
    octets := net.encode_value(attribute.name, attribute.kind, value);
    IF is_tagged AND tag_text <> '' THEN
        octets := substr(int4send(tag_text::integer), 4) || octets;
    ELSIF attribute.kind = 'tagged_integer' THEN
        octets := '\x00'::bytea || octets;
    END IF;
    octets_max := CASE attribute.vendor WHEN 0 THEN 253 ELSE 247 END;
    IF octets IS NULL OR length(octets) NOT BETWEEN 1 AND octets_max THEN
        allowed := net.kind_text(attribute.name, attribute.kind, octets_max - (tag_text <> '')::integer);
        PERFORM net.refuse_attribute('attribute_value_form',
            format('the value of attribute "%s" is not %s', attribute.name, allowed), format('Allowed is %s.', allowed));
    END IF;
    IF attribute.vendor = 0 THEN
        RETURN substr(int4send(attribute.code), 4) || substr(int4send(length(octets) + 2), 4) || octets;
    END IF;
    RETURN '\x1a'::bytea || substr(int4send(length(octets) + 8), 4) || int4send(attribute.vendor)
        || substr(int4send(attribute.code), 4) || substr(int4send(length(octets) + 2), 4) || octets;
END
$$;
COMMENT ON FUNCTION net.encode_attribute IS
    'The octets of one RADIUS attribute by name and value; a name may end with a tag, such as Tunnel-Type:1. Refuses what is not allowed.';

CREATE FUNCTION net.kind_text(attribute text, kind text, octets_max integer) RETURNS text LANGUAGE sql STABLE
    RETURN CASE kind
        WHEN 'string' THEN format('a text of 1 to %s octets', octets_max)
        WHEN 'tagged_string' THEN format('a text of 1 to %s octets', octets_max)
        WHEN 'ipaddr' THEN 'an IPv4 address'
        WHEN 'ipv6addr' THEN 'an IPv6 address'
        WHEN 'ipv6prefix' THEN 'an IPv6 prefix such as 2001:db8::/56'
        WHEN 'octets' THEN 'hexadecimal digits, two for each octet'
        WHEN 'ifid' THEN 'an interface identifier such as 0:0:0:1'
        WHEN 'date' THEN 'an instant with its zone, or Unix seconds'
        ELSE 'a number' || coalesce(
            (SELECT ' or one of ' || string_agg(named.name, ', ' ORDER BY named.number) FROM net.dictionary_value AS named
                WHERE named.attribute = kind_text.attribute), '')
    END;

CREATE TABLE erp.plan_attribute (
    id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    plan_id integer NOT NULL REFERENCES erp.plan ON DELETE CASCADE,
    position integer NOT NULL DEFAULT 0,
    name text NOT NULL,
    value text NOT NULL,
    encoded bytea NOT NULL,
    CONSTRAINT plan_attribute_id_range CHECK (id > 0)
);
COMMENT ON TABLE erp.plan_attribute IS 'An extra RADIUS attribute of a plan, as it stands in the Accept.';
COMMENT ON COLUMN erp.plan_attribute.position IS 'Smaller ones stand first; then those with the smaller id.';
COMMENT ON COLUMN erp.plan_attribute.name IS 'One of net.dictionary_attribute with may_be_given, also with a tag: Tunnel-Type:1.';
COMMENT ON COLUMN erp.plan_attribute.encoded IS 'Its octets. Kept by a trigger; whatever is written.';
CREATE INDEX plan_attribute_plan ON erp.plan_attribute (plan_id);

CREATE TABLE erp.login_attribute (
    id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    login_id integer NOT NULL REFERENCES erp.login ON DELETE CASCADE,
    position integer NOT NULL DEFAULT 0,
    name text NOT NULL,
    value text NOT NULL,
    encoded bytea NOT NULL,
    CONSTRAINT login_attribute_id_range CHECK (id > 0)
);
COMMENT ON TABLE erp.login_attribute IS 'An extra RADIUS attribute of a login; stands behind those of its plan.';
COMMENT ON COLUMN erp.login_attribute.encoded IS 'Its octets. Kept by a trigger; whatever is written.';
CREATE INDEX login_attribute_login ON erp.login_attribute (login_id);

-- With their owner's rights, so that who writes attributes needs no rights on the dictionary. The row's owner is locked:
-- of two transactions that add at once, the second counts what the first has added.
CREATE FUNCTION erp.check_plan_attribute() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM erp.serve_only('erp.check_plan_attribute', TG_RELID, 'erp.plan_attribute');
    PERFORM FROM erp.plan WHERE id = NEW.plan_id FOR NO KEY UPDATE;
    NEW.encoded := net.encode_attribute(NEW.name, NEW.value);
    PERFORM erp.check_attributes_size('plan_attributes_fit', 'plan_attribute', length(NEW.encoded) + coalesce((
        SELECT sum(length(encoded)) FROM erp.plan_attribute WHERE plan_id = NEW.plan_id AND id <> NEW.id), 0));
    RETURN NEW;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.check_plan_attribute FROM PUBLIC;

CREATE FUNCTION erp.check_login_attribute() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM erp.serve_only('erp.check_login_attribute', TG_RELID, 'erp.login_attribute');
    PERFORM FROM erp.login WHERE id = NEW.login_id FOR NO KEY UPDATE;
    NEW.encoded := net.encode_attribute(NEW.name, NEW.value);
    PERFORM erp.check_attributes_size('login_attributes_fit', 'login_attribute', length(NEW.encoded) + coalesce((
        SELECT sum(length(encoded)) FROM erp.login_attribute WHERE login_id = NEW.login_id AND id <> NEW.id), 0));
    RETURN NEW;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.check_login_attribute FROM PUBLIC;

CREATE FUNCTION erp.check_attributes_size(rule text, of_table text, octets bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF octets > 1024 THEN
        RAISE EXCEPTION '% octets of extra attributes, allowed are 1024', octets
            USING ERRCODE = 'check_violation', CONSTRAINT = rule, SCHEMA = 'erp', TABLE = of_table, COLUMN = 'value';
    END IF;
END
$$;
CREATE TRIGGER check_attribute BEFORE INSERT OR UPDATE ON erp.plan_attribute
    FOR EACH ROW EXECUTE FUNCTION erp.check_plan_attribute();
CREATE TRIGGER check_attribute BEFORE INSERT OR UPDATE ON erp.login_attribute
    FOR EACH ROW EXECUTE FUNCTION erp.check_login_attribute();

-- The mark of the drain's writes to logins: what somebody connected from is filled in, and cuts nobody off.
INSERT INTO net.run (kind, brake_passed) VALUES ('learned', true);

-- What nodes follow -------------------------------------------------------------------------------------------

-- A login is read again when an attribute of its changes; the row itself may be gone by then, so its login is logged.
CREATE FUNCTION net.log_login_attribute() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    run constant integer := net.current_run();
    written bigint;
BEGIN
    PERFORM erp.serve_only('net.log_login_attribute', TG_RELID, 'erp.login_attribute');
    CASE TG_OP
    WHEN 'TRUNCATE' THEN
        INSERT INTO net.change (kind, key, run_id) VALUES ('truncate', 0, run);
    WHEN 'INSERT' THEN
        INSERT INTO net.change (kind, key, run_id) SELECT DISTINCT 'login', login_id, run FROM new_rows;
    WHEN 'DELETE' THEN
        INSERT INTO net.change (kind, key, run_id) SELECT DISTINCT 'login', login_id, run FROM old_rows;
    ELSE
        INSERT INTO net.change (kind, key, run_id)
        SELECT DISTINCT 'login', login_id, run FROM (
            (SELECT id, login_id, position, encoded FROM old_rows EXCEPT SELECT id, login_id, position, encoded FROM new_rows)
            UNION ALL
            (SELECT id, login_id, position, encoded FROM new_rows EXCEPT SELECT id, login_id, position, encoded FROM old_rows)
        ) AS changed;
    END CASE;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written > 0 THEN
        PERFORM pg_notify('aaad_change', '');
    END IF;
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION net.log_login_attribute FROM PUBLIC;
CREATE TRIGGER log_insert AFTER INSERT ON erp.login_attribute REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION net.log_login_attribute();
CREATE TRIGGER log_update AFTER UPDATE ON erp.login_attribute REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION net.log_login_attribute();
CREATE TRIGGER log_delete AFTER DELETE ON erp.login_attribute REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION net.log_login_attribute();
CREATE TRIGGER log_truncate AFTER TRUNCATE ON erp.login_attribute
    FOR EACH STATEMENT EXECUTE FUNCTION net.log_login_attribute();

CALL net.follow('erp.plan',
    '{id, name, upload, download, session_timeout_s, idle_timeout_s, interim_interval_s, is_limited, upload_burst, download_burst, upload_burst_threshold, download_burst_threshold, upload_burst_time_s, download_burst_time_s, priority, upload_guaranteed, download_guaranteed, normal_hours, may_change_speed, late_after_days, late_plan_id, cap_plan_id, ipv4_pool, ipv6_pool, delegated_ipv6_pool, address_list, address_list_ipv6, router_group, filter_ids, dns, mppe}');
CALL net.follow('erp.plan_phase',
    '{id, plan_id, phase, active, hours, replacement_plan_id, upload, download, upload_burst, download_burst, upload_burst_threshold, download_burst_threshold, upload_burst_time_s, download_burst_time_s, priority, upload_guaranteed, download_guaranteed}');
CALL net.follow('erp.plan_attribute', '{id, plan_id, position, encoded}');
CALL net.follow('erp.login',
    '{id, contract_id, plan_id, name, password, password_md5, active, authentication, ipv4, mac, auto_fill_mac, bind_mac, nas_id, auto_fill_nas, bind_nas, port_id, auto_fill_port, bind_port, circuit_id, auto_fill_circuit, bind_circuit, mac_login, access_hours, cap_reached, upload, download, ipv4_pool, ipv6_pool, delegated_ipv6_pool, ipv6_prefix, delegated_ipv6_prefix, routes, address_list, address_list_ipv6, dns, deleted_at}');
CALL net.follow('net.router_administrator', '{id, name, password, router_group, nas_id, active}');

-- What a replica compiles of a login, and the checksum of it. The digest covers every column before it.
CREATE VIEW net.login_source AS
SELECT source.*, hashtextextended(source::text, 0) AS digest
FROM (
    SELECT
        login.id AS login_id,
        login.name,
        login.contract_id,
        contract.client_id,
        coalesce(login.plan_id, contract.plan_id) AS plan_id,
        contract.branch_id,
        login.active AS login_active,
        login.deleted_at IS NOT NULL AS deleted,
        client.active AS client_active,
        contract.status AS contract_status,
        contract.access_status,
        contract.suspended,
        contract.suspended_from,
        contract.suspended_until,
        contract.oldest_open_due,
        contract.not_reduced_until,
        contract.access_ends_at,
        contract.trust_unlock_active,
        contract.trust_unlock_until,
        contract.late_speed,
        contract.speed_status,
        login.authentication,
        login.password,
        login.password_md5,
        login.ipv4,
        login.mac,
        login.auto_fill_mac,
        login.bind_mac,
        login.nas_id,
        login.auto_fill_nas,
        login.bind_nas,
        login.port_id,
        login.auto_fill_port,
        login.bind_port,
        login.circuit_id,
        login.auto_fill_circuit,
        login.bind_circuit,
        login.mac_login,
        erp.hours_mask(login.access_hours) AS hours,
        login.cap_reached,
        login.upload,
        login.download,
        login.ipv4_pool,
        login.ipv6_pool,
        login.delegated_ipv6_pool,
        login.ipv6_prefix::text AS ipv6_prefix,
        login.delegated_ipv6_prefix::text AS delegated_ipv6_prefix,
        login.routes::text[] AS routes,
        login.address_list,
        login.address_list_ipv6,
        login.dns::text[] AS dns,
        extra.attributes
    FROM erp.login
    JOIN erp.contract ON contract.id = login.contract_id
    JOIN erp.client ON client.id = contract.client_id
    CROSS JOIN LATERAL (
        SELECT string_agg(encoded, '' ORDER BY position, id) AS attributes
        FROM erp.login_attribute WHERE login_attribute.login_id = login.id
    ) AS extra
) AS source;
COMMENT ON VIEW net.login_source IS 'One row for each login with all that decides about it. Ask with WHERE login_id = ANY(…).';

-- History -----------------------------------------------------------------------------------------------------
-- Neither a password nor a passphrase; a change made by hand and one that was learned look alike but for the operator.

CREATE OR REPLACE FUNCTION erp.tell_login() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM erp.serve_only('erp.tell_login', TG_RELID, 'erp.login');
    INSERT INTO erp.history (client_id, contract_id, login_id, kind, text, source)
    SELECT (SELECT contract.client_id FROM erp.contract WHERE contract.id = contract_id),
        contract_id, login_id, CASE WHEN deleted THEN 'login_deleted' ELSE 'login_changed' END, text, 'system'
    FROM (
        SELECT n.contract_id, n.id AS login_id, o.deleted_at IS NULL AND n.deleted_at IS NOT NULL AS deleted,
            concat_ws('; ',
                erp.change_text('name', o.name, n.name),
                erp.change_hidden('password', o.password, n.password),
                erp.change_text('password_md5', o.password_md5::text, n.password_md5::text),
                erp.change_text('active', o.active::text, n.active::text),
                erp.change_text('contract', o.contract_id::text, n.contract_id::text),
                erp.change_text('plan', o.plan_id::text, n.plan_id::text),
                erp.change_text('authentication', o.authentication, n.authentication),
                erp.change_text('connection_type', o.connection_type, n.connection_type),
                erp.change_text('ipv4', host(o.ipv4), host(n.ipv4)),
                erp.change_text('mac', o.mac, n.mac),
                erp.change_text('auto_fill_mac', o.auto_fill_mac, n.auto_fill_mac),
                erp.change_text('bind_mac', o.bind_mac, n.bind_mac),
                erp.change_text('mac_login', o.mac_login::text, n.mac_login::text),
                erp.change_text('nas', o.nas_id::text, n.nas_id::text),
                erp.change_text('auto_fill_nas', o.auto_fill_nas, n.auto_fill_nas),
                erp.change_text('bind_nas', o.bind_nas, n.bind_nas),
                erp.change_text('port_id', o.port_id, n.port_id),
                erp.change_text('auto_fill_port', o.auto_fill_port, n.auto_fill_port),
                erp.change_text('bind_port', o.bind_port, n.bind_port),
                erp.change_text('circuit_id', o.circuit_id, n.circuit_id),
                erp.change_text('auto_fill_circuit', o.auto_fill_circuit, n.auto_fill_circuit),
                erp.change_text('bind_circuit', o.bind_circuit, n.bind_circuit),
                erp.change_text('access_hours', o.access_hours::text, n.access_hours::text),
                erp.change_text('cap_reached', o.cap_reached::text, n.cap_reached::text),
                erp.change_text('upload', o.upload, n.upload),
                erp.change_text('download', o.download, n.download),
                erp.change_text('ipv4_pool', o.ipv4_pool, n.ipv4_pool),
                erp.change_text('ipv6_pool', o.ipv6_pool, n.ipv6_pool),
                erp.change_text('delegated_ipv6_pool', o.delegated_ipv6_pool, n.delegated_ipv6_pool),
                erp.change_text('ipv6_prefix', o.ipv6_prefix::text, n.ipv6_prefix::text),
                erp.change_text('delegated_ipv6_prefix', o.delegated_ipv6_prefix::text, n.delegated_ipv6_prefix::text),
                erp.change_text('routes', o.routes::text, n.routes::text),
                erp.change_text('address_list', o.address_list, n.address_list),
                erp.change_text('address_list_ipv6', o.address_list_ipv6, n.address_list_ipv6),
                erp.change_text('dns', o.dns::text, n.dns::text),
                erp.change_text('simultaneous_max', o.simultaneous_max::text, n.simultaneous_max::text),
                erp.change_text('plan_link', o.plan_link, n.plan_link),
                erp.change_text('equipment_kind', o.equipment_kind, n.equipment_kind),
                erp.change_hidden('wpa2_passphrase', o.wpa2_passphrase, n.wpa2_passphrase),
                erp.change_text('deleted_at', o.deleted_at::text, n.deleted_at::text)) AS text
        FROM old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id
    ) AS edit WHERE text <> '';
    RETURN NULL;
END
$$;
