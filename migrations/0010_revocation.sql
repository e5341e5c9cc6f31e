-- What was known of the signer's certificate.
ALTER TABLE package ADD COLUMN revocation text NOT NULL DEFAULT 'known' CHECK (revocation IN ('known', 'unknown', 'revoked')); -- known: not revoked when it came; unknown: could not be told, looked at again later; revoked: has been revoked since, to be reviewed
CREATE INDEX package_revocation ON package (signer_sha256) WHERE revocation = 'unknown';
