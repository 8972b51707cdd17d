-- Takes over a batch whose lease has expired. Returns its name, or false if there is none.
-- KEYS: 1 the batches.
-- ARGV: 1 `prefix`, 2 `mark` (the end of the name of each list), 3 `now_ms`, 4 `lease_for_ms`, 5 `owner`.
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[3], 'LIMIT', 0, 1)
if #due == 0 then return false end
redis.call('ZADD', KEYS[1], tonumber(ARGV[3]) + tonumber(ARGV[4]), due[1])
redis.call('HSET', ARGV[1] .. 'owners' .. ARGV[2], due[1], ARGV[5])
return due[1]
