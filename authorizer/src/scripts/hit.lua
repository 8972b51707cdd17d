-- Decides on a request and counts it, in one round trip. KEYS and ARGV: those of common.lua.
--
-- KEYS if the process does not know the application: 1 `record`, 2 `refusals` (how many unknown credentials 3scale refused in
-- this second), 3 `source_refusals` (the same for the caller's address; only if the credential has a budget).
local found = call('GET', KEYS[1])
local known = KEYS[4]
if not found then
  -- The budget of unknown credentials has other keys.
  if known then return {'K'} end
  -- All processes together ask 3scale only until it has refused this many in a second. Then they ask only for addresses
  -- with few refusals.
  local all = not old_ones and tonumber(call('GET', KEYS[2]) or 0) or 0
  if all >= REFUSALS_PER_S then
    local source = KEYS[3]
    if not source or all >= MOST_REFUSALS_PER_S then return {'F'} end
    if tonumber(call('GET', source) or 0) >= SOURCE_REFUSALS_PER_S then return {'F'} end
  end
  return {'U'}
end
local t, app = string.match(found, '^A(%d+)\31(.*)$')
if not t then
  local until_ms, code = string.match(found, '^D(%d+)\31(.*)$')
  if until_ms and (old_ones or now < tonumber(until_ms)) then return {'D', code, tonumber(until_ms) - now} end
  return {'M'}
end
t = tonumber(t)
if too_old(t) then return {'M'} end
if not known or KEYS[2] ~= P .. 'a:' .. app then return {'K', app} end
local answer = decide(app, false)
if answer[1] == 'A' then
  -- One caller renews the answer shortly before it gets too old, so that the others never wait for 3scale.
  local due = not old_ones and math.max(answer[5], now - t) * 5 >= MAX_AGE_MS * 4
  answer[5] = due and call('SET', KEYS[6], '1', 'PX', RENEWAL_TTL_MS, 'NX') and 1 or 0
end
return answer
