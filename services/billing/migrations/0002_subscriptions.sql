-- Instances that are paid in advance, and who paid what.
ALTER TABLE instances
    ADD COLUMN charge_type  text NOT NULL DEFAULT 'pay_as_you_go'
        CHECK (charge_type IN ('pay_as_you_go', 'subscription')),
    -- For how many months it was bought; a renewal by itself is for as many.
    ADD COLUMN months       integer NOT NULL DEFAULT 0 CHECK (months >= 0),
    ADD COLUMN month_micros bigint NOT NULL DEFAULT 0 CHECK (month_micros >= 0),
    ADD COLUMN auto_renew   boolean NOT NULL DEFAULT false,
    -- When its months are over.
    ADD COLUMN expires_at   timestamptz,
    -- While it is expired: when it ends, unless it is renewed.
    ADD COLUMN release_at   timestamptz,
    -- When it ended because it was not renewed in time.
    ADD COLUMN lapsed_at    timestamptz,
    -- Counts expiries, renewals and ends.
    ADD COLUMN version      bigint NOT NULL DEFAULT 1,
    ADD CHECK ((charge_type = 'subscription') = (expires_at IS NOT NULL));

CREATE INDEX instances_by_expiry ON instances (expires_at)
    WHERE expires_at IS NOT NULL AND ended_at IS NULL AND lapsed_at IS NULL;

-- What was bought. A row is written once and stays.
CREATE TABLE orders (
    id            text PRIMARY KEY,
    order_key     text NOT NULL UNIQUE,
    task_id       text NOT NULL REFERENCES instances (task_id),
    renewal       boolean NOT NULL,
    charge_type   text NOT NULL CHECK (charge_type IN ('pay_as_you_go', 'subscription')),
    months        integer NOT NULL CHECK (months >= 0),
    amount_micros bigint NOT NULL CHECK (amount_micros >= 0),
    currency      text NOT NULL,
    price_version text NOT NULL,
    actor         text NOT NULL,
    ordered_at    timestamptz NOT NULL,
    period_from   timestamptz,
    period_until  timestamptz,
    CHECK ((charge_type = 'subscription') = (period_from IS NOT NULL AND period_until > period_from))
);

CREATE INDEX orders_by_task ON orders (task_id, ordered_at);

-- Ids of instances and orders differ in their first letter only.
INSERT INTO orders (id, order_key, task_id, renewal, charge_type, months, amount_micros, currency,
                    price_version, actor, ordered_at)
SELECT 'o' || substr(id, 2), order_key, task_id, false, 'pay_as_you_go', 0, 0, currency,
       price_version, actor, purchased_at
FROM instances;
