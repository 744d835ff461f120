-- A contact has a URL and its secret, or an address.
ALTER TABLE contacts
    ALTER COLUMN url DROP NOT NULL,
    ALTER COLUMN secret_key_id DROP NOT NULL,
    ALTER COLUMN secret_nonce DROP NOT NULL,
    ALTER COLUMN secret_ciphertext DROP NOT NULL,
    ADD COLUMN address text;
