-- Only in debug builds: refuses a key that the script does not declare, as some servers do.
local redis = (function(real)
  local declared = {}
  for _, key in ipairs(KEYS) do declared[key] = true end
  local several = {DEL = true, RENAME = true}
  return setmetatable({call = function(command, ...)
    local arguments = {...}
    for i = 1, several[command] and #arguments or 1 do
      if not declared[arguments[i]] then error('undeclared key: ' .. command .. ' ' .. tostring(arguments[i])) end
    end
    return real.call(command, ...)
  end}, {__index = real})
end)(redis)
