-- Information systems of the federal segment that may ask us. Written from the command line, never deleted.
CREATE TABLE federal_system (
    id bigint PRIMARY KEY, -- our number of the system
    mnemonic text NOT NULL UNIQUE, -- its mnemonic in the federal exchange
    name text NOT NULL, -- name for people
    status text NOT NULL CHECK (status IN ('active', 'blocked')), -- a blocked system is denied access
    created_at {instant} NOT NULL -- when it was registered
);

-- Certificates that sign for a federal system; several at a time, a successor beforehand.
CREATE TABLE federal_certificate (
    sha256 text PRIMARY KEY, -- lower-case hex of SHA-256 of the DER
    system_id bigint NOT NULL REFERENCES federal_system (id), -- whose it is
    der {bytes} NOT NULL, -- the certificate
    subject text NOT NULL, -- distinguished name for people
    not_before {instant} NOT NULL, -- start of validity
    not_after {instant} NOT NULL, -- end of validity
    added_at {instant} NOT NULL, -- when it was registered
    withdrawn_at {instant} -- when the operator took it back
);
CREATE INDEX federal_certificate_system ON federal_certificate (system_id);

-- The key that authenticates cursors; one row, made at first use. A cursor of another database is refused.
CREATE TABLE federal_secret (
    one bigint PRIMARY KEY CHECK (one = 1), -- always 1
    cursor_key {bytes} NOT NULL, -- 32 random bytes
    created_at {instant} NOT NULL -- when it was made
);

-- Ids that the federal segment gave to persons of the registry. Never deleted.
CREATE TABLE federal_identity (
    federal_id text PRIMARY KEY, -- the id it gave
    person_id bigint NOT NULL, -- registry id of the person
    assigned_at {instant} NOT NULL -- when we learned it
);
CREATE INDEX federal_identity_person ON federal_identity (person_id);

-- Requests taken from federal systems. A row is written together with its answer; never deleted.
CREATE TABLE mailbox_request (
    message_id {uuid} PRIMARY KEY, -- the sender's id of the message, unique over all senders
    system_id bigint NOT NULL REFERENCES federal_system (id), -- who asks
    node_id text NOT NULL, -- its node, whose queue gets the answer; empty for the common queue
    reference_id {uuid}, -- first request of the business chain
    transaction_code text, -- code of the state service
    root_namespace text NOT NULL, -- namespace of the content's root element
    root_element text NOT NULL, -- local name of the content's root element
    test boolean NOT NULL, -- marked as a test by the sender
    envelope {bytes} NOT NULL, -- zstd frame of the signed envelope as it came
    peer text NOT NULL, -- network address it came from
    received_at {instant} NOT NULL -- when it was taken
);
CREATE INDEX mailbox_request_system ON mailbox_request (system_id, received_at);

-- Answers waiting to be pulled, and those already acknowledged.
CREATE TABLE mailbox_answer (
    message_id {uuid} PRIMARY KEY, -- our id of the answer
    request_id {uuid} NOT NULL REFERENCES mailbox_request (message_id), -- what it answers
    system_id bigint NOT NULL REFERENCES federal_system (id), -- whose queue
    node_id text NOT NULL, -- queue of this node; empty for the common queue
    root_namespace text NOT NULL, -- namespace of the content's root element
    root_element text NOT NULL, -- local name of the content's root element
    request_element text NOT NULL, -- local name of the request's root element, in the same namespace
    content {bytes}, -- zstd frame of the data we provide; forgotten when acknowledged
    content_sha256 {bytes} NOT NULL, -- SHA-256 of that data, kept
    signature text NOT NULL, -- our ds:Signature over that data as its provider
    queued_at {instant} NOT NULL, -- when it was put in the queue, which is first in, first out
    sequence bigint NOT NULL, -- order among answers queued in the same instant
    deliveries bigint NOT NULL, -- times it was handed out
    leased_until {instant}, -- hidden from others until then
    delivered_at {instant}, -- when it was last handed out
    acknowledged_at {instant}, -- when the receiver confirmed it
    accepted boolean -- whether the receiver accepted our signature
);
CREATE INDEX mailbox_answer_queue ON mailbox_answer (system_id, node_id, queued_at, sequence) WHERE acknowledged_at IS NULL;
CREATE INDEX mailbox_answer_request ON mailbox_answer (request_id);

-- Who was told what about whom, when and why. Written with the answer; never deleted.
CREATE TABLE disclosure (
    id bigint PRIMARY KEY, -- our number
    at {instant} NOT NULL, -- when
    system_id bigint NOT NULL REFERENCES federal_system (id), -- who asked
    request_id {uuid} NOT NULL REFERENCES mailbox_request (message_id), -- with which message
    question text NOT NULL, -- which question: root element of the request
    purpose text NOT NULL, -- why, in the words of the asker
    criteria text NOT NULL, -- whom or what was asked about, as JSON
    answered text NOT NULL, -- how much of each kind was told, as JSON
    persons bigint NOT NULL -- number of persons it told about
);
CREATE INDEX disclosure_system ON disclosure (system_id, at);

-- The persons a disclosure told about: answers who was told about me.
CREATE TABLE disclosure_person (
    person_id bigint NOT NULL, -- registry id of the person
    disclosure_id bigint NOT NULL REFERENCES disclosure (id), -- the disclosure
    PRIMARY KEY (person_id, disclosure_id)
);

-- FindPerson looks through those born on a day.
CREATE INDEX person_birth_date ON person (birth_date);
