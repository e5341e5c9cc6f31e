-- Certificates that signed a refused package of a supplier, right and trusted but not registered: for an operator to
-- approve. Few for each supplier; forgotten when approved or dismissed.
CREATE TABLE certificate_candidate (
    sha256 text PRIMARY KEY, -- lower-case hex of SHA-256 of the DER
    supplier_id bigint NOT NULL REFERENCES supplier (id), -- the supplier whose mnemonic the package named
    der {bytes} NOT NULL, -- the certificate
    subject text NOT NULL, -- distinguished name for people
    not_before {instant} NOT NULL, -- start of validity
    not_after {instant} NOT NULL, -- end of validity
    first_seen_at {instant} NOT NULL, -- when it first signed a refused package
    last_seen_at {instant} NOT NULL, -- when it last did
    packages bigint NOT NULL -- how many it signed
);
CREATE INDEX certificate_candidate_supplier ON certificate_candidate (supplier_id);
