-- The database and its user, once, on the primary: `psql -v password=… -f tenantry.sql`, as postgres.
CREATE ROLE tenantry LOGIN PASSWORD :'password';
-- Reads that nobody waits for any more are ended.
ALTER ROLE tenantry SET statement_timeout = '20s';
ALTER ROLE tenantry SET client_connection_check_interval = '1s';
CREATE DATABASE tenantry OWNER tenantry;
