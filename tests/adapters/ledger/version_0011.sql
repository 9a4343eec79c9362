BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0011');
CREATE TABLE alias (
	name TEXT NOT NULL, 
	org INTEGER NOT NULL, 
	fingerprint VARCHAR(64), 
	PRIMARY KEY (name), 
	CONSTRAINT alias_org FOREIGN KEY(org) REFERENCES org (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "alias" VALUES('acme',1,'e59b770cd3571f7b3189851e2f62a7f1d74170fb4aaf0fb8caf75266262941b2');
INSERT INTO "alias" VALUES('beta',2,'767fc5fbca60e373efcfa9d2d15910c0dc3918881b66b9085e6bbd3ea6f72b81');
CREATE TABLE calendar (
	org INTEGER NOT NULL, 
	since BIGINT NOT NULL, 
	zone TEXT NOT NULL, 
	granularity VARCHAR(16) NOT NULL, rules VARCHAR(64), 
	PRIMARY KEY (org, since), 
	CONSTRAINT calendar_org FOREIGN KEY(org) REFERENCES org (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "calendar" VALUES(1,-62135596800000000,'UTC','day','2026f cbbfe2d3ad2e2b68');
INSERT INTO "calendar" VALUES(2,-62135596800000000,'UTC','day','2026f cbbfe2d3ad2e2b68');
CREATE TABLE file (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	run_id VARCHAR(64) NOT NULL, 
	directory TEXT NOT NULL, 
	name TEXT NOT NULL, 
	bytes BIGINT NOT NULL, 
	records BIGINT NOT NULL, 
	seal_intended BOOLEAN NOT NULL, 
	holder VARCHAR(64), host TEXT, place VARCHAR(64), 
	CONSTRAINT file_holder FOREIGN KEY(holder) REFERENCES holder (holder_id) ON DELETE SET NULL
);
INSERT INTO "file" VALUES(1,'run-1','out','usage-run-1-0001.jsonl',512,1,1,'0123456789abcdef','pod-0','0123456789abcdef0123456789abcdef');
CREATE TABLE holder (
	holder_id VARCHAR(64) NOT NULL, 
	host TEXT NOT NULL, 
	pid BIGINT NOT NULL, 
	command TEXT NOT NULL, 
	since BIGINT NOT NULL, server TEXT, missed_since BIGINT, 
	PRIMARY KEY (holder_id)
);
INSERT INTO "holder" VALUES('0123456789abcdef','host',42,'collect',1780272000000000,NULL,NULL);
CREATE TABLE ledger (
	id VARCHAR(32) NOT NULL, restated_from BIGINT, 
	PRIMARY KEY (id)
);
INSERT INTO "ledger" VALUES('4e65d3fbe8ad6535681b021b30785b12',1780617600000000);
CREATE TABLE org (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	org_id TEXT, 
	org_name TEXT, 
	name TEXT NOT NULL, 
	wanted_from BIGINT NOT NULL, 
	holder VARCHAR(64), changed BIGINT DEFAULT '0' NOT NULL, config VARCHAR(32), removed_at BIGINT, forgotten_at BIGINT, 
	CONSTRAINT org_org_id UNIQUE (org_id), 
	CONSTRAINT org_holder FOREIGN KEY(holder) REFERENCES holder (holder_id) ON DELETE SET NULL
);
INSERT INTO "org" VALUES(1,'111','Acme Corp','acme',1780272000000000,'0123456789abcdef',0,NULL,NULL,NULL);
INSERT INTO "org" VALUES(2,NULL,NULL,'beta',1780272000000000,NULL,0,NULL,NULL,NULL);
CREATE TABLE outbox (
	file INTEGER NOT NULL, 
	start BIGINT NOT NULL, 
	content BLOB NOT NULL, 
	PRIMARY KEY (file, start), 
	CONSTRAINT outbox_file FOREIGN KEY(file) REFERENCES file (id) ON DELETE CASCADE
);
INSERT INTO "outbox" VALUES(1,0,X'785eab56ca53b2321c052332046a6bb9001dc062e4');
CREATE TABLE output (
	path TEXT NOT NULL, 
	directory_id VARCHAR(64) NOT NULL, 
	host TEXT NOT NULL, 
	shard TEXT NOT NULL, 
	number BIGINT NOT NULL, 
	PRIMARY KEY (path, directory_id, host, shard)
)
 WITHOUT ROWID

;
INSERT INTO "output" VALUES('/srv/out','0123456789abcdef0123456789abcdef','pod-0','0/2',1);
CREATE TABLE refusal (
	name TEXT NOT NULL, 
	reason VARCHAR(64) NOT NULL, 
	message TEXT, 
	fingerprint VARCHAR(64), 
	first_at BIGINT NOT NULL, 
	last_at BIGINT NOT NULL, 
	PRIMARY KEY (name), 
	CONSTRAINT refusal_alias FOREIGN KEY(name) REFERENCES alias (name) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "refusal" VALUES('beta','credential','the credential is refused (401): check the user name and the access key, or renew them','767fc5fbca60e373efcfa9d2d15910c0dc3918881b66b9085e6bbd3ea6f72b81',1780444800000000,1780531200000000);
CREATE TABLE restatement (
	org INTEGER NOT NULL, 
	population SMALLINT NOT NULL, 
	start BIGINT NOT NULL, 
	at BIGINT NOT NULL, 
	run_id VARCHAR(64) NOT NULL, 
	replaced TEXT NOT NULL, 
	file INTEGER, 
	PRIMARY KEY (org, population, start, at), 
	CONSTRAINT restatement_org FOREIGN KEY(org) REFERENCES org (id) ON DELETE CASCADE, 
	CONSTRAINT restatement_file FOREIGN KEY(file) REFERENCES file (id) ON DELETE SET NULL
)
 WITHOUT ROWID

;
INSERT INTO "restatement" VALUES(1,0,1780272000000000,1780272000000000,'run-0','[1780185600000000,3,{"automation":[0,0,6,6000]}]',NULL);
CREATE TABLE run (
	run_id VARCHAR(64) NOT NULL, 
	command TEXT NOT NULL, 
	holder VARCHAR(64), 
	started_at BIGINT NOT NULL, 
	ended_at BIGINT, 
	exit_code SMALLINT, 
	PRIMARY KEY (run_id), 
	CONSTRAINT run_holder FOREIGN KEY(holder) REFERENCES holder (holder_id) ON DELETE SET NULL
);
INSERT INTO "run" VALUES('run-1','collect','0123456789abcdef',1780963200000000,NULL,NULL);
CREATE TABLE slice (
	org INTEGER NOT NULL, 
	population SMALLINT NOT NULL, 
	start BIGINT NOT NULL, 
	"end" BIGINT NOT NULL, 
	state SMALLINT NOT NULL, 
	code VARCHAR(64), 
	asked_at BIGINT NOT NULL, 
	complete_at BIGINT, 
	emission TEXT, 
	file INTEGER, 
	prior TEXT, anomalies TEXT, naming BIGINT, unverified BOOLEAN DEFAULT 0 NOT NULL, 
	PRIMARY KEY (org, population, start), 
	CONSTRAINT slice_org FOREIGN KEY(org) REFERENCES org (id), 
	CONSTRAINT slice_file FOREIGN KEY(file) REFERENCES file (id)
)
 WITHOUT ROWID

;
INSERT INTO "slice" VALUES(1,0,1780272000000000,1780358400000000,0,NULL,1780444800000000,1780444800000000,'[1780272000000000,3,{"automation":[1,0,7,7000]}]',NULL,NULL,'{"shrunk":["automation"]}',48879,0);
INSERT INTO "slice" VALUES(1,0,1780358400000000,1780444800000000,2,'why',1780531200000000,NULL,NULL,NULL,NULL,NULL,NULL,0);
INSERT INTO "slice" VALUES(1,0,1780444800000000,1780531200000000,0,NULL,1780617600000000,1780617600000000,'[1780272000000000,3,{"automation":[1,0,7,7000]}]',1,NULL,NULL,NULL,0);
CREATE TABLE waiter (
	org INTEGER NOT NULL, 
	holder VARCHAR(64) NOT NULL, 
	PRIMARY KEY (org, holder), 
	CONSTRAINT waiter_org FOREIGN KEY(org) REFERENCES org (id) ON DELETE CASCADE, 
	CONSTRAINT waiter_holder FOREIGN KEY(holder) REFERENCES holder (holder_id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
CREATE TABLE wanted (
	org INTEGER NOT NULL, 
	start BIGINT NOT NULL, 
	"end" BIGINT NOT NULL, 
	PRIMARY KEY (org, start), 
	CONSTRAINT wanted_org FOREIGN KEY(org) REFERENCES org (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "wanted" VALUES(1,1777680000000000,1780272000000000);
CREATE INDEX slice_in_file ON slice (file) WHERE file IS NOT NULL;
CREATE INDEX org_changed ON org (changed);
CREATE INDEX restatement_in_file ON restatement (file) WHERE file IS NOT NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('org',2);
INSERT INTO "sqlite_sequence" VALUES('file',1);
COMMIT;
