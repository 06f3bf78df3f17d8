-- Schema erp: what the provider knows of its customers. Any program may write these tables with plain SQL
-- (docs/erp-interface.md); the checks here are the last word on what is valid, aaad/erp/validate.py says the
-- same with friendlier messages.
--
-- Check functions are IMMUTABLE and independent of the database's locale: letters are named, never [[:alpha:]],
-- and case is folded by a table of our own, so that a name means the same in the database and in the replica.
-- Ids are 1 to 2147483647: the nodes keep them in 31 bits, and 0 means "none".
--
-- Who may attach a function with its owner's rights to a table of his own may do more than he was granted. So PUBLIC
-- may execute no trigger function (a trigger asks for the right when it is made, not when it runs), and those with
-- their owner's rights look at where they stand, too.

CREATE SCHEMA erp;

-- Characters --------------------------------------------------------------------------------------------------

CREATE FUNCTION erp.is_trimmed(value text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN value = btrim(value, E' \t\n\r\f\x0b\u00a0');
COMMENT ON FUNCTION erp.is_trimmed IS 'No white space at either end.';

CREATE FUNCTION erp.fold_login(name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN translate(
        normalize(name, NFC),
        'ABCDEFGHIJKLMNOPQRSTUVWXYZÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞĀĂĄĆĈĊČĎĐĒĔĖĘĚĜĞĠĢĤĦĨĪĬĮĲĴĶĹĻĽĿŁŃŅŇŊŌŎŐŒŔŖŘŚŜŞŠŢŤŦŨŪŬŮŰŲŴŶŸŹŻŽ',
        'abcdefghijklmnopqrstuvwxyzàáâãäåæçèéêëìíîïðñòóôõöøùúûüýþāăąćĉċčďđēĕėęěĝğġģĥħĩīĭįĳĵķĺļľŀłńņňŋōŏőœŕŗřśŝşšţťŧũūŭůűųŵŷÿźżž'
    );
COMMENT ON FUNCTION erp.fold_login IS 'The name under which a login is found: Unicode composed, lower case.';

-- Documents ---------------------------------------------------------------------------------------------------

-- CPF and CNPJ count weights from the right, beginning with 2: CPF without end (2 to 11), CNPJ 2 to 9 over and over.
-- A letter of an alphanumeric CNPJ counts as its ASCII code less 48 (IN RFB 2.229/2024).
CREATE FUNCTION erp.check_digit(body text, weights integer) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    total integer := 0;
    size constant integer := length(body);
BEGIN
    FOR place IN 0 .. size - 1 LOOP
        total := total + (ascii(substr(body, size - place, 1)) - 48) * (2 + place % weights);
    END LOOP;
    RETURN CASE WHEN total % 11 < 2 THEN '0' ELSE (11 - total % 11)::text END;
END
$$;

CREATE FUNCTION erp.is_cpf(document text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN document !~ '^[0-9]{11}$' OR document = repeat(left(document, 1), 11) THEN false
        ELSE substr(document, 10, 1) = erp.check_digit(left(document, 9), 10)
            AND substr(document, 11, 1) = erp.check_digit(left(document, 10), 10)
    END;

CREATE FUNCTION erp.is_cnpj(document text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN document !~ '^[0-9A-Z]{12}[0-9]{2}$' OR document = repeat(left(document, 1), 14) THEN false
        ELSE substr(document, 13, 1) = erp.check_digit(left(document, 12), 8)
            AND substr(document, 14, 1) = erp.check_digit(left(document, 13), 8)
    END;

CREATE FUNCTION erp.canonical_document(document text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN translate(upper(document COLLATE "C"), './-', '');
COMMENT ON FUNCTION erp.canonical_document IS 'A CPF or CNPJ as it is stored: upper case, without mask. Does not check it.';

-- Addresses, phones, mail -------------------------------------------------------------------------------------

-- The 67 area codes in use, then a fixed line (8 digits, first 2 to 5) or a mobile (9 digits, first 9).
CREATE FUNCTION erp.is_phone(phone text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN phone ~ '^(1[1-9]|2[12478]|3[1234578]|4[1-9]|5[1345]|6[1-9]|7[134579]|8[1-9]|9[1-9])([2-5][0-9]{7}|9[0-9]{8})$';
COMMENT ON FUNCTION erp.is_phone IS 'A Brazilian number as it is stored: area code and number, digits only.';

CREATE FUNCTION erp.is_email_list(list text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN length(list) <= 1000 AND list ~
        '^[A-Za-z0-9!#$%&''*+/=?^_`{|}~.-]+@([A-Za-z0-9-]+\.)+[A-Za-z]{2,}(;[A-Za-z0-9!#$%&''*+/=?^_`{|}~.-]+@([A-Za-z0-9-]+\.)+[A-Za-z]{2,})*$'
        AND list !~ '(^|;)\.|\.\.|\.@|[@.]-|-\.';
COMMENT ON FUNCTION erp.is_email_list IS 'One or more addresses, joined by ; without spaces.';

CREATE FUNCTION erp.is_postal_code(code text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN code ~ '^[0-9]{8}$' AND code <> '00000000';

-- Logins and devices ------------------------------------------------------------------------------------------

-- Latin letters with accents are U+00C0 to U+017F without the signs × and ÷ and without İ, whose lower case is two
-- characters. Letters of other alphabets look like Latin ones and are refused.
CREATE FUNCTION erp.is_login_name(name text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN normalize(name, NFC) ~ '^[A-Za-z0-9._@À-ÖØ-öø-įı-ſ-]{1,64}$'
        AND normalize(name, NFC) ~ '[A-Za-z0-9À-ÖØ-öø-įı-ſ]'
        AND name !~ '^@|@$|@.*@';

CREATE FUNCTION erp.is_mac(mac text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN mac ~ '^[0-9A-F][02468ACE](:[0-9A-F]{2}){5}$' AND mac <> '00:00:00:00:00:00';
COMMENT ON FUNCTION erp.is_mac IS 'A device''s own address as RouterOS writes it; neither zero nor multicast.';

CREATE FUNCTION erp.canonical_mac(mac text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN mac ~ '^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$' OR mac ~ '^([0-9A-Fa-f]{2}-){5}[0-9A-Fa-f]{2}$'
            OR mac ~ '^([0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}$' OR mac ~ '^[0-9A-Fa-f]{12}$'
        THEN regexp_replace(
            translate(upper(mac COLLATE "C"), ':.-', ''), '(..)(..)(..)(..)(..)(..)', '\1:\2:\3:\4:\5:\6')
    END;
COMMENT ON FUNCTION erp.canonical_mac IS 'AA-BB-…, aabb.ccdd.eeff and the like as AA:BB:CC:DD:EE:FF; null if it is no MAC.';

CREATE FUNCTION erp.is_speed(speed text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN speed ~ '^[1-9][0-9]{0,6}[kM]$';

-- A session's own address: not of this network, loopback, link local, multicast or reserved.
CREATE FUNCTION erp.is_host_ipv4(address inet) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN family(address) <> 4 OR masklen(address) <> 32 THEN false
        ELSE NOT (address <<= inet '0.0.0.0/8' OR address <<= inet '127.0.0.0/8' OR address <<= inet '169.254.0.0/16'
            OR address <<= inet '224.0.0.0/3')
    END;

-- Branches and parameters -------------------------------------------------------------------------------------

CREATE TABLE erp.branch (
    id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    time_zone text NOT NULL DEFAULT 'America/Sao_Paulo',
    CONSTRAINT branch_id_range CHECK (id > 0),
    CONSTRAINT branch_name_no_outer_space CHECK (name <> '' AND erp.is_trimmed(name))
);
COMMENT ON TABLE erp.branch IS 'A branch of the provider (filial).';
COMMENT ON COLUMN erp.branch.time_zone IS 'IANA name: the clock of its contracts.';

CREATE FUNCTION erp.check_time_zone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM now() AT TIME ZONE NEW.time_zone;
    RETURN NEW;
EXCEPTION WHEN invalid_parameter_value THEN
    RAISE EXCEPTION 'time zone "%" is not known', NEW.time_zone
        USING ERRCODE = 'check_violation', CONSTRAINT = 'branch_time_zone_known', SCHEMA = 'erp', TABLE = 'branch',
        COLUMN = 'time_zone', HINT = 'Use an IANA name such as America/Sao_Paulo.';
END
$$;
REVOKE EXECUTE ON FUNCTION erp.check_time_zone FROM PUBLIC;
CREATE TRIGGER check_time_zone BEFORE INSERT OR UPDATE OF time_zone ON erp.branch
    FOR EACH ROW EXECUTE FUNCTION erp.check_time_zone();

CREATE TABLE erp.parameter (
    id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    branch_id integer REFERENCES erp.branch,
    value text NOT NULL,
    CONSTRAINT parameter_id_range CHECK (id > 0),
    CONSTRAINT parameter_unique UNIQUE NULLS NOT DISTINCT (name, branch_id),
    CONSTRAINT parameter_name_form CHECK (name ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT parameter_value_no_outer_space CHECK (erp.is_trimmed(value)),
    CONSTRAINT parameter_value_yes_no_default CHECK (
        name NOT IN ('block_accents_in_logins', 'document_required')
        OR value IN ('S', 'N') OR (value = 'P' AND branch_id IS NOT NULL))
);
COMMENT ON TABLE erp.parameter IS 'Settings of the provider. A switch is S (yes), N (no) or, for a branch, P (as the general value says).';
COMMENT ON COLUMN erp.parameter.branch_id IS 'Null: the general value.';

CREATE FUNCTION erp.parameter_value(parameter_name text, of_branch integer) RETURNS text LANGUAGE sql STABLE
    RETURN coalesce(
        (SELECT value FROM erp.parameter WHERE name = parameter_name AND branch_id = of_branch AND value <> 'P'),
        (SELECT value FROM erp.parameter WHERE name = parameter_name AND branch_id IS NULL));
COMMENT ON FUNCTION erp.parameter_value IS 'What holds for a branch: its own value, else the general one, else null.';

-- Clients -----------------------------------------------------------------------------------------------------

CREATE TABLE erp.client (
    id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    branch_id integer NOT NULL REFERENCES erp.branch,
    kind text NOT NULL,
    name text NOT NULL,
    document text,
    active boolean NOT NULL DEFAULT true,
    email text,
    phone text,
    mobile_phone text,
    postal_code text,
    street text,
    street_number text,
    complement text,
    district text,
    city text,
    state text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT client_id_range CHECK (id > 0),
    CONSTRAINT client_kind_known CHECK (kind IN ('F', 'J', 'E')),
    CONSTRAINT client_name_no_outer_space CHECK (name <> '' AND erp.is_trimmed(name)),
    CONSTRAINT client_document_check_digits CHECK (
        document IS NULL OR (kind = 'F' AND erp.is_cpf(document)) OR (kind = 'J' AND erp.is_cnpj(document))),
    CONSTRAINT client_email_list CHECK (erp.is_email_list(email)),
    CONSTRAINT client_phone_brazilian CHECK (erp.is_phone(phone)),
    CONSTRAINT client_mobile_phone_brazilian CHECK (erp.is_phone(mobile_phone)),
    CONSTRAINT client_postal_code_eight_digits CHECK (erp.is_postal_code(postal_code)),
    CONSTRAINT client_street_no_outer_space CHECK (erp.is_trimmed(street)),
    CONSTRAINT client_street_number_no_outer_space CHECK (erp.is_trimmed(street_number)),
    CONSTRAINT client_complement_no_outer_space CHECK (erp.is_trimmed(complement)),
    CONSTRAINT client_district_no_outer_space CHECK (erp.is_trimmed(district)),
    CONSTRAINT client_city_no_outer_space CHECK (erp.is_trimmed(city)),
    CONSTRAINT client_state_known CHECK (state IN (
        'AC', 'AL', 'AM', 'AP', 'BA', 'CE', 'DF', 'ES', 'GO', 'MA', 'MG', 'MS', 'MT', 'PA', 'PB', 'PE', 'PI', 'PR',
        'RJ', 'RN', 'RO', 'RR', 'RS', 'SC', 'SE', 'SP', 'TO'))
);
COMMENT ON TABLE erp.client IS 'A person or company with contracts (cliente).';
COMMENT ON COLUMN erp.client.kind IS 'F person (CPF), J company (CNPJ), E foreigner (no document).';
COMMENT ON COLUMN erp.client.document IS 'CPF or CNPJ, upper case, without mask: see erp.canonical_document().';
COMMENT ON COLUMN erp.client.active IS 'False: every login of the client is refused.';
COMMENT ON COLUMN erp.client.email IS 'One or more addresses, joined by ; without spaces.';
COMMENT ON COLUMN erp.client.phone IS 'Area code and number, digits only.';
COMMENT ON COLUMN erp.client.postal_code IS 'CEP, 8 digits.';
CREATE INDEX client_document ON erp.client (document);
CREATE INDEX client_branch ON erp.client (branch_id);

-- Plans and contracts -----------------------------------------------------------------------------------------

CREATE TABLE erp.plan (
    id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    active boolean NOT NULL DEFAULT true,
    upload text NOT NULL,
    download text NOT NULL,
    session_timeout_s integer NOT NULL DEFAULT 0,
    idle_timeout_s integer NOT NULL DEFAULT 0,
    interim_interval_s integer NOT NULL DEFAULT 300,
    CONSTRAINT plan_id_range CHECK (id > 0),
    CONSTRAINT plan_name_no_outer_space CHECK (name <> '' AND erp.is_trimmed(name)),
    CONSTRAINT plan_upload_form CHECK (erp.is_speed(upload)),
    CONSTRAINT plan_download_form CHECK (erp.is_speed(download)),
    CONSTRAINT plan_session_timeout_range CHECK (session_timeout_s >= 0),
    CONSTRAINT plan_idle_timeout_range CHECK (idle_timeout_s >= 0),
    -- RFC 2869, 2.1: an interval must not be smaller than 60 seconds.
    CONSTRAINT plan_interim_interval_range CHECK (interim_interval_s = 0 OR interim_interval_s BETWEEN 60 AND 86400)
);
COMMENT ON TABLE erp.plan IS 'What is sold (plano): speeds and limits of a session.';
COMMENT ON COLUMN erp.plan.active IS 'False: not sold any more; contracts that have it keep it.';
COMMENT ON COLUMN erp.plan.upload IS 'From the customer: a number and k or M (bits a second), such as 50M.';
COMMENT ON COLUMN erp.plan.download IS 'To the customer, in the same form.';
COMMENT ON COLUMN erp.plan.session_timeout_s IS '0: no limit is sent. The same holds for the other two.';

CREATE TABLE erp.contract (
    id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    client_id integer NOT NULL REFERENCES erp.client,
    branch_id integer NOT NULL REFERENCES erp.branch,
    plan_id integer REFERENCES erp.plan,
    kind text NOT NULL DEFAULT 'I',
    status text NOT NULL DEFAULT 'P',
    access_status text NOT NULL DEFAULT 'A',
    suspended boolean NOT NULL DEFAULT false,
    suspended_from date,
    suspended_until date,
    activated_on date,
    circuit text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT contract_id_range CHECK (id > 0),
    CONSTRAINT contract_kind_known CHECK (kind IN ('I', 'T', 'S', 'SVA')),
    CONSTRAINT contract_status_known CHECK (status IN ('P', 'A', 'I', 'N', 'D')),
    CONSTRAINT contract_access_status_known CHECK (access_status IN ('A', 'D', 'CM', 'CA', 'FA', 'AA', 'CE')),
    CONSTRAINT contract_suspended_in_order CHECK (suspended_until >= suspended_from),
    CONSTRAINT contract_circuit_no_outer_space CHECK (circuit <> '' AND erp.is_trimmed(circuit)),
    CONSTRAINT contract_circuit_unique UNIQUE (circuit),
    -- Targets of the keys by which a login follows its contract.
    CONSTRAINT contract_with_kind UNIQUE (id, kind),
    CONSTRAINT contract_with_plan UNIQUE (id, plan_id)
);
COMMENT ON TABLE erp.contract IS 'What a client signed (contrato).';
COMMENT ON COLUMN erp.contract.kind IS 'I internet (only these have logins), T telephone, S services, SVA value-added services.';
COMMENT ON COLUMN erp.contract.status IS 'P not signed yet, A active, I inactive, N blacklisted, D withdrawn. Only A connects.';
COMMENT ON COLUMN erp.contract.access_status IS
    'A active, D disabled, CM blocked by hand, CA blocked automatically, FA payment late (connects), AA and CE awaiting signature.';
COMMENT ON COLUMN erp.contract.suspended IS 'Voluntary suspension asked for by the client: refused while true.';
COMMENT ON COLUMN erp.contract.circuit IS 'Three letters of the city, six digits of the client, - and three of the plan, such as CHA000123-001; may be edited.';
CREATE INDEX contract_client ON erp.contract (client_id);
CREATE INDEX contract_plan ON erp.contract (plan_id);

-- Logins ------------------------------------------------------------------------------------------------------

CREATE TABLE erp.login (
    id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    contract_id integer NOT NULL,
    plan_id integer,
    name text NOT NULL,
    password text,
    password_md5 boolean NOT NULL DEFAULT false,
    active boolean NOT NULL DEFAULT true,
    authentication text NOT NULL DEFAULT 'L',
    connection_type text,
    ipv4 inet,
    mac text,
    auto_fill_mac boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    contract_kind text NOT NULL GENERATED ALWAYS AS ('I') STORED,
    CONSTRAINT login_id_range CHECK (id > 0),
    CONSTRAINT login_contract_is_internet FOREIGN KEY (contract_id, contract_kind) REFERENCES erp.contract (id, kind),
    CONSTRAINT login_plan_is_contracts_plan FOREIGN KEY (contract_id, plan_id) REFERENCES erp.contract (id, plan_id)
        ON UPDATE CASCADE,
    CONSTRAINT login_name_form CHECK (erp.is_login_name(name)),
    CONSTRAINT login_password_form CHECK (CASE WHEN password_md5 THEN password ~ '^[0-9a-f]{32}$'
        ELSE password ~ '^[!-~]([ -~]{0,126}[!-~])?$' END),
    CONSTRAINT login_password_required CHECK (password IS NOT NULL OR authentication NOT IN ('L', 'H')),
    CONSTRAINT login_authentication_known CHECK (authentication IN ('L', 'H', 'M', 'V', 'D', 'I', 'E')),
    CONSTRAINT login_connection_type_known CHECK (connection_type IN ('58', '24', 'F', 'L', 'A', 'LTE', 'LDD')),
    CONSTRAINT login_ipv4_host CHECK (erp.is_host_ipv4(ipv4)),
    CONSTRAINT login_mac_canonical CHECK (erp.is_mac(mac))
);
COMMENT ON TABLE erp.login IS 'What dials: user name, password and bindings; belongs to an internet contract.';
COMMENT ON COLUMN erp.login.plan_id IS 'Null: the contract''s plan. Else the same plan, named here; it follows when the contract''s changes.';
COMMENT ON COLUMN erp.login.name IS 'As typed; found in any case. A name is never given to another login, also not after deletion.';
COMMENT ON COLUMN erp.login.password IS 'In clear (CHAP and MS-CHAP need it), or 32 hexadecimal digits when password_md5.';
COMMENT ON COLUMN erp.login.authentication IS
    'L PPPoE, H Hotspot, M IP and MAC, V VLAN, D IPoE, I by integration, E external.';
COMMENT ON COLUMN erp.login.connection_type IS 'For information only: 58 and 24 GHz radio, F fibre, L cable, A ADSL, LTE, LDD.';
COMMENT ON COLUMN erp.login.ipv4 IS 'Fixed address; null: from the pool.';
COMMENT ON COLUMN erp.login.mac IS 'The only device that may use it. Any usual form may be written; it is stored as AA:BB:CC:DD:EE:FF.';
COMMENT ON COLUMN erp.login.auto_fill_mac IS 'Bind the login to the first device that connects.';
COMMENT ON COLUMN erp.login.deleted_at IS 'Not null: deleted. The row stays, so that the name is not used again.';
COMMENT ON COLUMN erp.login.contract_kind IS 'Always I: ties the login to an internet contract.';
CREATE UNIQUE INDEX login_name_unique ON erp.login (erp.fold_login(name));
CREATE UNIQUE INDEX login_ipv4_unique ON erp.login (ipv4) WHERE deleted_at IS NULL;
CREATE INDEX login_contract ON erp.login (contract_id);

CREATE FUNCTION erp.make_mac_canonical() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    canonical constant text := erp.canonical_mac(NEW.mac);
BEGIN
    IF erp.is_mac(canonical) IS NOT TRUE THEN
        RAISE EXCEPTION 'Formato do MAC é Inválido' USING ERRCODE = 'check_violation',
            CONSTRAINT = 'login_mac_canonical', SCHEMA = 'erp', TABLE = 'login', COLUMN = 'mac',
            HINT = 'Write AA:BB:CC:DD:EE:FF, AA-BB-CC-DD-EE-FF, AABB.CCDD.EEFF or AABBCCDDEEFF.';
    END IF;
    NEW.mac := canonical;
    RETURN NEW;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.make_mac_canonical FROM PUBLIC;
CREATE TRIGGER make_mac_canonical BEFORE INSERT OR UPDATE OF mac ON erp.login
    FOR EACH ROW WHEN (NEW.mac IS NOT NULL) EXECUTE FUNCTION erp.make_mac_canonical();

-- Rules that a parameter switches on. The conditions of the triggers keep them away from ordinary rows. A login whose
-- name stays as it was is never refused: the parameter may be younger. With their owner's rights, so that who writes
-- logins needs no rights on contracts and parameters.

CREATE FUNCTION erp.serve_only(function text, attached regclass, served regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF attached <> served THEN
        RAISE EXCEPTION '% serves %, not %', function, served, attached USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;
COMMENT ON FUNCTION erp.serve_only IS 'For a trigger function with its owner''s rights: refuses a table that is not its own.';

CREATE FUNCTION erp.check_login_accents() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM erp.serve_only('erp.check_login_accents', TG_RELID, 'erp.login');
    IF TG_OP = 'UPDATE' AND NEW.name IS NOT DISTINCT FROM OLD.name THEN
        RETURN NEW;
    END IF;
    IF 'S' = erp.parameter_value('block_accents_in_logins',
        (SELECT branch_id FROM erp.contract WHERE contract.id = NEW.contract_id))
    THEN
        RAISE EXCEPTION 'login "%" has an accent, and block_accents_in_logins is S', NEW.name
            USING ERRCODE = 'check_violation', CONSTRAINT = 'login_name_without_accents', SCHEMA = 'erp', TABLE = 'login',
            COLUMN = 'name';
    END IF;
    RETURN NEW;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.check_login_accents FROM PUBLIC;
CREATE TRIGGER check_accents BEFORE INSERT OR UPDATE OF name ON erp.login
    FOR EACH ROW WHEN (NEW.name ~ '[^ -~]') EXECUTE FUNCTION erp.check_login_accents();

CREATE FUNCTION erp.check_document_required() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM erp.serve_only('erp.check_document_required', TG_RELID, 'erp.client');
    IF 'S' = erp.parameter_value('document_required', NEW.branch_id) THEN
        RAISE EXCEPTION 'a client of kind F or J needs its document, since document_required is S'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'client_document_required', SCHEMA = 'erp', TABLE = 'client',
            COLUMN = 'document';
    END IF;
    RETURN NEW;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.check_document_required FROM PUBLIC;
CREATE TRIGGER check_document BEFORE INSERT OR UPDATE OF document, kind, branch_id ON erp.client
    FOR EACH ROW WHEN (NEW.document IS NULL AND NEW.kind <> 'E') EXECUTE FUNCTION erp.check_document_required();
