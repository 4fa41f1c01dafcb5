-- The ledger's tables. Times are seconds since 1970-01-01 UTC; an end that never comes is infinity.

-- What the events of one kind have in common, told once: an event refers to it by number.
CREATE TABLE context (
  id      INTEGER PRIMARY KEY,
  service TEXT    NOT NULL,
  failed  INTEGER NOT NULL,
  cause   TEXT    NOT NULL,
  proven  INTEGER NOT NULL,
  pattern TEXT    NOT NULL,
  source  TEXT    NOT NULL,
  mask    INTEGER NOT NULL,            -- the service's bit; 0 for successes, which attack nothing
  UNIQUE (service, failed, cause, proven, pattern, source)
);

-- The services by bit number: an attacker's services are one integer.
CREATE TABLE service (
  bit  INTEGER PRIMARY KEY,
  name TEXT    NOT NULL UNIQUE
);

-- Append only and without any index, so that an attempt costs a page's share and nothing else.
-- `previous` is the event of the same address recorded before: an address's timeline is a walk along it.
CREATE TABLE event (
  id       INTEGER PRIMARY KEY,
  time     REAL    NOT NULL,
  address  TEXT    NOT NULL,
  context  INTEGER NOT NULL,
  account  TEXT    NOT NULL,
  detail   TEXT    NOT NULL,
  line     INTEGER NOT NULL,
  session  TEXT    NOT NULL,
  token    TEXT    NOT NULL,
  previous INTEGER
);

-- Runs of events with the span of time they cover: finds and prunes by time without an index on events.
CREATE TABLE block (
  first  INTEGER PRIMARY KEY,
  last   INTEGER NOT NULL,
  oldest REAL    NOT NULL,
  newest REAL    NOT NULL
);

-- One row an address. first_seen and last_seen tell of attempts only.
CREATE TABLE attacker (
  address    TEXT    PRIMARY KEY,
  attempts   INTEGER NOT NULL,
  successes  INTEGER NOT NULL,
  first_seen REAL    NOT NULL,
  last_seen  REAL    NOT NULL,
  services   INTEGER NOT NULL,         -- bits of all services attacked
  recent     INTEGER NOT NULL,         -- bits of those attacked since their statistics were reset
  newest     INTEGER NOT NULL,         -- its newest event, where the chain begins
  convicted  INTEGER NOT NULL DEFAULT 0 -- a rule has banned it, so it threatens however few its attempts are
) WITHOUT ROWID;
-- The first two hold all that lists are filtered by: whom a filter leaves out costs no look-up of its row.
CREATE INDEX attacker_attempts ON attacker (attempts, last_seen, address, first_seen, services, convicted);
CREATE INDEX attacker_last     ON attacker (last_seen, address, attempts, first_seen, services, convicted);
CREATE INDEX attacker_first    ON attacker (first_seen, address);

-- Attempts by minute (of `time`, seconds / 60) and service: what charts are drawn from.
CREATE TABLE minute (
  minute   INTEGER NOT NULL,
  service  TEXT    NOT NULL,
  attempts INTEGER NOT NULL,
  PRIMARY KEY (minute, service)
) WITHOUT ROWID;

-- The same by hour, for charts of a month.
CREATE TABLE hour (
  hour     INTEGER NOT NULL,
  service  TEXT    NOT NULL,
  attempts INTEGER NOT NULL,
  PRIMARY KEY (hour, service)
) WITHOUT ROWID;

CREATE TABLE position (
  source        TEXT    PRIMARY KEY,
  inode         TEXT    NOT NULL,      -- text, because an inode may need all 64 bits unsigned
  fingerprint   TEXT    NOT NULL,
  fingerprinted INTEGER NOT NULL,
  offset        INTEGER NOT NULL,
  line          INTEGER NOT NULL,
  cursor        TEXT    NOT NULL
) WITHOUT ROWID;

CREATE TABLE ban (
  id        INTEGER PRIMARY KEY,
  target    TEXT    NOT NULL,
  service   TEXT    NOT NULL,
  since     REAL    NOT NULL,
  until     REAL    NOT NULL,
  state     TEXT    NOT NULL,
  author    TEXT    NOT NULL,
  reason    TEXT    NOT NULL,
  detail    TEXT    NOT NULL,
  note      TEXT    NOT NULL,
  ended     REAL,                      -- NULL while it runs
  automatic INTEGER NOT NULL,          -- made by a rule, so it may give way when the list is full
  evidence  INTEGER NOT NULL DEFAULT 0 -- there are rows in `evidence`
);
CREATE UNIQUE INDEX ban_running  ON ban (target, service)  WHERE ended IS NULL;
CREATE        INDEX ban_ending   ON ban (automatic, until, id, target, service, author) WHERE ended IS NULL;
CREATE        INDEX ban_since    ON ban (since, id, target, service, author, ended);
CREATE        INDEX ban_wanted   ON ban (since, id)        WHERE ended IS NULL AND state = 'wanted';
CREATE        INDEX ban_history  ON ban (target);
CREATE        INDEX ban_evidence ON ban (ended)            WHERE evidence AND ended IS NOT NULL;

-- Everything that ever happened to a ban.
CREATE TABLE ban_change (
  id     INTEGER PRIMARY KEY,
  ban    INTEGER NOT NULL,
  time   REAL    NOT NULL,
  change TEXT    NOT NULL,
  state  TEXT    NOT NULL,
  until  REAL    NOT NULL,
  author TEXT    NOT NULL
);
CREATE INDEX ban_change_ban ON ban_change (ban);

-- Where the evidence of a ban is found among the events: on the chain that ends in `event`, from `since` to `until`.
-- Before the first of them is pruned it becomes copies in `evidence`, and this row goes.
CREATE TABLE firing (
  id      INTEGER PRIMARY KEY,
  ban     INTEGER NOT NULL,
  event   INTEGER NOT NULL,
  target  TEXT    NOT NULL,
  address TEXT    NOT NULL,
  service TEXT    NOT NULL,
  since   REAL    NOT NULL,
  until   REAL    NOT NULL,
  count   INTEGER NOT NULL
);
CREATE INDEX firing_ban   ON firing (ban);
CREATE INDEX firing_since ON firing (since);

-- Copies of the events that made a rule fire; they outlive the events.
CREATE TABLE evidence (
  ban     INTEGER NOT NULL,
  event   INTEGER NOT NULL,
  time    REAL    NOT NULL,
  address TEXT    NOT NULL,
  context INTEGER NOT NULL,
  account TEXT    NOT NULL,
  detail  TEXT    NOT NULL,
  line    INTEGER NOT NULL,
  session TEXT    NOT NULL,
  token   TEXT    NOT NULL,
  PRIMARY KEY (ban, event)
) WITHOUT ROWID;

CREATE TABLE verdict (
  id      INTEGER PRIMARY KEY,
  time    REAL    NOT NULL,
  rule    TEXT    NOT NULL,
  service TEXT    NOT NULL,
  target  TEXT    NOT NULL,
  address TEXT    NOT NULL,
  until   REAL    NOT NULL,
  actions TEXT    NOT NULL,            -- separated by a blank
  scope   TEXT    NOT NULL,
  count   INTEGER NOT NULL,
  since   REAL    NOT NULL,
  ban     INTEGER                      -- the ban it made, extended or found running; NULL without "block"
);

CREATE TABLE allow (
  target    TEXT NOT NULL,
  service   TEXT NOT NULL,
  note      TEXT NOT NULL,
  author    TEXT NOT NULL,
  created   REAL NOT NULL,
  expires   REAL NOT NULL,
  addresses TEXT NOT NULL,             -- JSON array
  PRIMARY KEY (target, service)
) WITHOUT ROWID;

CREATE TABLE lockdown (
  id       INTEGER PRIMARY KEY,
  services TEXT NOT NULL,              -- JSON array
  since    REAL NOT NULL,
  until    REAL NOT NULL,
  author   TEXT NOT NULL,
  ended    REAL
);

CREATE TABLE policy (
  revision INTEGER PRIMARY KEY,
  text     TEXT NOT NULL,
  author   TEXT NOT NULL,
  time     REAL NOT NULL,
  note     TEXT NOT NULL
);

CREATE TABLE audit (
  id        INTEGER PRIMARY KEY,
  time      REAL NOT NULL,
  author    TEXT NOT NULL,
  command   TEXT NOT NULL,
  arguments TEXT NOT NULL,             -- JSON object
  origin    TEXT NOT NULL
);

CREATE TABLE statistic (
  service   TEXT    PRIMARY KEY,
  since     REAL    NOT NULL,
  attempts  INTEGER NOT NULL DEFAULT 0,
  successes INTEGER NOT NULL DEFAULT 0,
  forgotten INTEGER NOT NULL DEFAULT 0, -- addresses counted and since pruned
  bans      INTEGER NOT NULL DEFAULT 0,
  packets   INTEGER NOT NULL DEFAULT 0,
  mails     INTEGER NOT NULL DEFAULT 0,
  unsent    INTEGER NOT NULL DEFAULT 0, -- mails and other messages that were given up
  untold    INTEGER NOT NULL DEFAULT 0  -- warnings that nobody wanted to be told of
) WITHOUT ROWID;

-- Sightings that wait for a later line to tell whether they are attempts; each as JSON.
CREATE TABLE held (
  key   TEXT PRIMARY KEY, -- address, session and token
  event BLOB NOT NULL
) WITHOUT ROWID;

-- Numbers that must survive: folded, peak, overflow, forgotten.
CREATE TABLE counter (
  name  TEXT    PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;

-- ---------------------------------------------------------------- who may use the page and the API

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

-- One-time links: whoever has the secret chooses name and password of a new user, or a new password of a known one.
CREATE TABLE invitation (
  hash    TEXT PRIMARY KEY,            -- SHA-256 of the secret, hexadecimal
  name    TEXT NOT NULL,               -- the user it is for; empty: whoever opens it chooses a name
  role    TEXT NOT NULL,
  created REAL NOT NULL,
  expires REAL NOT NULL,
  author  TEXT NOT NULL
) WITHOUT ROWID;

-- Keys of the API. The secret is 256 random bits, so a plain hash keeps it.
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

-- What applications have reported already: a key that is sent again counts nothing again.
CREATE TABLE reported (
  token  INTEGER NOT NULL,
  key    TEXT    NOT NULL,
  time   REAL    NOT NULL,
  events INTEGER NOT NULL,
  PRIMARY KEY (token, key)
) WITHOUT ROWID;
CREATE INDEX reported_time ON reported (time);

-- Account holders who ask to be let in again.
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

-- Changes that undo themselves at `deadline` unless somebody says that they can still be reached.
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

-- ---------------------------------------------------------------- warnings

-- What was noticed, each thing once. What a rule warns of is written in the transaction of the bans that it made.
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

-- What somebody does not want to be told of until then; an empty subject or service stands for any.
CREATE TABLE mute (
  id      INTEGER PRIMARY KEY,
  kind    TEXT NOT NULL,
  subject TEXT NOT NULL,
  service TEXT NOT NULL,
  until   REAL NOT NULL,
  created REAL NOT NULL,
  author  TEXT NOT NULL
);

-- Who is told and how, in revisions. `newest` is the last warning that there was: whoever is new is told of later ones.
CREATE TABLE alerting (
  revision INTEGER PRIMARY KEY,
  text     TEXT    NOT NULL,
  author   TEXT    NOT NULL,
  time     REAL    NOT NULL,
  note     TEXT    NOT NULL,
  newest   INTEGER NOT NULL
);

-- Up to which warning a recipient has been told of a kind (what a delivery holds counts as told), and when last.
CREATE TABLE told (
  channel   TEXT    NOT NULL,           -- mail, or the channel's name
  recipient TEXT    NOT NULL,           -- the mail address; empty for other channels
  kind      TEXT    NOT NULL,
  upto      INTEGER NOT NULL,
  last      REAL    NOT NULL,
  PRIMARY KEY (channel, recipient, kind)
) WITHOUT ROWID;

-- The outbox: one message to one recipient, of the warnings of `kind` and `services` from `first` to `last`.
-- waiting -> handed (may have been taken over) -> sent, failed, unclear; or waiting again when it certainly was not.
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

-- What lasts and was warned of when it began, so that it is told once and its end too.
CREATE TABLE condition (
  kind    TEXT NOT NULL,
  subject TEXT NOT NULL,
  service TEXT NOT NULL,
  since   REAL NOT NULL,
  facts   TEXT NOT NULL,
  PRIMARY KEY (kind, subject, service)
) WITHOUT ROWID;

-- Addresses from which administrators logged in before.
CREATE TABLE familiar (
  account TEXT NOT NULL,
  address TEXT NOT NULL,
  last    REAL NOT NULL,
  PRIMARY KEY (account, address)
) WITHOUT ROWID;

-- Which logs ever brought a test line of the guard's own back, when first and when last.
CREATE TABLE canary (
  source TEXT PRIMARY KEY,
  first  REAL NOT NULL,
  last   REAL NOT NULL
) WITHOUT ROWID;
