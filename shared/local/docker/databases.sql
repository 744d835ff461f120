-- A role and a schema for each service that keeps tables, run by psql at each start of the platform.
-- What is there already stays; a password takes the value of its file, so that a new one takes hold.

\set ON_ERROR_STOP on
REVOKE ALL ON DATABASE rowcast FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;

\set role task_api
\set password `cat /run/secrets/database-password-task_api`
\ir database.sql
\set role consumer_group
\set password `cat /run/secrets/database-password-consumer_group`
\ir database.sql
\set role billing
\set password `cat /run/secrets/database-password-billing`
\ir database.sql
\set role alerting
\set password `cat /run/secrets/database-password-alerting`
\ir database.sql
