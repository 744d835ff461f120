-- When somebody is to know of tasks or their groups.
CREATE TABLE rules (
    id             text PRIMARY KEY,
    name           text NOT NULL,
    metric         text NOT NULL,
    threshold      bigint NOT NULL,
    hold_seconds   bigint NOT NULL,
    severity       text NOT NULL,
    -- Whose tasks are watched; absent for all.
    resource_group text,
    -- Which of them; empty for all.
    task_ids       text[] NOT NULL,
    tags           jsonb NOT NULL,
    -- 0 for never.
    repeat_minutes bigint NOT NULL,
    is_enabled     boolean NOT NULL,
    created_at     timestamptz NOT NULL,
    -- Counts the changes of users.
    version        bigint NOT NULL
);

-- Who is told; a contact stays as long as a rule names it.
CREATE TABLE rule_contacts (
    rule_id    text NOT NULL REFERENCES rules ON DELETE CASCADE,
    contact_id text NOT NULL REFERENCES contacts,
    -- Its place in the rule.
    place      bigint NOT NULL,
    PRIMARY KEY (rule_id, contact_id)
);
CREATE INDEX rule_contacts_of_contact ON rule_contacts (contact_id);

-- Of a rule above, by which an incident was raised; absent where the service's own rule did.
ALTER TABLE incidents
    ADD COLUMN rule_id   text,
    ADD COLUMN rule_name text,
    ADD COLUMN severity  text,
    -- When it was told again last; absent where it was not yet.
    ADD COLUMN told_at   timestamptz,
    ADD COLUMN times_told_again bigint NOT NULL DEFAULT 0;

-- A task, and each of its groups, has one open incident of a rule, whatever goes wrong above.
DROP INDEX incidents_open;
CREATE UNIQUE INDEX incidents_open
    ON incidents (task_id, rule, coalesce(group_id, ''), coalesce(rule_id, ''))
    WHERE resolved_at IS NULL;
