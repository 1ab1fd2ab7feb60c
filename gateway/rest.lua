-- Gives the transcoder's answers their REST form. It is listed before the transcoder, and filters see answers from last to
-- first: it gets the JSON that the transcoder made. What it must know of a method is the filter_context of the method's
-- route, which gateway/render.py takes from the proto:
--   dialect  whose error bodies to use             status  of a success
--   empty    true when a success has no body       unwrap  the one field that becomes the whole body
-- What Envoy lends goes stale when the script waits, for a body or for trailers, and must be fetched again afterwards.

-- How gRPC is to be spoken is for the transcoder to say; from a REST client, these only break the call.
local GRPC_REQUEST = { "grpc-encoding", "grpc-accept-encoding", "grpc-timeout" }

-- What tells of the gRPC behind.
local GRPC_RESPONSE = {
  "grpc-status", "grpc-message", "grpc-status-details-bin", "grpc-encoding", "grpc-accept-encoding",
  "x-http-status", "x-http-body",
}

-- What the server says of rate limits: of a success in trailers, which REST clients do not read.
local RATE_LIMIT = { "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset" }

-- Each worker of Envoy has a table of its own at an address of its own.
math.randomseed(tonumber(tostring({}):match("0x(%x+)"), 16) + os.time())

-- Whether the server takes over this id of a request.
local function is_fit(id)
  return #id >= 8 and #id <= 64 and id:find("%w") ~= nil and id:find("[^%w-]") == nil
end

-- Whether the id of a request goes back to whoever sent it. AuthZEN promises that of every text, and changes nothing that a
-- trail would tell of.
local function is_kept(id, path)
  return is_fit(id) or (path:sub(1, 11) == "/access/v1/" and #id >= 1 and #id <= 256 and id:find("[^ -~]") == nil)
end

local function remove(headers, names)
  for _, name in ipairs(names) do headers:remove(name) end
end

-- Only HTTP/2 clients would see them.
local function move_trailers(handle)
  local trailers, names = handle:trailers(), {}
  if trailers == nil then return end
  for _, name in ipairs(RATE_LIMIT) do
    local value = trailers:get(name)
    if value ~= nil then handle:headers():replace(name, value) end
  end
  for name in pairs(trailers) do names[#names + 1] = name end
  remove(trailers, names)
end

local function body_of(handle)
  local body = handle:body(true)
  return body:getBytes(0, body:length())
end

local function escaped(text)
  return (text:gsub('[%c"\\\127-\255]', function(char) return string.format("\\u%04x", char:byte()) end))
end

-- The dialect's answer to an error that comes without one: grpc's own, a crash, a passed deadline. The virtual host's
-- metadata has these bodies, by dialect and status.
local function own_answer(handle, dialect, status, path)
  local answers = handle:virtualHost():metadata():get(dialect)
  if answers[status] == nil then status = "500" end
  local now = handle:timestamp()
  local words = {
    path = escaped(path),
    timestamp = os.date("!%Y-%m-%dT%H:%M:%S", math.floor(now / 1000)) .. string.format(".%03dZ", now % 1000),
  }
  return status, (answers[status]:gsub("%$(%a+)", words))
end

-- Status and body of an error; nothing when it is Envoy's own, which local_reply_config has formed already.
local function failure(handle, facts, path)
  local dialect, headers = facts:get("dialect"), handle:headers()
  local status, body = headers:get("x-http-status"), headers:get("x-http-body")
  if status ~= nil and body ~= nil then return status, body end
  status = headers:get(":status")
  -- The transcoder's is a google.rpc.Status, or still gRPC when that has details of an unknown type.
  local is_json = headers:get("content-type") == "application/json"
  if is_json and body_of(handle):sub(1, 8) ~= '{"code":' then return nil end
  return own_answer(handle, dialect, status, path)
end

-- Status and body of a success; no body when the method returns nothing.
local function success(handle, facts)
  local status, field, empty = facts:get("status"), facts:get("unwrap"), facts:get("empty")
  if empty then return status, nil end
  local body = body_of(handle)
  -- It is {"field":value} and nothing else, so that no parser is needed.
  if field ~= nil then body = body:sub(#field + 5, -2) end
  return status, body
end

local function answer(handle, status, body)
  handle:body(true):setBytes(body or "")
  local headers = handle:headers()
  remove(headers, GRPC_RESPONSE)
  headers:replace(":status", status)
  if body ~= nil then headers:replace("content-type", "application/json") else headers:remove("content-type") end
  if status == "204" then headers:remove("content-length") end
  move_trailers(handle)
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local kind = headers:get("content-type") or ""
  if kind:sub(1, 16) ~= "application/grpc" then remove(headers, GRPC_REQUEST) end
  -- Answer, logs and audit trail must agree about the id.
  if not is_kept(headers:get("x-request-id") or "", headers:get(":path") or "") then
    headers:replace("x-request-id", string.format("%x-%08x%08x", handle:timestamp(), math.random(0, 2^32 - 1), math.random(0, 2^32 - 1)))
  end
end

function envoy_on_response(handle)
  local facts = handle:filterContext()
  if facts:get("dialect") == nil then return end  -- it did not come to a dialect's method
  local path = handle:requestHeaders():get("x-envoy-original-path")
  if path == nil then return end  -- native gRPC or gRPC-Web
  local form = handle:headers():get(":status") == "200" and success or failure
  local status, body = form(handle, facts, path)
  if status ~= nil then answer(handle, status, body) end
end
