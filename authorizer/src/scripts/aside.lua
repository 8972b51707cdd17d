-- Puts a counter of a batch aside: it is kept, and no longer reported. Returns 1, or 0 if the batch does not have it.
-- KEYS: 1 `counters` (of the application in the batch), 2 `aside`.
-- ARGV: 1 `field`.
local field = ARGV[1]
local amount = redis.call('HGET', KEYS[1], field)
if not amount then return 0 end
redis.call('HINCRBY', KEYS[2], field, amount)
local name = redis.call('HGET', KEYS[1], 'n')
if name then redis.call('HSETNX', KEYS[2], 'n', name) end
redis.call('PEXPIRE', KEYS[2], ASIDE_TTL_MS)
redis.call('HDEL', KEYS[1], field)
return 1
