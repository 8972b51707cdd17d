-- Returns for each application of a batch: its id, its counters, when 3scale last confirmed it, and which of the counted
-- metrics 3scale knew then.
-- KEYS: 1 `counters` (in the batch) and 2 `application` (the record) of each application.
-- ARGV: 1 `id` of each application.
local all = {}
for i, app in ipairs(ARGV) do
  local fields = redis.call('HGETALL', KEYS[2 * i - 1])
  local record, known = KEYS[2 * i], {}
  for n = 1, #fields, 2 do
    local metric = string.match(fields[n], '^%d+\31(.*)$')
    if metric and redis.call('HEXISTS', record, 'm:' .. metric) == 1 then known[#known + 1] = metric end
  end
  all[i] = {app, fields, redis.call('HGET', record, 't') or '0', known}
end
return all
