-- Ids handed out in blocks; one row a name.
CREATE TABLE id_block (
    name text PRIMARY KEY, -- what the ids are for
    next bigint NOT NULL -- first id not yet reserved
);

-- Organisations' subsystems that send us packages. Written from the command line, never deleted.
CREATE TABLE supplier (
    id bigint PRIMARY KEY, -- our number of the supplier
    mnemonic text NOT NULL UNIQUE, -- the name it uses in headers, for example DIARY0001
    name text NOT NULL, -- name for people
    kind text NOT NULL, -- diary, preschool, xls or other
    status text NOT NULL CHECK (status IN ('active', 'blocked')), -- a blocked supplier is refused
    scope text NOT NULL CHECK (scope IN ('region', 'organisations')), -- the whole region, or only the organisations of supplier_organisation
    strict_checksums boolean NOT NULL, -- whether a failed check digit is an error, not a warning
    test_packages boolean NOT NULL, -- whether packages marked as test are taken
    created_at {instant} NOT NULL -- when it was registered
);

-- Certificates that may sign for a supplier; several at a time, a successor beforehand.
CREATE TABLE supplier_certificate (
    sha256 text PRIMARY KEY, -- lower-case hex of SHA-256 of the DER
    supplier_id bigint NOT NULL REFERENCES supplier (id), -- whose it is
    der {bytes} NOT NULL, -- the certificate
    subject text NOT NULL, -- distinguished name for people
    not_before {instant} NOT NULL, -- start of validity
    not_after {instant} NOT NULL, -- end of validity
    added_at {instant} NOT NULL, -- when it was registered
    withdrawn_at {instant} -- when the operator took it back
);

-- Certification authorities whose certificates are accepted as issuers of signers.
CREATE TABLE trust_anchor (
    sha256 text PRIMARY KEY, -- lower-case hex of SHA-256 of the DER
    der {bytes} NOT NULL, -- the certificate
    subject text NOT NULL, -- distinguished name for people
    added_at {instant} NOT NULL -- when it was added
);

-- Grows with every change of suppliers, certificates, authorities or dictionaries, so that processes notice; one row.
CREATE TABLE party_change (
    one bigint PRIMARY KEY CHECK (one = 1), -- always 1
    generation bigint NOT NULL -- number of changes so far
);

-- Organisations a supplier with scope organisations may write.
CREATE TABLE supplier_organisation (
    supplier_id bigint NOT NULL REFERENCES supplier (id), -- the supplier
    organisation_id bigint NOT NULL, -- registry id of the organisation
    PRIMARY KEY (supplier_id, organisation_id)
);

-- Versioned reference codes.
CREATE TABLE dictionary_code (
    dictionary text NOT NULL, -- name of the dictionary, for example identity-document
    version text NOT NULL, -- version of the list
    code text NOT NULL, -- code in this version
    canonical text NOT NULL, -- the same in the version whose codes are stored
    title text NOT NULL, -- Russian title
    PRIMARY KEY (dictionary, version, code)
);

-- Suppliers' own codes and what they mean here.
CREATE TABLE dictionary_map (
    supplier_id bigint NOT NULL REFERENCES supplier (id), -- whose code
    dictionary text NOT NULL, -- name of the dictionary
    foreign_code text NOT NULL, -- the supplier's code
    code text NOT NULL, -- our canonical code
    PRIMARY KEY (supplier_id, dictionary, foreign_code)
);
