import { TheazoError } from '@theazo/core'
import { getUsage, type ToolSandbox } from '@theazo/core/tools'
import type { AdvertisedSandboxes } from './advertised-sandboxes.ts'
import { fileTemplate, readFileResource, resourceError } from './file-resources.ts'
import { fileUriTemplate, parseFileUri } from './file-uri.ts'
import type { ReadResourceResult, Resource, ResourceTemplate } from '../mcp-types.ts'
import { RequestError } from '../request-error.ts'
import { StatusSubscriptions } from './status-subscriptions.ts'

const agentsUri = 'theazo://agents'
const usageUri = 'theazo://usage'
const mimeType = 'application/json'
/** The cap on listed agents. */
const maxAgents = 50

const fixedResources: readonly Resource[] = [
  {
    uri: agentsUri,
    name: 'agents',
    title: 'Sandboxes',
    description: 'The sandboxes of this user, newest first.',
    mimeType,
  },
  {
    uri: usageUri,
    name: 'usage',
    title: 'Usage',
    description: 'The cost so far, and what is left of the budget.',
    mimeType,
  },
]

const agentTemplate: ResourceTemplate = {
  name: 'agent',
  title: 'Sandbox',
  description: 'The status of a sandbox. Subscribe to it to be told of changes.',
  uriTemplate: 'theazo://agents/{agentId}',
  mimeType,
}

/**
 * Agents, usage, and the files of agents as resources. URIs are not normalized: that may change a path that contains
 * `..`.
 */
export class Resources {
  readonly #sandboxes: AdvertisedSandboxes
  readonly #subscriptions: StatusSubscriptions

  /** @param onUpdated receives the URI of a resource that has changed, if the client has subscribed to it. */
  constructor(sandboxes: AdvertisedSandboxes, onUpdated: (uri: string) => void) {
    this.#sandboxes = sandboxes
    this.#subscriptions = new StatusSubscriptions(onUpdated)
  }

  list(): Resource[] {
    return [...fixedResources, ...this.#sandboxes.ids.map(agentResource)]
  }

  templates(): ResourceTemplate[] {
    return [agentTemplate, fileTemplate]
  }

  /** @throws {RequestError} that states why the resource cannot be read. */
  async read(uri: string, signal: AbortSignal): Promise<ReadResourceResult> {
    return await read(this.#sandboxes, uri, signal)
  }

  /** Reports changes of an agent's status. @throws {RequestError} for any other resource, and for an unknown agent. */
  async subscribe(uri: string, signal?: AbortSignal): Promise<void> {
    const agentId = agentIdOf(uri)
    if (agentId === undefined) {
      throw new RequestError(
        'invalid',
        `Only the status of a sandbox can be subscribed to: ${agentTemplate.uriTemplate}.`,
      )
    }
    this.#subscriptions.add(uri, await this.#sandboxes.agent(agentId, signal))
  }

  unsubscribe(uri: string): void {
    this.#subscriptions.delete(uri)
  }

  /** Ends all subscriptions. */
  close(): void {
    this.#subscriptions.clear()
  }
}

async function read(sandboxes: AdvertisedSandboxes, uri: string, signal: AbortSignal): Promise<ReadResourceResult> {
  const file = parseFileUri(uri)
  if (file) return await readFileResource(sandboxes, uri, file, signal)
  try {
    const data = await dataOf(sandboxes, uri, signal)
    return { contents: [{ uri, mimeType, text: JSON.stringify(data, undefined, 2) }] }
  } catch (error) {
    throw !signal.aborted && TheazoError.isInstance(error) ? resourceError(error) : error
  }
}

async function dataOf(sandboxes: AdvertisedSandboxes, uri: string, signal: AbortSignal): Promise<object> {
  if (uri === agentsUri) return await agentsOf(sandboxes, signal)
  if (uri === usageUri) return await usageOf(sandboxes, signal)
  const agentId = agentIdOf(uri)
  if (agentId !== undefined) {
    const { id, status, name, createdAt } = (await sandboxes.agent(agentId, signal)).data
    return { agentId: id, status, ...(name !== undefined && { name }), createdAt }
  }
  const forms = [agentsUri, usageUri, agentTemplate.uriTemplate, fileUriTemplate].join(', ')
  throw new RequestError('invalid', `${uri} is not a resource of this server. There are ${forms}.`)
}

/** The client receives all ids of the list, and may name them from then on. */
async function agentsOf(sandboxes: AdvertisedSandboxes, signal: AbortSignal): Promise<object> {
  const account = await sandboxes.account()
  if (!account) return { agents: sandboxes.ids.map((agentId) => ({ agentId })) }
  const { data } = await account.session.agents.list({ limit: maxAgents, signal }).page()
  const agents = data.map(({ id, data: { status, name } }) => ({
    agentId: id,
    status,
    ...(name !== undefined && { name }),
  }))
  sandboxes.advertiseData({ agents })
  return { agents }
}

async function usageOf({ account }: AdvertisedSandboxes, signal: AbortSignal): Promise<object> {
  const result = await getUsage.run({}, { sandbox: noSandbox, account, signal })
  if (result.isError) throw result.error
  return result.data
}

/** The tool needs no sandbox, and the resource must not create one. */
const noSandbox: ToolSandbox = { id: '', exec: () => Promise.reject(new Error('not used')) }

function agentResource(id: string): Resource {
  return { uri: `${agentsUri}/${encodeURIComponent(id)}`, name: id, title: `Sandbox ${id}`, mimeType }
}

function agentIdOf(uri: string): string | undefined {
  return /^theazo:\/\/agents\/([^/]+)$/.exec(uri)?.[1]
}
