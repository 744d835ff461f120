-- The client certificate that a source is logged in to with; its key is sealed as the password is.
ALTER TABLE sources ADD COLUMN sslcert text;
ALTER TABLE sources ADD COLUMN sslkey_key_id text;
ALTER TABLE sources ADD COLUMN sslkey_nonce bytea;
ALTER TABLE sources ADD COLUMN sslkey_ciphertext bytea;
