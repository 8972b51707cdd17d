-- Removes delivered counters from a batch, and the batch when nothing is left of it.
-- KEYS: 1 the batches.
-- ARGV: 1 `prefix`, 2 `mark` (the end of the name of each list), 3 `batch`, 4 `part` (unique), 5 `keep_for_ms` (how long the
-- limits take the amounts into account), then 6 `application` and 7 `field` of each counter.
local P, batch, keep = ARGV[1], ARGV[3], tonumber(ARGV[5])
for i = 6, #ARGV, 2 do
  local app, field = ARGV[i], ARGV[i + 1]
  local source, key = P .. 'f:' .. batch .. ':' .. app, 'g:' .. ARGV[4] .. ':' .. app
  local amount = redis.call('HGET', source, field)
  if amount then
    if keep > 0 then
      redis.call('HSET', P .. key, field, amount)
      redis.call('PEXPIRE', P .. key, keep)
      redis.call('SADD', P .. 'w:' .. app, key)
      redis.call('PEXPIRE', P .. 'w:' .. app, INDEX_TTL_MS)
    end
    redis.call('HDEL', source, field)
  end
end
for _, app in ipairs(redis.call('LRANGE', P .. 'b:' .. batch, 0, -1)) do
  local source = P .. 'f:' .. batch .. ':' .. app
  local fields = redis.call('HKEYS', source)
  if #fields == 0 or (#fields == 1 and fields[1] == 'n') then
    redis.call('DEL', source)
    redis.call('LREM', P .. 'b:' .. batch, 0, app)
    redis.call('SREM', P .. 'w:' .. app, 'f:' .. batch .. ':' .. app)
  end
end
if redis.call('LLEN', P .. 'b:' .. batch) == 0 then
  redis.call('ZREM', KEYS[1], batch)
  redis.call('HDEL', P .. 'owners' .. ARGV[2], batch)
end
return 1
