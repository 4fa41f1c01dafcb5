-- Statements of the lists that pages show. Words in braces come from fixed tables in the code, never from data.

-- name: attack_page
SELECT address, a.attempts, services, first_seen, a.last_seen, successes, newest, convicted
FROM (SELECT address FROM attacker {index} WHERE {where} ORDER BY {order} LIMIT :limit OFFSET :offset)
CROSS JOIN attacker a USING (address) ORDER BY {order}

-- name: attack_count
SELECT count(*) FROM (SELECT 1 FROM attacker {index} WHERE {where} LIMIT :most)

-- name: attack_count_costly
SELECT count(*), coalesce(sum({costly}), 0) FROM (SELECT address FROM attacker {index} WHERE {where} LIMIT :look) attacker

-- name: count_inhabitants
SELECT count(*) FROM (SELECT 1 FROM attacker WHERE address >= :low AND address < :high LIMIT :most)

-- name: listed_attacker
SELECT address, attempts, services, first_seen, last_seen, successes, newest, convicted FROM attacker
WHERE address = :address AND attempts > 0

-- name: ban_page
SELECT b.id, b.target, b.service, b.since, b.until, b.state, b.author, b.reason, b.detail, b.note, b.ended
FROM (SELECT id AS number FROM ban {index} WHERE {where} ORDER BY {order} LIMIT :limit OFFSET :offset)
CROSS JOIN ban b ON b.id = number ORDER BY {order}

-- name: ban_page_by_end
SELECT b.id, b.target, b.service, b.since, b.until, b.state, b.author, b.reason, b.detail, b.note, b.ended
FROM (SELECT id AS number FROM (
  SELECT * FROM (SELECT id, until FROM ban INDEXED BY ban_ending WHERE automatic = 0 AND {where} ORDER BY {order} LIMIT :far)
  UNION ALL
  SELECT * FROM (SELECT id, until FROM ban INDEXED BY ban_ending WHERE automatic = 1 AND {where} ORDER BY {order} LIMIT :far)
) ORDER BY {order} LIMIT :limit OFFSET :offset)
CROSS JOIN ban b ON b.id = number ORDER BY {order}

-- name: ban_count
SELECT count(*) FROM (SELECT 1 FROM ban {index} WHERE {where} LIMIT :most)

-- name: targets_banned
SELECT target, ended IS NULL FROM ban INDEXED BY ban_since

-- name: targets_changed
SELECT DISTINCT b.target, EXISTS (SELECT 1 FROM ban r WHERE r.target = b.target AND r.ended IS NULL)
FROM ban_change c CROSS JOIN ban b ON b.id = c.ban WHERE c.id > :after AND c.id <= :upto

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

-- name: count_aimed
SELECT count(*) FROM (SELECT 1 FROM ban WHERE target >= :low AND target < :high LIMIT :most)

-- name: network_sums
SELECT count(*), sum(attempts), sum(successes), min(first_seen), max(last_seen), max(threatens) FROM (
  SELECT attempts, successes, first_seen, last_seen, {level} AS threatens FROM attacker
  WHERE attempts > 0 AND address >= :low AND address < :high AND within(address, :network) LIMIT :most)

-- name: network_events
WITH RECURSIVE chain (id, previous) AS (
  SELECT e.id, e.previous FROM json_each(:starts) AS start CROSS JOIN event e ON e.id = start.value
  UNION ALL
  SELECT e.id, e.previous FROM chain CROSS JOIN event e ON e.id = chain.previous ORDER BY 1 DESC LIMIT :steps
)
SELECT e.id, e.time, e.address, c.service, e.account, c.failed, c.cause, e.detail, c.proven, c.pattern, c.source,
       e.line, e.session, e.token
FROM chain CROSS JOIN event e ON e.id = chain.id CROSS JOIN context c ON c.id = e.context
WHERE chain.id < :before AND {where} LIMIT :limit

-- name: slots_of_events
WITH RECURSIVE chain (id, previous, time, context) AS (
  SELECT e.id, e.previous, e.time, e.context FROM json_each(:starts) AS start CROSS JOIN event e ON e.id = start.value
  UNION ALL
  SELECT e.id, e.previous, e.time, e.context FROM chain CROSS JOIN event e ON e.id = chain.previous
  ORDER BY 1 DESC LIMIT :steps
)
SELECT CAST(chain.time / :step AS INTEGER) * :step, c.service, count(*) FROM chain CROSS JOIN context c ON c.id = chain.context
WHERE c.failed AND chain.time >= :since GROUP BY 1, 2

-- name: newest_events
SELECT e.id, e.time, e.address, c.service, e.account, c.failed, c.cause, e.detail, c.proven, c.pattern, c.source,
       e.line, e.session, e.token
FROM event e CROSS JOIN context c ON c.id = e.context
WHERE e.id <= :start AND e.id > :stop AND {where} ORDER BY e.id DESC LIMIT :limit

-- name: attempts_by_hour
SELECT hour, service, attempts FROM hour WHERE hour >= :first AND hour < :last

-- name: attempts_by_minute
SELECT minute, service, attempts FROM minute WHERE minute >= :first AND minute < :last

-- name: last_ban_time
SELECT coalesce(max(since), 0) FROM ban

-- name: bans_by_hour
SELECT CAST(since / 3600 AS INTEGER), service, count(*) FROM ban WHERE since >= :since AND id <= :upto GROUP BY 1, 2

-- name: bans_added
SELECT CAST(since / 3600 AS INTEGER), service FROM ban WHERE id > :after AND id <= :upto

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

-- name: running_changed
SELECT b.service, sum(CASE c.change WHEN 'made' THEN 1 WHEN 'expired' THEN -1 WHEN 'lifted' THEN -1
                                    WHEN 'evicted' THEN -1 ELSE 0 END)
FROM ban_change c CROSS JOIN ban b ON b.id = c.ban WHERE c.id > :after AND c.id <= :upto GROUP BY b.service

-- name: bans_made
SELECT b.service, c.author, count(*) FROM ban_change c CROSS JOIN ban b ON b.id = c.ban
WHERE c.id > :after AND c.id <= :upto AND c.change IN ('made', 'past') GROUP BY 1, 2

-- name: audit_page
SELECT id, time, author, command, arguments, origin FROM audit
WHERE id < :before AND (:text = '' OR instr(lower(author || ' ' || command || ' ' || arguments || ' ' || origin), :text))
ORDER BY id DESC LIMIT :limit

-- name: versions
SELECT coalesce((SELECT value FROM counter WHERE name = 'folded'), 0) AS events, (SELECT coalesce(max(id), 0) FROM ban_change) AS bans,
  (SELECT coalesce(max(id), 0) FROM audit) AS audit, (SELECT coalesce(max(revision), 0) FROM policy) AS policy,
  (SELECT count(*) FROM allow) AS whitelist,
  (SELECT coalesce(max(id), 0) * 1000 - count(*) FROM trial WHERE ended IS NULL) AS trials,
  (SELECT coalesce(max(id), 0) + count(decided) FROM request) AS requests,
  (SELECT coalesce(max(id), 0) FROM warning) AS warnings,
  (SELECT coalesce(max(id), 0) * 100000 FROM delivery)
    + (SELECT coalesce(sum(2 + 2 * tries + (state = 'handed')), 0) FROM delivery WHERE ended IS NULL) AS outbox

-- name: accounts_tried
SELECT id, time, address, account FROM event WHERE id > ? AND id <= ? AND account <> ''

-- name: events_by_number
SELECT e.id, e.time, e.address, c.service, e.account, c.failed, c.cause, e.detail, c.proven, c.pattern, c.source,
       e.line, e.session, e.token
FROM json_each(?) AS wanted CROSS JOIN event e ON e.id = wanted.value CROSS JOIN context c ON c.id = e.context
ORDER BY e.id DESC

-- name: bans_of_targets
SELECT b.id, b.target, b.service, b.since, b.until, b.state, b.author, b.reason, b.detail, b.note, b.ended
FROM json_each(:targets) AS wanted CROSS JOIN ban b ON b.target = wanted.value
WHERE b.id < :before AND (NOT :running OR b.ended IS NULL) ORDER BY b.id DESC LIMIT :limit

-- ---------------------------------------------------------------- for programs

-- name: barred
SELECT target, service, until FROM ban INDEXED BY ban_ending
WHERE ended IS NULL AND until > :now AND (:service = '' OR service IN (:service, '*')) ORDER BY target, service

-- name: events_after
SELECT e.id, e.time, e.address, c.service, e.account, c.failed, c.cause, e.detail, c.proven, c.pattern, c.source,
       e.line, e.session, e.token
FROM event e CROSS JOIN context c ON c.id = e.context
WHERE e.id > :after ORDER BY e.id LIMIT :limit

-- ---------------------------------------------------------------- summaries

-- name: first_hour
SELECT min(hour) FROM hour

-- name: events_in_span
SELECT min(first), max(last), (SELECT min(first) > 1 AND min(oldest) > :since FROM block) FROM block
WHERE newest >= :since AND oldest < :until

-- name: distinct_attackers
SELECT count(DISTINCT e.address) FROM event e CROSS JOIN context c ON c.id = e.context
WHERE e.id >= :first AND e.id <= :last AND e.time >= :since AND e.time < :until AND c.failed
