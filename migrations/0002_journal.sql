-- No foreign keys in the journal: a row is written in the transaction that writes its parent,
-- by one module, and parents are never deleted.

-- Accepted packages. A row is written in the transaction that makes the package durable; never deleted.
CREATE TABLE package (
    no bigint PRIMARY KEY, -- our number, rising with acceptance
    supplier_id bigint NOT NULL, -- who sent it
    package_id {uuid} NOT NULL, -- the supplier's id, its idempotency key
    sha256 {bytes} NOT NULL, -- SHA-256 of the XML document
    content_bytes bigint NOT NULL, -- length of the XML document
    parts bigint NOT NULL, -- number of its rows in content
    records bigint NOT NULL, -- number of records in it
    package_type text NOT NULL, -- type from the header
    mode text NOT NULL, -- ALL or UPDATED
    scope text NOT NULL, -- REGION or ORG:external id
    sequence bigint, -- number in the row of supplier, type and scope
    previous_sequence bigint, -- number it follows
    snapshot_at {instant} NOT NULL, -- when the supplier read its data
    test boolean NOT NULL, -- checked only, never applied
    header text NOT NULL, -- the whole header as JSON
    signer_sha256 text NOT NULL, -- certificate that signed it
    peer text NOT NULL, -- network address it came from
    received_at {instant} NOT NULL, -- when it was accepted
    state text NOT NULL CHECK (state IN ('received', 'waiting', 'registered', 'rejected', 'failed')), -- where it is
    state_at {instant} NOT NULL, -- since when, by the database's clock
    reason text, -- why it is waiting, rejected or failed: a finding code
    UNIQUE (supplier_id, package_id)
);
CREATE INDEX package_sequence ON package (supplier_id, package_type, scope, sequence) WHERE sequence IS NOT NULL;
CREATE INDEX package_unfinished ON package (state, no) WHERE state <> 'registered';

-- The XML of packages as zstd frames of at most 1 MiB of XML each, in order.
CREATE TABLE content (
    package_no bigint NOT NULL, -- the package
    part bigint NOT NULL, -- number of the frame, from 0
    bytes {bytes} NOT NULL, -- one zstd frame
    PRIMARY KEY (package_no, part)
);
{postgres} ALTER TABLE content ALTER COLUMN bytes SET STORAGE EXTERNAL;

-- Our signed statements about packages: first that it is durable, then what became of it.
CREATE TABLE receipt (
    package_no bigint NOT NULL, -- the package
    attempt_id bigint NOT NULL, -- 0 for the first receipt, else the attempt it concludes
    xml {bytes} NOT NULL, -- the signed document as one zstd frame
    created_at {instant} NOT NULL, -- when it was signed
    PRIMARY KEY (package_no, attempt_id)
);
{postgres} ALTER TABLE receipt ALTER COLUMN xml SET STORAGE EXTERNAL;

-- Tries at processing a package: the first, and each replay. Never deleted.
CREATE TABLE attempt (
    id bigint PRIMARY KEY, -- our number
    package_no bigint NOT NULL, -- the package
    number bigint NOT NULL, -- 1 for the first
    previous_id bigint, -- the attempt it repeats
    reason text, -- why an operator asked for it
    actor text, -- who asked
    approved boolean NOT NULL, -- whether guards that hold a package are waived
    part bigint NOT NULL, -- doorbell partition of its supplier
    requested_at {instant} NOT NULL, -- when it was asked for
    tries bigint NOT NULL, -- times work began without progress since, counted before the work
    leased_until {instant}, -- until when a worker has it
    leased_by text, -- which worker
    next_try_at {instant}, -- not before, after a passing failure
    due_at {instant}, -- when the sweep rings it again; absent while it is held and when it has ended
    records_done bigint NOT NULL, -- records already applied and committed
    findings bigint NOT NULL, -- findings already committed
    counts text, -- counts per kind so far, as JSON
    started_at {instant}, -- first try
    finished_at {instant}, -- when it ended
    outcome text, -- state of the package it led to, or replaced
    error text, -- last passing failure, for operators
    UNIQUE (package_no, number)
);
CREATE INDEX attempt_due ON attempt (due_at) WHERE due_at IS NOT NULL;

-- What was wrong with records, by attempt.
CREATE TABLE finding (
    attempt_id bigint NOT NULL, -- the attempt
    seq bigint NOT NULL, -- number in the attempt, from 1
    code text NOT NULL, -- stable code
    severity text NOT NULL, -- ERROR or WARNING
    kind text, -- record kind, absent for the package as a whole
    record bigint NOT NULL, -- number of the record in the package
    external_id text NOT NULL, -- the supplier's id of the record
    field text, -- element name
    line bigint NOT NULL, -- line in the package
    detail text, -- limit, rule or dictionary
    PRIMARY KEY (attempt_id, seq)
);
CREATE INDEX finding_code ON finding (code, attempt_id);

-- Doorbell rings not yet confirmed by the broker. A row goes when the broker has confirmed it.
CREATE TABLE outbox (
    attempt_id bigint PRIMARY KEY, -- attempt to process, also the order of ringing
    package_no bigint NOT NULL, -- its package
    part bigint NOT NULL, -- partition of its supplier
    created_at {instant} NOT NULL, -- when it was written
    claimed_until {instant}, -- until when a relay has it
    claimed_by text -- which relay; a fresh ring takes it away
);

-- Deliveries we did not take, for operators; bounded by the sweep.
CREATE TABLE refusal (
    id bigint PRIMARY KEY, -- order of arrival
    code text NOT NULL, -- stable code
    detail text, -- what exactly
    supplier text, -- mnemonic of the supplier it came from, as far as known
    package_id text, -- package id it claimed
    sha256 text, -- SHA-256 of the bytes, if all were read
    peer text NOT NULL, -- network address
    refused_at {instant} NOT NULL -- when
);
