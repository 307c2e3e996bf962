PRAGMA application_id = 1685415284;
PRAGMA user_version = 3;
CREATE TABLE constraints (
  experiment INTEGER NOT NULL REFERENCES experiments ON DELETE CASCADE,
  position INTEGER NOT NULL,
  expression TEXT NOT NULL,
  PRIMARY KEY (experiment, position)) WITHOUT ROWID;
CREATE TABLE evaluations (
  key BLOB PRIMARY KEY,
  value BLOB NOT NULL, checksum INTEGER) WITHOUT ROWID;
CREATE TABLE experiments (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE COLLATE NOCASE,
  specification TEXT NOT NULL,
  identity TEXT NOT NULL,
  seed INTEGER NOT NULL,
  strategy TEXT NOT NULL,
  space_fingerprint TEXT NOT NULL,
  code_version TEXT NOT NULL,
  machine TEXT NOT NULL,
  created_at TEXT NOT NULL, checksum INTEGER);
CREATE TABLE finals (
  id INTEGER PRIMARY KEY,
  experiment INTEGER NOT NULL REFERENCES experiments ON DELETE CASCADE,
  trial INTEGER NOT NULL,
  replicate INTEGER NOT NULL,
  metric TEXT NOT NULL,
  unit TEXT NOT NULL,
  value REAL NOT NULL,
  recipe TEXT NOT NULL,
  created_at TEXT NOT NULL, checksum INTEGER);
CREATE TABLE metrics (
  experiment INTEGER NOT NULL REFERENCES experiments ON DELETE CASCADE,
  position INTEGER NOT NULL,
  name TEXT NOT NULL,
  unit TEXT NOT NULL,
  direction TEXT NOT NULL,
  natural_direction TEXT NOT NULL,
  source TEXT NOT NULL,
  estimator TEXT NOT NULL,
  objective INTEGER NOT NULL,
  description TEXT NOT NULL,
  view_column TEXT NOT NULL,
  PRIMARY KEY (experiment, position)) WITHOUT ROWID;
CREATE TABLE notes (
  id INTEGER PRIMARY KEY,
  experiment INTEGER NOT NULL REFERENCES experiments ON DELETE CASCADE,
  time TEXT NOT NULL,
  event TEXT NOT NULL, checksum INTEGER);
CREATE TABLE options (
  experiment INTEGER NOT NULL REFERENCES experiments ON DELETE CASCADE,
  parameter INTEGER NOT NULL,
  code INTEGER NOT NULL,
  value NOT NULL,
  PRIMARY KEY (experiment, parameter, code)) WITHOUT ROWID;
CREATE TABLE parameters (
  experiment INTEGER NOT NULL REFERENCES experiments ON DELETE CASCADE,
  position INTEGER NOT NULL,
  path TEXT NOT NULL,
  kind TEXT NOT NULL,
  unit TEXT NOT NULL,
  description TEXT NOT NULL,
  minimum REAL NOT NULL,
  maximum REAL NOT NULL,
  logarithmic INTEGER NOT NULL,
  parent INTEGER,
  parent_low REAL,
  parent_high REAL,
  view_column TEXT NOT NULL,
  PRIMARY KEY (experiment, position)) WITHOUT ROWID;
CREATE TABLE trial_1 (number INTEGER PRIMARY KEY, status INTEGER NOT NULL, violation REAL NOT NULL, duplicate_of INTEGER, m0, m1, p0 INTEGER, p1 INTEGER, p2 INTEGER, p3 REAL, p4 INTEGER, reason TEXT, parents TEXT, cached INTEGER NOT NULL, started_at REAL NOT NULL, duration_s REAL NOT NULL, checksum INTEGER);
CREATE VIEW "sample" AS SELECT number, CASE WHEN duplicate_of IS NOT NULL THEN 'duplicate' ELSE CASE status WHEN 0 THEN 'ok' WHEN 1 THEN 'failed' WHEN 2 THEN 'timed_out' WHEN 3 THEN 'invalid' END END AS status, reason, CASE p0 WHEN 0 THEN 'conv' WHEN 1 THEN 'depthwise' WHEN 2 THEN 'it''s"odd' END AS "network.operator", CASE p1 WHEN 0 THEN 3 WHEN 1 THEN 5 WHEN 2 THEN 7 END AS "network.kernel", p2 AS "network.depth", p3 AS "accelerator.ratio", CASE p4 WHEN 0 THEN 0.1 WHEN 1 THEN 0.55 WHEN 2 THEN 3.0 END AS "accelerator.voltage", m0 AS "accuracy", m1 AS "latency_s", violation, duplicate_of, parents, cached, started_at, duration_s FROM trial_1;
CREATE VIEW trials AS SELECT * FROM "sample";
INSERT INTO "constraints" VALUES (1,0,'latency_s <= 5 ms');
INSERT INTO "constraints" VALUES (1,1,'accuracy >= 0.9');
INSERT INTO "evaluations" VALUES (X'00000000000000010000000000000002',X'0076616C7565',1424920078);
INSERT INTO "experiments" VALUES (1,'sample','space: sample
# ''quoted'' "text"
','identity',-81985529216486896,'nsga2','0123456789abcdeffedcba9876543210','0.1.0','{"cpu": "any"}','2026-01-31T12:00:00Z',1551602498);
INSERT INTO "finals" VALUES (1,1,1,2,'test_accuracy','1',0.912345678901234,'epochs 20','2026-01-31T13:00:00Z',-70865543);
INSERT INTO "metrics" VALUES (1,0,'accuracy','1','maximize','maximize','trained','analytical',1,'it''s measured','accuracy');
INSERT INTO "metrics" VALUES (1,1,'latency_s','s','maximize','minimize','analytical','analytical',0,'it''s measured','latency_s');
INSERT INTO "options" VALUES (1,0,0,'conv');
INSERT INTO "options" VALUES (1,0,1,'depthwise');
INSERT INTO "options" VALUES (1,0,2,'it''s"odd');
INSERT INTO "options" VALUES (1,1,0,3);
INSERT INTO "options" VALUES (1,1,1,5);
INSERT INTO "options" VALUES (1,1,2,7);
INSERT INTO "options" VALUES (1,4,0,0.1);
INSERT INTO "options" VALUES (1,4,1,0.55);
INSERT INTO "options" VALUES (1,4,2,3.0);
INSERT INTO "parameters" VALUES (1,0,'network.operator','choice','1','which operator',0.0,2.0,0,NULL,NULL,NULL,'network.operator');
INSERT INTO "parameters" VALUES (1,1,'network.kernel','ordinal','1','',0.0,2.0,0,0,0.0,1.0,'network.kernel');
INSERT INTO "parameters" VALUES (1,2,'network.depth','integer','1','',1.0,9.0,0,NULL,NULL,NULL,'network.depth');
INSERT INTO "parameters" VALUES (1,3,'accelerator.ratio','real','1','',0.0,1.0,1,NULL,NULL,NULL,'accelerator.ratio');
INSERT INTO "parameters" VALUES (1,4,'accelerator.voltage','ordinal','1','',0.0,2.0,0,NULL,NULL,NULL,'accelerator.voltage');
INSERT INTO "trial_1" VALUES (1,0,0.0,NULL,5.77279232793563856773e-02,8.91745096217535393456e-01,2,NULL,2,8.84609831110534372555e-02,2,NULL,NULL,0,1.70000000002340912819e+09,3.89193563954831178719e-01,-485138944);
INSERT INTO "trial_1" VALUES (2,0,0.0,NULL,3.33333333333333314829e-01,4.94065645841247e-324,2,NULL,7,3.00000000000000044408e-01,0,NULL,NULL,0,1.70000000093541193003e+09,7.20469279939018658609e-01,-335568910);
INSERT INTO "trial_1" VALUES (3,1,0.0,NULL,NULL,NULL,1,1,7,0.769588523157995,0,'it''s the "reason"',NULL,0,1.70000000016901755333e+09,6.9434050978974759527e-01,-308220666);
INSERT INTO "trial_1" VALUES (4,2,0.0,NULL,NULL,NULL,0,2,7,8.82611271485412185455e-01,2,'it''s the "reason"',NULL,0,1.70000000059667181963e+09,1.39978993574897958573e-01,-1747094093);
INSERT INTO "trial_1" VALUES (5,3,0.0,NULL,NULL,NULL,17,NULL,NULL,NULL,NULL,'it''s the "reason"',NULL,0,1.70000000092196154599e+09,2.34777424166073833688e-01,335199856);
INSERT INTO "trial_1" VALUES (6,0,0.0,1,NULL,NULL,2,NULL,2,8.84609831110534372555e-02,2,NULL,NULL,0,1.70000000089843463901e+09,3.74109185491032891768e-01,1483613394);
INSERT INTO "trial_1" VALUES (7,0,0.25,NULL,9.60059659206803472919e-01,5.90330087127154179427e-01,0,2,3,2.14332955330771568469e-01,2,NULL,NULL,0,1.70000000059545350078e+09,4.06731840651883613801e-01,-924512243);
INSERT INTO "trial_1" VALUES (8,0,0.0,NULL,1.99786536275297854636e-01,8.24042142027511692603e-01,2,NULL,7,2.92306917148781431059e-01,0,NULL,'[3,7]',1,1.70000000058326029774e+09,2.42142401378568683512e-01,-427499222);
