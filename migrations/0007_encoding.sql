-- What suppliers may send besides UTF-8.
ALTER TABLE supplier ADD COLUMN other_encodings boolean NOT NULL DEFAULT false; -- whether windows-1251 and UTF-16 are taken
