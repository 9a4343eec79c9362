CREATE TABLE alembic_version ( version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num) );

CREATE TABLE holder ( holder_id VARCHAR(64) NOT NULL, host TEXT NOT NULL, pid BIGINT NOT NULL, command TEXT NOT NULL, since BIGINT NOT NULL, server TEXT, missed_since BIGINT, PRIMARY KEY (holder_id) );

CREATE TABLE org ( id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, org_id TEXT, org_name TEXT, name TEXT NOT NULL, wanted_from BIGINT NOT NULL, holder VARCHAR(64), changed BIGINT DEFAULT '0' NOT NULL, config VARCHAR(32), removed_at BIGINT, forgotten_at BIGINT, CONSTRAINT org_org_id UNIQUE (org_id), CONSTRAINT org_holder FOREIGN KEY(holder) REFERENCES holder (holder_id) ON DELETE SET NULL );

CREATE TABLE alias ( name TEXT NOT NULL, org INTEGER NOT NULL, fingerprint VARCHAR(64), PRIMARY KEY (name), CONSTRAINT alias_org FOREIGN KEY(org) REFERENCES org (id) ON DELETE CASCADE ) WITHOUT ROWID;

CREATE TABLE calendar ( org INTEGER NOT NULL, since BIGINT NOT NULL, zone TEXT NOT NULL, granularity VARCHAR(16) NOT NULL, rules VARCHAR(64), PRIMARY KEY (org, since), CONSTRAINT calendar_org FOREIGN KEY(org) REFERENCES org (id) ON DELETE CASCADE ) WITHOUT ROWID;

CREATE TABLE wanted ( org INTEGER NOT NULL, start BIGINT NOT NULL, "end" BIGINT NOT NULL, PRIMARY KEY (org, start), CONSTRAINT wanted_org FOREIGN KEY(org) REFERENCES org (id) ON DELETE CASCADE ) WITHOUT ROWID;

CREATE TABLE run ( run_id VARCHAR(64) NOT NULL, command TEXT NOT NULL, holder VARCHAR(64), started_at BIGINT NOT NULL, ended_at BIGINT, exit_code SMALLINT, PRIMARY KEY (run_id), CONSTRAINT run_holder FOREIGN KEY(holder) REFERENCES holder (holder_id) ON DELETE SET NULL );

CREATE TABLE file ( id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, run_id VARCHAR(64) NOT NULL, directory TEXT NOT NULL, name TEXT NOT NULL, bytes BIGINT NOT NULL, records BIGINT NOT NULL, seal_intended BOOLEAN NOT NULL, holder VARCHAR(64), host TEXT, place VARCHAR(64), CONSTRAINT file_holder FOREIGN KEY(holder) REFERENCES holder (holder_id) ON DELETE SET NULL );

CREATE TABLE slice ( org INTEGER NOT NULL, population SMALLINT NOT NULL, start BIGINT NOT NULL, "end" BIGINT NOT NULL, state SMALLINT NOT NULL, code VARCHAR(64), asked_at BIGINT NOT NULL, complete_at BIGINT, emission TEXT, file INTEGER, prior TEXT, anomalies TEXT, naming BIGINT, unverified BOOLEAN DEFAULT 0 NOT NULL, PRIMARY KEY (org, population, start), CONSTRAINT slice_org FOREIGN KEY(org) REFERENCES org (id), CONSTRAINT slice_file FOREIGN KEY(file) REFERENCES file (id) ) WITHOUT ROWID;

CREATE INDEX slice_in_file ON slice (file) WHERE file IS NOT NULL;

CREATE TABLE waiter ( org INTEGER NOT NULL, holder VARCHAR(64) NOT NULL, PRIMARY KEY (org, holder), CONSTRAINT waiter_org FOREIGN KEY(org) REFERENCES org (id) ON DELETE CASCADE, CONSTRAINT waiter_holder FOREIGN KEY(holder) REFERENCES holder (holder_id) ON DELETE CASCADE ) WITHOUT ROWID;

CREATE INDEX org_changed ON org (changed);

CREATE TABLE refusal ( name TEXT NOT NULL, reason VARCHAR(64) NOT NULL, message TEXT, fingerprint VARCHAR(64), first_at BIGINT NOT NULL, last_at BIGINT NOT NULL, PRIMARY KEY (name), CONSTRAINT refusal_alias FOREIGN KEY(name) REFERENCES alias (name) ON DELETE CASCADE ) WITHOUT ROWID;

CREATE TABLE ledger ( id VARCHAR(32) NOT NULL, restated_from BIGINT, PRIMARY KEY (id) );

CREATE TABLE output ( path TEXT NOT NULL, directory_id VARCHAR(64) NOT NULL, host TEXT NOT NULL, shard TEXT NOT NULL, number BIGINT NOT NULL, PRIMARY KEY (path, directory_id, host, shard) ) WITHOUT ROWID;

CREATE TABLE restatement ( org INTEGER NOT NULL, population SMALLINT NOT NULL, start BIGINT NOT NULL, at BIGINT NOT NULL, run_id VARCHAR(64) NOT NULL, replaced TEXT NOT NULL, file INTEGER, PRIMARY KEY (org, population, start, at), CONSTRAINT restatement_org FOREIGN KEY(org) REFERENCES org (id) ON DELETE CASCADE, CONSTRAINT restatement_file FOREIGN KEY(file) REFERENCES file (id) ON DELETE SET NULL ) WITHOUT ROWID;

CREATE INDEX restatement_in_file ON restatement (file) WHERE file IS NOT NULL;

CREATE TABLE outbox ( file INTEGER NOT NULL, start BIGINT NOT NULL, content BLOB NOT NULL, PRIMARY KEY (file, start), CONSTRAINT outbox_file FOREIGN KEY(file) REFERENCES file (id) ON DELETE CASCADE );

