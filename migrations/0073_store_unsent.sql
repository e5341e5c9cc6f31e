-- Whatever one system has put and not sent is counted at each piece that it puts: others' files are not looked through.
CREATE INDEX store_file_unsent ON store_file (system_id) WHERE message_id IS NULL;
