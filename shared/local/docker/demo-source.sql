-- A source to try: database shop, table customer, and a role of its own for Rowcast that owns both.

\set ON_ERROR_STOP on
\set password `cat /run/secrets/demo-source-password`
CREATE ROLE rowcast LOGIN REPLICATION PASSWORD :'password';
CREATE DATABASE shop OWNER rowcast;
\connect shop
SET ROLE rowcast;
CREATE TABLE customer (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO customer (name) VALUES ('Ada'), ('Grace');
