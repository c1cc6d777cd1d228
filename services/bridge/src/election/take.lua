-- Takes the lease, if nobody touched it since look.lua said what is expected.
--
-- KEYS[1]  the lease, see look.lua
-- ARGV[1]  the new owner
-- ARGV[2..6]  what look.lua returned: this server's run id, owner, token, beat, run id of the lease
-- ARGV[7]  the new token is higher than this, and than the last one
-- Returns  the new token, as decimal digits; false: the lease is not as expected

local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local lease = redis.call('HMGET', KEYS[1], 'owner', 'token', 'beat', 'run')
if run ~= ARGV[2] then return false end
for i = 1, 4 do
  if (lease[i] or '') ~= ARGV[i + 2] then return false end
end
-- Digits, not a number: Lua's numbers would come back in exponential notation, or cut to 32 bits.
local token = string.format('%.0f', math.max(tonumber(lease[2] or '0'), tonumber(ARGV[7])) + 1)
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'token', token, 'beat', '0', 'run', run)
return token
