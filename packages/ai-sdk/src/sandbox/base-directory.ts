/** The directory in which commands start, and against which every relative path is resolved. */
export const baseDirectory = '/workspace'

/** The path, starting at the base directory if it is relative. An empty path stays empty: it names no file. */
export function resolvePath(path: string): string {
  if (path === '') return path
  if (path === '.') return baseDirectory
  return path.startsWith('/') ? path : `${baseDirectory}/${path}`
}
