/** The URI template of a file in a sandbox (RFC 6570). */
export const fileUriTemplate = 'theazo://agents/{agentId}/files/{+path}'

/** A file of a sandbox. */
export interface SandboxFilePath {
  agentId: string
  /** Absolute. */
  path: string
}

/**
 * The URI of a file: each segment of its absolute path is percent-encoded, so that every name survives.
 *
 * @param path absolute, or relative to /workspace.
 */
export function fileUri({ agentId, path }: SandboxFilePath): string {
  const absolute = path.startsWith('/') ? path : `/workspace/${path}`
  const encoded = absolute.split('/').map(encodeURIComponent).join('/')
  return `theazo://agents/${encodeURIComponent(agentId)}/files${encoded}`
}

/** Reads the URI of a file; undefined for any other URI. Characters that need no encoding may have it or not. */
export function parseFileUri(uri: string): SandboxFilePath | undefined {
  const [, agentId, path] = /^theazo:\/\/agents\/([^/]+)\/files\/(.+)$/s.exec(uri) ?? []
  if (agentId === undefined || path === undefined) return undefined
  return { agentId: decoded(agentId), path: `/${decoded(path)}` }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text // not percent-encoded: a plain % in a name
  }
}
