-- After so many attempts a change is a dead letter; 0 for never.
ALTER TABLE groups
    ADD COLUMN max_deliver integer NOT NULL DEFAULT 10 CHECK (max_deliver BETWEEN 0 AND 1000);

-- Whether the move that is wished only leads forward: what the group has acknowledged by then is not sent again.
ALTER TABLE standings
    ADD COLUMN is_forward boolean NOT NULL DEFAULT false;
