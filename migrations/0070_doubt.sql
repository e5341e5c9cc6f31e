-- The last delivery of each operation for which the node of the federal exchange did not vouch, or which was for somebody else. Written by whoever polls the node, one row an operation; never deleted.
CREATE TABLE remote_doubt (
    operation text PRIMARY KEY, -- GetRequest, GetStatus, GetResponse or SendResponse
    fault text NOT NULL, -- why, by our code
    fault_text text NOT NULL, -- the same in words
    at {instant} NOT NULL -- when
);
