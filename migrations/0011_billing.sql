-- Why: a bill counts what a billing period has taken; a customer also sees what it has refused.

CREATE TABLE billing (
    tenant_id    uuid NOT NULL,
    period_start timestamptz NOT NULL,
    period_end   timestamptz NOT NULL,
    admitted     bigint NOT NULL,
    refused      bigint NOT NULL,
    PRIMARY KEY (tenant_id, period_start)
);
SELECT isolate('billing');
GRANT SELECT, INSERT, UPDATE, DELETE ON billing TO annals_app;
