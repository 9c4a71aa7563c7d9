-- Keys of other makers are found by their hash, and no key is there twice.
CREATE UNIQUE INDEX api_keys_hash ON api_keys (hash);
UPDATE meta SET value = 2 WHERE name = 'schema_version';
