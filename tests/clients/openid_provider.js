// An OpenID provider that others wrote (npm oidc-provider), on loopback, for the tests of sign-in and of mint.
// It prints its address as one line of JSON. Its own pages (devInteractions) let anyone in by any name.
// Below /_suite/ a test rotates the keys, changes how long tokens live, loses answers to registrations, and reads what was
// requested and which clients are registered.
'use strict'

const http = require('node:http')
const crypto = require('node:crypto')
const path = require('node:path')
const { createRequire } = require('node:module')
const { pathToFileURL } = require('node:url')

const clients = createRequire(path.join(process.argv[2], 'package.json'))
const JWT_RESOURCE = 'https://whence.example.org'
const OPAQUE_RESOURCE = 'https://whence.example.org/opaque'

function newKey (kid) {
  const { privateKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 })
  return { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' }
}

const state = {
  keys: [newKey('one')],
  seconds: 3600,
  deviceSeconds: 600,
  lost: 0, // how many next answers to registrations do not arrive
  asked: [] // grant types, in their order
}

// What the provider has issued. Its own store ends with its keys; this one outlives a rotation.
const issued = new Map()

class Store {
  constructor (model) { this.model = model }

  async upsert (id, payload) { issued.set(`${this.model}:${id}`, payload) }

  async find (id) { return issued.get(`${this.model}:${id}`) }

  async findByUid (uid) { return this.first((payload) => payload.uid === uid) }

  async findByUserCode (code) { return this.first((payload) => payload.userCode === code) }

  async consume (id) { issued.get(`${this.model}:${id}`).consumed = Math.floor(Date.now() / 1000) }

  async destroy (id) { issued.delete(`${this.model}:${id}`) }

  async revokeByGrantId (grant) {
    for (const [id, payload] of issued) if (payload.grantId === grant) issued.delete(id)
  }

  first (fits) {
    for (const [id, payload] of issued) if (id.startsWith(`${this.model}:`) && fits(payload)) return payload
  }
}

function configuration () {
  return {
    adapter: Store,
    jwks: { keys: state.keys },
    clients: [
      {
        client_id: 'whence-cli',
        application_type: 'native',
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
        response_types: ['code'],
        redirect_uris: ['http://127.0.0.1/callback']
      },
      {
        client_id: 'whence-console',
        client_secret: 's3cret/',
        application_type: 'native',
        grant_types: ['authorization_code'],
        response_types: ['code'],
        redirect_uris: ['http://127.0.0.1/console/sign-in/callback']
      },
      {
        client_id: 'whence',
        client_secret: 's3cret/',
        grant_types: [],
        response_types: [],
        redirect_uris: []
      }
    ],
    features: {
      clientCredentials: { enabled: true },
      registration: { enabled: true, initialAccessToken: 'registration-of-the-suite' },
      registrationManagement: { enabled: true },
      devInteractions: { enabled: true },
      deviceFlow: { enabled: true },
      // a client's tokens end with the client, as at many providers
      introspection: {
        enabled: true,
        allowedPolicy: async (ctx, client, token) =>
          client.clientId === 'whence' && (await ctx.oidc.provider.Client.find(token.clientId)) !== undefined
      },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, resource) => {
          if (resource !== JWT_RESOURCE && resource !== OPAQUE_RESOURCE) throw new Error('unknown resource')
          return {
            scope: 'read',
            audience: JWT_RESOURCE,
            accessTokenTTL: state.seconds,
            accessTokenFormat: resource === JWT_RESOURCE ? 'jwt' : 'opaque',
            jwt: { sign: { alg: 'RS256' } }
          }
        }
      }
    },
    scopes: ['openid', 'offline_access', 'customer.read_all', 'sales.write'],
    cookies: { keys: ['cookies of the suite'] },
    extraTokenClaims: (ctx, token) => ({ preferred_username: token.accountId, groups: [`team-${token.accountId}`] }),
    findAccount: (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
    ttl: {
      AccessToken: () => state.seconds,
      DeviceCode: () => state.deviceSeconds,
      AuthorizationCode: 60,
      Grant: 86400,
      IdToken: 3600,
      Interaction: 3600,
      RefreshToken: 86400,
      Session: 86400
    }
  }
}

async function body (request) {
  let text = ''
  for await (const part of request) text += part
  return text ? JSON.parse(text) : {}
}

async function main () {
  const { Provider } = await import(pathToFileURL(clients.resolve('oidc-provider')))
  const server = http.createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${server.address().port}`
  let answer

  function begin () { // with the keys of now; what it has issued stays, because its store belongs to the process
    const provider = new Provider(issuer, configuration())
    const count = (ctx) => state.asked.push(ctx.oidc.params.grant_type)
    provider.on('grant.success', count)
    provider.on('grant.error', count)
    answer = provider.callback()
  }

  async function suite (request, response) {
    const wanted = await body(request)
    if (request.url === '/_suite/rotate') { // a new key signs; the old one stays listed if wanted
      state.keys = [newKey(wanted.kid), ...(wanted.keep ? state.keys : [])]
      begin()
    } else if (request.url === '/_suite/set') {
      Object.assign(state, wanted)
    }
    response.setHeader('Content-Type', 'application/json')
    const clients = [...issued].filter(([id]) => id.startsWith('Client:')).map(([, client]) => client.client_name)
    response.end(JSON.stringify({ asked: state.asked, kids: state.keys.map((key) => key.kid), clients }))
  }

  begin()
  server.on('request', (request, response) => {
    if (request.url === '/reg' && state.lost > 0 && state.lost--) response.end = () => request.socket.destroy()
    if (request.url.startsWith('/_suite/')) suite(request, response)
    else answer(request, response)
  })
  process.on('SIGTERM', () => process.exit(0))
  console.log(JSON.stringify({ issuer }))
}

main()
