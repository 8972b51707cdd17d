-- Sets the end of a lease. Returns 1, or 0 if the batch has another owner: only the owner can extend or release it.
-- KEYS: 1 `batches`, 2 `owners`.
-- ARGV: 1 `batch`, 2 `owner`, 3 `until_ms`.
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('ZADD', KEYS[1], 'XX', ARGV[3], ARGV[1])
return 1
