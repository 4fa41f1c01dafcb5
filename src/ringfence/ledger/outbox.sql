-- Statements about warnings and who is told of them.

-- name: insert_warning
INSERT INTO warning (time, kind, subject, service, phase, grave, facts, muted)
VALUES (:time, :kind, :subject, :service, :phase, :grave, :facts, :muted)

-- name: last_warning
SELECT coalesce(max(id), 0) FROM warning

-- name: warnings
SELECT id, time, kind, subject, service, phase, grave, facts, muted, acknowledged, acknowledger FROM warning
WHERE id < :before AND (:kind IS NULL OR kind = :kind) AND (:service IS NULL OR service = :service)
  AND (NOT :open OR acknowledged IS NULL) AND (:since IS NULL OR time >= :since)
ORDER BY id DESC LIMIT :limit

-- name: warnings_of_kind
SELECT id, time, kind, subject, service, phase, grave, facts, muted, acknowledged, acknowledger FROM warning
WHERE kind = :kind AND id >= :first AND id <= :last AND NOT muted
  AND service IN (SELECT value FROM json_each(:services))
ORDER BY id DESC LIMIT :limit

-- name: warnings_counted
SELECT coalesce(json_extract(facts, '$.rule'), ''), service, count(*) FROM warning
WHERE kind = :kind AND id >= :first AND id <= :last AND NOT muted
  AND service IN (SELECT value FROM json_each(:services))
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2

-- name: count_muted
SELECT count(*) FROM warning WHERE kind = :kind AND id >= :first AND id <= :last AND muted
  AND service IN (SELECT value FROM json_each(:services))

-- name: warnings_by_kind
SELECT kind, count(*) FROM warning WHERE time >= :since AND time < :until AND kind <> 'digest' GROUP BY kind ORDER BY kind

-- name: warning_by_id
SELECT id, time, kind, subject, service, phase, grave, facts, muted, acknowledged, acknowledger FROM warning WHERE id = ?1

-- name: warning_about
SELECT id FROM warning WHERE kind = ?1 AND subject = ?2 LIMIT 1

-- name: count_warnings
SELECT count(*), coalesce(sum(grave), 0) FROM warning WHERE acknowledged IS NULL AND NOT muted

-- name: unacknowledged_by_kind
SELECT kind, count(*) FROM warning WHERE acknowledged IS NULL AND NOT muted GROUP BY kind

-- name: unseen
SELECT count(*) FROM (SELECT 1 FROM warning WHERE acknowledged IS NULL AND NOT muted ORDER BY id DESC LIMIT ?1)

-- name: grave_warnings
SELECT id, time, kind, subject, service, phase, grave, facts, muted, acknowledged, acknowledger FROM warning
-- The index tells the grave ones without a look at every row: a flood of others does not slow the overview down.
INDEXED BY warning_kind WHERE grave AND NOT muted AND acknowledged IS NULL ORDER BY id DESC LIMIT ?1

-- name: acknowledge
UPDATE warning SET acknowledged = :now, acknowledger = :author
WHERE acknowledged IS NULL AND (id IN (SELECT value FROM json_each(:ids)) OR :all AND id <= :upto)
RETURNING id

-- name: pending
SELECT service, count(*), max(id), max(grave) FROM warning WHERE kind = :kind AND id > :upto AND NOT muted GROUP BY service

-- name: prune_warnings
DELETE FROM warning WHERE id IN (
  SELECT id FROM warning WHERE time < :limit
    AND id < coalesce((SELECT min(first) FROM delivery WHERE ended IS NULL), 1 << 62) ORDER BY id LIMIT :rows)

-- name: prune_deliveries
DELETE FROM delivery WHERE id IN (SELECT id FROM delivery WHERE ended < :limit LIMIT :rows)

-- name: mutes
SELECT id, kind, subject, service, until, created, author FROM mute WHERE until > :now ORDER BY id

-- name: insert_mute
INSERT INTO mute (kind, subject, service, until, created, author) VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING id

-- name: delete_mute
DELETE FROM mute WHERE id = ?1 RETURNING id, kind, subject, service, until, created, author

-- name: prune_mutes
DELETE FROM mute WHERE until <= :now

-- name: insert_alerting
INSERT INTO alerting (text, author, time, note, newest)
VALUES (?1, ?2, ?3, ?4, (SELECT coalesce(max(id), 0) FROM warning)) RETURNING revision

-- name: alerting
SELECT revision, text, author, time, note, newest FROM alerting
WHERE ?1 IS NULL OR revision = ?1 ORDER BY revision DESC LIMIT 1

-- name: alerting_history
SELECT revision, text, author, time, note, newest FROM alerting ORDER BY revision DESC LIMIT ?1

-- name: told
SELECT channel, recipient, kind, upto, last FROM told

-- name: told_one
SELECT upto, last FROM told WHERE channel = ?1 AND recipient = ?2 AND kind = ?3

-- name: set_told
INSERT INTO told (channel, recipient, kind, upto, last) VALUES (:channel, :recipient, :kind, :upto, :last)
ON CONFLICT (channel, recipient, kind) DO UPDATE SET upto = max(upto, excluded.upto), last = max(last, excluded.last)

-- name: insert_delivery
INSERT INTO delivery (channel, recipient, kind, services, first, last, total, created, due, tries, state, answer)
VALUES (:channel, :recipient, :kind, :services, :first, :last, :total, :now, :now, 0, 'waiting', '') RETURNING id

-- name: extend_delivery
UPDATE delivery SET last = :last, total = :total, services = :services WHERE id = :id AND state = 'waiting' RETURNING id

-- name: delivery
SELECT id, channel, recipient, kind, services, first, last, total, created, due, tries, state, marked, ended, answer
FROM delivery WHERE id = ?1

-- name: open_deliveries
SELECT id, channel, recipient, kind, services, first, last, total, created, due, tries, state, marked, ended, answer
FROM delivery WHERE ended IS NULL ORDER BY due, id

-- name: deliveries
SELECT id, channel, recipient, kind, services, first, last, total, created, due, tries, state, marked, ended, answer
FROM delivery WHERE id < :before ORDER BY id DESC LIMIT :limit

-- name: mark_delivery
UPDATE delivery SET state = 'handed', marked = :now, tries = tries + 1 WHERE id = :id AND state = 'waiting'
RETURNING channel, recipient, kind

-- name: end_delivery
UPDATE delivery SET state = :state, ended = :now, answer = :answer WHERE id = :id AND ended IS NULL

-- name: retry_delivery
UPDATE delivery SET state = 'waiting', due = :due, answer = :answer, tries = tries + (state = 'waiting')
WHERE id = :id AND ended IS NULL

-- name: handed_deliveries
SELECT id, channel, recipient, kind, services, first, last, total, created, due, tries, state, marked, ended, answer
FROM delivery WHERE state = 'handed' AND ended IS NULL ORDER BY id

-- name: conditions
SELECT kind, subject, service, since, facts FROM condition

-- name: set_condition
INSERT OR REPLACE INTO condition (kind, subject, service, since, facts) VALUES (?1, ?2, ?3, ?4, ?5)

-- name: delete_condition
DELETE FROM condition WHERE kind = ?1 AND subject = ?2 AND service = ?3

-- name: familiar
INSERT INTO familiar (account, address, last) VALUES (?1, ?2, ?3)
ON CONFLICT (account, address) DO UPDATE SET last = excluded.last

-- name: is_familiar
SELECT 1 FROM familiar WHERE account = ?1 AND address = ?2

-- name: prune_familiar
DELETE FROM familiar WHERE (account, address) IN (SELECT account, address FROM familiar ORDER BY last DESC LIMIT -1 OFFSET 10000)

-- name: ban_changes_after
SELECT c.id, c.time, c.change, b.target, b.service, c.until, c.author, b.id FROM ban_change c JOIN ban b ON b.id = c.ban
WHERE c.id > :upto AND c.change <> 'enforced' ORDER BY c.id LIMIT :limit

-- name: last_ban_change
SELECT coalesce(max(id), 0) FROM ban_change
