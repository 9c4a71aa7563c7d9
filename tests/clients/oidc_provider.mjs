// An OpenID provider that others wrote, as an issuer of access tokens.
//
//     node oidc_provider.mjs PORT JWKS_FILE
//
// The first key of the file signs. `service`, `secret` gets tokens for the API by client_credentials with its resource
// indicator (RFC 8707), as JWTs (RFC 9068). Says `ready` when it listens.

import { readFileSync } from "node:fs";
import Provider from "oidc-provider";

const [port, keys] = process.argv.slice(2);
const jwks = JSON.parse(readFileSync(keys, "utf8"));
const { alg } = jwks.keys[0];

const provider = new Provider(`http://127.0.0.1:${port}`, {
  jwks,
  clients: [
    {
      client_id: "service",
      client_secret: "secret",
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: alg,
    },
  ],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({
        scope: "items:read items:write",
        audience: "https://api.example.com",
        accessTokenTTL: 600,
        accessTokenFormat: "jwt",
        jwt: { sign: { alg } },
      }),
    },
  },
  extraTokenClaims: () => ({ tenant: "north", "https://example.com/roles": ["editor"] }),
});

provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
