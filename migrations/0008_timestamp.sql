-- Receipts that wait for a time stamp are found by when they were signed.
CREATE INDEX receipt_created ON receipt (created_at);

-- Time stamps of an authority on our receipts, RFC 3161.
CREATE TABLE receipt_timestamp (
    package_no bigint NOT NULL, -- the package
    attempt_id bigint NOT NULL, -- 0 for the first receipt, else the attempt that it concludes
    token {bytes} NOT NULL, -- the token, DER
    stamped_at {instant} NOT NULL, -- the time that it states
    PRIMARY KEY (package_no, attempt_id)
);
