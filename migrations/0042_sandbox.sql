-- The mark of a sandbox, one row. A database with it is never served, one without it is never a sandbox. Written into an empty database; never deleted.
CREATE TABLE sandbox (
    one bigint PRIMARY KEY CHECK (one = 1), -- always 1
    marked_at {instant} NOT NULL -- when it became a sandbox
);
