-- Cheaper to write in bulk, on PostgreSQL: nobody searches inside the history's values, so they need
-- no binary form; the key of a history is what it is read by; suppliers' ids are compared byte by byte,
-- whatever the locale of the database.
{postgres} ALTER TABLE change_log ALTER COLUMN fields TYPE json;
{postgres} ALTER TABLE performance_change ALTER COLUMN fields TYPE json;
{postgres} DROP INDEX change_log_order;
{postgres} ALTER TABLE change_log DROP CONSTRAINT change_log_pkey, ADD PRIMARY KEY (tx, id);
{postgres} DROP INDEX performance_change_entity;
{postgres} ALTER TABLE performance_change DROP CONSTRAINT performance_change_pkey, ADD PRIMARY KEY (entity_id, id);
{postgres} ALTER TABLE class_group ALTER COLUMN external_id TYPE text COLLATE "C";
{postgres} ALTER TABLE identity_document ALTER COLUMN external_id TYPE text COLLATE "C";
{postgres} ALTER TABLE address ALTER COLUMN external_id TYPE text COLLATE "C";
{postgres} ALTER TABLE contact ALTER COLUMN external_id TYPE text COLLATE "C";
{postgres} ALTER TABLE kinship ALTER COLUMN external_id TYPE text COLLATE "C";
{postgres} ALTER TABLE membership ALTER COLUMN external_id TYPE text COLLATE "C";
{postgres} ALTER TABLE employment ALTER COLUMN external_id TYPE text COLLATE "C";
{postgres} ALTER TABLE mark ALTER COLUMN external_id TYPE text COLLATE "C";
{postgres} ALTER TABLE final_mark ALTER COLUMN external_id TYPE text COLLATE "C";
{postgres} ALTER TABLE absence ALTER COLUMN external_id TYPE text COLLATE "C";
{postgres} ALTER TABLE registration ALTER COLUMN external_id TYPE text COLLATE "C", ALTER COLUMN kind TYPE text COLLATE "C";
