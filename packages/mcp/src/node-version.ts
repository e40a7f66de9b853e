/**
 * Says what is wrong with a version of Node; undefined if nothing is.
 *
 * @param version such as `22.18.0`.
 * @param isLocal with the server in the process, which needs a newer one.
 */
export function nodeVersionFault(version: string, isLocal: boolean): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const neededMinor = isLocal ? 18 : 12
  if (major > 22 || (major === 22 && minor >= neededMinor)) return undefined
  return `theazo-mcp${isLocal ? ' --local' : ''} needs Node 22.${neededMinor} or newer; this is ${version}.`
}
