-- The registry: current values of every record kind, their whole history, and who calls them what.

-- Education management bodies. One row a body, whoever sent it; never deleted.
CREATE TABLE management_body (
    id bigint PRIMARY KEY, -- registry id
    full_name text NOT NULL, -- full name
    short_name text, -- short name
    level text NOT NULL, -- level: code of dictionary body-level
    parent_id bigint, -- registry id of the management body: parent
    inn text, -- taxpayer number
    ogrn text, -- state registration number
    okpo text, -- code of the register of enterprises
    okato text, -- territory by the older classifier
    oktmo text, -- territory by the classifier of municipalities
    okogu text, -- code of government bodies
    locality text, -- locality
    legal_address text, -- legal address
    postal_address text, -- postal address
    phone text, -- phone
    fax text, -- fax
    email text, -- email
    website text, -- website
    status text, -- status: code of dictionary organisation-status
    as_of {instant} NOT NULL, -- when the newest package that set something read its data
    package_no bigint NOT NULL, -- that package
    version bigint NOT NULL, -- grows with every change of the row
    closed_at {instant} -- when a full package no longer mentioned it
);
CREATE INDEX management_body_inn ON management_body (inn) WHERE inn IS NOT NULL;

-- Education organisations. One row an organisation, whoever sent it; never deleted.
CREATE TABLE organisation (
    id bigint PRIMARY KEY, -- registry id
    full_name text NOT NULL, -- full name
    short_name text, -- short name
    extra_name text, -- extra name
    organisation_type text NOT NULL, -- type: code of dictionary organisation-type
    status text NOT NULL, -- status: code of dictionary organisation-status
    structure text, -- structure: code of dictionary organisation-structure
    inn text NOT NULL, -- taxpayer number
    kpp text, -- reason code of tax registration
    ogrn text, -- state registration number
    okpo text, -- code of the register of enterprises
    okato text, -- territory by the older classifier
    oktmo text, -- territory by the classifier of municipalities
    okogu text, -- code of government bodies
    okopf text, -- legal form
    okfs text, -- form of ownership
    okved text, -- kind of activity
    founder_kind text, -- founder kind: code of dictionary founder-kind
    management_body_id bigint, -- registry id of the management body
    head_organisation_id bigint, -- registry id of the organisation: head organisation
    founded_on {date}, -- founded on
    liquidated_on {date}, -- liquidated on
    licence_number text, -- licence number
    licence_date {date}, -- licence date
    accreditation_number text, -- accreditation number
    accreditation_date {date}, -- accreditation date
    locality text, -- locality
    legal_address text, -- legal address
    postal_address text, -- postal address
    phone text, -- phone
    fax text, -- fax
    email text, -- email
    website text, -- website
    director text, -- director
    capacity bigint, -- capacity
    language text, -- language
    as_of {instant} NOT NULL, -- when the newest package that set something read its data
    package_no bigint NOT NULL, -- that package
    version bigint NOT NULL, -- grows with every change of the row
    closed_at {instant} -- when a full package no longer mentioned it
);
CREATE INDEX organisation_inn ON organisation (inn) WHERE inn IS NOT NULL;
CREATE INDEX organisation_ogrn ON organisation (ogrn) WHERE ogrn IS NOT NULL;

-- Classes and preschool groups of one school year, as their supplier sent them; closed, never deleted.
CREATE TABLE class_group (
    id bigint PRIMARY KEY, -- registry id
    supplier_id bigint NOT NULL, -- whose record it is
    external_id text NOT NULL, -- the supplier's id of it
    organisation_id bigint NOT NULL, -- registry id of the organisation
    school_year text NOT NULL, -- school year
    name text NOT NULL, -- name
    parallel bigint, -- parallel
    letter text, -- letter
    class_kind text, -- kind: code of dictionary class-kind
    form text, -- form: code of dictionary education-form
    shift text, -- shift: code of dictionary shift
    programme text, -- programme: code of dictionary programme
    adaptation text, -- adaptation: code of dictionary adaptation
    group_mode text, -- mode: code of dictionary group-mode
    language text, -- language
    capacity bigint, -- capacity
    age_from bigint, -- age from
    age_to bigint, -- age to
    as_of {instant} NOT NULL, -- when the newest package that set something read its data
    package_no bigint NOT NULL, -- that package
    version bigint NOT NULL, -- grows with every change of the row
    closed_at {instant}, -- when a full package no longer mentioned it
    UNIQUE (supplier_id, external_id)
);
CREATE INDEX class_group_organisation ON class_group (organisation_id);

-- Natural persons. One row a person, whoever sent it; never deleted, a merged one points to its heir.
CREATE TABLE person (
    id bigint PRIMARY KEY, -- registry id
    last_name text NOT NULL, -- last name
    first_name text NOT NULL, -- first name
    middle_name text, -- middle name
    sex text NOT NULL, -- sex: code of dictionary sex
    birth_date {date} NOT NULL, -- birth date
    birth_place text, -- birth place
    snils text, -- insurance number, 11 digits
    inn text, -- taxpayer number
    citizenship text, -- citizenship: code of dictionary citizenship
    country text, -- country: code of dictionary country
    death_date {date}, -- death date
    identity_key bigint NOT NULL, -- hash of folded names and birth date, for finding the same person
    quality text, -- codes of doubts about its values, separated by spaces
    possible_duplicate boolean NOT NULL DEFAULT false, -- whether it resembles another person; see merge_candidate
    merged_into bigint, -- the person that took its place
    as_of {instant} NOT NULL, -- when the newest package that set something read its data
    package_no bigint NOT NULL, -- that package
    version bigint NOT NULL, -- grows with every change of the row
    closed_at {instant} -- when a full package no longer mentioned it
);
CREATE INDEX person_identity ON person (identity_key);
CREATE INDEX person_snils ON person (snils) WHERE snils IS NOT NULL;

-- Identity documents of persons, as their supplier sent them; closed, never deleted.
CREATE TABLE identity_document (
    id bigint PRIMARY KEY, -- registry id
    supplier_id bigint NOT NULL, -- whose record it is
    external_id text NOT NULL, -- the supplier's id of it
    person_id bigint NOT NULL, -- registry id of the person
    document_type text NOT NULL, -- type: code of dictionary identity-document
    series text, -- series
    number text NOT NULL, -- number
    issuer text, -- issuer
    issuer_code text, -- issuer code
    issued_on {date}, -- issued on
    valid_until {date}, -- valid until
    act_number text, -- act number
    act_date {date}, -- act date
    act_office text, -- act office
    is_current boolean, -- whether it is the one in use
    document_key bigint NOT NULL, -- hash of type, series and number without blanks and look-alikes
    as_of {instant} NOT NULL, -- when the newest package that set something read its data
    package_no bigint NOT NULL, -- that package
    version bigint NOT NULL, -- grows with every change of the row
    closed_at {instant}, -- when a full package no longer mentioned it
    UNIQUE (supplier_id, external_id)
);
CREATE INDEX identity_document_person ON identity_document (person_id);
CREATE INDEX identity_document_key ON identity_document (document_key);

-- Addresses of persons, as their supplier sent them; closed, never deleted.
CREATE TABLE address (
    id bigint PRIMARY KEY, -- registry id
    supplier_id bigint NOT NULL, -- whose record it is
    external_id text NOT NULL, -- the supplier's id of it
    person_id bigint NOT NULL, -- registry id of the person
    address_kind text NOT NULL, -- kind: code of dictionary address-kind
    full_text text NOT NULL, -- whole address in one line
    postal_code text, -- postal code
    oktmo text, -- territory by the classifier of municipalities
    place text, -- place
    street text, -- street
    house text, -- house
    flat text, -- flat
    fias_object text, -- street or place in the state address register
    fias_house text, -- house in the state address register
    valid_to {date}, -- valid to
    address_key bigint NOT NULL, -- hash of the house, or of the text
    as_of {instant} NOT NULL, -- when the newest package that set something read its data
    package_no bigint NOT NULL, -- that package
    version bigint NOT NULL, -- grows with every change of the row
    closed_at {instant}, -- when a full package no longer mentioned it
    UNIQUE (supplier_id, external_id)
);
CREATE INDEX address_person ON address (person_id);

-- Telephones and e-mail addresses of persons, as their supplier sent them; closed, never deleted.
CREATE TABLE contact (
    id bigint PRIMARY KEY, -- registry id
    supplier_id bigint NOT NULL, -- whose record it is
    external_id text NOT NULL, -- the supplier's id of it
    person_id bigint NOT NULL, -- registry id of the person
    contact_kind text NOT NULL, -- kind: code of dictionary contact-kind
    contact_value text NOT NULL, -- telephone or address as written
    note text, -- note
    as_of {instant} NOT NULL, -- when the newest package that set something read its data
    package_no bigint NOT NULL, -- that package
    version bigint NOT NULL, -- grows with every change of the row
    closed_at {instant}, -- when a full package no longer mentioned it
    UNIQUE (supplier_id, external_id)
);
CREATE INDEX contact_person ON contact (person_id);

-- Children and their legal representatives, as their supplier sent them; closed, never deleted.
CREATE TABLE kinship (
    id bigint PRIMARY KEY, -- registry id
    supplier_id bigint NOT NULL, -- whose record it is
    external_id text NOT NULL, -- the supplier's id of it
    child_id bigint NOT NULL, -- registry id of the person: child
    adult_id bigint NOT NULL, -- registry id of the person: adult
    representative text NOT NULL, -- type: code of dictionary representative
    basis text, -- basis: code of dictionary representative-basis
    from_date {date}, -- from date
    to_date {date}, -- to date
    as_of {instant} NOT NULL, -- when the newest package that set something read its data
    package_no bigint NOT NULL, -- that package
    version bigint NOT NULL, -- grows with every change of the row
    closed_at {instant}, -- when a full package no longer mentioned it
    UNIQUE (supplier_id, external_id)
);
CREATE INDEX kinship_child ON kinship (child_id);
CREATE INDEX kinship_adult ON kinship (adult_id);

-- Enrolments of learners, as their supplier sent them; closed, never deleted.
CREATE TABLE membership (
    id bigint PRIMARY KEY, -- registry id
    supplier_id bigint NOT NULL, -- whose record it is
    external_id text NOT NULL, -- the supplier's id of it
    person_id bigint NOT NULL, -- registry id of the person
    organisation_id bigint NOT NULL, -- registry id of the organisation
    class_group_id bigint, -- registry id of the class group
    school_year text NOT NULL, -- school year
    from_date {date} NOT NULL, -- from date
    to_date {date}, -- to date
    form text, -- form: code of dictionary education-form
    shift text, -- shift: code of dictionary shift
    programme text, -- programme: code of dictionary programme
    course bigint, -- course
    financing text, -- financing: code of dictionary financing
    order_number text, -- order number
    order_date {date}, -- order date
    reason_in text, -- reason in: code of dictionary admission-reason
    reason_out text, -- reason out: code of dictionary departure-reason
    destination text, -- destination
    as_of {instant} NOT NULL, -- when the newest package that set something read its data
    package_no bigint NOT NULL, -- that package
    version bigint NOT NULL, -- grows with every change of the row
    closed_at {instant}, -- when a full package no longer mentioned it
    UNIQUE (supplier_id, external_id)
);
CREATE INDEX membership_person ON membership (person_id);
CREATE INDEX membership_organisation ON membership (organisation_id, school_year);

-- Work of persons in organisations, as their supplier sent it; closed, never deleted.
CREATE TABLE employment (
    id bigint PRIMARY KEY, -- registry id
    supplier_id bigint NOT NULL, -- whose record it is
    external_id text NOT NULL, -- the supplier's id of it
    person_id bigint NOT NULL, -- registry id of the person
    organisation_id bigint NOT NULL, -- registry id of the organisation
    job text NOT NULL, -- position held
    rate text, -- share of a full position
    main_job boolean, -- whether it is the main place of work
    from_date {date} NOT NULL, -- from date
    to_date {date}, -- to date
    status text, -- status: code of dictionary employment-status
    dismissal_reason text, -- dismissal reason: code of dictionary dismissal-reason
    subjects text, -- subjects
    class_group_id bigint, -- registry id of the class group: homeroom class
    education text, -- education
    category text, -- category
    as_of {instant} NOT NULL, -- when the newest package that set something read its data
    package_no bigint NOT NULL, -- that package
    version bigint NOT NULL, -- grows with every change of the row
    closed_at {instant}, -- when a full package no longer mentioned it
    UNIQUE (supplier_id, external_id)
);
CREATE INDEX employment_person ON employment (person_id);
CREATE INDEX employment_organisation ON employment (organisation_id);

-- Current marks, as their supplier sent them; never deleted, only marked so.
CREATE TABLE mark (
    id bigint PRIMARY KEY, -- registry id
    supplier_id bigint NOT NULL, -- whose record it is
    external_id text NOT NULL, -- the supplier's id of it
    person_id bigint NOT NULL, -- registry id of the person
    organisation_id bigint, -- registry id of the organisation
    class_group_id bigint, -- registry id of the class group
    subject text NOT NULL, -- subject
    lesson_date {date} NOT NULL, -- lesson date
    set_at {instant} NOT NULL, -- set at
    work_type text, -- work type
    mark_value text NOT NULL, -- mark as written
    mark_system text, -- system: code of dictionary mark-system
    weight text, -- weight of the mark
    deleted boolean, -- whether the supplier took it back
    as_of {instant} NOT NULL, -- when the newest package that set something read its data
    package_no bigint NOT NULL, -- that package
    version bigint NOT NULL, -- grows with every change of the row
    closed_at {instant}, -- when a full package no longer mentioned it
    UNIQUE (supplier_id, external_id)
);
CREATE INDEX mark_person ON mark (person_id);

-- Marks for periods, years and examinations, as their supplier sent them; never deleted, only marked so.
CREATE TABLE final_mark (
    id bigint PRIMARY KEY, -- registry id
    supplier_id bigint NOT NULL, -- whose record it is
    external_id text NOT NULL, -- the supplier's id of it
    person_id bigint NOT NULL, -- registry id of the person
    organisation_id bigint, -- registry id of the organisation
    class_group_id bigint, -- registry id of the class group
    subject text NOT NULL, -- subject
    school_year text NOT NULL, -- school year
    period text NOT NULL, -- period: code of dictionary period
    mark_value text NOT NULL, -- mark as written
    mark_system text, -- system: code of dictionary mark-system
    final_kind text, -- kind: code of dictionary final-mark-kind
    exam text, -- exam: code of dictionary exam
    score bigint, -- score
    deleted boolean, -- whether the supplier took it back
    as_of {instant} NOT NULL, -- when the newest package that set something read its data
    package_no bigint NOT NULL, -- that package
    version bigint NOT NULL, -- grows with every change of the row
    closed_at {instant}, -- when a full package no longer mentioned it
    UNIQUE (supplier_id, external_id)
);
CREATE INDEX final_mark_person ON final_mark (person_id);

-- Missed lessons, as their supplier sent them; never deleted, only marked so.
CREATE TABLE absence (
    id bigint PRIMARY KEY, -- registry id
    supplier_id bigint NOT NULL, -- whose record it is
    external_id text NOT NULL, -- the supplier's id of it
    person_id bigint NOT NULL, -- registry id of the person
    organisation_id bigint, -- registry id of the organisation
    class_group_id bigint, -- registry id of the class group
    absence_date {date} NOT NULL, -- date
    lesson bigint, -- number of the lesson in the day
    subject text, -- subject
    absence_kind text NOT NULL, -- kind: code of dictionary absence-kind
    deleted boolean, -- whether the supplier took it back
    as_of {instant} NOT NULL, -- when the newest package that set something read its data
    package_no bigint NOT NULL, -- that package
    version bigint NOT NULL, -- grows with every change of the row
    closed_at {instant}, -- when a full package no longer mentioned it
    UNIQUE (supplier_id, external_id)
);
CREATE INDEX absence_person ON absence (person_id);

-- Changes of master data. Append-only: the current value of a column is the entry with the greatest (as_of, package_no, record) that mentions it.
CREATE TABLE change_log (
    id bigint PRIMARY KEY, -- order of writing, roughly
    tx bigint NOT NULL, -- number of the writing transaction on PostgreSQL, of the writing statement on SQLite
    kind text NOT NULL, -- record kind
    entity_id bigint NOT NULL, -- registry id of the row that changed
    supplier_id bigint NOT NULL, -- who said so
    package_no bigint NOT NULL, -- in which package
    record bigint NOT NULL, -- in which record of it; after its last for what its end of a full package closed
    as_of {instant} NOT NULL, -- when the supplier read its data
    fields {json} NOT NULL, -- column to new value; null where it was cleared
    at {instant} NOT NULL -- when it was applied
);
CREATE INDEX change_log_entity ON change_log (entity_id);
CREATE INDEX change_log_order ON change_log (tx, id);

-- Changes of marks, final marks and absences. Append-only: the current value of a column is the entry with the greatest (as_of, package_no, record) that mentions it.
CREATE TABLE performance_change (
    id bigint PRIMARY KEY, -- order of writing, roughly
    tx bigint NOT NULL, -- number of the writing transaction on PostgreSQL, 0 on SQLite
    kind text NOT NULL, -- record kind
    entity_id bigint NOT NULL, -- registry id of the row that changed
    supplier_id bigint NOT NULL, -- who said so
    package_no bigint NOT NULL, -- in which package
    record bigint NOT NULL, -- in which record of it; after its last for what its end of a full package closed
    as_of {instant} NOT NULL, -- when the supplier read its data
    fields {json} NOT NULL, -- column to new value; null where it was cleared
    at {instant} NOT NULL -- when it was applied
);
CREATE INDEX performance_change_entity ON performance_change (entity_id);

-- What suppliers call the bodies, organisations and persons of the registry. Never deleted.
CREATE TABLE registration (
    supplier_id bigint NOT NULL, -- the supplier
    kind text NOT NULL, -- record kind
    external_id text NOT NULL, -- the supplier's id
    entity_id bigint NOT NULL, -- registry id of the row it means
    first_package bigint NOT NULL, -- package that first named it
    last_package bigint NOT NULL, -- last package that changed it under this name
    PRIMARY KEY (supplier_id, kind, external_id)
);
CREATE INDEX registration_entity ON registration (entity_id);

-- Pairs of persons that may be one; an operator decides.
CREATE TABLE merge_candidate (
    id bigint PRIMARY KEY, -- order of finding
    person_a bigint NOT NULL, -- the older person
    person_b bigint NOT NULL, -- the newer person
    rule text NOT NULL, -- why: R4 for names and birth date, SNILS for one insurance number
    score bigint NOT NULL, -- 0 to 100, how alike
    package_no bigint NOT NULL, -- package that showed it
    found_at {instant} NOT NULL, -- when
    UNIQUE (person_a, person_b)
);

-- Records whose reference was not there yet; applied when it comes within the time.
CREATE TABLE deferred_record (
    id bigint PRIMARY KEY, -- order of parking
    supplier_id bigint NOT NULL, -- whose record it is
    package_no bigint NOT NULL, -- package it came in
    record bigint NOT NULL, -- number in that package
    as_of {instant} NOT NULL, -- when the supplier read its data
    kind text NOT NULL, -- record kind
    external_id text NOT NULL, -- the supplier's id of it
    draft {json} NOT NULL, -- the judged record
    missing_kind text NOT NULL, -- kind of the reference that is missing
    missing_external_id text NOT NULL, -- the supplier's id of it
    parked_at {instant} NOT NULL, -- when it was parked
    expires_at {instant} NOT NULL, -- when waiting ends
    applied_package bigint, -- package whose records let it be applied
    UNIQUE (package_no, record)
);
CREATE INDEX deferred_record_missing ON deferred_record (supplier_id, missing_kind, missing_external_id) WHERE applied_package IS NULL;
