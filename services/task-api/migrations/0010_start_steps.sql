-- What a start is at, where that takes long.
ALTER TABLE tasks ADD COLUMN step text;
