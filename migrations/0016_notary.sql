-- Why: whoever audits a journal must not have to trust the server. Trees over the leaf hashes are signed as they grow;
-- docs/journal-format.md says how.

-- Each tenant's newest signed tree.
CREATE TABLE journal_trees (
    tenant_id  uuid PRIMARY KEY,
    size       bigint NOT NULL CHECK (size > 0),
    -- The roots of the perfect subtrees that it consists of, the largest first: all that it takes to grow.
    edge       bytea NOT NULL CHECK (octet_length(edge) % 32 = 0),
    checkpoint text NOT NULL,
    signed_at  timestamptz NOT NULL
) WITH (fillfactor = 50);
SELECT isolate('journal_trees', 'read');
GRANT SELECT, INSERT, UPDATE ON journal_trees TO annals_app;

-- Earlier checkpoints: of each hour in which there were some, the last.
CREATE TABLE journal_checkpoints (
    tenant_id  uuid NOT NULL,
    size       bigint NOT NULL CHECK (size > 0),
    checkpoint text NOT NULL,
    signed_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, size)
);
SELECT isolate('journal_checkpoints');
GRANT SELECT, INSERT ON journal_checkpoints TO annals_app;

-- The trees' tiles (C2SP tlog-tiles) as they grew: a tile is its pieces one after the other. Level 0 is the notary's own
-- copy of the leaf hashes, so that an event that is changed later can be told from the one that was signed.
CREATE TABLE journal_tiles (
    tenant_id uuid NOT NULL,
    level     smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
    tile      bigint NOT NULL CHECK (tile >= 0),
    -- The piece's place in the tile, counted in hashes.
    start     smallint NOT NULL CHECK (start BETWEEN 0 AND 255),
    hashes    bytea NOT NULL CHECK (octet_length(hashes) % 32 = 0 AND octet_length(hashes) BETWEEN 32 AND 8192),
    PRIMARY KEY (tenant_id, level, tile, start)
);
-- Hashes can't be compressed, so nobody should try.
ALTER TABLE journal_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;
SELECT isolate('journal_tiles');
GRANT SELECT, INSERT ON journal_tiles TO annals_app;

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON journal_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE journal_checkpoints ENABLE ALWAYS TRIGGER immutable;
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON journal_tiles
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE journal_tiles ENABLE ALWAYS TRIGGER immutable;
