-- Of a push group, the part of the subject of its deliveries that its clients alone know; absent where clients pull.
ALTER TABLE groups ADD COLUMN deliver_token text CHECK (deliver_token ~ '^[a-z0-9]{16,}$');
