-- The beginning of hit.lua and store.lua. The lines before it (mod.rs) set P, the prefix of all keys, MAX_AGE_MS, REPORTED
-- (whether usage is reported to 3scale), and the other constants. The README describes the keys and the formats of their fields. This part does only what a hit needs:
-- each argument and each call costs a microsecond of the one core of Redis.
--
-- KEYS of a request about a known application: 1 `record` (the credential's), 2 `application` (its record), 3 `pending`
-- (what is counted), 4 `number` (of the last request counted for the process), 5 `dirty` (the applications with usage),
-- 6 `renewal`. A script that finds that the credential is of another application returns {'K', application} and does
-- nothing: the caller names the keys of that one.
--
-- ARGV: 1 `now_ms`, 2 `not_before_ms` (answers from before this time are not used), 3 `sequence` (number of the request in
-- the process), 4 `flags` ('r': the request is sent again; 'o': answers that are too old are used), 5 `window_starts` (the
-- starts of the current windows in seconds, shortest period first, each with a space after it), 6 `metrics` (how many), then
-- 7 `metric` and 8 `amount` of each.
local call, KEYS, ARGV = redis.call, KEYS, ARGV
local now, flags, amount_of = tonumber(ARGV[1]), ARGV[4], 6 + 2 * tonumber(ARGV[6])
local repeated, old_ones = flags == 'r' or flags == 'ro', flags == 'o' or flags == 'ro'
local minute = string.match(ARGV[5], '%d+')

local windows
local function window(period)
  if not windows then
    windows = {}
    for start in string.gmatch(ARGV[5], '%d+') do windows[#windows + 1] = start end
  end
  return windows[period]
end

local function too_old(t)
  if old_ones then return false end
  local age = now - t
  return age >= MAX_AGE_MS or age <= -MAX_AGE_MS or t < tonumber(ARGV[2])
end

-- Decides on an application, and counts the request if it is allowed. Returns {'M'} if 3scale must be asked.
local function decide(app, asked)
  local record = KEYS[2]
  local values
  if amount_of == 8 then
    values = call('HMGET', record, 't', 'r', 'm:' .. ARGV[7])
  else
    local fields = {'t', 'r'}
    for i = 7, amount_of, 2 do fields[#fields + 1] = 'm:' .. ARGV[i] end
    values = call('HMGET', record, unpack(fields))
  end
  local t = tonumber(values[1] or nil)
  if not t or (not asked and too_old(t)) then return {'M'} end
  local limits, order
  for i = 3, #values do
    local spec = values[i]
    if not spec then return {'M'} end
    if spec ~= '' then
      limits, order = limits or {}, order or {}
      local amount = tonumber(ARGV[2 + 2 * i])
      for period, max, high, low, start, metric in
        string.gmatch(spec, '(%d)\31(%d+)\31(%d+)\31(%d+)\31(%d+)\31([^\31]*)\31') do
        period = tonumber(period)
        local current = window(period)
        local field = 'o' .. period .. ':' .. current .. ':' .. metric
        local limit = limits[field]
        if not limit then
          -- The usage of others is that of the window in which it was read; the next window starts at 0.
          local same = start == current
          limit = {
            max = tonumber(max), high = same and tonumber(high) or 0, low = same and tonumber(low) or 0,
            amount = 0, period = period, metric = metric,
          }
          limits[field] = limit
          order[#order + 1] = field
        end
        limit.amount = limit.amount + amount
      end
    end
  end
  local number = KEYS[4]
  if repeated and tonumber(call('GET', number) or -1) >= tonumber(ARGV[3]) then return {'A', values[2], -1, 0, 0} end
  local remaining, period = -1, 0
  if order then
    local own, denied = call('HMGET', record, unpack(order)), nil
    for i = 1, #order do
      local limit = limits[order[i]]
      local used = tonumber(own[i] or 0)
      local left = limit.max - used - limit.high
      if left < limit.amount then
        -- Not certain while 3scale's counter may already contain some of our own usage. As soon as it contains all of
        -- it, 3scale is asked again.
        local certain = limit.max - used - limit.low < limit.amount
        if not certain and not asked and not old_ones and now - t >= GRACE_MS then return {'M'} end
        -- A limit that is smaller than the request's usage never allows it, whatever the other limits do.
        local never = limit.max < limit.amount
        if not denied or (never and not denied.never) or (never == denied.never and limit.period > denied.period) then
          denied = {period = limit.period, metric = limit.metric, certain = certain, never = never}
        end
      else
        local more = math.floor((left - limit.amount) / limit.amount)
        if remaining < 0 or more < remaining or (more == remaining and limit.period > period) then
          remaining, period = more, limit.period
        end
      end
    end
    if denied then
      -- -1: when the period ends; -2: never.
      local settles = denied.certain and -1 or math.max(0, GRACE_MS - (now - t))
      if denied.never then settles = -2 end
      return {'L', values[2], denied.period, denied.metric, settles}
    end
  end
  -- The last number counted for this process: a request that is sent again, or one that arrives late, after others of its
  -- process, is not counted twice.
  local last = call('SET', number, ARGV[3], 'PX', SEQUENCE_TTL_MS, 'GET')
  if last and tonumber(last) >= tonumber(ARGV[3]) then
    if last ~= ARGV[3] then call('SET', number, last, 'PX', SEQUENCE_TTL_MS) end
  else
    if REPORTED then
      local pending, new = KEYS[3], false
      for i = 7, amount_of, 2 do
        if call('HINCRBY', pending, minute .. '\31' .. ARGV[i], ARGV[i + 1]) == tonumber(ARGV[i + 1]) then new = true end
      end
      if new then
        call('HSETNX', pending, 'n', string.match(values[2], '\31([^\31]*)\31'))
        call('SADD', KEYS[5], app)
      end
    end
    if order then
      for i = 1, #order do call('HINCRBY', record, order[i], limits[order[i]].amount) end
    end
  end
  return {'A', values[2], remaining, period, now - t}
end
