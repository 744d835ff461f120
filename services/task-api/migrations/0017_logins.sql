-- Logins of groups stand in the audit log beside requests: how many, by which client, and under which id consumer-group tells
-- of them again when there are more.
ALTER TABLE audit ADD COLUMN times integer;
ALTER TABLE audit ADD COLUMN client_name text;
ALTER TABLE audit ADD COLUMN seen_as text;
CREATE UNIQUE INDEX audit_seen_as ON audit (seen_as) WHERE seen_as IS NOT NULL;
