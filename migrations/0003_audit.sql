-- Acts of persons and systems. Append-only; each row holds the hash of the one before.
CREATE TABLE audit (
    id bigint PRIMARY KEY, -- order in the chain, from 1 without gaps
    at {instant} NOT NULL, -- when
    actor text NOT NULL, -- who: supplier, operator or federal system
    action text NOT NULL, -- what, for example package.accept
    object text NOT NULL, -- on what: kind and id
    detail text, -- what else, as JSON; no personal data beyond ids
    hash {bytes} NOT NULL -- SHA-256 of the previous hash and this row
);

-- End of the chain; one row.
CREATE TABLE audit_head (
    one bigint PRIMARY KEY CHECK (one = 1), -- always 1
    id bigint NOT NULL, -- last row
    hash {bytes} NOT NULL -- its hash
);
