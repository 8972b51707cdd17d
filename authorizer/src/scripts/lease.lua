-- KEYS: 1 the batches. ARGV: 1 prefix, 2 batch, 3 owner, 4 until when (ms). Only the owner can extend or give up a lease.
if redis.call('HGET', ARGV[1] .. 'owners', ARGV[2]) ~= ARGV[3] then return 0 end
redis.call('ZADD', KEYS[1], 'XX', ARGV[4], ARGV[2])
return 1
