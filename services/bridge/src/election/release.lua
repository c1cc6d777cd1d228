-- Lets go of the lease, so that anybody may take it at once; the token stays, and the next one is higher.
--
-- KEYS[1]  the lease, see look.lua
-- ARGV[1]  the owner
-- ARGV[2]  its token
-- Returns  1: released; 0: the lease is not this owner's under this token, or it is, but this server was restarted or promoted
--          since it was written: then it may have forgotten a later owner, and the lease must pass

local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local lease = redis.call('HMGET', KEYS[1], 'owner', 'token', 'run')
if lease[1] ~= ARGV[1] or lease[2] ~= ARGV[2] or lease[3] ~= run then return 0 end
redis.call('HSET', KEYS[1], 'owner', '')
return 1
