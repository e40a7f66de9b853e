/** The URI template (RFC 6570) of a file in a sandbox. */
export const fileUriTemplate = 'theazo://agents/{agentId}/files/{+path}'

/** A file of a sandbox. */
export interface SandboxFilePath {
  agentId: string
  /** Absolute. */
  path: string
}

/**
 * The URI of a file. Each segment of the absolute path is percent-encoded, so that any file name works.
 *
 * @param path Absolute, or relative to /workspace.
 */
export function fileUri({ agentId, path }: SandboxFilePath): string {
  const absolute = path.startsWith('/') ? path : `/workspace/${path}`
  const encoded = absolute.split('/').map(encodeURIComponent).join('/')
  return `theazo://agents/${encodeURIComponent(agentId)}/files${encoded}`
}

/** Parses the URI of a file; returns undefined for any other URI. Clients may leave characters unencoded. */
export function parseFileUri(uri: string): SandboxFilePath | undefined {
  const [, agentId, path] = /^theazo:\/\/agents\/([^/]+)\/files\/(.+)$/s.exec(uri) ?? []
  if (agentId === undefined || path === undefined) return undefined
  return { agentId: decoded(agentId), path: `/${decoded(path)}` }
}

/** Decodes percent-encoded text. A text that is not encoded is returned unchanged. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text // it has a % that the client did not encode
  }
}
