-- The one consumer that the move under way is of; absent where it is of all that the group has.
ALTER TABLE standings ADD COLUMN consumer text;
