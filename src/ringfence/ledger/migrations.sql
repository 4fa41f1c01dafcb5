-- What makes a ledger of an earlier version one of this version, step by step; each name is the version it leads to.

-- name: to_2
ALTER TABLE attacker ADD COLUMN convicted INTEGER NOT NULL DEFAULT 0;
UPDATE attacker SET convicted = 1 WHERE address IN (SELECT address FROM verdict WHERE ban IS NOT NULL)
  OR address IN (SELECT target FROM ban WHERE automatic);
CREATE INDEX attacker_attempts ON attacker (attempts, last_seen, address, first_seen, services, convicted);
CREATE INDEX attacker_last     ON attacker (last_seen, address, attempts, first_seen, services, convicted);
CREATE INDEX attacker_first    ON attacker (first_seen, address);
DROP INDEX ban_ending;
CREATE INDEX ban_ending ON ban (automatic, until, id, target, service, author) WHERE ended IS NULL;
CREATE INDEX ban_since  ON ban (since, id, target, service, author, ended);
CREATE INDEX ban_wanted ON ban (since, id) WHERE ended IS NULL AND state = 'wanted';

CREATE TABLE minute (
  minute   INTEGER NOT NULL,
  service  TEXT    NOT NULL,
  attempts INTEGER NOT NULL,
  PRIMARY KEY (minute, service)
) WITHOUT ROWID;
INSERT INTO minute (minute, service, attempts)
SELECT CAST(e.time / 60 AS INTEGER), c.service, count(*) FROM event e JOIN context c ON c.id = e.context
WHERE c.failed AND e.id <= coalesce((SELECT value FROM counter WHERE name = 'folded'), 0) GROUP BY 1, 2;
CREATE TABLE hour (
  hour     INTEGER NOT NULL,
  service  TEXT    NOT NULL,
  attempts INTEGER NOT NULL,
  PRIMARY KEY (hour, service)
) WITHOUT ROWID;
INSERT INTO hour (hour, service, attempts) SELECT minute / 60, service, sum(attempts) FROM minute GROUP BY 1, 2;


CREATE TABLE user (
  name     TEXT    PRIMARY KEY,
  role     TEXT    NOT NULL,           -- administrator, operator, viewer, holder
  password TEXT    NOT NULL,           -- argon2id, in PHC string form; empty: nobody can log in with a password
  totp     TEXT    NOT NULL,           -- base32 secret of RFC 6238; empty: only the password is asked for
  accounts TEXT    NOT NULL,           -- JSON array: the accounts that an account holder sees
  may_ask  INTEGER NOT NULL,           -- an account holder may ask for an unban
  disabled INTEGER NOT NULL,
  created  REAL    NOT NULL,
  changed  REAL    NOT NULL,           -- when password, role or second factor last changed: older sessions end
  author   TEXT    NOT NULL
) WITHOUT ROWID;

CREATE TABLE invitation (
  hash    TEXT PRIMARY KEY,            -- SHA-256 of the secret, hexadecimal
  name    TEXT NOT NULL,               -- the user it is for; empty: whoever opens it chooses a name
  role    TEXT NOT NULL,
  created REAL NOT NULL,
  expires REAL NOT NULL,
  author  TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE token (
  id      INTEGER PRIMARY KEY,
  user    TEXT NOT NULL,               -- whose role it has at most
  label   TEXT NOT NULL,
  hash    TEXT NOT NULL UNIQUE,        -- SHA-256 of the secret, hexadecimal
  scope   TEXT NOT NULL,               -- read, write, report
  service TEXT NOT NULL,               -- of scope report: the service whose events it may tell
  created REAL NOT NULL,
  expires REAL NOT NULL,
  revoked REAL                         -- NULL while it holds
);

CREATE TABLE reported (
  token  INTEGER NOT NULL,
  key    TEXT    NOT NULL,
  time   REAL    NOT NULL,
  events INTEGER NOT NULL,
  PRIMARY KEY (token, key)
) WITHOUT ROWID;
CREATE INDEX reported_time ON reported (time);

CREATE TABLE request (
  id      INTEGER PRIMARY KEY,
  user    TEXT NOT NULL,
  target  TEXT NOT NULL,
  service TEXT NOT NULL,
  reason  TEXT NOT NULL,
  time    REAL NOT NULL,
  decided REAL,                        -- NULL while it waits
  granted INTEGER NOT NULL DEFAULT 0,
  decider TEXT NOT NULL DEFAULT ''
);

CREATE TABLE trial (
  id       INTEGER PRIMARY KEY,
  what     TEXT NOT NULL,              -- in words
  undo     TEXT NOT NULL,              -- JSON: the command that takes it back
  began    REAL NOT NULL,
  deadline REAL NOT NULL,
  author   TEXT NOT NULL,
  ended    REAL,                       -- NULL while it is on trial
  outcome  TEXT NOT NULL DEFAULT ''    -- kept, undone, replaced
);
CREATE INDEX trial_open ON trial (deadline) WHERE ended IS NULL;

-- name: to_3
ALTER TABLE statistic ADD COLUMN unsent INTEGER NOT NULL DEFAULT 0;
ALTER TABLE statistic ADD COLUMN untold INTEGER NOT NULL DEFAULT 0;


CREATE TABLE warning (
  id           INTEGER PRIMARY KEY,
  time         REAL    NOT NULL,
  kind         TEXT    NOT NULL,
  subject      TEXT    NOT NULL,
  service      TEXT    NOT NULL,        -- empty: none in particular
  phase        TEXT    NOT NULL,        -- began, ended, or empty
  grave        INTEGER NOT NULL,
  facts        TEXT    NOT NULL,        -- JSON object
  muted        INTEGER NOT NULL,        -- nobody is told
  acknowledged REAL,
  acknowledger TEXT    NOT NULL DEFAULT ''
);
CREATE INDEX warning_kind ON warning (kind, id, service, muted, grave);
CREATE INDEX warning_new  ON warning (id) WHERE acknowledged IS NULL;
CREATE INDEX warning_open ON warning (kind) WHERE acknowledged IS NULL AND NOT muted;

CREATE TABLE mute (
  id      INTEGER PRIMARY KEY,
  kind    TEXT NOT NULL,
  subject TEXT NOT NULL,
  service TEXT NOT NULL,
  until   REAL NOT NULL,
  created REAL NOT NULL,
  author  TEXT NOT NULL
);

CREATE TABLE alerting (
  revision INTEGER PRIMARY KEY,
  text     TEXT    NOT NULL,
  author   TEXT    NOT NULL,
  time     REAL    NOT NULL,
  note     TEXT    NOT NULL,
  newest   INTEGER NOT NULL
);

CREATE TABLE told (
  channel   TEXT    NOT NULL,           -- mail, or the channel's name
  recipient TEXT    NOT NULL,           -- the mail address; empty for other channels
  kind      TEXT    NOT NULL,
  upto      INTEGER NOT NULL,
  last      REAL    NOT NULL,
  PRIMARY KEY (channel, recipient, kind)
) WITHOUT ROWID;

CREATE TABLE delivery (
  id        INTEGER PRIMARY KEY,
  channel   TEXT    NOT NULL,
  recipient TEXT    NOT NULL,
  kind      TEXT    NOT NULL,
  services  TEXT    NOT NULL,           -- JSON array
  first     INTEGER NOT NULL,
  last      INTEGER NOT NULL,
  total     INTEGER NOT NULL,           -- warnings in it
  created   REAL    NOT NULL,
  due       REAL    NOT NULL,
  tries     INTEGER NOT NULL,
  state     TEXT    NOT NULL,
  marked    REAL,
  ended     REAL,
  answer    TEXT    NOT NULL
);
CREATE INDEX delivery_open ON delivery (due) WHERE ended IS NULL;

CREATE TABLE condition (
  kind    TEXT NOT NULL,
  subject TEXT NOT NULL,
  service TEXT NOT NULL,
  since   REAL NOT NULL,
  facts   TEXT NOT NULL,
  PRIMARY KEY (kind, subject, service)
) WITHOUT ROWID;

CREATE TABLE familiar (
  account TEXT NOT NULL,
  address TEXT NOT NULL,
  last    REAL NOT NULL,
  PRIMARY KEY (account, address)
) WITHOUT ROWID;

CREATE TABLE canary (
  source TEXT PRIMARY KEY,
  first  REAL NOT NULL,
  last   REAL NOT NULL
) WITHOUT ROWID;
