-- Takes over a batch whose lease has expired. Returns its name, or false if there is none.
-- KEYS: 1 the batches.
-- ARGV: 1 `prefix`, 2 `now_ms`, 3 `lease_for_ms`, 4 `owner`.
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2], 'LIMIT', 0, 1)
if #due == 0 then return false end
redis.call('ZADD', KEYS[1], tonumber(ARGV[2]) + tonumber(ARGV[3]), due[1])
redis.call('HSET', ARGV[1] .. 'owners', due[1], ARGV[4])
return due[1]
