-- Makes Leasehold's account, with the rights that docs/database.md says and no more, in the database of
-- docker-compose.yml's profile "database". psql runs it when the volume is new.
\set password `cat "$ACCOUNT_PASSWORD_FILE"`

CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO items VALUES (1, 'a first item');

CREATE ROLE app_reader NOLOGIN;
GRANT USAGE ON SCHEMA public TO app_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO app_reader;

CREATE ROLE leasehold LOGIN CREATEROLE PASSWORD :'password';
GRANT app_reader TO leasehold WITH ADMIN OPTION;
