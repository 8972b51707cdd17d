-- Stores 3scale's answer and, if wanted, decides on the request by it and counts the request.
--
-- KEYS of an answer after those of common.lua: 7 is `index` (of the application's batches), then `batch` of each. If the index
-- has another one, the script returns {'W', its members} and does nothing: the caller names their keys.
--
-- KEYS of a refusal: 1 `record`, 2 `refusals` and 3 `source_refusals` (as in hit.lua; the same key without an address), then
-- 4 `application` (the record of the credential's application, if it had one).
--
-- ARGV of an answer: those of common.lua, then `count` ('1': decide and count too), `asked_at_ms` (when 3scale was asked),
-- `keep_for_ms` (how long the records stay), `verdict` ('A'), `application`, `name` (sealed), `plan`, `limits` (how many), for
-- each limit `period`, `max`, `current`, `window_start` (seconds) and `limit_metric`, then `metrics` (how many), for each
-- `metric` and `limit_numbers` (the limits it counts toward, as '1,3,').
--
-- ARGV of a refusal: those of common.lua, then `count` ('0'), `asked_at_ms`, `keep_for_ms`, `verdict` ('D'), `code`,
-- `until_ms` (how long it is used).
local at = amount_of + 1
local function take()
  at = at + 1
  return ARGV[at - 1]
end
local count, asked, keep, verdict = take() == '1', take(), tonumber(take()), take()

if verdict == 'D' then
  local code, until_ms = take(), take()
  local found = call('GET', KEYS[1])
  local app = found and string.match(found, '^A%d+\31(.*)$')
  if app then
    if KEYS[4] ~= P .. 'a:' .. app then return {'K', app} end
    -- The application's record is not certain now, neither for its other credentials nor for the reporter.
    call('HDEL', KEYS[4], 't')
  end
  if not found then
    for i = 2, KEYS[3] == KEYS[2] and 2 or 3 do
      call('INCR', KEYS[i])
      call('PEXPIRE', KEYS[i], REFUSALS_TTL_MS)
    end
  end
  call('SET', KEYS[1], 'D' .. until_ms .. '\31' .. code, 'PX', math.max(keep, tonumber(until_ms) - now, 1))
  return {'D', code, tonumber(until_ms) - now}
end

local app, name, plan = take(), take(), take()
local record = KEYS[2]
local limits = {}
for i = 1, tonumber(take()) do
  limits[i] = {
    period = take(), max = take(), current = tonumber(take()), start = take(), metric = take(), unsettled = 0, untaken = 0,
  }
end
local specs, known = {}, {}
for i = 1, tonumber(take()) do
  local metric, numbers = take(), {}
  for number in string.gmatch(take(), '%d+') do numbers[#numbers + 1] = tonumber(number) end
  specs[i] = {metric = metric, numbers = numbers}
  known[metric] = numbers
end

-- Adds what is counted here and may be missing from 3scale's counters: usage that is not reported yet, in a batch, or
-- accepted a moment ago.
local function add(key, kind)
  local fields = call('HGETALL', key)
  for i = 1, #fields, 2 do
    local minute, metric = string.match(fields[i], '^(%d+)\31(.*)$')
    if minute then
      local amount, numbers = tonumber(fields[i + 1]), known[metric]
      -- A metric that 3scale did not list counts toward every limit, which is the safe side.
      for n = 1, numbers and #numbers or #limits do
        local limit = limits[numbers and numbers[n] or n]
        if tonumber(minute) >= tonumber(limit.start) then
          limit.unsettled = limit.unsettled + amount
          if kind == 'untaken' then limit.untaken = limit.untaken + amount end
        end
      end
    end
  end
  return #fields > 0
end
if #limits > 0 then
  local named, members = {}, call('SMEMBERS', KEYS[7])
  for i = 8, #KEYS do named[KEYS[i]] = true end
  for i = 1, #members do
    if not named[P .. members[i]] then return {'W', members} end
  end
  add(KEYS[3], 'untaken')
  for i = 1, #members do
    if not add(P .. members[i], 'taken') then call('SREM', KEYS[7], members[i]) end
  end
end

local fields, written, order = {'t', asked, 'r', table.concat({app, name, plan}, '\31')}, {}, {}
for i = 1, #limits do order[i] = 'o' .. limits[i].period .. ':' .. limits[i].start .. ':' .. limits[i].metric end
local counted = #order > 0 and call('HMGET', record, unpack(order))
for i = 1, #limits do
  local limit = limits[i]
  -- What is not reported is in no counter of 3scale's.
  local own = REPORTED and tonumber(counted[i] or 0) or 0
  if own < limit.unsettled then
    own = limit.unsettled
    fields[#fields + 1], fields[#fields + 2] = order[i], string.format('%.0f', own)
  end
  -- The usage of others is between these two: 3scale's counter contains none of our uncertain usage, or all of it.
  limit.high = math.max(0, limit.current + limit.unsettled - own)
  limit.low = math.min(limit.high, math.max(0, limit.current + limit.untaken - own))
end
for i = 1, #specs do
  local parts = {}
  for n = 1, #specs[i].numbers do
    local limit = limits[specs[i].numbers[n]]
    parts[n] = table.concat({
      limit.period, limit.max, string.format('%.0f', limit.high), string.format('%.0f', limit.low), limit.start,
      limit.metric, '',
    }, '\31')
  end
  local field = 'm:' .. specs[i].metric
  fields[#fields + 1], fields[#fields + 2] = field, table.concat(parts)
  written[field] = true
end

-- Removes old windows and the rest of the last answer. A process whose clock is behind may still count in the last window
-- for a moment.
local gone = {}
for _, field in ipairs(call('HKEYS', record)) do
  local period, start = string.match(field, '^o(%d):(%d+):')
  if period then
    local current = tonumber(window(tonumber(period)))
    if tonumber(start) < current and now - current * SECOND_MS > CLOCK_SKEW_MS then gone[#gone + 1] = field end
  elseif string.sub(field, 1, 2) == 'm:' and not written[field] then
    gone[#gone + 1] = field
  end
end

-- A full Redis refuses the first write of a script and none after it: either all of this is done or nothing.
call('HSET', record, unpack(fields))
for i = 1, #gone do call('HDEL', record, gone[i]) end
call('PEXPIRE', record, math.max(keep, APPLICATION_TTL_MS))
call('SET', KEYS[1], 'A' .. asked .. '\31' .. app, 'PX', keep)
if count then return decide(app, true) end
call('DEL', KEYS[6])
return {'S'}
