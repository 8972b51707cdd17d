-- Returns for each application of a batch: its id, its counters, when 3scale last confirmed it, and which of the counted
-- metrics 3scale knew then.
-- KEYS: 1 the batches.
-- ARGV: 1 `prefix`, 2 `batch`.
local P, batch, all = ARGV[1], ARGV[2], {}
for _, app in ipairs(redis.call('LRANGE', P .. 'b:' .. batch, 0, -1)) do
  local fields = redis.call('HGETALL', P .. 'f:' .. batch .. ':' .. app)
  local record, known = P .. 'a:' .. app, {}
  for i = 1, #fields, 2 do
    local metric = string.match(fields[i], '^%d+\31(.*)$')
    if metric and redis.call('HEXISTS', record, 'm:' .. metric) == 1 then known[#known + 1] = metric end
  end
  all[#all + 1] = {app, fields, redis.call('HGET', record, 't') or '0', known}
end
return all
