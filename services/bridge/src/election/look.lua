-- What is known of a cluster's lease, and which life of this server says so.
--
-- KEYS[1]  the lease: a hash of owner, token, beat, run; never expires
-- Returns  {run id of this server, owner or "", token or "", beat or "", run id in which the lease was written last or ""}

local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
if not run then return redis.error_reply('NORUNID this server does not tell its run_id') end
local lease = redis.call('HMGET', KEYS[1], 'owner', 'token', 'beat', 'run')
return {run, lease[1] or '', lease[2] or '', lease[3] or '', lease[4] or ''}
