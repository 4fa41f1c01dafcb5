-- Every statement of the ledger, by name. Words in braces are put in from fixed tables in the code, never from data.

-- name: begin
BEGIN IMMEDIATE

-- name: commit
COMMIT

-- name: rollback
ROLLBACK

-- ---------------------------------------------------------------- counters

-- name: counters
SELECT name, value FROM counter

-- name: folded
SELECT value FROM counter WHERE name = 'folded'

-- name: set_counter
INSERT INTO counter (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- name: last_event
SELECT coalesce(max(id), 0) FROM event

-- name: running_bans
SELECT count(*) FROM ban WHERE ended IS NULL

-- ---------------------------------------------------------------- events

-- name: insert_event
INSERT INTO event (id, time, address, context, account, detail, line, session, token, previous)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, coalesce(?10, (SELECT newest FROM attacker WHERE address = ?3)))

-- name: find_context
SELECT id FROM context
WHERE service = ?1 AND failed = ?2 AND cause = ?3 AND proven = ?4 AND pattern = ?5 AND source = ?6

-- name: count_contexts
SELECT count(*) FROM context

-- name: insert_context
INSERT INTO context (service, failed, cause, proven, pattern, source, mask) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
RETURNING id

-- name: services
SELECT bit, name FROM service ORDER BY bit

-- name: insert_service
INSERT INTO service (bit, name) VALUES (?1, ?2)

-- name: fold_attackers
INSERT INTO attacker (address, attempts, successes, first_seen, last_seen, services, recent, newest)
SELECT e.address, iif(c.failed, n, 0), iif(c.failed, 0, n), iif(c.failed, oldest, 9e999), iif(c.failed, youngest, -9e999),
       c.mask, c.mask, e.last
FROM (SELECT address, context, count(*) AS n, min(time) AS oldest, max(time) AS youngest, max(id) AS last
      FROM event WHERE id > :folded AND id <= :last GROUP BY address, context) e
CROSS JOIN context c ON c.id = e.context
WHERE true
ON CONFLICT (address) DO UPDATE SET
  attempts = attempts + excluded.attempts, successes = successes + excluded.successes,
  first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen),
  services = services | excluded.services, recent = recent & ~({stale}) | excluded.recent,
  newest = max(newest, excluded.newest)

-- name: fold_minutes
SELECT e.minute, c.service, c.failed, sum(n), min(oldest), max(newest)
FROM (SELECT CAST(time / 60 AS INTEGER) AS minute, context, count(*) AS n, min(time) AS oldest, max(time) AS newest
      FROM event WHERE id > :folded AND id <= :last GROUP BY 1, 2) e
CROSS JOIN context c ON c.id = e.context GROUP BY 1, 2, 3

-- name: add_minute
INSERT INTO minute (minute, service, attempts) VALUES (?1, ?2, ?3)
ON CONFLICT (minute, service) DO UPDATE SET attempts = attempts + excluded.attempts

-- name: add_hour
INSERT INTO hour (hour, service, attempts) VALUES (?1, ?2, ?3)
ON CONFLICT (hour, service) DO UPDATE SET attempts = attempts + excluded.attempts

-- name: last_verdict
SELECT coalesce(max(id), 0) FROM verdict

-- name: convict
UPDATE attacker SET convicted = 1 WHERE NOT convicted
  AND address IN (SELECT address FROM verdict WHERE id > :after AND id <= :upto AND ban IS NOT NULL)

-- name: networks_convicted
SELECT target, service, min(since) FROM verdict
WHERE id > :after AND id <= :upto AND ban IS NOT NULL AND instr(target, '/') GROUP BY target, service

-- name: inhabitants
SELECT address FROM attacker
WHERE address >= :low AND address < :high AND NOT convicted AND last_seen >= :since AND services & :mask
LIMIT :limit

-- name: convict_one
UPDATE attacker SET convicted = 1 WHERE address = ?

-- name: extend_block
UPDATE block SET last = :last, oldest = min(oldest, :oldest), newest = max(newest, :newest)
WHERE first = (SELECT max(first) FROM block) AND last - first < :span

-- name: insert_block
INSERT INTO block (first, last, oldest, newest) VALUES (:first, :last, :oldest, :newest)

-- name: first_block_since
SELECT min(first) FROM block WHERE newest >= :time

-- name: events_page
SELECT e.id, e.time, e.address, c.service, e.account, c.failed, c.cause, e.detail, c.proven, c.pattern, c.source,
       e.line, e.session, e.token
FROM event e JOIN context c ON c.id = e.context
WHERE e.id >= :start AND e.id < :stop AND e.time >= :time ORDER BY e.id

-- name: newest_event
SELECT newest FROM attacker WHERE address = :address

-- name: newest_unfolded
SELECT max(id) FROM event
WHERE id > (SELECT coalesce(max(value), 0) FROM counter WHERE name = 'folded') AND address = :address

-- name: unfolded_addresses
SELECT address, max(id) FROM event WHERE id > :folded GROUP BY address

-- name: walk
WITH RECURSIVE chain (id, previous) AS (
  SELECT id, previous FROM event WHERE id = :newest
  UNION ALL
  SELECT e.id, e.previous FROM chain JOIN event e ON e.id = chain.previous
)
SELECT e.id, e.time, e.address, c.service, e.account, c.failed, c.cause, e.detail, c.proven, c.pattern, c.source,
       e.line, e.session, e.token
FROM chain CROSS JOIN event e ON e.id = chain.id JOIN context c ON c.id = e.context
WHERE e.id < :before LIMIT :limit

-- name: accounts
WITH RECURSIVE chain (id, previous, account) AS (
  SELECT id, previous, account FROM event WHERE id = :newest
  UNION ALL
  SELECT e.id, e.previous, e.account FROM chain JOIN event e ON e.id = chain.previous LIMIT :steps
)
SELECT account FROM chain WHERE account <> '' GROUP BY account ORDER BY max(id) DESC LIMIT :limit

-- ---------------------------------------------------------------- attackers

-- name: attackers
SELECT address, attempts, services, first_seen, last_seen, successes, newest, convicted FROM attacker
WHERE attempts > 0 AND {level} AND last_seen >= :since
  AND (:mask IS NULL OR services & :mask) AND (:text IS NULL OR instr(address, :text))
ORDER BY {order} {direction}, address LIMIT :limit OFFSET :offset

-- name: count_attackers
SELECT count(*) FROM attacker
WHERE attempts > 0 AND {level} AND last_seen >= :since
  AND (:mask IS NULL OR services & :mask) AND (:text IS NULL OR instr(address, :text))

-- name: attacker
SELECT address, attempts, services, first_seen, last_seen, successes, newest, convicted FROM attacker
WHERE address = :address

-- ---------------------------------------------------------------- positions

-- name: positions
SELECT source, inode, fingerprint, fingerprinted, offset, line, cursor FROM position

-- name: set_position
INSERT INTO position (source, inode, fingerprint, fingerprinted, offset, line, cursor) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (source) DO UPDATE SET inode = excluded.inode, fingerprint = excluded.fingerprint,
  fingerprinted = excluded.fingerprinted, offset = excluded.offset, line = excluded.line, cursor = excluded.cursor

-- name: delete_position
DELETE FROM position WHERE source = ?

-- name: held
SELECT event FROM held

-- name: hold
INSERT OR REPLACE INTO held (key, event) VALUES (?, ?)

-- name: release
DELETE FROM held WHERE key = ?

-- ---------------------------------------------------------------- bans

-- name: running_bans_of
SELECT b.id, b.target, b.service, b.since, b.until, b.state, b.author, b.reason, b.detail, b.note, b.ended
FROM json_each(?) AS wanted CROSS JOIN ban AS b ON b.target = wanted.value WHERE b.ended IS NULL

-- name: running_between
SELECT id, target, service, since, until, state, author, reason, detail, note, ended FROM ban
WHERE ended IS NULL AND target >= :low AND target < :high

-- name: last_ban
SELECT max(id) FROM ban

-- name: insert_ban
INSERT INTO ban (id, target, service, since, until, state, author, reason, detail, note, ended, automatic)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: change_ban
UPDATE ban SET until = ?2, state = ?3, author = ?4, reason = ?5, detail = ?6, note = ?7, automatic = ?8 WHERE id = ?1

-- name: end_ban
UPDATE ban SET state = ?2, ended = ?3 WHERE id = ?1

-- name: insert_change
INSERT INTO ban_change (ban, time, change, state, until, author) VALUES (?, ?, ?, ?, ?, ?)

-- name: note_enforced
INSERT INTO ban_change (ban, time, change, state, until, author)
SELECT id, ?2, 'enforced', 'enforced', until, '' FROM ban
WHERE id = ?1 AND state = 'wanted' AND until = coalesce(?3, until)

-- name: mark_enforced
UPDATE ban SET state = 'enforced' WHERE id = ?1 AND state = 'wanted' AND until = coalesce(?2, until)

-- name: due_bans
SELECT id, target, service, since, until, state, author, reason, detail, note, ended FROM ban
WHERE ended IS NULL AND automatic IN (0, 1) AND until <= :now ORDER BY until

-- name: ends_soonest
SELECT id, target, service, since, until, state, author, reason, detail, note, ended FROM ban
WHERE ended IS NULL AND automatic = 1 ORDER BY until LIMIT 1

-- name: bans_to_lift
SELECT id, target, service, since, until, state, author, reason, detail, note, ended FROM ban
WHERE ended IS NULL AND {target} AND (:service IS NULL OR service = :service) ORDER BY id

-- name: ban
SELECT id, target, service, since, until, state, author, reason, detail, note, ended FROM ban WHERE id = ?

-- name: all_running
SELECT id, target, service, since, until, state, author, reason, detail, note, ended FROM ban
WHERE ended IS NULL

-- name: bans
SELECT id, target, service, since, until, state, author, reason, detail, note, ended FROM ban
WHERE {state} AND {target} AND (:service IS NULL OR service = :service)
  AND (:text IS NULL OR instr(target, :text))
ORDER BY {order} {direction}, id {direction} LIMIT :limit OFFSET :offset

-- name: count_bans
SELECT count(*) FROM ban
WHERE {state} AND {target} AND (:service IS NULL OR service = :service)
  AND (:text IS NULL OR instr(target, :text))

-- name: bans_since
SELECT id, target, service, since, until, state, author, reason, detail, note, ended FROM ban
WHERE since >= :time ORDER BY id

-- name: ban_changes
SELECT time, change, state, until, author FROM ban_change WHERE ban = ? ORDER BY id

-- name: insert_firing
INSERT INTO firing (ban, event, target, address, service, since, until, count) VALUES (?, ?, ?, ?, ?, ?, ?, ?)

-- name: firings_of
SELECT id, ban, event, target, address, service, since, until, count FROM firing WHERE ban = ? ORDER BY id DESC
LIMIT ?

-- name: firings_since
SELECT id, ban, event, target, address, service, since, until, count FROM firing WHERE since <= :time ORDER BY since
LIMIT :rows

-- name: delete_firing
DELETE FROM firing WHERE id = ?

-- name: fired_events
WITH RECURSIVE chain (id, previous) AS (
  SELECT id, previous FROM event WHERE id = :newest
  UNION ALL
  SELECT e.id, e.previous FROM chain JOIN event e ON e.id = chain.previous LIMIT :steps
)
SELECT e.id FROM chain CROSS JOIN event e ON e.id = chain.id CROSS JOIN context c ON c.id = e.context
WHERE e.time BETWEEN :since AND :until AND c.failed AND c.service = :service LIMIT :limit

-- name: neighbours
SELECT e.id, e.address FROM event e CROSS JOIN context c ON c.id = e.context
WHERE e.id BETWEEN :first AND :last AND e.time BETWEEN :since AND :until AND c.failed AND c.service = :service
ORDER BY e.id DESC

-- name: copy_event
INSERT OR IGNORE INTO evidence (ban, event, time, address, context, account, detail, line, session, token)
SELECT ?1, id, time, address, context, account, detail, line, session, token FROM event WHERE id = ?2

-- name: trim_evidence
DELETE FROM evidence WHERE ban = :ban AND event <=
  (SELECT event FROM evidence WHERE ban = :ban ORDER BY event DESC LIMIT 1 OFFSET :keep)

-- name: has_evidence
UPDATE ban SET evidence = 1 WHERE id = ?

-- name: event
SELECT e.id, e.time, e.address, c.service, e.account, c.failed, c.cause, e.detail, c.proven, c.pattern, c.source,
       e.line, e.session, e.token
FROM event e JOIN context c ON c.id = e.context WHERE e.id = ?

-- name: evidence
SELECT e.event, e.time, e.address, c.service, e.account, c.failed, c.cause, e.detail, c.proven, c.pattern, c.source,
       e.line, e.session, e.token
FROM evidence e JOIN context c ON c.id = e.context WHERE e.ban = ? ORDER BY e.event

-- name: insert_verdict
INSERT INTO verdict (time, rule, service, target, address, until, actions, scope, count, since, ban)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: verdicts
SELECT id, ban, time, rule, service, target, address, until, actions, scope, count, since FROM verdict
WHERE id > :after ORDER BY id LIMIT :limit

-- name: verdicts_of
SELECT id, ban, time, rule, service, target, address, until, actions, scope, count, since FROM verdict
WHERE target = :target ORDER BY id DESC LIMIT :limit

-- ---------------------------------------------------------------- whitelist and lockdown

-- name: set_allow
INSERT INTO allow (target, service, note, author, created, expires, addresses) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (target, service) DO UPDATE SET note = excluded.note, author = excluded.author,
  created = excluded.created, expires = excluded.expires, addresses = excluded.addresses

-- name: whitelist
SELECT target, service, note, author, created, expires, addresses FROM allow WHERE expires > :now
ORDER BY created, target, service

-- name: allow_entry
SELECT target, service, note, author, created, expires, addresses FROM allow WHERE target = ? AND service = ?

-- name: delete_allow
DELETE FROM allow WHERE target = ? AND service = ?

-- name: expired_allow
DELETE FROM allow WHERE expires <= :now RETURNING target, service, note, author, created, expires, addresses

-- name: set_resolution
UPDATE allow SET addresses = :addresses WHERE target = :target AND addresses <> :addresses

-- name: end_lockdown
UPDATE lockdown SET ended = :now WHERE ended IS NULL

-- name: insert_lockdown
INSERT INTO lockdown (services, since, until, author) VALUES (?, ?, ?, ?)

-- name: lockdown
SELECT services, since, until, author FROM lockdown WHERE ended IS NULL AND until > :now ORDER BY id DESC LIMIT 1

-- ---------------------------------------------------------------- policy and audit

-- name: insert_policy
INSERT INTO policy (text, author, time, note) VALUES (?, ?, ?, ?) RETURNING revision

-- name: policy
SELECT revision, text, author, time, note FROM policy WHERE revision = coalesce(?1, (SELECT max(revision) FROM policy))

-- name: policy_history
SELECT revision, text, author, time, note FROM policy ORDER BY revision DESC LIMIT :limit

-- name: insert_audit
INSERT INTO audit (time, author, command, arguments, origin) VALUES (?, ?, ?, ?, ?)

-- name: audit_log
SELECT id, time, author, command, arguments, origin FROM audit WHERE id < :before ORDER BY id DESC LIMIT :limit

-- ---------------------------------------------------------------- statistics

-- name: add_statistic
INSERT INTO statistic (service, since, attempts, successes, forgotten, bans, packets, mails, unsent, untold)
VALUES (:service, :now, :attempts, :successes, :forgotten, :bans, :packets, :mails, :unsent, :untold)
ON CONFLICT (service) DO UPDATE SET attempts = attempts + excluded.attempts,
  successes = successes + excluded.successes, forgotten = forgotten + excluded.forgotten, bans = bans + excluded.bans,
  packets = packets + excluded.packets, mails = mails + excluded.mails, unsent = unsent + excluded.unsent,
  untold = untold + excluded.untold

-- name: statistics
SELECT service, since, attempts, successes, forgotten, bans, packets, mails, unsent, untold FROM statistic ORDER BY service

-- name: recent_masks
SELECT recent & ~({stale}), count(*) FROM attacker GROUP BY 1

-- name: resets
SELECT CAST(substr(name, 7) AS INTEGER), value FROM counter WHERE name GLOB 'reset:*'

-- name: reset_statistics
UPDATE statistic SET since = :now, attempts = 0, successes = 0, forgotten = 0, bans = 0, packets = 0, mails = 0,
  unsent = 0, untold = 0
WHERE :service IS NULL OR service = :service

-- name: begin_reset
INSERT INTO counter (name, value) VALUES ('reset:' || :mask, :last) ON CONFLICT (name) DO UPDATE SET value = :last

-- name: end_reset
DELETE FROM counter WHERE name = 'reset:' || :mask

-- name: reset_recent
UPDATE attacker SET recent = recent & ~:mask
WHERE address > :after AND address <= :upto AND newest <= :last AND recent & :mask

-- ---------------------------------------------------------------- upkeep

-- name: oldest_block
SELECT first, last, newest FROM block ORDER BY first LIMIT 1

-- name: delete_events
DELETE FROM event WHERE id BETWEEN :first AND :last

-- name: shorten_block
UPDATE block SET first = :first WHERE first = :old

-- name: delete_block
DELETE FROM block WHERE first = :first

-- name: prune_minutes
DELETE FROM minute WHERE minute < min(:minute, (SELECT min(minute) FROM minute) + :span)

-- name: prune_hours
DELETE FROM hour WHERE hour < :hour

-- name: prune_verdicts
DELETE FROM verdict WHERE id IN
  (SELECT id FROM (SELECT id, time FROM verdict ORDER BY id LIMIT :rows) WHERE time < :limit)

-- name: bans_with_old_evidence
SELECT id FROM ban WHERE evidence AND ended IS NOT NULL AND ended < :limit ORDER BY ended LIMIT :rows

-- name: delete_evidence
DELETE FROM evidence WHERE ban = ?

-- name: no_evidence
UPDATE ban SET evidence = 0 WHERE id = ?

-- name: attackers_after
SELECT max(address), count(*) FROM (SELECT address FROM attacker WHERE address > :after ORDER BY address LIMIT :rows)

-- name: delete_attackers
DELETE FROM attacker
WHERE address > :after AND address <= :upto AND newest < :floor AND (last_seen < :limit OR :full)
  AND NOT EXISTS (SELECT 1 FROM ban WHERE target = attacker.address AND ended IS NULL)
RETURNING recent & ~({stale})

-- name: floor
SELECT coalesce((SELECT min(first) FROM block), (SELECT value + 1 FROM counter WHERE name = 'folded'), 0)

-- name: vacuum
PRAGMA incremental_vacuum({pages})

-- name: pages
SELECT page_count, freelist_count, page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size

-- name: count_rows
SELECT (SELECT count(*) FROM event) AS events, (SELECT count(*) FROM attacker) AS attackers,
  (SELECT count(*) FROM ban) AS bans, (SELECT count(*) FROM evidence) AS evidence,
  (SELECT count(*) FROM verdict) AS verdicts

-- ---------------------------------------------------------------- for the page: numbers, notes, trials, reported events

-- name: note_ban
UPDATE ban SET note = ?2 WHERE id = ?1

-- ---------------------------------------------------------------- people: users, invitations, tokens, requests

-- name: users
SELECT name, role, password, totp, accounts, may_ask, disabled, created, changed, author FROM user ORDER BY name

-- name: user
SELECT name, role, password, totp, accounts, may_ask, disabled, created, changed, author FROM user WHERE name = ?

-- name: count_users
SELECT count(*) FROM user

-- name: administrators
SELECT name, password <> '' FROM user WHERE role = 'administrator' AND NOT disabled

-- name: put_user
INSERT INTO user (name, role, password, totp, accounts, may_ask, disabled, created, changed, author)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: change_user
UPDATE user SET role = ?2, password = ?3, totp = ?4, accounts = ?5, may_ask = ?6, disabled = ?7, changed = ?8
WHERE name = ?1

-- name: delete_user
DELETE FROM user WHERE name = ?

-- name: invitation
SELECT name, role, created, expires, author FROM invitation WHERE hash = ?

-- name: invitations
SELECT hash, name, role, created, expires, author FROM invitation ORDER BY created, hash

-- name: count_invitations
SELECT count(*) FROM invitation

-- name: insert_invitation
INSERT INTO invitation (hash, name, role, created, expires, author) VALUES (?, ?, ?, ?, ?, ?)

-- name: delete_invitation
DELETE FROM invitation WHERE hash = ?

-- name: delete_invitations_for
DELETE FROM invitation WHERE name <> '' AND name = ?

-- name: delete_invitations_by
DELETE FROM invitation WHERE author IN (?1, ?1 || '@web', ?1 || '@api')

-- name: delete_old_invitations
DELETE FROM invitation WHERE expires <= ?

-- name: tokens
SELECT id, user, label, scope, service, created, expires, revoked FROM token
WHERE :user IS NULL OR user = :user ORDER BY id

-- name: token
SELECT id, user, label, scope, service, created, expires, revoked FROM token WHERE id = ?

-- name: token_by_hash
SELECT id, user, label, scope, service, created, expires, revoked FROM token WHERE hash = ?

-- name: count_tokens
SELECT count(*) FROM token WHERE user = :user AND revoked IS NULL AND expires > :now

-- name: last_token
SELECT max(id) FROM token

-- name: insert_token
INSERT INTO token (id, user, label, hash, scope, service, created, expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?)

-- name: revoke_token
UPDATE token SET revoked = :now WHERE id = :id AND revoked IS NULL

-- name: revoke_changing_tokens
UPDATE token SET revoked = :now WHERE user = :user AND scope <> 'read' AND revoked IS NULL

-- name: trim_tokens
DELETE FROM token WHERE id IN (
  SELECT id FROM token WHERE user = :user AND (revoked IS NOT NULL OR expires <= :now)
  ORDER BY id DESC LIMIT -1 OFFSET :keep)

-- name: delete_tokens
DELETE FROM token WHERE user = ?

-- name: requests
SELECT id, user, target, service, reason, time, decided, granted, decider FROM request
WHERE (decided IS NULL OR NOT :open) AND (:user IS NULL OR user = :user) ORDER BY id DESC LIMIT :limit

-- name: request
SELECT id, user, target, service, reason, time, decided, granted, decider FROM request WHERE id = ?

-- name: open_request
SELECT id, user, target, service, reason, time, decided, granted, decider FROM request
WHERE user = ? AND target = ? AND service = ? AND decided IS NULL

-- name: count_requests
SELECT count(*) FROM request WHERE user = :user AND (decided IS NULL OR time > :since)

-- name: last_request
SELECT max(id) FROM request

-- name: insert_request
INSERT INTO request (id, user, target, service, reason, time) VALUES (?, ?, ?, ?, ?, ?)

-- name: decide_request
UPDATE request SET decided = ?2, granted = ?3, decider = ?4 WHERE id = ?1 AND decided IS NULL

-- name: trim_requests
DELETE FROM request WHERE decided IS NOT NULL AND id <= :last - :keep

-- name: delete_requests
DELETE FROM request WHERE user = ?

-- name: attackers_between
SELECT address FROM attacker WHERE address >= :first AND address < :last ORDER BY newest DESC LIMIT :limit

-- name: last_lockdown
SELECT max(id) FROM lockdown

-- name: open_trials
SELECT id, what, undo, began, deadline, author FROM trial WHERE ended IS NULL ORDER BY deadline, id

-- name: trial_outcome
SELECT outcome FROM trial WHERE id = ?1

-- name: insert_trial
INSERT INTO trial (what, undo, began, deadline, author) VALUES (?1, ?2, ?3, ?4, ?5)

-- name: end_trial
UPDATE trial SET ended = ?2, outcome = ?3 WHERE id = ?1 AND ended IS NULL RETURNING what

-- ---------------------------------------------------------------- judging recorded events again

-- name: contexts
SELECT id, service, failed, cause, proven FROM context

-- name: addresses_of
SELECT address FROM event WHERE id IN (SELECT value FROM json_each(:events))

-- Addresses that begin with ":" go with the lower half: so does "0:", which is the same network.

-- name: replay
SELECT time, address, context, account FROM event
WHERE id >= :first AND id <= :last AND time >= :since
  AND (:contexts IS NULL OR context IN (SELECT value FROM json_each(:contexts)))
  AND (:middle IS NULL OR (address >= :middle AND address < ':') = :upper)
ORDER BY id

-- name: addresses_between
SELECT address FROM attacker WHERE address >= :low AND address < :high

-- name: events_expected
SELECT coalesce(sum(attempts + successes), 0) FROM attacker WHERE address IN (SELECT value FROM json_each(:addresses))

-- name: scan_many
SELECT address, context, account FROM event
WHERE id >= :first AND id <= :last AND time >= :since AND address IN (SELECT value FROM json_each(:addresses))

-- name: walk_many
WITH RECURSIVE chain (id) AS (
  SELECT newest FROM attacker WHERE address IN (SELECT value FROM json_each(:addresses))
  UNION ALL
  SELECT e.previous FROM chain JOIN event e ON e.id = chain.id WHERE e.previous >= :first
)
SELECT e.address, e.context, e.account FROM chain JOIN event e ON e.id = chain.id
WHERE e.id >= :first AND e.id <= :last AND e.time >= :since

-- name: prune_trials
DELETE FROM trial WHERE id IN (SELECT id FROM trial WHERE ended < :limit LIMIT :rows)

-- name: reported
SELECT events FROM reported WHERE token = ?1 AND key = ?2 AND time > ?3

-- name: insert_reported
INSERT OR REPLACE INTO reported (token, key, time, events) VALUES (?1, ?2, ?3, ?4)

-- name: prune_reported
DELETE FROM reported WHERE (token, key) IN (SELECT token, key FROM reported WHERE time < :limit ORDER BY time LIMIT :rows)

-- name: canaries
SELECT source, last FROM canary

-- name: note_canary
INSERT INTO canary (source, first, last) VALUES (?1, ?2, ?2) ON CONFLICT (source) DO UPDATE SET last = ?2

-- name: forget_canary
DELETE FROM canary WHERE source = ?1
