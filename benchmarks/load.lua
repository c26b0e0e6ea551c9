-- What wrk sends: requests in turn out of a file, each with a number of its own written into it.
--   wrk … URL -- FILE binary|text FIRST STEP
-- FILE: for each request a line "BEFORE AFTER", then so many bytes before the number and after it.
-- STEP 0 sends one and the same request always.

local before, after, count, turn = {}, {}, 0, 0
local number, step, write

local function binary(n) -- a float32, little endian: the bytes of 0.5 with n in the mantissa
  return string.char(n % 256, math.floor(n / 256) % 256, math.floor(n / 65536) % 128, 0x3F)
end

local function text(n)
  return string.format("0.4%07d", n)
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  while true do
    local sizes = file:read("*l")
    if not sizes then break end
    local size_before, size_after = sizes:match("(%d+) (%d+)")
    count = count + 1
    before[count], after[count] = file:read(tonumber(size_before)), file:read(tonumber(size_after)) or ""
  end
  file:close()
  write = args[2] == "text" and text or binary
  number, step = tonumber(args[3]), tonumber(args[4])
end

function request()
  local which = turn % count + 1
  local whole = before[which] .. write(number) .. after[which]
  number = number + step
  turn = turn + step
  return whole
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d %d %d %d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
