-- Persons who move to another region: what the federal segment told us. Written with the answer to its notice; never deleted.
CREATE TABLE transfer_case (
    id {uuid} PRIMARY KEY, -- our id of it, random
    system_id bigint NOT NULL REFERENCES federal_system (id), -- who told
    person_id bigint NOT NULL, -- registry id of the person
    direction text NOT NULL CHECK (direction IN ('LEAVING', 'ARRIVED')), -- whether the person was about to go or was there already
    region text NOT NULL, -- code of the other region
    moved_on {date} NOT NULL, -- when, by the notice
    organisation text NOT NULL, -- name of the organisation that takes the person in
    reason text NOT NULL, -- why, in the words of the asker
    state text NOT NULL CHECK (state IN ('OPEN', 'CONFIRMED', 'DECLINED')), -- where it is
    opened_at {instant} NOT NULL, -- when the notice was taken
    decided_on {date}, -- the date of the decision, by the asker
    decided_by bigint REFERENCES federal_system (id), -- who decided
    decided_at {instant} -- when the decision was taken
);
CREATE INDEX transfer_case_person ON transfer_case (person_id);

-- Memberships that a confirmed transfer closed. Their entries in change_log have package 0 and supplier 0: the federal segment said so.
CREATE TABLE transfer_closing (
    case_id {uuid} NOT NULL REFERENCES transfer_case (id), -- the case
    membership_id bigint NOT NULL, -- registry id of the membership
    change_id bigint NOT NULL, -- its entry in change_log
    PRIMARY KEY (case_id, membership_id)
);

-- Persons who were merged into another one are found from that one.
CREATE INDEX person_merged ON person (merged_into) WHERE merged_into IS NOT NULL;
