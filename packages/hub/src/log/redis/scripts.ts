import { createHash } from "node:crypto";
import { ENDS } from "../retention.ts";

/*
 * What has to happen in Redis at once, in Lua 5.1. The first key, `{prefix}`, is a hash: `epoch`, the name of this
 * incarnation of the log, and `state`, these numbers:
 *
 *   first      the oldest event that is kept
 *   last       the newest event
 *   bytes      size of the events kept
 *   inherited  the last event that was there when this epoch began
 *   lostUpTo   topics that `lost` does not know have lost no event after this one
 *   time       when the newest event was taken, in us; also when it is evicted
 *   and how many entries `newest`, `ids`, `lost`, `ended` and `ends` have: by this it is seen when one of them is lost
 *
 * The others have its hash tag, so that they are in one slot of a Redis Cluster, and the epoch in their names, so that a
 * reader of an earlier epoch finds nothing. Every script declares all of them: a Cluster that moves the slot then refuses the
 * script before it begins, and not in the middle.
 *
 *   log     stream; the event with number N is at N-0: n = topic NUL key NUL publisher's id, v = value, t = when, in us, and
 *           for the first event of an append a space and the time of the event before it
 *   index   sorted set of topic NUL number: the events of a topic in order, without touching others
 *   newest  hash: topic NUL key -> number of its newest event
 *   ids     hash: topic NUL publisher's id -> number
 *   lost    sorted set: topic -> number of its last evicted event
 *   ended   hash: topic -> number of its last evicted event, when that ended it
 *   ends    sorted set: topic of `ended` -> when, in us
 */

/** As `key` in the scripts. */
const NAMES = ["log", "index", "newest", "ids", "lost", "ended", "ends"] as const;

/** The key with the epoch and the state of a log. */
export function metaKey(prefix: string): string {
  return `{${prefix}}`;
}

/** The keys of one epoch, in the order in which scripts are given them. */
export function keysOf(meta: string, epoch: string): string[] {
  return NAMES.map((name) => `${meta}:${epoch}:${name}`);
}

export interface Script {
  readonly text: string;
  readonly sha: string;
}

/** Without comments and indents: what is sent whole is hashed each time. */
function script(text: string): Script {
  const bare = text
    .replace(/^ +/gm, "")
    .replace(/ *-- .*$/gm, "")
    .replace(/\n+/g, "\n");
  return { text: bare, sha: createHash("sha1").update(bare).digest("hex") };
}

/**
 * Reads the state. `log.epoch` is false if there is no log. The keys are of the epoch in the first argument. If that is the
 * epoch of the log, `ruin` tells of a key that is gone, has another type, or has more or fewer entries than the last script
 * left in it: an answer from such a log could leave events out.
 */
const READ = `
local meta, call = KEYS[1], redis.call
local function text(n) return string.format('%.0f', n) end
local function padded(n) return string.format('%016.0f', n) end
local numbers = {
  'first', 'last', 'bytes', 'inherited', 'lostUpTo', 'time', 'newest', 'ids', 'lost', 'ended', 'ends'
}
local lengths = {
  log = 'XLEN', index = 'ZCARD', newest = 'HLEN', ids = 'HLEN', lost = 'ZCARD', ended = 'HLEN', ends = 'ZCARD'
}
local key = {}
for place, name in ipairs({ ${NAMES.map((name) => `'${name}'`).join()} }) do key[name] = KEYS[place + 1] end
local stored = call('HMGET', meta, 'epoch', 'state')
local log, ruin = { epoch = stored[1] }, false
local isKnown = log.epoch == ARGV[1]
if isKnown then
  local found = { string.match(stored[2] or '', '^' .. string.rep('(%d+) ', #numbers) .. '$') }
  for place, name in ipairs(numbers) do log[name] = tonumber(found[place]) end
  if #found < #numbers then
    ruin = meta
  else
    for name, command in pairs(lengths) do
      if redis.pcall(command, key[name]) ~= (log[name] or log.last - log.first + 1) then ruin = key[name] end
    end
  end
end
`;

/** Answers nil to a node that believes in another epoch. */
const SAME_EPOCH = `${READ}
if not isKnown or ruin then return false end
`;

const ENTRIES = `
local function split(names) -- "topic NUL key", publisher's id, topic
  local name, id = string.match(names, '^(%Z*%z%Z*)%z(.*)$')
  return name, id, string.match(name, '^%Z*')
end
local function sizeOf(names, value) return #names + #value + 256 end
local function timeOf(taken) return tonumber(string.match(taken, '^%d+')) end
`;

const WRITE = `${ENTRIES}
local signs = { ZADD = 1, HSET = 1, ZREM = -1, HDEL = -1 }
local function write(command, name, list)
  for i = 1, #list, 4000 do
    local entries = call(command, key[name], unpack(list, i, math.min(i + 3999, #list)))
    if log[name] then log[name] = log[name] + signs[command] * entries end
  end
end
local function save()
  local values = {}
  for place, name in ipairs(numbers) do values[place] = log[name] end
  call('HSET', meta, 'state', string.format(string.rep('%.0f ', #numbers), unpack(values)))
end
`;

/** Evicts what is over the bounds, oldest first, at most some thousand events: what is left over is for the next call. */
const EVICTION = `
local function forgetEnds(topics)
  write('HDEL', 'ended', topics)
  write('ZREM', 'ends', topics)
end
local function evict(bounds)
  local maxEvents, maxBytes, maxAge = tonumber(bounds[1]), tonumber(bounds[2]), tonumber(bounds[3])
  local now, budget = call('TIME'), 2000
  local oldest = now[1] * 1000000 + now[2] - maxAge * 1000
  -- Some more than has to be at once: what a call costs is shared by all of them.
  if log.last - log.first + 1 > maxEvents then maxEvents = maxEvents - math.min(64, math.floor(maxEvents / 128)) end
  if log.bytes > maxBytes then maxBytes = maxBytes - math.floor(maxBytes / 128) end
  local first, members, names, places, ids, lasts, times = log.first, {}, {}, {}, {}, {}, {}
  while log.first <= log.last and log.first - first < budget do
    local over = log.last - log.first + 1 - maxEvents
    local count = over > 0 and over or log.bytes > maxBytes and 16 or 1
    count = math.min(count, budget - (log.first - first), 1000)
    local entries = call('XRANGE', key.log, text(log.first), '+', 'COUNT', count)
    local kept = false
    for _, entry in ipairs(entries) do
      local f = entry[2]
      if log.last - log.first + 1 <= maxEvents and log.bytes <= maxBytes and timeOf(f[6]) >= oldest then
        kept = true
        break
      end
      local name, id, topic = split(f[2])
      local number = text(log.first)
      members[#members + 1] = topic .. '\\0' .. padded(log.first)
      names[#names + 1], places[#places + 1] = name, number
      if id ~= '' then ids[#ids + 1] = { topic .. '\\0' .. id, number } end
      lasts[topic], times[topic] = number, string.byte(f[4]) == 49 and text(timeOf(f[6]))
      log.bytes = log.bytes - sizeOf(f[2], f[4])
      log.first = log.first + 1
    end
    if kept or #entries == 0 then break end
  end
  if log.first == first then return false end
  call('XTRIM', key.log, 'MINID', text(log.first)) -- first: without memory, it lets the others pass
  write('ZREM', 'index', members)
  local gone = {}
  for i = 1, #names, 4000 do
    for place, newest in ipairs(call('HMGET', key.newest, unpack(names, i, math.min(i + 3999, #names)))) do
      if newest == places[i + place - 1] then gone[#gone + 1] = names[i + place - 1] end
    end
  end
  write('HDEL', 'newest', gone)
  for _, id in ipairs(ids) do -- an end can have come anew under its id
    if call('HGET', key.ids, id[1]) == id[2] then write('HDEL', 'ids', { id[1] }) end
  end
  local lost, ended, ends, goOn = {}, {}, {}, {}
  for topic, number in pairs(lasts) do
    lost[#lost + 1], lost[#lost + 2] = number, topic
    if times[topic] then
      ended[#ended + 1], ended[#ended + 2] = topic, number
      ends[#ends + 1], ends[#ends + 2] = times[topic], topic
    else
      goOn[#goOn + 1] = topic
    end
  end
  write('ZADD', 'lost', lost)
  if log.lost > 16384 then
    local forgotten = call('ZPOPMIN', key.lost, log.lost - 16384)
    log.lost, log.lostUpTo = 16384, tonumber(forgotten[#forgotten])
  end
  forgetEnds(goOn)
  write('HSET', 'ended', ended)
  write('ZADD', 'ends', ends)
  if log.ends > ${ENDS.topics} then forgetEnds(call('ZRANGE', key.ends, 0, log.ends - ${ENDS.topics + 1})) end
  return true
end
`;

/** The oldest cursor from `after` on from which nothing of these topics is missing; without topics, of anything. */
const FLOOR = `
local function floor(after, topics)
  if after >= log.first - 1 then return after end
  if #topics == 0 then return log.first - 1 end
  for _, topic in ipairs(topics) do
    after = math.max(after, tonumber(call('ZSCORE', key.lost, topic) or log.lostUpTo))
  end
  return after
end
`;

/**
 * The state of the log, and why it takes no events now. nil if there is no log; its epoch if that is another one; its epoch and
 * the changed key if it is ruined. epoch, number seen, bounds...
 */
export const STATE: Script = script(`${READ}${WRITE}${EVICTION}
if not log.epoch then return false end
-- Writes nothing, and is refused when a write would be. Eviction is not, when it is memory that there is none of.
local refused = redis.pcall('HSETNX', meta, 'epoch', '')
refused = type(refused) == 'table' and refused.err or false
if refused and string.sub(refused, 1, 8) == 'READONLY' then return redis.error_reply(refused) end
if not isKnown then return { log.epoch } end
if ruin then return { log.epoch, ruin } end
if not refused or string.sub(refused, 1, 3) == 'OOM' then
  local now = call('TIME')
  local old = call('ZRANGEBYSCORE', key.ends, '-inf', text(now[1] * 1000000 - ${ENDS.age * 1000}))
  forgetEnds(old)
  if evict({ ARGV[3], ARGV[4], ARGV[5] }) or #old > 0 then save() end
end
local seen = call('XRANGE', key.log, ARGV[2], ARGV[2])[1]
local mark = seen and text(timeOf(seen[2][6])) or ARGV[2] == text(log.last) and text(log.time)
return { log.epoch, log.first, log.last, log.bytes, log.inherited, mark, refused }
`);

/**
 * Creates a log if there is none, or a ruined one. Deletes what is left of that, and of the epoch whose keys come after its
 * own. epoch of the first keys, fresh epoch
 */
export const CREATE: Script = script(`${READ}
if log.epoch and not ruin then return 0 end
if not log.epoch and call('EXISTS', meta) == 1 then
  return redis.error_reply('WRONGTYPE Key ' .. meta .. ' is not the state of a log')
end
for place = 2, #KEYS do call('UNLINK', KEYS[place]) end
call('HSET', meta, 'epoch', ARGV[2], 'state', '1 ' .. string.rep('0 ', #numbers - 1))
return 1
`);

/** Begins a new epoch with the events there are, unless that has been done. The last keys are its own. epoch, fresh epoch */
export const RENEW: Script = script(`${SAME_EPOCH}${WRITE}
for place = 2, 1 + #KEYS / 2 do
  if call('EXISTS', KEYS[place]) == 1 then call('RENAME', KEYS[place], KEYS[place + (#KEYS - 1) / 2]) end
end
log.inherited = log.last
save()
call('HSET', meta, 'epoch', ARGV[2])
return 1
`);

/** Evicts what is over the bounds. epoch, bounds... */
export const EVICT: Script = script(`${SAME_EPOCH}${WRITE}${EVICTION}
if evict({ ARGV[2], ARGV[3], ARGV[4] }) then save() end
return 1
`);

/**
 * All of one append. Answers whether there is something to evict, the numbers of the events, and when the newest of them was taken,
 * unless it is evicted.
 * epoch, number seen, most events, most bytes, then for each event its names and its value
 */
export const APPEND: Script = script(`${SAME_EPOCH}${WRITE}
if log.last < tonumber(ARGV[2]) then return false end
local now = call('TIME')
local time = now[1] * 1000000 + now[2]
local answer, fresh, members, newest, published = {}, {}, {}, {}, {}
for i = 5, #ARGV, 2 do
  local names, value = ARGV[i], ARGV[i + 1]
  local name, id, topic = split(names)
  local isEnd = string.byte(value) == 49
  local field = topic .. '\\0' .. id
  local known = nil
  if id ~= '' then
    known = fresh[field]
    if known == nil then known = call('HGET', key.ids, field) end
  end
  if known then
    answer[#answer + 1] = tonumber(known)
  else
    log.last = log.last + 1
    local number = text(log.last)
    local taken = #members == 0 and text(time) .. ' ' .. text(log.time) or text(time)
    call('XADD', key.log, number .. '-0', 'n', names, 'v', value, 't', taken)
    log.bytes = log.bytes + sizeOf(names, value)
    members[#members + 1], members[#members + 2] = 0, topic .. '\\0' .. padded(log.last)
    if not isEnd then newest[#newest + 1], newest[#newest + 2] = name, number end -- an end is no news of the topic
    if id ~= '' then
      fresh[field] = log.last
      published[#published + 1], published[#published + 2] = field, number
      if not isEnd then fresh[field .. '\\0end'] = false end -- a message that comes anew ends its topic anew
    end
    answer[#answer + 1] = log.last
  end
end
if #members > 0 then
  write('ZADD', 'index', members)
  write('HSET', 'newest', newest)
  write('HSET', 'ids', published)
  log.time = time
  save()
end
local isOver = log.last - log.first + 1 > tonumber(ARGV[3]) or log.bytes > tonumber(ARGV[4])
if #members > 0 then return { isOver and 1 or 0, answer, text(time) } end
local latest = 0
for _, number in ipairs(answer) do latest = math.max(latest, number) end
local entry = call('XRANGE', key.log, text(latest), text(latest))[1]
return { isOver and 1 or 0, answer, entry and text(timeOf(entry[2][6])) }
`);

/**
 * A page of events: of topics by the index, without topics of all whose topic begins with the prefix.
 * epoch, after, up to, most bytes, most events to look at, prefix, topics...
 */
export const PAGE: Script = script(`${SAME_EPOCH}${ENTRIES}${FLOOR}
local stream = key.log
local upTo, left, looks, prefix = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local topics = { unpack(ARGV, 7) }
local from = floor(tonumber(ARGV[2]), topics)
local cursor, out = math.max(from, upTo), {}
local function take(number, f)
  local size = sizeOf(f[2], f[4])
  if #out > 0 and size > left then return false end
  left = left - size
  local newest = call('HGET', key.newest, (split(f[2])))
  out[#out + 1] = { number, f[2], f[4], f[6], newest == text(number) and 1 or 0 }
  return true
end
if #topics > 0 then
  local numbers = {}
  for _, topic in ipairs(topics) do
    local members = call('ZRANGEBYLEX', key.index, '(' .. topic .. '\\0' .. padded(from),
      '[' .. topic .. '\\0' .. padded(math.max(from, upTo)), 'LIMIT', 0, looks)
    for _, member in ipairs(members) do numbers[#numbers + 1] = tonumber(string.sub(member, -16)) end
    if #members == looks then cursor = math.min(cursor, numbers[#numbers]) end
  end
  table.sort(numbers)
  for place, number in ipairs(numbers) do
    if number > cursor then break end
    if not take(number, call('XRANGE', stream, text(number), text(number))[1][2]) then
      cursor = numbers[place - 1]
      break
    end
  end
else
  local number = from
  local full = number >= upTo
  while not full do
    local entries = call('XRANGE', stream, text(number + 1), text(upTo), 'COUNT', 32)
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

/**
 * Where a reader begins, and for each topic the event that ended it by then. Of topics, without patterns, a cursor that is left out is
 * found, and events are counted. epoch, after, last, up to, counted, patterns, topics...
 */
export const POSITION: Script = script(`${SAME_EPOCH}${FLOOR}
local index = key.index
local after, last, upTo = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local counted, topics = ARGV[5] == '1', { unpack(ARGV, 7) }
local selected = ARGV[6] == '1' and {} or topics
if not after then
  local numbers = {}
  for _, topic in ipairs(selected) do
    for _, member in ipairs(call('ZREVRANGEBYLEX', index, '[' .. topic .. '\\0' .. padded(upTo), '[' .. topic .. '\\0',
      'LIMIT', 0, last)) do numbers[#numbers + 1] = tonumber(string.sub(member, -16)) end
  end
  table.sort(numbers, function(a, b) return a > b end)
  after = numbers[last] and numbers[last] - 1 or 0
end
local from = floor(after, selected)
local replayed, ends = 0, {}
for place, topic in ipairs(topics) do
  if counted and #selected > 0 then
    replayed = replayed + call('ZLEXCOUNT', index, '(' .. topic .. '\\0' .. padded(from),
      '[' .. topic .. '\\0' .. padded(math.max(from, upTo)))
  end
  local newest = call('ZREVRANGEBYLEX', index, '[' .. topic .. '\\0' .. padded(upTo), '[' .. topic .. '\\0', 'LIMIT', 0, 1)[1]
  local number = newest and string.sub(newest, -16) or call('HGET', key.ended, topic) or 0
  number = tonumber(number)
  if newest then
    local entry = call('XRANGE', key.log, text(number), text(number))[1]
    if string.byte(entry[2][4]) ~= 49 then number = 0 end
  end
  ends[place] = number
end
return { from, replayed, ends }
`);

/** Entries of the index after one of them, of topics that begin with the prefix. epoch, after this entry, prefix */
export const INDEX: Script = script(`${SAME_EPOCH}
return call('ZRANGEBYLEX', key.index, ARGV[2] == '' and '[' .. ARGV[3] or '(' .. ARGV[2],
  '[' .. ARGV[3] .. '\\255', 'LIMIT', 0, 4096)
`);

/**
 * How many events each topic has that begins with the prefix, from a place in the index on; and the place to go on from,
 * '' for the end. Looks at some thousand entries, and passes over what a topic has beside them.
 * epoch, after, up to, place, prefix
 */
export const COUNT: Script = script(`${SAME_EPOCH}
local index = key.index
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
