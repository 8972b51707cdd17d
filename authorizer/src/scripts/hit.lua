-- Decides on a request and counts it, in one round trip.
-- KEYS: 1 the credential's record. ARGV: that of common.lua, then the following.
--
-- ARGV after that of common.lua, if the process has not seen the credential before: `source` (the caller's address).
local found = call('GET', KEYS[1])
if not found then
  -- All processes together ask 3scale only until it has refused this many in a second. Then they ask only for addresses
  -- with few refusals.
  local all = not old_ones and tonumber(call('GET', refusals()) or 0) or 0
  if all >= REFUSALS_PER_S then
    local source = ARGV[amount_of + 1]
    if not source or all >= MOST_REFUSALS_PER_S then return {'F'} end
    if tonumber(call('GET', refusals() .. ':' .. source) or 0) >= SOURCE_REFUSALS_PER_S then return {'F'} end
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
local answer = decide(app, false)
if answer[1] == 'A' then
  -- One caller renews the answer shortly before it gets too old, so that the others never wait for 3scale.
  local due = not old_ones and math.max(answer[5], now - t) * 5 >= MAX_AGE_MS * 4
  answer[5] = due and call('SET', P .. 'r:' .. app, '1', 'PX', RENEWAL_TTL_MS, 'NX') and 1 or 0
end
return answer
