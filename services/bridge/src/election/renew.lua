-- Shows those who watch the lease that its owner lives. Doing it twice is as good as once.
--
-- KEYS[1]  the lease, see look.lua
-- ARGV[1]  the owner
-- ARGV[2]  its token
-- Returns  1: renewed; 0: the lease is not this owner's under this token

local lease = redis.call('HMGET', KEYS[1], 'owner', 'token')
if lease[1] ~= ARGV[1] or lease[2] ~= ARGV[2] then return 0 end
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
redis.call('HINCRBY', KEYS[1], 'beat', 1)
redis.call('HSET', KEYS[1], 'run', run)
return 1
