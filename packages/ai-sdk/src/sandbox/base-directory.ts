/** The directory in which commands start, and against which every relative path is resolved. */
export const baseDirectory = '/workspace'

/** An absolute path. */
export function resolvePath(path: string): string {
  if (path === '' || path === '.') return path === '' ? path : baseDirectory
  return path.startsWith('/') ? path : `${baseDirectory}/${path}`
}
