-- How far the numbers in change_log run ahead of the transactions of this PostgreSQL: a copy of a database restored into another cluster holds numbers that the cluster has not reached. One row; moved when the service starts and finds such numbers. Always 0 on SQLite.
CREATE TABLE change_shift (
    one bigint PRIMARY KEY CHECK (one = 1), -- there is one row
    ahead bigint NOT NULL -- what is added to the number of a transaction
);
INSERT INTO change_shift (one, ahead) VALUES (1, 0);
