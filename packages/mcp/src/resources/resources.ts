import { type Agent, TheazoError } from '@theazo/core'
import { sessionUsage } from '../calls/session-usage.ts'
import type { AdvertisedSandboxes } from './advertised-sandboxes.ts'
import { fileTemplate, readFileResource, resourceError } from './file-resources.ts'
import { decoded, fileUriTemplate, parseFileUri } from './file-uri.ts'
import type { ReadResourceResult, Resource, ResourceTemplate } from '../mcp-types.ts'
import { errorForClient, RequestError } from '../request-error.ts'
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

/** Settings of {@link Resources}. */
export interface ResourcesOptions {
  /** Receives the URI of a resource that has changed, if the client has subscribed to it. */
  onUpdated: (uri: string) => void
  /** Receives unexpected errors. The client gets none of their text. */
  onError: (error: unknown) => void
}

/**
 * Agents, usage, and the files of agents as resources. URIs are not normalized: that may change a path that contains
 * `..`.
 */
export class Resources {
  readonly #sandboxes: AdvertisedSandboxes
  readonly #subscriptions: StatusSubscriptions
  readonly #onError: (error: unknown) => void

  constructor(sandboxes: AdvertisedSandboxes, { onUpdated, onError }: ResourcesOptions) {
    this.#sandboxes = sandboxes
    this.#subscriptions = new StatusSubscriptions(onUpdated)
    this.#onError = onError
  }

  list(): Resource[] {
    return [...fixedResources, ...this.#sandboxes.ids.map(agentResource)]
  }

  templates(): ResourceTemplate[] {
    return [agentTemplate, fileTemplate]
  }

  /** @throws {RequestError} that states why the resource cannot be read. */
  async read(uri: string, signal: AbortSignal): Promise<ReadResourceResult> {
    return await this.#withErrors(signal, () => read(this.#sandboxes, uri, signal))
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
    const open = (): Promise<Agent> => this.#sandboxes.agent(agentId, signal)
    await this.#withErrors(signal, () => this.#subscriptions.add(uri, open))
  }

  unsubscribe(uri: string): void {
    this.#subscriptions.delete(uri)
  }

  /** Ends all subscriptions. */
  close(): void {
    this.#subscriptions.clear()
  }

  /** Does the work. Its errors become those that the client receives. */
  async #withErrors<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (signal?.aborted) throw error
      throw TheazoError.isInstance(error) ? resourceError(error) : errorForClient(error, this.#onError)
    }
  }
}

async function read(sandboxes: AdvertisedSandboxes, uri: string, signal: AbortSignal): Promise<ReadResourceResult> {
  const file = parseFileUri(uri)
  if (file) return await readFileResource(sandboxes, uri, file, signal)
  const data = await dataOf(sandboxes, uri, signal)
  return { contents: [{ uri, mimeType, text: JSON.stringify(data, undefined, 2) }] }
}

async function dataOf(sandboxes: AdvertisedSandboxes, uri: string, signal: AbortSignal): Promise<object> {
  if (uri === agentsUri) return await agentsOf(sandboxes, signal)
  if (uri === usageUri) return await usageOf(sandboxes, signal)
  const agentId = agentIdOf(uri)
  if (agentId !== undefined) return await agentOf(sandboxes, agentId, signal)
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

/** A sandbox that is not an agent of the Theazo API has only its id. */
async function agentOf(sandboxes: AdvertisedSandboxes, agentId: string, signal: AbortSignal): Promise<object> {
  sandboxes.assertReceived(agentId)
  if (!(await sandboxes.account())) return { agentId }
  const { id, status, name, createdAt } = (await sandboxes.agent(agentId, signal)).data
  return { agentId: id, status, ...(name !== undefined && { name }), createdAt }
}

async function usageOf({ account }: AdvertisedSandboxes, signal: AbortSignal): Promise<object> {
  const result = await sessionUsage(account, signal)
  if (result.isError) throw result.error
  return result.data
}

function agentResource(id: string): Resource {
  return { uri: `${agentsUri}/${encodeURIComponent(id)}`, name: id, title: `Sandbox ${id}`, mimeType }
}

function agentIdOf(uri: string): string | undefined {
  const id = /^theazo:\/\/agents\/([^/]+)$/.exec(uri)?.[1]
  return id === undefined ? undefined : decoded(id)
}
