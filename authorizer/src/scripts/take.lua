-- Moves counters into a new batch, those of an application in one step, so that no count is lost in between. Returns the
-- number of applications, and 1 if more are left than fit.
-- KEYS: 1 the batches.
-- ARGV: 1 `prefix`, 2 `mark` (the end of the name of each list), 3 `now_ms`, 4 `lease_for_ms`, 5 `batch`, 6 `owner`,
-- 7 `max_fields`.
local P, dirty, batch = ARGV[1], ARGV[1] .. 'dirty' .. ARGV[2], ARGV[5]
local total, taken, more = 0, 0, 0
while true do
  local app = redis.call('SRANDMEMBER', dirty)
  if not app then break end
  local size = redis.call('HLEN', P .. 'p:' .. app)
  if size > 0 then
    if taken > 0 and total + size > tonumber(ARGV[7]) then
      more = 1
      break
    end
    local key = 'f:' .. batch .. ':' .. app
    redis.call('RENAME', P .. 'p:' .. app, P .. key)
    redis.call('SADD', P .. 'w:' .. app, key)
    redis.call('PEXPIRE', P .. 'w:' .. app, INDEX_TTL_MS)
    redis.call('RPUSH', P .. 'b:' .. batch, app)
    taken = taken + 1
    total = total + size
  end
  redis.call('SREM', dirty, app)
end
if taken == 0 then return {0, 0} end
redis.call('ZADD', KEYS[1], tonumber(ARGV[3]) + tonumber(ARGV[4]), batch)
redis.call('HSET', P .. 'owners' .. ARGV[2], batch, ARGV[6])
return {taken, more}
