-- Other lines of a contract: SIP extensions, mobile lines (MVNO) and TV subscriptions, each at a provider's system that
-- is asked by HTTP. What they must be follows from the contract; making it so is an order as any other.

-- Drivers -----------------------------------------------------------------------------------------------------

-- A URL whose host no identifier can change: what is put in stands behind the first / only.
CREATE FUNCTION net.is_line_url(url text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN length(url) <= 2048 AND url ~ '^https?://[][A-Za-z0-9._:-]+/[!-~]*$' AND url !~ '[#"<>\\^`|]';

-- An object of texts, few and short.
CREATE FUNCTION net.is_text_map(map jsonb, entries_max integer, key_form text, value_max integer) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT jsonb_typeof(map) = 'object' AND (SELECT count(*) <= entries_max AND coalesce(bool_and(
            jsonb_typeof(value) = 'string' AND key ~ key_form AND length(value #>> '{}') <= value_max
            AND value #>> '{}' !~ '[\u0001-\u001f\u007f]'), true)
        FROM jsonb_each(CASE jsonb_typeof(map) WHEN 'object' THEN map ELSE '{}' END))
$$;

CREATE TABLE net.line_driver (
    kind text PRIMARY KEY,
    provider text,
    enabled boolean NOT NULL DEFAULT true,
    -- What makes a line be so
    method text NOT NULL DEFAULT 'POST',
    url text NOT NULL,
    headers jsonb NOT NULL DEFAULT '{}',
    secret text,
    body text,
    codes jsonb NOT NULL DEFAULT '{"active": "A", "partial": "BP", "blocked": "BT"}',
    is_toggle boolean NOT NULL DEFAULT false,
    expected_statuses integer[] NOT NULL DEFAULT '{200, 201, 202, 204}',
    expected_pointer text,
    expected_text text,
    -- What tells how it is
    read_method text NOT NULL DEFAULT 'GET',
    read_url text,
    read_body text,
    read_pointer text,
    meanings jsonb NOT NULL DEFAULT '{}',
    timeout_s integer NOT NULL DEFAULT 10,
    settle_s integer NOT NULL DEFAULT 30,
    verify_tls boolean NOT NULL DEFAULT true,
    ca text,
    changed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT line_driver_kind_known CHECK (kind IN ('sip', 'mvno', 'tv')),
    CONSTRAINT line_driver_provider_no_outer_space CHECK (
        provider <> '' AND erp.is_trimmed(provider) AND erp.is_short(provider)),
    CONSTRAINT line_driver_method_known CHECK (
        method IN ('GET', 'POST', 'PUT', 'PATCH', 'DELETE') AND read_method IN ('GET', 'POST', 'PUT')),
    CONSTRAINT line_driver_url_form CHECK (net.is_line_url(url)),
    CONSTRAINT line_driver_read_url_form CHECK (net.is_line_url(read_url)),
    CONSTRAINT line_driver_headers_form CHECK (net.is_text_map(headers, 16, '^[A-Za-z0-9-]{1,64}$', 1024)),
    CONSTRAINT line_driver_secret_form CHECK (length(secret) <= 1024 AND secret ~ '^[!-~]([ -~]*[!-~])?$'),
    CONSTRAINT line_driver_body_length CHECK (length(body) <= 8192 AND length(read_body) <= 8192),
    CONSTRAINT line_driver_codes_form CHECK (net.is_text_map(codes, 3, '^(active|partial|blocked)$', 64)),
    CONSTRAINT line_driver_statuses_range CHECK (
        cardinality(expected_statuses) BETWEEN 1 AND 16 AND 200 <= ALL (expected_statuses)
        AND 599 >= ALL (expected_statuses)),
    CONSTRAINT line_driver_pointer_form CHECK (
        (expected_pointer ~ '^(/[^/]*)+$') IS NOT FALSE AND (read_pointer ~ '^(/[^/]*)+$') IS NOT FALSE
        AND length(concat(expected_pointer, read_pointer)) <= 512),
    CONSTRAINT line_driver_expected_whole CHECK (
        length(expected_text) BETWEEN 1 AND 256 AND (expected_pointer IS NULL OR expected_text IS NOT NULL)),
    CONSTRAINT line_driver_meanings_form CHECK (net.is_text_map(meanings, 32, '^.{1,64}$', 16) AND NOT
        jsonb_path_exists(meanings, '$.* ? (@ != "active" && @ != "partial" && @ != "blocked" && @ != "theft" && @ != "loss" && @ != "misuse" && @ != "inactive" && @ != "cancelled" && @ != "awaiting" && @ != "partial_or_loss")')),
    CONSTRAINT line_driver_read_whole CHECK (read_url IS NULL OR meanings <> '{}'),
    -- Who cannot read cannot know whether to press.
    CONSTRAINT line_driver_toggle_reads CHECK (NOT is_toggle OR read_url IS NOT NULL),
    CONSTRAINT line_driver_timeout_range CHECK (timeout_s BETWEEN 1 AND 60),
    CONSTRAINT line_driver_settle_range CHECK (settle_s BETWEEN 0 AND 3600),
    CONSTRAINT line_driver_ca_form CHECK (
        length(ca) <= 65536 AND ca LIKE '-----BEGIN CERTIFICATE-----%-----END CERTIFICATE-----%')
);
COMMENT ON TABLE net.line_driver IS
    'How the provider of each kind of line is asked by HTTP. In URLs, header values and bodies {identifier}, {line_id}, {contract_id}, {code}, {state} and {secret} are replaced.';
COMMENT ON COLUMN net.line_driver.secret IS 'What {secret} stands for, such as a token. Shown to nobody, nor are header values.';
COMMENT ON COLUMN net.line_driver.codes IS 'What {code} stands for where the line must be active, partial (partially blocked) or blocked.';
COMMENT ON COLUMN net.line_driver.is_toggle IS 'The provider only turns what is into its contrary: it is asked only where what it tells differs from what must be, and then once.';
COMMENT ON COLUMN net.line_driver.expected_pointer IS 'Where expected_text stands in the JSON of an answer (RFC 6901); null: anywhere in it.';
COMMENT ON COLUMN net.line_driver.read_pointer IS 'Where the state stands in the JSON of an answer (RFC 6901); null: the answer is a text that has one of the meanings'' keys in it.';
COMMENT ON COLUMN net.line_driver.meanings IS 'What each text that may stand there means. partial_or_loss: partial where we made it so, else the customer''s report of a loss.';
COMMENT ON COLUMN net.line_driver.settle_s IS 'So long after asking, what is read may still be of before: nothing is asked again meanwhile.';
COMMENT ON COLUMN net.line_driver.ca IS 'Certificates in PEM of who may have issued the provider''s; null: those that this machine trusts.';

-- Lines -------------------------------------------------------------------------------------------------------

CREATE TABLE erp.line (
    id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    contract_id integer NOT NULL REFERENCES erp.contract,
    kind text NOT NULL,
    identifier text NOT NULL,
    active boolean NOT NULL DEFAULT true,
    own_report text NOT NULL DEFAULT 'none',
    state text,
    read_at timestamptz,
    set_state text,
    asked_state text,
    asked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT line_id_range CHECK (id > 0),
    CONSTRAINT line_kind_known CHECK (kind IN ('sip', 'mvno', 'tv')),
    -- It goes into URLs and bodies of strangers' systems.
    CONSTRAINT line_identifier_form CHECK (identifier ~ '^[0-9A-Za-z+._@:-]{1,64}$' AND identifier !~ '^[.]+$'),
    CONSTRAINT line_identifier_unique UNIQUE (kind, identifier),
    CONSTRAINT line_own_report_known CHECK (own_report IN ('none', 'theft', 'loss')),
    CONSTRAINT line_state_known CHECK (state IN (
        'active', 'partial', 'blocked', 'theft', 'loss', 'misuse', 'inactive', 'cancelled', 'awaiting')),
    CONSTRAINT line_set_state_known CHECK (
        set_state IN ('active', 'partial', 'blocked') AND asked_state IN ('active', 'partial', 'blocked'))
);
COMMENT ON TABLE erp.line IS 'A SIP extension, a mobile line or a TV subscription of a contract, which some other system serves.';
COMMENT ON COLUMN erp.line.identifier IS 'As its provider knows it: extension, number, subscription.';
COMMENT ON COLUMN erp.line.active IS 'False: nothing is ordered for it.';
COMMENT ON COLUMN erp.line.own_report IS 'What the customer reported of it: it is blocked until it is found, whatever is paid.';
COMMENT ON COLUMN erp.line.state IS 'What its provider told last. Kept by the daemon; whatever is written.';
COMMENT ON COLUMN erp.line.read_at IS 'When that was read; null: it was acknowledged, and nothing tells it.';
COMMENT ON COLUMN erp.line.set_state IS 'What was made of it last from here. What another made of it is not undone without need.';
COMMENT ON COLUMN erp.line.asked_state IS 'What its provider was asked last to make of it.';
COMMENT ON COLUMN erp.line.asked_at IS 'When that was, until it is seen or known not to have been sent: it may happen yet.';
CREATE INDEX line_contract ON erp.line (contract_id);

-- What a line must be; null: nothing is said, and it stays as it is. A voluntary suspension says nothing of lines, nor
-- does a contract that is not signed. The notice of a late payment (FA) never blocks in total: by the rules in force
-- that comes days after it. Where both blocks of mobile lines are on, total wins. Where a contract does not lead its
-- line, only what was done from here is undone.
CREATE FUNCTION erp.wanted_line_state(
    kind text, own_report text, set_state text, status text, access_status text,
    block_sip boolean, block_sip_late boolean, mvno_total boolean, mvno_partial boolean, mvno_partial_late boolean)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN own_report <> 'none' THEN 'blocked'
        WHEN stage = 'open' THEN CASE WHEN leads OR set_state IN ('partial', 'blocked') THEN 'active' END
        WHEN stage = 'late' AND kind = 'sip' AND leads AND block_sip_late THEN 'blocked'
        WHEN stage = 'late' AND kind = 'mvno' AND mvno_partial AND mvno_partial_late THEN 'partial'
        WHEN stage = 'late' THEN CASE WHEN leads OR set_state IN ('partial', 'blocked') THEN 'active' END
        WHEN stage = 'closed' AND leads AND kind = 'mvno' THEN CASE WHEN mvno_total THEN 'blocked' ELSE 'partial' END
        WHEN stage = 'closed' AND leads THEN 'blocked'
        WHEN stage = 'closed' AND set_state IN ('partial', 'blocked') THEN 'active'
    END
    FROM (SELECT
        CASE
            WHEN status IN ('I', 'N', 'D') THEN 'closed'
            WHEN status = 'A' THEN CASE access_status
                WHEN 'A' THEN 'open' WHEN 'FA' THEN 'late' WHEN 'CM' THEN 'closed' WHEN 'CA' THEN 'closed'
                WHEN 'D' THEN 'closed' END
        END AS stage,
        CASE kind WHEN 'sip' THEN block_sip WHEN 'mvno' THEN mvno_total OR mvno_partial ELSE true END AS leads
    ) AS known
$$;
COMMENT ON FUNCTION erp.wanted_line_state IS 'What a line must be at its provider: active, partial or blocked; null: it stays as it is.';

CREATE VIEW net.line_wish AS
SELECT line.id AS line_id, line.contract_id, line.kind, line.identifier, line.own_report, line.state, line.set_state,
    line.read_at, line.asked_at, contract.status, contract.access_status, driver.kind IS NOT NULL AS has_driver,
    CASE WHEN line.active THEN erp.wanted_line_state(
        line.kind, line.own_report, line.set_state, contract.status, contract.access_status,
        coalesce(erp.parameter_value('block_sip_with_contract', contract.branch_id) = 'S', false),
        coalesce(erp.parameter_value('block_sip_when_late', contract.branch_id) = 'S', false),
        coalesce(erp.parameter_value('mvno_total_block', contract.branch_id) = 'S', false),
        coalesce(erp.parameter_value('mvno_partial_block', contract.branch_id) = 'S', false),
        coalesce(erp.parameter_value('mvno_partial_block_when_late', contract.branch_id) <> 'N', true)) END AS wanted
FROM erp.line
JOIN erp.contract ON contract.id = line.contract_id
LEFT JOIN net.line_driver AS driver ON driver.kind = line.kind AND driver.enabled;
COMMENT ON VIEW net.line_wish IS 'Each line, what its provider told last, and what it must be.';

-- Orders ------------------------------------------------------------------------------------------------------

-- For who has the contracts locked: what their lines must be becomes orders, in the transaction of what they follow
-- from. An order for something else that nobody has begun is dropped; where the provider was asked already it gets the new
-- wish, even if that is what was read last: what was asked may happen yet. `changed`: also where it is known to be so
-- at another's will, or was given up or cancelled, it is tried anew; without that a sweep asks, which moves nothing of these.
-- The plan of one contract must not meet 10,000.
CREATE FUNCTION net.order_lines(contracts integer[], changed boolean) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    moved integer;
BEGIN
    WITH wish AS MATERIALIZED (SELECT * FROM net.line_wish WHERE contract_id = ANY (contracts))
    UPDATE net.network_order AS known SET state = 'superseded', ended_at = now(), changed_at = now(),
        claimed_by = NULL, claimed_until = NULL
    FROM wish
    WHERE known.target = 'line' AND known.line_id = wish.line_id AND known.is_open
        AND known.wanted -> 0 ->> 1 IS DISTINCT FROM wish.wanted
        AND (wish.wanted IS NULL OR wish.asked_at IS NULL AND known.claimed_by IS NULL
            AND coalesce(wish.state, 'active') = wish.wanted);
    WITH wish AS MATERIALIZED (SELECT * FROM net.line_wish WHERE contract_id = ANY (contracts))
    INSERT INTO net.network_order AS known (target, line_id, contract_id, kind, cause, is_cutting, wanted, run_id)
    SELECT 'line', wish.line_id, wish.contract_id,
        CASE wish.wanted WHEN 'active' THEN 'unblock_line' ELSE 'block_line' END,
        CASE WHEN wish.own_report <> 'none' THEN 'operator'
            WHEN wish.wanted = 'active' THEN 'unblock'
            WHEN wish.status <> 'A' THEN 'cancel'
            WHEN wish.access_status = 'FA' THEN 'notice'
            ELSE 'block' END,
        wish.wanted <> 'active', jsonb_build_array(jsonb_build_array('state', wish.wanted)), net.current_run()
    FROM wish
    LEFT JOIN net.network_order AS before ON before.line_id = wish.line_id AND before.target = 'line' AND before.is_open
    WHERE wish.has_driver AND wish.wanted IS NOT NULL
        AND CASE WHEN before.id IS NOT NULL THEN before.wanted -> 0 ->> 1 <> wish.wanted
            ELSE coalesce(wish.state, 'active') <> wish.wanted AND (changed
                OR (wish.wanted <> 'active' OR wish.state IN ('partial', 'blocked')) AND NOT EXISTS (
                    SELECT FROM net.network_order AS ended
                    WHERE ended.line_id = wish.line_id AND ended.target = 'line' AND NOT ended.is_open
                        AND ended.wanted -> 0 ->> 1 = wish.wanted
                        AND (ended.ended_at > now() - interval '1 hour' OR ended.state = 'cancelled')
                        AND ended.id = (SELECT max(id) FROM net.network_order AS last
                            WHERE last.line_id = wish.line_id AND last.target = 'line'))) END
    ORDER BY wish.line_id
    ON CONFLICT (line_id) WHERE is_open AND target = 'line' DO UPDATE SET
        contract_id = excluded.contract_id, kind = excluded.kind, cause = excluded.cause,
        is_cutting = excluded.is_cutting, wanted = excluded.wanted, run_id = excluded.run_id, state = 'todo',
        wish = known.wish + 1, wished_at = now(), step = NULL, attempts = 0, next_at = now(), changed_at = now()
    WHERE known.wanted IS DISTINCT FROM excluded.wanted;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved > 0 THEN
        PERFORM pg_notify('aaad_order', '');
    END IF;
    RETURN moved;
END
$$;
REVOKE EXECUTE ON FUNCTION net.order_lines FROM PUBLIC;
COMMENT ON FUNCTION net.order_lines IS 'Turns what the lines of these contracts must be into orders. The contracts must be locked.';
CREATE INDEX network_order_line ON net.network_order (line_id, id) WHERE target = 'line';

-- For changes of parameters and drivers, which lead no trigger: by a sweep, since one of them may move all lines and
-- its writer need not wait for that. Contracts that somebody is changing just now are left to him.
CREATE FUNCTION net.sweep_lines() RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found integer[];
BEGIN
    WITH wish AS MATERIALIZED (SELECT * FROM net.line_wish)
    SELECT array_agg(DISTINCT wish.contract_id) INTO found FROM wish
    LEFT JOIN net.network_order AS before ON before.line_id = wish.line_id AND before.target = 'line' AND before.is_open
    WHERE CASE WHEN before.id IS NOT NULL THEN before.wanted -> 0 ->> 1 IS DISTINCT FROM wish.wanted
        ELSE coalesce(wish.state, 'active') <> wish.wanted AND wish.has_driver END;
    IF found IS NULL THEN
        RETURN 0;
    END IF;
    found := ARRAY(SELECT id FROM erp.contract WHERE id = ANY (found) ORDER BY id FOR SHARE SKIP LOCKED);
    RETURN net.order_lines(found, false);
END
$$;
REVOKE EXECUTE ON FUNCTION net.sweep_lines FROM PUBLIC;

CREATE FUNCTION erp.lines_follow_contracts() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    changed integer[];
BEGIN
    PERFORM erp.serve_only('erp.lines_follow_contracts', TG_RELID, 'erp.contract');
    -- FULL for its plan, as in erp.tell_contract(): that of one row must not meet 20,000.
    SELECT array_agg(n.id) INTO changed FROM old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id
    WHERE ROW(n.status, n.access_status, n.branch_id) IS DISTINCT FROM ROW(o.status, o.access_status, o.branch_id);
    SELECT array_agg(DISTINCT line.contract_id) INTO changed FROM erp.line WHERE line.contract_id = ANY (changed);
    IF changed IS NOT NULL THEN
        PERFORM net.order_lines(changed, true);
    END IF;
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.lines_follow_contracts FROM PUBLIC;
CREATE TRIGGER lines_follow AFTER UPDATE ON erp.contract REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION erp.lines_follow_contracts();

-- The contract's row is locked, so that whoever changes it sees this or comes first.
CREATE FUNCTION erp.order_line() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gives_access boolean;
BEGIN
    PERFORM erp.serve_only('erp.order_line', TG_RELID, 'erp.line');
    IF TG_OP <> 'INSERT' THEN
        UPDATE net.network_order SET state = 'gone', ended_at = now(), changed_at = now(), claimed_by = NULL,
            claimed_until = NULL
        WHERE target = 'line' AND line_id = OLD.id AND is_open AND (TG_OP = 'DELETE' OR NOT NEW.active
            OR ROW(NEW.kind, NEW.identifier) IS DISTINCT FROM ROW(OLD.kind, OLD.identifier));
    END IF;
    IF TG_OP <> 'DELETE' THEN
        SELECT status = 'A' AND access_status = 'A' INTO gives_access FROM erp.contract WHERE id = NEW.contract_id FOR SHARE;
        -- What is new and must be active is taken for active: many are loaded at once.
        IF TG_OP = 'UPDATE' OR NOT gives_access OR NEW.own_report <> 'none' THEN
            PERFORM net.order_lines(ARRAY[NEW.contract_id], TG_OP = 'UPDATE');
        END IF;
    END IF;
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.order_line FROM PUBLIC;
CREATE TRIGGER order_line AFTER INSERT OR DELETE OR UPDATE OF contract_id, kind, identifier, active, own_report ON erp.line
    FOR EACH ROW EXECUTE FUNCTION erp.order_line();

-- Another number is another line: what was known of the old one is not true of it.
CREATE FUNCTION erp.forget_line_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.state := NULL;
    NEW.read_at := NULL;
    NEW.set_state := NULL;
    NEW.asked_state := NULL;
    NEW.asked_at := NULL;
    RETURN NEW;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.forget_line_state FROM PUBLIC;
CREATE TRIGGER forget_state_insert BEFORE INSERT ON erp.line FOR EACH ROW EXECUTE FUNCTION erp.forget_line_state();
CREATE TRIGGER forget_state_update BEFORE UPDATE OF kind, identifier ON erp.line FOR EACH ROW
    WHEN (ROW(NEW.kind, NEW.identifier) IS DISTINCT FROM ROW(OLD.kind, OLD.identifier))
    EXECUTE FUNCTION erp.forget_line_state();

CREATE FUNCTION erp.tell_line() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    row_of erp.line;
    told text;
BEGIN
    PERFORM erp.serve_only('erp.tell_line', TG_RELID, 'erp.line');
    IF TG_OP = 'DELETE' THEN
        row_of := OLD;
        told := 'deleted';
    ELSE
        row_of := NEW;
        told := CASE WHEN TG_OP = 'INSERT' THEN 'added' ELSE concat_ws('; ',
            erp.change_text('contract', OLD.contract_id::text, NEW.contract_id::text),
            erp.change_text('kind', OLD.kind, NEW.kind),
            erp.change_text('identifier', OLD.identifier, NEW.identifier),
            erp.change_text('active', OLD.active::text, NEW.active::text),
            erp.change_text('own_report', OLD.own_report, NEW.own_report),
            erp.change_text('state', OLD.state, NEW.state)) END;
    END IF;
    IF told <> '' THEN
        INSERT INTO erp.history (branch_id, client_id, contract_id, kind, text, source)
        SELECT contract.branch_id, contract.client_id, row_of.contract_id, 'line_changed',
            format('line %s %s: %s', row_of.kind, row_of.identifier, told), 'system'
        FROM (SELECT) AS one LEFT JOIN erp.contract ON contract.id = row_of.contract_id;
    END IF;
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.tell_line FROM PUBLIC;
CREATE TRIGGER tell_change AFTER INSERT OR UPDATE OR DELETE ON erp.line FOR EACH ROW EXECUTE FUNCTION erp.tell_line();

-- For an ERP: what a customer reports of his line. 0 done, 106 no such line, 107 it is so already, 122 not a report.
CREATE FUNCTION erp.report_line(line_id integer, report text, OUT code integer, OUT reason text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    known text;
BEGIN
    SELECT own_report INTO known FROM erp.line WHERE id = report_line.line_id FOR NO KEY UPDATE;
    SELECT answer.code, answer.reason INTO code, reason FROM (VALUES
        (1, known IS NULL, 106, 'line_not_found'),
        (2, coalesce(report NOT IN ('theft', 'loss', 'found'), true), 122, 'unknown_report'),
        (3, CASE report WHEN 'found' THEN 'none' ELSE report END = known, 107, 'already_reported'),
        (4, true, 0, 'reported')
    ) AS answer (place, holds, code, reason) WHERE answer.holds ORDER BY place LIMIT 1;
    IF code = 0 THEN
        UPDATE erp.line SET own_report = CASE report WHEN 'found' THEN 'none' ELSE report END
        WHERE id = report_line.line_id;
    END IF;
END
$$;
REVOKE EXECUTE ON FUNCTION erp.report_line FROM PUBLIC;
COMMENT ON FUNCTION erp.report_line IS 'Writes that a line was stolen (theft), lost (loss) or found; it is blocked until it is found.';
