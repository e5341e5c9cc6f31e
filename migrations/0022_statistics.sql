-- Counts ordered by federal systems, built one by one in the background. A row is written with the answer to the order; never deleted.
CREATE TABLE statistics_job (
    id {uuid} PRIMARY KEY, -- our id of it, random
    system_id bigint NOT NULL REFERENCES federal_system (id), -- who ordered it
    query text NOT NULL, -- what is counted, as JSON
    state text NOT NULL CHECK (state IN ('ordered', 'built', 'failed', 'forgotten')), -- where it is; forgotten when the result has been kept for its time
    ordered_at {instant} NOT NULL, -- when it was ordered
    tries bigint NOT NULL, -- how often building was begun; counted before work
    leased_until {instant}, -- others leave it alone until then
    built_at {instant}, -- when the result was there
    pages bigint NOT NULL -- pages of the result, 0 before it is there
);
CREATE INDEX statistics_job_ordered ON statistics_job (ordered_at) WHERE state = 'ordered';
CREATE INDEX statistics_job_system ON statistics_job (system_id, state);
CREATE INDEX statistics_job_built ON statistics_job (built_at) WHERE state = 'built';

-- What was built, page by page. Deleted a week later.
CREATE TABLE statistics_page (
    job_id {uuid} NOT NULL REFERENCES statistics_job (id), -- the job
    page bigint NOT NULL, -- number of the page, from 1
    content {bytes} NOT NULL, -- zstd frame of the page as JSON
    PRIMARY KEY (job_id, page)
);

-- The key that makes pseudonyms of persons; one row, made at first use. Never told, never changed: pseudonyms of years must agree.
CREATE TABLE statistics_secret (
    one bigint PRIMARY KEY CHECK (one = 1), -- always 1
    pseudonym_key {bytes} NOT NULL, -- 32 random bytes
    created_at {instant} NOT NULL -- when it was made
);
