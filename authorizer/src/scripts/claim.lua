-- KEYS: 1 the batches. ARGV: 1 prefix, 2 now (ms), 3 lease (ms), 4 owner.
-- A batch whose owner's lease is over, or false.
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2], 'LIMIT', 0, 1)
if #due == 0 then return false end
redis.call('ZADD', KEYS[1], tonumber(ARGV[2]) + tonumber(ARGV[3]), due[1])
redis.call('HSET', ARGV[1] .. 'owners', due[1], ARGV[4])
return due[1]
