-- Why: these rows are updated by every append or every visit of a projector or notary. With room on its page a new version of a
-- row is put beside the old one, and no index learns of it (a heap-only tuple).

ALTER TABLE journal_heads SET (fillfactor = 40);
ALTER TABLE journal_trees SET (fillfactor = 40);
ALTER TABLE projection_checkpoints SET (fillfactor = 40);
