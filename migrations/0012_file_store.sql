-- The word by which a system may put files into the store. Made from the command line; only its hash is kept.
CREATE TABLE store_account (
    system_id bigint PRIMARY KEY REFERENCES federal_system (id), -- whose it is
    password_sha256 {bytes} NOT NULL, -- SHA-256 of the word
    issued_at {instant} NOT NULL -- when it was made
);

-- Files too large for a message, each in a folder of its own; from their upload until their message is acknowledged.
CREATE TABLE store_file (
    uuid text PRIMARY KEY, -- id of the folder, chosen by the sender
    no bigint NOT NULL UNIQUE, -- our number, under which the parts are
    system_id bigint NOT NULL REFERENCES federal_system (id), -- who put it there
    name text NOT NULL, -- name of the file
    size_bytes bigint NOT NULL, -- length of the file; what has come so far while it is not complete
    hash {bytes}, -- its Streebog hash of 256 bits; empty while it is not complete
    message_id {uuid}, -- the message that refers to it; empty until there is one
    uploaded_at {instant} NOT NULL -- when the upload began
);
CREATE INDEX store_file_message ON store_file (message_id);
CREATE INDEX store_file_unused ON store_file (uploaded_at) WHERE message_id IS NULL;

-- Pieces of the files.
CREATE TABLE store_part (
    no bigint NOT NULL, -- the file
    place bigint NOT NULL, -- order in it, from 0
    content {bytes} NOT NULL, -- the bytes, at most 1 MiB
    PRIMARY KEY (no, place)
);

-- Who may fetch a file, once: made when its message is handed out, worth nothing after its lease or its acknowledgement.
CREATE TABLE store_pass (
    user_name text PRIMARY KEY, -- the name that was handed out
    uuid text NOT NULL REFERENCES store_file (uuid), -- the file
    password_sha256 {bytes} NOT NULL, -- SHA-256 of the word that was handed out
    valid_until {instant} NOT NULL -- end of the lease
);
CREATE INDEX store_pass_file ON store_pass (uuid);
