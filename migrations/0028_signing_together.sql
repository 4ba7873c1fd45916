-- Why: the trees of tenants that have grown meanwhile are signed together, in one transaction.

SELECT open_to_projectors(signed, 'ALL') FROM unnest('{journal_trees, journal_checkpoints, journal_tiles}'::regclass[]) AS signed;
