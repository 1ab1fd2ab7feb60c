-- Gives the transcoder's answers their REST form. Filters see answers from last to first, and this one is listed before
-- the transcoder, so it gets the JSON that the transcoder made. What it must know of a method is in the filter_context of
-- the method's route, rendered from the proto:
--   dialect  whose error bodies to use         status  of a success
--   empty    true: a success has no body       unwrap  the one field that becomes the whole body
-- Objects of Envoy's go stale whenever the script waits for a body or for trailers: they are fetched again afterwards.

-- What tells of the gRPC behind.
local INTERNAL = {
  "grpc-status", "grpc-message", "grpc-status-details-bin", "grpc-accept-encoding", "grpc-encoding",
  "x-http-status", "x-http-body",
}

local function remove_internal(headers)
  for _, name in ipairs(INTERNAL) do headers:remove(name) end
end

-- Only HTTP/2 clients would see them.
local function remove_trailers(handle)
  local trailers, names = handle:trailers(), {}
  if trailers == nil then return end
  for name in pairs(trailers) do names[#names + 1] = name end
  for _, name in ipairs(names) do trailers:remove(name) end
end

local function body_of(handle)
  local body = handle:body(true)
  return body:getBytes(0, body:length())
end

local function escaped(text)
  return (text:gsub('[%c"\\\127-\255]', function(c) return string.format("\\u%04x", c:byte()) end))
end

-- The dialect's answer to a failure without a body of the server's: grpc's own, a crash, a deadline. The virtual host's
-- metadata has the bodies of all dialects by status.
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

-- Status and body of a failure; nothing when the answer is Envoy's own and has its form already.
local function failure(handle, facts, path)
  local dialect, headers = facts:get("dialect"), handle:headers()
  local status, body = headers:get("x-http-status"), headers:get("x-http-body")
  if status ~= nil and body ~= nil then return status, body end
  status = headers:get(":status")
  if headers:get("content-type") == "application/json" and body_of(handle):sub(1, 8) ~= '{"code":' then return nil end
  return own_answer(handle, dialect, status, path)
end

-- Status and body of a success; no body when the method returns nothing.
local function success(handle, facts)
  local status, field = facts:get("status"), facts:get("unwrap")
  if facts:get("empty") then return status, nil end
  local body = body_of(handle)
  -- {"field":value}, and nothing else in it: no parser is needed
  if field ~= nil then body = body:sub(#field + 5, -2) end
  return status, body
end

local function answer(handle, status, body)
  handle:body(true):setBytes(body or "")
  local headers = handle:headers()
  remove_internal(headers)
  headers:replace(":status", status)
  if body ~= nil then headers:replace("content-type", "application/json") else headers:remove("content-type") end
  if status == "204" then headers:remove("content-length") end
  remove_trailers(handle)
end

function envoy_on_response(handle)
  local facts, path = handle:filterContext(), handle:requestHeaders():get("x-envoy-original-path")
  if facts:get("dialect") == nil or path == nil then return end  -- native gRPC, or it never came to a method
  local form = handle:headers():get(":status") == "200" and success or failure
  local status, body = form(handle, facts, path)
  if status ~= nil then answer(handle, status, body) end
end
