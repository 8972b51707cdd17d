-- Puts a counter of a batch aside: it is kept, and no longer reported. Returns 1, or 0 if the batch does not have it.
-- KEYS: 1 the batches.
-- ARGV: 1 `prefix`, 2 `batch`, 3 `application`, 4 `field`.
local P, app, field = ARGV[1], ARGV[3], ARGV[4]
local source, target = P .. 'f:' .. ARGV[2] .. ':' .. app, P .. 'x:' .. app
local amount = redis.call('HGET', source, field)
if not amount then return 0 end
redis.call('HINCRBY', target, field, amount)
local name = redis.call('HGET', source, 'n')
if name then redis.call('HSETNX', target, 'n', name) end
redis.call('PEXPIRE', target, ASIDE_TTL_MS)
redis.call('HDEL', source, field)
return 1
