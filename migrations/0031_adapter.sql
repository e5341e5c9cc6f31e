-- Requests may also be pulled from the node of the federal exchange.
ALTER TABLE mailbox_request ADD COLUMN origin text NOT NULL DEFAULT 'door' CHECK (origin IN ('door', 'remote')); -- door: came through our own door; remote: pulled from the node of the federal exchange

-- Answers to requests pulled from the node of the federal exchange. A row is written together with its request, before anything is sent; never deleted.
CREATE TABLE remote_answer (
    request_id {uuid} PRIMARY KEY REFERENCES mailbox_request (message_id), -- the request that it answers
    message_id {uuid} NOT NULL UNIQUE, -- id under which it is sent, again and again the same; a new one only when the node found it too old, or refused the answer for good
    version text NOT NULL, -- version of the exchange in which it is written
    reply_to text NOT NULL, -- return address of the request, which the answer repeats
    rejection text, -- code of the refusal that is answered; empty: the answer has content
    envelope {bytes}, -- zstd frame of the signed message, sent as it is; forgotten when the node has taken it
    envelope_sha256 {bytes} NOT NULL, -- SHA-256 of the signed message, kept
    state text NOT NULL CHECK (state IN ('waiting', 'sent', 'parked')), -- waiting: to be sent; sent: the node has taken it; parked: the node refused it for good, an operator must decide
    tries bigint NOT NULL, -- times it was tried since the state changed
    next_at {instant} NOT NULL, -- it is not tried before
    fault text, -- what was answered last, by the name of the fault or our word for it; empty after success
    fault_text text, -- the same in words
    faulted_at {instant}, -- when
    created_at {instant} NOT NULL, -- when the request was answered
    sent_at {instant}, -- when the node took it
    acknowledged_at {instant} -- when the node was told that we have the request; emptied when it hands the request out again
);
CREATE INDEX remote_answer_due ON remote_answer (next_at) WHERE state = 'waiting' OR acknowledged_at IS NULL;
CREATE INDEX remote_answer_parked ON remote_answer (created_at) WHERE state = 'parked';

-- How the conversation with the node of the federal exchange goes; one row, written by whoever polls it.
CREATE TABLE remote_node (
    one bigint PRIMARY KEY CHECK (one = 1), -- always 1
    url text NOT NULL, -- address that is polled
    polled_at {instant}, -- when it last answered a poll, to a quarter of a minute
    fault text, -- what it answered last instead, by the name of the fault or our word for it; empty after success
    fault_text text, -- the same in words
    faulted_at {instant} -- when
);
