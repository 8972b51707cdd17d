-- KEYS: 1 the credential's record. One round trip that decides and counts.
local found = call('GET', KEYS[1])
if not found then
  -- So many are asked about in a second, by all processes together.
  if not old_ones and tonumber(call('GET', strangers()) or 0) >= 50 then return {'F'} end
  return {'U'}
end
local t, app = string.match(found, '^A(%d+)\31(.*)$')
if not t then
  local till, code = string.match(found, '^D(%d+)\31(.*)$')
  if till and (old_ones or now < tonumber(till)) then return {'D', code, tonumber(till) - now} end
  return {'M'}
end
t = tonumber(t)
if too_old(t) then return {'M'} end
local answer = decide(app, false)
if answer[1] == 'A' then
  -- One caller asks 3scale a little before the answer gets too old, so that the others never wait for it.
  local due = not old_ones and math.max(answer[5], now - t) * 5 >= MAX_AGE * 4
  answer[5] = due and call('SET', P .. 'r:' .. app, '1', 'PX', 3000, 'NX') and 1 or 0
end
return answer
