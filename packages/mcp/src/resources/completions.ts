import { TheazoError } from '@theazo/core'
import { filesOf } from '@theazo/core/tools'
import type { AdvertisedSandboxes } from './advertised-sandboxes.ts'
import { fileUriTemplate } from './file-uri.ts'
import type { CompleteParams, CompleteResult } from '../mcp-types.ts'
import { testCommands } from './prompts.ts'
import { RequestError } from '../request-error.ts'

/** The cap of the protocol. */
const maxValues = 100

/** Completes agent ids, paths and commands. It creates no sandbox. It suggests nothing if the API is not reachable. */
export async function complete(
  sandboxes: AdvertisedSandboxes,
  { ref, argument, context }: CompleteParams,
  signal: AbortSignal,
): Promise<CompleteResult> {
  const { name, value } = argument
  const suggest = async (): Promise<readonly string[]> => {
    if (name === 'agentId') return sandboxes.ids
    if (name === 'command') return testCommands
    if (name !== 'path' && name !== 'folder') return []
    // Paths in the template have no slash at their start.
    const isTemplate = ref.type === 'ref/resource' && ref.uri === fileUriTemplate
    const agentId = isTemplate ? context?.arguments?.['agentId'] : sandboxes.currentId
    if (agentId === undefined) return []
    const paths = await pathsBelow(sandboxes, agentId, isTemplate ? `/${value}` : value || '/workspace/', signal)
    return isTemplate ? paths.map((path) => path.slice(1)) : paths
  }
  const values = (await suggest().catch(nothingIfUnreachable)).filter((found) => found.startsWith(value))
  return {
    completion: { values: values.slice(0, maxValues), total: values.length, hasMore: values.length > maxValues },
  }
}

/** The entries of the folder that the text is in. Folders end in a slash, so that the next completion continues. */
async function pathsBelow(
  sandboxes: AdvertisedSandboxes,
  agentId: string,
  text: string,
  signal: AbortSignal,
): Promise<string[]> {
  if (!text.startsWith('/')) return []
  const folder = text.slice(0, text.lastIndexOf('/') + 1)
  const agent = await sandboxes.agent(agentId, signal)
  if (agent.data.status !== 'idle' && agent.data.status !== 'running') return [] // a suggestion must not resume it
  const entries = await filesOf(agent).list(folder, { signal })
  return entries.map(({ path, type }) => `${path}${type === 'directory' ? '/' : ''}`).toSorted()
}

function nothingIfUnreachable(error: unknown): readonly string[] {
  if (TheazoError.isInstance(error) || error instanceof RequestError) return []
  throw error
}
