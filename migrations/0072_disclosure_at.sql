CREATE INDEX disclosure_at ON disclosure (at, id);
