-- Why: a tenant sees what it has subscribed to. It has one subscription.

CREATE TABLE subscriptions (
    tenant_id        uuid PRIMARY KEY,
    id               text COLLATE "C" NOT NULL,
    plan             text NOT NULL,
    state            text NOT NULL,
    events_per_month bigint NOT NULL,
    seats            bigint NOT NULL,
    overage          text NOT NULL,
    seats_taken      bigint NOT NULL,
    started_at       timestamptz NOT NULL,
    trial_ends_at    timestamptz,
    sequence         bigint NOT NULL
);
SELECT isolate('subscriptions');
GRANT SELECT, INSERT, UPDATE, DELETE ON subscriptions TO annals_app;
