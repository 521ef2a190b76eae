// An OpenID provider that others wrote (npm oidc-provider) with RFC 8693's token exchange, on loopback: it verifies the
// JWT by the keys of its issuer, with npm jose. It prints its address as one line of JSON.
'use strict'

const http = require('node:http')
const path = require('node:path')
const { createRequire } = require('node:module')
const { pathToFileURL } = require('node:url')

const clients = createRequire(path.join(process.argv[2], 'package.json'))
const [trusted, role] = process.argv.slice(3)
const GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange'
const RESOURCE = 'https://services.example.org'

async function main () {
  const { Provider, errors } = await import(pathToFileURL(clients.resolve('oidc-provider')))
  const jose = await import(pathToFileURL(clients.resolve('jose')))
  const server = http.createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${server.address().port}`
  const keys = jose.createRemoteJWKSet(new URL(`${trusted}/.well-known/jwks.json`))
  const common = { response_types: [], redirect_uris: [], scope: 'uid pay.read' }
  const provider = new Provider(issuer, {
    clients: [
      { ...common, client_id: 'greeter', token_endpoint_auth_method: 'none', grant_types: [GRANT] },
      { ...common, client_id: 'minted', client_secret: 's3cret-of-client', grant_types: ['client_credentials'] }
    ],
    scopes: ['uid', 'pay.read'],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => RESOURCE,
        getResourceServerInfo: () => ({ scope: 'uid pay.read', audience: RESOURCE, accessTokenFormat: 'opaque' })
      }
    },
    ttl: { ClientCredentials: 3600 }
  })

  provider.registerGrantType(GRANT, async (ctx) => {
    const { params, client } = ctx.oidc
    if (params.subject_token_type !== 'urn:ietf:params:oauth:token-type:jwt') {
      throw new errors.InvalidRequest('subject_token_type is not supported')
    }
    let claims
    try {
      const bounds = { issuer: trusted, audience: `${issuer}/token`, algorithms: ['RS256', 'ES384'] }
      claims = (await jose.jwtVerify(params.subject_token, keys, bounds)).payload
    } catch {
      throw new errors.InvalidGrant('the subject token is not valid')
    }
    if (claims.sub !== role) throw new errors.InvalidGrant('the role is not that of the client')
    const { ClientCredentials } = ctx.oidc.provider
    const token = new ClientCredentials({ client, scope: params.scope })
    const value = await token.save()
    ctx.body = {
      access_token: value,
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      token_type: 'Bearer',
      expires_in: token.expiration,
      scope: params.scope
    }
  }, ['subject_token', 'subject_token_type', 'requested_token_type', 'scope'])

  server.on('request', provider.callback())
  process.on('SIGTERM', () => process.exit(0))
  console.log(JSON.stringify({ issuer }))
}

main()
