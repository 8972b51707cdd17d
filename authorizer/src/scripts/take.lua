-- Moves counters into a new batch, those of an application in one step, so that no count is lost in between. Returns the
-- number of applications, and 1 if more are left than fit.
-- KEYS: 1 `batches`, 2 `owners`, 3 `dirty` (the applications with usage), 4 `members` (the batch's applications), then
-- 5 `pending` (what is counted), 6 `counters` (in the batch) and 7 `index` of each application.
-- ARGV: 1 `now_ms`, 2 `lease_for_ms`, 3 `batch`, 4 `owner`, 5 `max_fields`, then 6 `id` of each application.
local batch = ARGV[3]
local total, taken, more = 0, 0, 0
for number = 1, #ARGV - 5 do
  local app = ARGV[5 + number]
  local pending, counters, index = KEYS[2 + 3 * number], KEYS[3 + 3 * number], KEYS[4 + 3 * number]
  local size = redis.call('HLEN', pending)
  if size > 0 then
    if taken > 0 and total + size > tonumber(ARGV[5]) then
      more = 1
      break
    end
    redis.call('RENAME', pending, counters)
    redis.call('SADD', index, 'f:' .. batch .. ':' .. app)
    redis.call('PEXPIRE', index, INDEX_TTL_MS)
    redis.call('RPUSH', KEYS[4], app)
    taken = taken + 1
    total = total + size
  end
  redis.call('SREM', KEYS[3], app)
end
if taken == 0 then return {0, 0} end
redis.call('ZADD', KEYS[1], tonumber(ARGV[1]) + tonumber(ARGV[2]), batch)
redis.call('HSET', KEYS[2], batch, ARGV[4])
return {taken, more}
