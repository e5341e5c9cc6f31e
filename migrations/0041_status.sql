-- The queue of states, for senders who call GetStatus: a message of theirs has reached its receiver. Written with the receiver's confirmation, for a sender who has called within a day; deleted with the sender's confirmation, or after 30 days.
CREATE TABLE mailbox_status (
    message_id {uuid} PRIMARY KEY REFERENCES mailbox_message (message_id), -- the message whose state it is; by this id it is confirmed
    system_id bigint NOT NULL REFERENCES federal_system (id), -- who sent that message, and is told
    queued_at {instant} NOT NULL, -- when the message was confirmed; first in, first out
    deliveries bigint NOT NULL, -- times it was handed out
    leased_until {instant} -- hidden from further calls until then
);
CREATE INDEX mailbox_status_queue ON mailbox_status (system_id, queued_at);
-- What the node of the federal exchange said of an answer after it had taken it.
ALTER TABLE remote_answer ADD COLUMN told text; -- state of the answer, in the protocol's word; empty while the node has said nothing
ALTER TABLE remote_answer ADD COLUMN told_at {instant}; -- when it said so
ALTER TABLE remote_answer ADD COLUMN told_of {uuid}; -- the message of which it said so: the one that was sent, when a refusal has taken its place since
CREATE INDEX remote_answer_told ON remote_answer (told_of) WHERE told_of IS NOT NULL;
