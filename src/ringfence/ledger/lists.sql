-- Statements of the lists that pages show. Words in braces come from fixed tables in the code, never from data.

-- name: attack_page
SELECT address, attempts, services, first_seen, last_seen, successes, newest, convicted FROM attacker
WHERE {where} ORDER BY {order} LIMIT :limit OFFSET :offset

-- name: attack_count
SELECT count(*) FROM (SELECT 1 FROM attacker WHERE {where} LIMIT :most)

-- name: ban_page
SELECT id, target, service, since, until, state, author, reason, detail, note, ended FROM ban
WHERE {where} ORDER BY {order} LIMIT :limit OFFSET :offset

-- name: ban_count
SELECT count(*) FROM (SELECT 1 FROM ban WHERE {where} LIMIT :most)

-- name: networks_banned
SELECT target, max(ended IS NULL) FROM ban WHERE instr(target, '/') GROUP BY target

-- name: networks_changed
SELECT DISTINCT b.target, EXISTS (SELECT 1 FROM ban r WHERE r.target = b.target AND r.ended IS NULL)
FROM ban_change c CROSS JOIN ban b ON b.id = c.ban WHERE c.id > :after AND c.id <= :upto AND instr(b.target, '/')

-- name: last_change
SELECT coalesce(max(id), 0) FROM ban_change

-- name: who_tried
SELECT DISTINCT address FROM event WHERE id > :after AND id <= :upto AND account <> '' AND instr(lower(account), :account)

-- name: evidence_accounts
SELECT account FROM evidence WHERE ban = :ban AND account <> '' GROUP BY account ORDER BY max(event) DESC LIMIT :limit

-- name: last_firing
SELECT event FROM firing WHERE ban = :ban ORDER BY id DESC LIMIT 1

-- name: timeline
WITH RECURSIVE chain (id, previous) AS (
  SELECT id, previous FROM event WHERE id = :start
  UNION ALL
  SELECT e.id, e.previous FROM chain JOIN event e ON e.id = chain.previous LIMIT :steps
)
SELECT e.id, e.time, e.address, c.service, e.account, c.failed, c.cause, e.detail, c.proven, c.pattern, c.source,
       e.line, e.session, e.token, e.previous, {where} AS wanted
FROM chain CROSS JOIN event e ON e.id = chain.id CROSS JOIN context c ON c.id = e.context

-- name: newest_events
SELECT e.id, e.time, e.address, c.service, e.account, c.failed, c.cause, e.detail, c.proven, c.pattern, c.source,
       e.line, e.session, e.token
FROM event e CROSS JOIN context c ON c.id = e.context
WHERE e.id <= :start AND e.id > :stop AND {where} ORDER BY e.id DESC LIMIT :limit

-- name: slots_of_minutes
SELECT minute * 60 / :step * :step, service, sum(attempts) FROM minute
WHERE minute >= :first AND minute < :last GROUP BY 1, 2

-- name: slots_of_bans
SELECT CAST(since / :step AS INTEGER) * :step, service, count(*) FROM ban
WHERE since >= :since AND since < :until GROUP BY 1, 2

-- name: count_seen
SELECT count(*) FROM (SELECT 1 FROM attacker WHERE last_seen >= :since LIMIT :most)

-- name: top_accounts
SELECT e.account, count(*) FROM event e CROSS JOIN context c ON c.id = e.context
WHERE e.id > :after AND e.time >= :since AND c.failed AND e.account <> ''
GROUP BY e.account ORDER BY 2 DESC, 1 LIMIT :limit

-- name: oldest_event
SELECT coalesce(min(id), 0) FROM event

-- name: event_time
SELECT time FROM event WHERE id >= :id ORDER BY id LIMIT 1

-- name: newest_bans
SELECT id, target, service, since, until, state, author, reason, detail, note, ended FROM ban ORDER BY id DESC LIMIT :limit

-- name: running_by_service
SELECT service, count(*) FROM ban WHERE ended IS NULL GROUP BY service

-- name: bans_made
SELECT b.service, c.author, count(*) FROM ban_change c CROSS JOIN ban b ON b.id = c.ban
WHERE c.id > :after AND c.id <= :upto AND c.change IN ('made', 'past') GROUP BY 1, 2

-- name: audit_page
SELECT id, time, author, command, arguments, origin FROM audit
WHERE id < :before AND (:text = '' OR instr(lower(author || ' ' || command || ' ' || arguments || ' ' || origin), :text))
ORDER BY id DESC LIMIT :limit

-- name: versions
SELECT (SELECT coalesce(max(id), 0) FROM event) AS events, (SELECT coalesce(max(id), 0) FROM ban_change) AS bans,
  (SELECT coalesce(max(id), 0) FROM audit) AS audit, (SELECT coalesce(max(revision), 0) FROM policy) AS policy,
  (SELECT count(*) FROM allow) AS whitelist,
  (SELECT coalesce(max(id), 0) * 1000 - count(*) FROM trial WHERE ended IS NULL) AS trials,
  (SELECT coalesce(max(id), 0) + count(decided) FROM request) AS requests
