-- Why: tenants share tables, so the database itself must keep them apart.
--
-- The application never works as the owner of the tables: every pooled connection becomes annals_app, which owns
-- nothing and can't bypass row level security. `isolate` is the one place that says what isolation means; every table
-- with a tenant_id is passed through it, and a test looks for one that was forgotten.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'annals_app') THEN
        CREATE ROLE annals_app NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
    END IF;
EXCEPTION
    -- Roles belong to the cluster: another database's migration may have been faster.
    WHEN duplicate_object OR unique_violation THEN NULL;
END $$;

DO $$
BEGIN
    EXECUTE format('GRANT annals_app TO %I', current_user);
    EXECUTE format('GRANT USAGE ON SCHEMA public TO annals_app');
EXCEPTION
    -- A concurrent migration of another database of the cluster writes the same row.
    WHEN OTHERS THEN
        IF NOT pg_has_role(current_user, 'annals_app', 'MEMBER') THEN RAISE; END IF;
END $$;

-- Shuts a table but for rows of the transaction's tenant. `platform_may` names what the platform's own context
-- (tenant zero) may do across tenants: nothing, read, or everything; only control tables and directories grant it.
CREATE FUNCTION isolate(tenant_table regclass, platform_may text DEFAULT 'nothing') RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    -- In a subselect, so that it is evaluated once per query and not per row.
    own constant text := $p$tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)$p$;
    platform constant text :=
        $p$(SELECT current_setting('app.tenant_id', true)) = '00000000-0000-0000-0000-000000000000'$p$;
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('CREATE POLICY own_tenant ON %s USING (%s) WITH CHECK (%s)', tenant_table, own, own);
    CASE platform_may
        WHEN 'nothing' THEN NULL;
        WHEN 'read' THEN EXECUTE format('CREATE POLICY platform ON %s FOR SELECT USING (%s)', tenant_table, platform);
    END CASE;
END $$;
REVOKE EXECUTE ON FUNCTION isolate FROM PUBLIC;
