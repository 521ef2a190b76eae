// Drives a realm by Keycloak's own client of its admin API, and states what it was answered as one line of JSON.
import { createRequire } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const [directory, baseUrl, realmName, clientId, clientSecret] = process.argv.slice(2)
const clients = createRequire(path.join(directory, 'package.json'))
const { default: KcAdminClient } = await import(pathToFileURL(clients.resolve('@keycloak/keycloak-admin-client')))

async function accepted (secret) {
  const answer = await fetch(`${baseUrl}/realms/${realmName}/protocol/openid-connect/token`, {
    method: 'POST',
    headers: { Authorization: `Basic ${btoa(`driven:${secret}`)}`, 'Content-Type': 'application/x-www-form-urlencoded' },
    body: 'grant_type=client_credentials'
  })
  return answer.status === 200
}

const admin = new KcAdminClient({ baseUrl, realmName })
await admin.auth({ grantType: 'client_credentials', clientId, clientSecret })

await admin.clientPolicies.createProfiles({
  profiles: [{
    name: 'two-secrets',
    executors: [{
      executor: 'secret-rotation',
      configuration: { 'expiration-period': '7776000', 'rotated-expiration-period': '172800', 'remaining-rotation-period': '0' }
    }]
  }]
})
await admin.clientPolicies.updatePolicy({
  policies: [{
    name: 'rotation',
    enabled: true,
    conditions: [{ condition: 'client-access-type', configuration: { type: ['confidential'] } }],
    profiles: ['two-secrets']
  }]
})
const policies = await admin.clientPolicies.listPolicies({})

const { id } = await admin.clients.create({ clientId: 'driven', serviceAccountsEnabled: true, redirectUris: ['https://one.example.org/'] })
const refused = await admin.clients.create({ clientId: 'driven' }).catch((error) => error.response.status)
await admin.clients.update({ id }, { clientId: 'driven', description: 'changed', attributes: { made: 'here' } })
const found = await admin.clients.find({ clientId: 'driven' })
const read = await admin.clients.findOne({ id })

const { id: scope } = await admin.clientScopes.create({ name: 'customer.read_all', protocol: 'openid-connect' })
await admin.clients.addOptionalClientScope({ id, clientScopeId: scope })
const optional = await admin.clients.listOptionalClientScopes({ id })
for (const one of optional) await admin.clients.delOptionalClientScope({ id, clientScopeId: one.id })
const without = await admin.clients.listOptionalClientScopes({ id })

const first = (await admin.clients.getClientSecret({ id })).value
const second = (await admin.clients.generateNewClientSecret({ id })).value
const both = [await accepted(first), await accepted(second)]
await admin.clients.invalidateSecret({ id })
const one = [await accepted(first), await accepted(second)]

await admin.clients.del({ id })
const gone = await admin.clients.findOne({ id })

console.log(JSON.stringify({
  conditions: policies.policies[0].conditions.map((each) => each.condition),
  refused,
  found: found.map((each) => [each.clientId, each.description, each.attributes.made]),
  redirects: read.redirectUris,
  optional: optional.map((each) => each.name).sort(),
  without: without.length,
  differ: first !== second,
  both,
  one,
  gone
}))
