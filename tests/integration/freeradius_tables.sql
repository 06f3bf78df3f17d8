-- The columns of FreeRADIUS 3's tables in PostgreSQL, as far as they matter here.
CREATE TABLE radippool (
    id bigserial PRIMARY KEY, pool_name varchar(64) NOT NULL, framedipaddress inet NOT NULL,
    nasipaddress varchar(16) NOT NULL DEFAULT '', pool_key varchar(64) NOT NULL DEFAULT '0',
    calledstationid varchar(64), callingstationid text NOT NULL DEFAULT '',
    expiry_time timestamp(0) without time zone NOT NULL DEFAULT now(), username text DEFAULT '');
CREATE TABLE radacct (
    radacctid bigserial PRIMARY KEY, acctsessionid text NOT NULL, acctuniqueid text NOT NULL UNIQUE, username text,
    nasipaddress inet NOT NULL, acctstarttime timestamptz, acctupdatetime timestamptz, acctstoptime timestamptz,
    callingstationid text, framedipaddress inet, framedipv6prefix inet, delegatedipv6prefix inet);
