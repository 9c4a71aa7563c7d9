-- How often a key may be used, beside what routes allow; an earlier release reads on and makes keys without.
ALTER TABLE api_keys ADD COLUMN rate_limit TEXT;
UPDATE meta SET value = 4 WHERE name = 'schema_version';
