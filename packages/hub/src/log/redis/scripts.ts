/*
 * What has to happen in Redis at once, in Lua 5.1. The one declared key, `{prefix}`, is a hash with the life of the log:
 *
 *   epoch      the name of this life
 *   first      number of the oldest event that is kept
 *   last       number of the newest event
 *   bytes      size of the events kept
 *   inherited  number of the last event that was there when this life began
 *   lostUpTo   topics that `lost` does not know have lost no event after this one
 *
 * The others have its hash tag and the epoch in their names, so that a reader of an earlier life finds nothing:
 *
 *   log     stream; the event with number N is at N-0: n = topic NUL key NUL publisher's id, v = value, t = when, in us
 *   index   sorted set of topic NUL number: the events of a topic in order, without touching others
 *   newest  hash: topic NUL key -> number of its newest event
 *   ids     hash: topic NUL publisher's id -> number
 *   lost    sorted set: topic -> number of its last evicted event
 */

export interface Script {
  readonly text: string;
  readonly sha: string;
}

function script(text: string): Script {
  return { text, sha: new Bun.CryptoHasher("sha1").update(text).digest("hex") };
}

const COMMON = `
local meta = KEYS[1]
local call = redis.call
local function text(n) return string.format('%.0f', n) end
local function padded(n) return string.format('%016.0f', n) end
local function key(epoch, name) return meta .. ':' .. epoch .. ':' .. name end
local function split(names) -- "topic NUL key", publisher's id, topic
  local name, id = string.match(names, '^(%Z*%z%Z*)%z(.*)$')
  return name, id, string.match(name, '^%Z*')
end
local function each(list, step, visit)
  for i = 1, #list, step do visit(unpack(list, i, math.min(i + step - 1, #list))) end
end
local function sizeOf(names, value) return #names + #value + 256 end
`;

/** Evicts what is over the bounds, oldest first, at most `budget` events: what is left over is for the next call. */
const EVICT = `
local function evict(life, bounds, budget)
  local maxEvents, maxBytes, maxAge = tonumber(bounds[1]), tonumber(bounds[2]), tonumber(bounds[3])
  local now = call('TIME')
  local oldest = now[1] * 1000000 + now[2] - maxAge * 1000
  local log = key(life.epoch, 'log')
  -- Some more than has to be at once: what a call costs is shared by all of them.
  if life.last - life.first + 1 > maxEvents then maxEvents = maxEvents - math.min(64, math.floor(maxEvents / 128)) end
  local evicted, members, names, numbers, ids, lost = 0, {}, {}, {}, {}, {}
  while life.first <= life.last and evicted < budget do
    local over = life.last - life.first + 1 - maxEvents
    local count = over > 0 and over or life.bytes > maxBytes and 16 or 1
    local entries = call('XRANGE', log, text(life.first), '+', 'COUNT', math.min(count, budget - evicted, 1000))
    local kept = false
    for _, entry in ipairs(entries) do
      local f = entry[2]
      if life.last - life.first + 1 <= maxEvents and life.bytes <= maxBytes and tonumber(f[6]) >= oldest then
        kept = true
        break
      end
      local name, id, topic = split(f[2])
      local number = text(life.first)
      members[#members + 1] = topic .. '\\0' .. padded(life.first)
      names[#names + 1], numbers[#numbers + 1] = name, number
      if id ~= '' then ids[#ids + 1] = { topic .. '\\0' .. id, number } end
      lost[#lost + 1], lost[#lost + 2] = number, topic
      life.bytes = life.bytes - sizeOf(f[2], f[4])
      life.first = life.first + 1
      evicted = evicted + 1
    end
    if kept or #entries == 0 then break end
  end
  if evicted == 0 then return end
  call('XTRIM', log, 'MINID', text(life.first))
  each(members, 4000, function(...) call('ZREM', key(life.epoch, 'index'), ...) end)
  local gone, place = {}, 0
  each(names, 4000, function(...)
    for _, newest in ipairs(call('HMGET', key(life.epoch, 'newest'), ...)) do
      place = place + 1
      if newest == numbers[place] then gone[#gone + 1] = names[place] end
    end
  end)
  each(gone, 4000, function(...) call('HDEL', key(life.epoch, 'newest'), ...) end)
  for _, id in ipairs(ids) do -- an end can have come anew under its id
    if call('HGET', key(life.epoch, 'ids'), id[1]) == id[2] then call('HDEL', key(life.epoch, 'ids'), id[1]) end
  end
  each(lost, 4000, function(...) call('ZADD', key(life.epoch, 'lost'), ...) end)
  local many = call('ZCARD', key(life.epoch, 'lost')) - 16384
  if many > 0 then
    local forgotten = call('ZPOPMIN', key(life.epoch, 'lost'), many)
    call('HSET', meta, 'lostUpTo', forgotten[#forgotten])
  end
  call('HSET', meta, 'first', text(life.first), 'bytes', text(life.bytes))
end
`;

const LIFE = `
local stored = call('HMGET', meta, 'epoch', 'first', 'last', 'bytes', 'inherited', 'lostUpTo')
local life = {
  epoch = stored[1], first = tonumber(stored[2]), last = tonumber(stored[3]), bytes = tonumber(stored[4]),
  inherited = tonumber(stored[5]), lostUpTo = tonumber(stored[6])
}
`;

/** Answers nil to a node that believes in another life, or that has seen an event which this log does not have. */
const SAME_LIFE = `${LIFE}
if life.epoch ~= ARGV[1] then return false end
`;

/** The oldest cursor from \`after\` on from which nothing of these topics is missing; without topics, of anything. */
const FLOOR = `
local function floor(after, topics)
  if after >= life.first - 1 then return after end
  if #topics == 0 then return life.first - 1 end
  for _, topic in ipairs(topics) do
    after = math.max(after, tonumber(call('ZSCORE', key(life.epoch, 'lost'), topic) or life.lostUpTo))
  end
  return after
end
`;

/**
 * What the log is, and why it takes nothing at the moment; begins one where there is none, or only ruins.
 * fresh epoch, number seen, bounds...
 */
export const STATE: Script = script(`${COMMON}${EVICT}${LIFE}
-- Writes nothing, and is refused when a write would be. Eviction is not, when it is memory that there is none of.
local refused = redis.pcall('LPUSHX', meta .. ':none', '')
refused = type(refused) == 'table' and refused.err or false
if refused and string.sub(refused, 1, 8) == 'READONLY' then return redis.error_reply(refused) end
if life.epoch and call('XLEN', key(life.epoch, 'log')) ~= life.last - life.first + 1 then
  for _, name in ipairs({ 'log', 'index', 'newest', 'ids', 'lost' }) do call('UNLINK', key(life.epoch, name)) end
  life.epoch = false
end
if not life.epoch then
  life = { epoch = ARGV[1], first = 1, last = 0, bytes = 0, inherited = 0 }
  call('HSET', meta, 'epoch', life.epoch, 'first', 1, 'last', 0, 'bytes', 0, 'inherited', 0, 'lostUpTo', 0)
end
if not refused or string.sub(refused, 1, 3) == 'OOM' then evict(life, { ARGV[3], ARGV[4], ARGV[5] }, 2000) end
local seen = call('XRANGE', key(life.epoch, 'log'), ARGV[2], ARGV[2])[1]
return { life.epoch, life.first, life.last, life.bytes, life.inherited, seen and seen[2][6] or false, refused }
`);

/** Begins a new life with the events there are, unless that has been done. epoch, fresh epoch */
export const RENEW: Script = script(`${COMMON}${SAME_LIFE}
for _, name in ipairs({ 'log', 'index', 'newest', 'ids', 'lost' }) do
  if call('EXISTS', key(life.epoch, name)) == 1 then call('RENAME', key(life.epoch, name), key(ARGV[2], name)) end
end
call('HSET', meta, 'epoch', ARGV[2], 'inherited', text(life.last))
return 1
`);

/** All of one append. epoch, number seen, bounds..., then for each event its names and its value */
export const APPEND: Script = script(`${COMMON}${EVICT}${SAME_LIFE}
if life.last < tonumber(ARGV[2]) then return false end
local now = call('TIME')
local time = now[1] .. string.format('%06d', now[2])
local log, ids = key(life.epoch, 'log'), key(life.epoch, 'ids')
local answer, fresh, members, newest, published = {}, {}, {}, {}, {}
for i = 6, #ARGV, 2 do
  local names, value = ARGV[i], ARGV[i + 1]
  local name, id, topic = split(names)
  local isEnd = string.byte(value) == 49
  local field = topic .. '\\0' .. id
  local known = nil
  if id ~= '' then
    known = fresh[field]
    if known == nil then known = call('HGET', ids, field) end
  end
  if known then
    answer[#answer + 1] = tonumber(known)
  else
    life.last = life.last + 1
    local number = text(life.last)
    call('XADD', log, number .. '-0', 'n', names, 'v', value, 't', time)
    life.bytes = life.bytes + sizeOf(names, value)
    members[#members + 1], members[#members + 2] = 0, topic .. '\\0' .. padded(life.last)
    if not isEnd then newest[#newest + 1], newest[#newest + 2] = name, number end -- an end is no news of the topic
    if id ~= '' then
      fresh[field] = life.last
      published[#published + 1], published[#published + 2] = field, number
      if not isEnd then fresh[field .. '\\0end'] = false end -- a message that comes anew ends its topic anew
    end
    answer[#answer + 1] = life.last
  end
end
if #members > 0 then
  each(members, 4000, function(...) call('ZADD', key(life.epoch, 'index'), ...) end)
  each(newest, 4000, function(...) call('HSET', key(life.epoch, 'newest'), ...) end)
  each(published, 4000, function(...) call('HSET', ids, ...) end)
  call('HSET', meta, 'last', text(life.last), 'bytes', text(life.bytes))
  evict(life, { ARGV[3], ARGV[4], ARGV[5] }, 1000 + #members / 2)
end
return answer
`);

/**
 * A page of events: of topics by the index, without topics of all whose topic begins with the prefix.
 * epoch, after, up to, most bytes, most events to look at, prefix, topics...
 */
export const PAGE: Script = script(`${COMMON}${SAME_LIFE}${FLOOR}
local log = key(life.epoch, 'log')
local upTo, left, looks, prefix = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local topics = { unpack(ARGV, 7) }
local from = floor(tonumber(ARGV[2]), topics)
local cursor, out = math.max(from, upTo), {}
local function take(number, f)
  local size = sizeOf(f[2], f[4])
  if #out > 0 and size > left then return false end
  left = left - size
  local newest = call('HGET', key(life.epoch, 'newest'), (split(f[2])))
  out[#out + 1] = { number, f[2], f[4], f[6], newest == text(number) and 1 or 0 }
  return true
end
if #topics > 0 then
  local numbers = {}
  for _, topic in ipairs(topics) do
    local members = call('ZRANGEBYLEX', key(life.epoch, 'index'), '(' .. topic .. '\\0' .. padded(from),
      '[' .. topic .. '\\0' .. padded(math.max(from, upTo)), 'LIMIT', 0, looks)
    for _, member in ipairs(members) do numbers[#numbers + 1] = tonumber(string.sub(member, -16)) end
    if #members == looks then cursor = math.min(cursor, numbers[#numbers]) end
  end
  table.sort(numbers)
  for place, number in ipairs(numbers) do
    if number > cursor then break end
    if not take(number, call('XRANGE', log, text(number), text(number))[1][2]) then
      cursor = numbers[place - 1]
      break
    end
  end
else
  local number = from
  local full = number >= upTo
  while not full do
    local entries = call('XRANGE', log, text(number + 1), text(upTo), 'COUNT', 32)
    for _, entry in ipairs(entries) do
      local f = entry[2]
      if string.sub(f[2], 1, #prefix) == prefix then
        full = not take(number + 1, f)
        if full then break end
      end
      number = number + 1
      looks = looks - 1
    end
    if full or looks <= 0 then cursor = number end
    full = full or looks <= 0 or #entries < 32
  end
end
return { from, cursor, out }
`);

/** From where nothing is missing, and how many events of the topics follow that. epoch, after, up to, topics... */
export const SURVEY: Script = script(`${COMMON}${SAME_LIFE}${FLOOR}
local topics = { unpack(ARGV, 4) }
local from = floor(tonumber(ARGV[2]), topics)
local events = 0
for _, topic in ipairs(topics) do
  events = events + call('ZLEXCOUNT', key(life.epoch, 'index'), '(' .. topic .. '\\0' .. padded(from),
    '[' .. topic .. '\\0' .. padded(math.max(from, tonumber(ARGV[3]))))
end
return { from, events }
`);

/** The last numbers of each topic, newest first, and whether the newest event is an end. epoch, up to, count, topics... */
export const LAST: Script = script(`${COMMON}${SAME_LIFE}
local out = {}
for i = 4, #ARGV do
  local members = call('ZREVRANGEBYLEX', key(life.epoch, 'index'), '[' .. ARGV[i] .. '\\0' .. padded(tonumber(ARGV[2])),
    '[' .. ARGV[i] .. '\\0', 'LIMIT', 0, ARGV[3])
  local numbers = {}
  for place, member in ipairs(members) do numbers[place] = tonumber(string.sub(member, -16)) end
  local ended = false
  if numbers[1] then
    local entry = call('XRANGE', key(life.epoch, 'log'), text(numbers[1]), text(numbers[1]))[1]
    ended = string.byte(entry[2][4]) == 49
  end
  out[#out + 1] = { ended and 1 or 0, numbers }
end
return out
`);

/** Entries of the index after one of them, of topics that begin with the prefix. epoch, after this entry, prefix */
export const INDEX: Script = script(`${COMMON}${SAME_LIFE}
return call('ZRANGEBYLEX', key(life.epoch, 'index'), ARGV[2] == '' and '[' .. ARGV[3] or '(' .. ARGV[2],
  '[' .. ARGV[3] .. '\\255', 'LIMIT', 0, 4096)
`);

/**
 * How many events each topic has that begins with the prefix, from a place in the index on; and the place to go on from,
 * '' for the end. Looks at some thousand entries, and passes over what a topic has beside them.
 * epoch, after, up to, place, prefix
 */
export const COUNT: Script = script(`${COMMON}${SAME_LIFE}
local index = key(life.epoch, 'index')
local from, upTo = tonumber(ARGV[2]), math.max(tonumber(ARGV[2]), tonumber(ARGV[3]))
local place, last = ARGV[4] ~= '' and ARGV[4] or '[' .. ARGV[5], '[' .. ARGV[5] .. '\\255'
local out = {}
for _ = 1, 32 do
  local members = call('ZRANGEBYLEX', index, place, last, 'LIMIT', 0, 64)
  local topic, count = nil, 0
  for _, member in ipairs(members) do
    local name, number = string.sub(member, 1, -18), tonumber(string.sub(member, -16))
    if name ~= topic then
      if topic then
        out[#out + 1] = topic
        out[#out + 1] = count
      end
      topic, count = name, 0
    end
    if number > from and number <= upTo then count = count + 1 end
  end
  if #members == 64 then
    count = call('ZLEXCOUNT', index, '(' .. topic .. '\\0' .. padded(from), '[' .. topic .. '\\0' .. padded(upTo))
    place = '(' .. topic .. '\\1'
  end
  if topic then
    out[#out + 1] = topic
    out[#out + 1] = count
  end
  if #members < 64 then return { '', out } end
end
return { place, out }
`);
