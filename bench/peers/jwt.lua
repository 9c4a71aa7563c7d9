-- The check of the nginx peer, with luaossl and lua-cjson: signature, exp, nbf, iss, aud. The first segment of the path is the
-- algorithm, so that a token can't choose it. Keys are read once, when nginx starts.
local cjson = require("cjson.safe")
local digest, hmac, pkey = require("openssl.digest"), require("openssl.hmac"), require("openssl.pkey")
local base64 = require("ngx.base64")

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("*a")
  file:close()
  return text
end

local secret = read("@HOME@/hs256.key")
local rsa, ec = pkey.new(read("@HOME@/rs256.pem")), pkey.new(read("@HOME@/es256.pem"))

-- An integer of an ECDSA signature as JWS has it, 32 octets, as DER has it (RFC 7518 §3.4, X.690 §8.3).
local function integer(octets)
  octets = octets:gsub("^%z+", "")
  if octets == "" or octets:byte() > 127 then octets = "\0" .. octets end
  return "\2" .. string.char(#octets) .. octets
end

local good = {
  HS256 = function(signed, signature) return hmac.new(secret, "sha256"):final(signed) == signature end,
  RS256 = function(signed, signature) return rsa:verify(signature, digest.new("sha256"):update(signed)) end,
  ES256 = function(signed, signature)
    if #signature ~= 64 then return false end
    local both = integer(signature:sub(1, 32)) .. integer(signature:sub(33))
    return ec:verify("\48" .. string.char(#both) .. both, digest.new("sha256"):update(signed))
  end,
}
local algorithm_of = { hs256 = "HS256", rs256 = "RS256", es256 = "ES256" }

local function claims_of(authorization, algorithm)
  local signed, payload, signature = authorization:match("^Bearer ([%w_-]+%.([%w_-]+))%.([%w_-]+)$")
  if not signed then return nil end
  local head = cjson.decode(base64.decode_base64url(signed:sub(1, #signed - #payload - 1)) or "")
  local bytes = base64.decode_base64url(signature)
  if not head or head.alg ~= algorithm or not bytes or not good[algorithm](signed, bytes) then return nil end
  local claims = cjson.decode(base64.decode_base64url(payload) or "")
  local now = ngx.time()
  if not claims or claims.iss ~= "@ISSUER@" or claims.aud ~= "@AUDIENCE@" then return nil end
  if type(claims.exp) ~= "number" or claims.exp <= now then return nil end
  if claims.nbf and (type(claims.nbf) ~= "number" or claims.nbf > now) then return nil end
  return claims
end

local function check()
  local algorithm = algorithm_of[ngx.var.uri:match("^/(%w+)/")]
  local authorization = ngx.var.http_authorization
  local claims = algorithm and authorization and claims_of(authorization, algorithm)
  if not claims then
    ngx.header["WWW-Authenticate"] = "Bearer"
    return ngx.exit(401)
  end
  ngx.var.auth_user = claims.preferred_username
end

return { check = check }
