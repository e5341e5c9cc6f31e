-- Whose requests stand before those of others in the queue of a provider.
ALTER TABLE federal_system ADD COLUMN vip boolean NOT NULL DEFAULT false; -- whether its requests go first
-- Not every system of the region that exchanges messages through us may ask about persons.
ALTER TABLE federal_system ADD COLUMN asks boolean NOT NULL DEFAULT true; -- whether it may ask the questions of the federal segment

-- Kinds of messages that systems of the region exchange through us. Written from the command line, never deleted.
CREATE TABLE message_type (
    code text PRIMARY KEY, -- our word for it
    title text NOT NULL, -- name for people
    provider_id bigint NOT NULL REFERENCES federal_system (id), -- who answers such requests
    open_to_all boolean NOT NULL, -- whether every registered system may ask, or only those of message_type_grant
    created_at {instant} NOT NULL -- when it was registered
);

-- Root elements of a kind of messages; several where it has several versions of its schema.
CREATE TABLE message_type_root (
    namespace text NOT NULL, -- namespace of both elements
    request_element text NOT NULL, -- local name of the root of a request
    response_element text NOT NULL, -- local name of the root of an answer
    code text NOT NULL REFERENCES message_type (code), -- the kind
    PRIMARY KEY (namespace, request_element)
);

-- Systems that may ask for a kind of messages that is not open to all.
CREATE TABLE message_type_grant (
    code text NOT NULL REFERENCES message_type (code), -- the kind
    system_id bigint NOT NULL REFERENCES federal_system (id), -- who may ask
    PRIMARY KEY (code, system_id)
);

-- Requests for others, too.
ALTER TABLE mailbox_request ADD COLUMN version text NOT NULL DEFAULT '1.3'; -- version of the exchange it came by
ALTER TABLE mailbox_request ADD COLUMN message_type text NOT NULL DEFAULT ''; -- kind of messages: code of message_type, or for our own questions namespace#root
ALTER TABLE mailbox_request ADD COLUMN provider_id bigint REFERENCES federal_system (id); -- who is to answer; empty: we have answered at once
ALTER TABLE mailbox_request ADD COLUMN end_of_life {instant}; -- when the sender no longer wants an answer
ALTER TABLE mailbox_request ADD COLUMN closed_at {instant}; -- when it was answered or given up; nothing further is taken for it
UPDATE mailbox_request SET message_type = root_namespace || '#' || root_element, closed_at = received_at;
CREATE INDEX mailbox_request_open ON mailbox_request (end_of_life) WHERE closed_at IS NULL;

-- Messages waiting to be pulled, and those already acknowledged: requests for providers, answers for consumers.
CREATE TABLE mailbox_message (
    message_id {uuid} PRIMARY KEY, -- id of the message: its sender's, or ours
    queue text NOT NULL CHECK (queue IN ('request', 'response')), -- which of the queues of the system
    system_id bigint NOT NULL REFERENCES federal_system (id), -- whose queue
    node_id text NOT NULL, -- queue of this node; empty for the common queue
    request_id {uuid} NOT NULL REFERENCES mailbox_request (message_id), -- the request that it is or answers
    sender_id bigint REFERENCES federal_system (id), -- who sent it; empty: we
    message_type text NOT NULL, -- kind of messages, as of its request
    priority bigint NOT NULL, -- 0 goes before 1
    version text NOT NULL, -- version of the exchange in which its content is written
    content {bytes}, -- zstd frame of the data of its sender; forgotten when acknowledged
    content_sha256 {bytes} NOT NULL, -- SHA-256 of that data, kept
    signature text, -- the sender's ds:Signature over that data
    attachments bigint NOT NULL, -- number of files in mailbox_attachment
    queued_at {instant} NOT NULL, -- when it was put in the queue, which is first in, first out
    sequence bigint NOT NULL, -- order among messages queued in the same instant
    deliveries bigint NOT NULL, -- times it was handed out
    leased_until {instant}, -- hidden from others until then
    delivered_at {instant}, -- when it was last handed out
    acknowledged_at {instant}, -- when the receiver confirmed it, or it was given up
    accepted boolean -- whether the receiver accepted our signature; empty when it was given up
);
CREATE INDEX mailbox_message_queue ON mailbox_message (system_id, queue, node_id, priority, queued_at, sequence) WHERE acknowledged_at IS NULL;
CREATE INDEX mailbox_message_request ON mailbox_message (request_id);

-- Files sent inside a message, until it is acknowledged.
CREATE TABLE mailbox_attachment (
    message_id {uuid} NOT NULL REFERENCES mailbox_message (message_id), -- the message
    place bigint NOT NULL, -- order in it, from 0
    attachment_id text NOT NULL, -- its id in the message
    content {bytes} NOT NULL, -- its bytes
    PRIMARY KEY (message_id, place)
);

INSERT INTO mailbox_message (message_id, queue, system_id, node_id, request_id, message_type, priority, version, content,
    content_sha256, signature, attachments, queued_at, sequence, deliveries, leased_until, delivered_at, acknowledged_at, accepted)
SELECT message_id, 'response', system_id, node_id, request_id, root_namespace || '#' || request_element, 1, '1.3', content,
    content_sha256, signature, 0, queued_at, sequence, deliveries, leased_until, delivered_at, acknowledged_at, accepted
FROM mailbox_answer;
DROP TABLE mailbox_answer;

-- When a system last polled a queue: tells who has not.
CREATE TABLE mailbox_poll (
    system_id bigint NOT NULL REFERENCES federal_system (id), -- who
    queue text NOT NULL, -- which of its queues
    node_id text NOT NULL, -- of which node
    polled_at {instant} NOT NULL, -- when, to the minute
    PRIMARY KEY (system_id, queue, node_id)
);
