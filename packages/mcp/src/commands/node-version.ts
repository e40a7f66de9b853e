/**
 * The error message for a version of Node that is too old; undefined if the version is supported.
 *
 * @param version For example `22.18.0`.
 * @param isLocal True if the server runs in this process, which needs a newer Node.
 */
export function nodeVersionError(version: string, isLocal: boolean): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const minimumMinor = isLocal ? 18 : 12
  if (major > 22 || (major === 22 && minor >= minimumMinor)) return undefined
  return `theazo-mcp${isLocal ? ' --local' : ''} needs Node 22.${minimumMinor} or newer; this is ${version}.`
}
