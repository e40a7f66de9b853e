/** The base folder of relative paths, and the home folder of code (contract, Files). */
const [workspace, home] = ['/workspace', '/home/agent']

/**
 * Interprets a path that a model wrote. `~` and `$HOME` become the home folder, `file:` and `sandbox:` URLs become
 * their path, and surrounding quotes, backticks and white space are removed. `agent.files` itself interprets nothing.
 * To name a file `~`, write `./~`: both read it as that file.
 */
export function toolPath(text: string): string {
  const path = fromUrl(unquoted(linked(text.trim())))
  for (const [prefix, folder] of prefixes) {
    if (path === prefix) return folder
    if (path.startsWith(`${prefix}/`)) return folder + path.slice(prefix.length)
  }
  return path
}

const prefixes: readonly (readonly [string, string])[] = [
  ['~', home],
  ['$HOME', home],
  // oxlint-disable-next-line no-template-curly-in-string -- shell syntax, not a template
  ['${HOME}', home],
  ['$PWD', workspace],
  // oxlint-disable-next-line no-template-curly-in-string
  ['${PWD}', workspace],
]

/** The target of a link in Markdown: `[notes](sandbox:/workspace/notes.txt)`. */
function linked(text: string): string {
  return /^\[[^\]]*\]\(([^)]+)\)$/.exec(text)?.[1] ?? text
}

/** Removes quotes around the whole text, or around a leading variable as in a shell: `"$HOME"/a`. */
function unquoted(text: string): string {
  const inner = /^(["'`])(.+)\1$/s.exec(text)?.[2]
  if (inner !== undefined) return inner.trim()
  return text.replace(/^"(\$(?:HOME|PWD|\{HOME\}|\{PWD\}))"/, '$1')
}

/** The path of `file:///a%20b`, of `sandbox:/a`, and of the URI that theazo-mcp uses for a file. */
function fromUrl(text: string): string {
  const rest = /^(?:file|sandbox):(?:\/\/(?:localhost(?=\/))?)?(.+)$/is.exec(text)?.[1]
  const resource = /^theazo:\/\/agents\/[^/]+\/files\/(.+)$/is.exec(text)?.[1]
  if (rest === undefined && resource === undefined) return text
  const path = rest === undefined ? `/${resource}` : rest.replace(/^\/~(?=\/|$)/, '~')
  try {
    return decodeURIComponent(path)
  } catch {
    return path // not percent-encoded: the name itself contains a %
  }
}
