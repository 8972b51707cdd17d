-- Takes over a batch whose lease has expired. Returns its name, or false if there is none.
-- KEYS: 1 `batches`, 2 `owners`.
-- ARGV: 1 `now_ms`, 2 `lease_for_ms`, 3 `owner`.
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 1)
if #due == 0 then return false end
redis.call('ZADD', KEYS[1], tonumber(ARGV[1]) + tonumber(ARGV[2]), due[1])
redis.call('HSET', KEYS[2], due[1], ARGV[3])
return due[1]
