-- A small shop, with the types that shops have.
CREATE SCHEMA IF NOT EXISTS shop;

DO $$
BEGIN
    CREATE TYPE shop.order_status AS ENUM ('new', 'paid', 'packed', 'shipped', 'cancelled');
EXCEPTION
    WHEN duplicate_object THEN NULL;
END
$$;

CREATE TABLE IF NOT EXISTS shop.customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    name text NOT NULL,
    email text NOT NULL,
    newsletter boolean NOT NULL DEFAULT false,
    address jsonb NOT NULL DEFAULT '{}',
    joined_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS shop.products (
    sku text PRIMARY KEY,
    title text NOT NULL,
    price numeric(10, 2) NOT NULL CHECK (price >= 0),
    tags text[] NOT NULL DEFAULT '{}',
    attributes jsonb NOT NULL DEFAULT '{}',
    thumbnail bytea,
    stock integer NOT NULL DEFAULT 0,
    listed boolean NOT NULL DEFAULT true
);

CREATE TABLE IF NOT EXISTS shop.orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES shop.customers ON DELETE CASCADE,
    status shop.order_status NOT NULL DEFAULT 'new',
    total numeric(12, 2) NOT NULL DEFAULT 0,
    note text,
    placed_at timestamptz NOT NULL DEFAULT now(),
    shipped_at timestamptz
);

CREATE TABLE IF NOT EXISTS shop.order_items (
    order_id bigint NOT NULL REFERENCES shop.orders ON DELETE CASCADE,
    line smallint NOT NULL,
    sku text NOT NULL REFERENCES shop.products,
    quantity integer NOT NULL CHECK (quantity > 0),
    price numeric(10, 2) NOT NULL,
    PRIMARY KEY (order_id, line)
);

-- An update of these shows old and new, and a deletion all that was.
ALTER TABLE shop.orders REPLICA IDENTITY FULL;
ALTER TABLE shop.products REPLICA IDENTITY FULL;

INSERT INTO shop.products (sku, title, price, tags, attributes, thumbnail, stock)
VALUES
    ('TEA-001', 'Darjeeling, first flush', 14.90, '{tea,loose}', '{"grams": 100, "organic": true}', '\x89504e47', 120),
    ('TEA-002', 'Sencha', 11.50, '{tea,green}', '{"grams": 100, "organic": true}', '\x89504e47', 80),
    ('POT-001', 'Cast-iron pot', 64.00, '{pot}', '{"litres": 0.8, "colour": "black"}', NULL, 15),
    ('CUP-001', 'Cup, hand-thrown', 18.00, '{cup,ceramic}', '{"colour": "celadon"}', NULL, 60),
    ('CUP-002', 'Glass, double-walled', 9.95, '{cup,glass}', '{"litres": 0.25}', NULL, 200),
    ('BOX-001', 'Tin "Überraschung"', 7.25, '{}', '{"contents": ["tea", "card"]}', NULL, 40)
ON CONFLICT (sku) DO NOTHING;
