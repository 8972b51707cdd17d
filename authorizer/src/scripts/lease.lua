-- Sets the end of a lease. Returns 1, or 0 if the batch has another owner: only the owner can extend or release it.
-- KEYS: 1 the batches.
-- ARGV: 1 `prefix`, 2 `mark` (the end of the name of each list), 3 `batch`, 4 `owner`, 5 `until_ms`.
if redis.call('HGET', ARGV[1] .. 'owners' .. ARGV[2], ARGV[3]) ~= ARGV[4] then return 0 end
redis.call('ZADD', KEYS[1], 'XX', ARGV[5], ARGV[3])
return 1
