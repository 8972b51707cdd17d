-- Removes delivered counters from a batch, and the batch when nothing is left of it.
-- KEYS: 1 `batches`, 2 `owners`, 3 `members` (the batch's applications), then 4 `counters` (in the batch), 5 `delivered` and
-- 6 `index` of each application.
-- ARGV: 1 `batch`, 2 `part` (unique), 3 `keep_for_ms` (how long the limits take the amounts into account), 4 `applications`
-- (how many), then 5 `id` of each application, then `number` (of the application) and `field` of each counter.
local batch, part, keep, applications = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
for i = 5 + applications, #ARGV, 2 do
  local number, field = tonumber(ARGV[i]), ARGV[i + 1]
  local source, delivered, index = KEYS[1 + 3 * number], KEYS[2 + 3 * number], KEYS[3 + 3 * number]
  local amount = redis.call('HGET', source, field)
  if amount then
    if keep > 0 then
      redis.call('HSET', delivered, field, amount)
      redis.call('PEXPIRE', delivered, keep)
      redis.call('SADD', index, 'g:' .. part .. ':' .. ARGV[4 + number])
      redis.call('PEXPIRE', index, INDEX_TTL_MS)
    end
    redis.call('HDEL', source, field)
  end
end
for number = 1, applications do
  local source, app = KEYS[1 + 3 * number], ARGV[4 + number]
  local fields = redis.call('HKEYS', source)
  if #fields == 0 or (#fields == 1 and fields[1] == 'n') then
    redis.call('DEL', source)
    redis.call('LREM', KEYS[3], 0, app)
    redis.call('SREM', KEYS[3 + 3 * number], 'f:' .. batch .. ':' .. app)
  end
end
if redis.call('LLEN', KEYS[3]) == 0 then
  redis.call('ZREM', KEYS[1], batch)
  redis.call('HDEL', KEYS[2], batch)
end
return 1
