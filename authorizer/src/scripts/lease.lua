-- Sets the end of a lease. Returns 1, or 0 if the batch has another owner: only the owner can extend or release it.
-- KEYS: 1 the batches.
-- ARGV: 1 `prefix`, 2 `batch`, 3 `owner`, 4 `until_ms`.
if redis.call('HGET', ARGV[1] .. 'owners', ARGV[2]) ~= ARGV[3] then return 0 end
redis.call('ZADD', KEYS[1], 'XX', ARGV[4], ARGV[2])
return 1
