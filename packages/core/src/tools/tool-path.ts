/** The folder that relative paths are below, and the home folder of code (contract, Files). */
const [workspace, home] = ['/workspace', '/home/agent']

/**
 * Reads a path as a model means it: `~` and `$HOME` are the home folder, `file:` and `sandbox:` URLs are their path, and
 * quotes, backticks and white space around it are not part of it. `agent.files` takes every path literally: `./~` names
 * a file called `~` in both.
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
  // oxlint-disable-next-line no-template-curly-in-string -- a shell's form, not a template
  ['${HOME}', home],
  ['$PWD', workspace],
  // oxlint-disable-next-line no-template-curly-in-string
  ['${PWD}', workspace],
]

/** The target of a link in Markdown: `[notes](sandbox:/workspace/notes.txt)`. */
function linked(text: string): string {
  return /^\[[^\]]*\]\(([^)]+)\)$/.exec(text)?.[1] ?? text
}

/** Quotes around all of it, or as in a shell around a variable. */
function unquoted(text: string): string {
  const inner = /^(["'`])(.+)\1$/s.exec(text)?.[2]
  if (inner !== undefined) return inner.trim()
  return text.replace(/^"(\$(?:HOME|PWD|\{HOME\}|\{PWD\}))"/, '$1')
}

/** `file:///a%20b`, `sandbox:/a`, and the URI that theazo-mcp gives a file. */
function fromUrl(text: string): string {
  const rest = /^(?:file|sandbox):(?:\/\/(?:localhost(?=\/))?)?(.+)$/is.exec(text)?.[1]
  const resource = /^theazo:\/\/agents\/[^/]+\/files\/(.+)$/is.exec(text)?.[1]
  if (rest === undefined && resource === undefined) return text
  const path = rest === undefined ? `/${resource}` : rest.replace(/^\/~(?=\/|$)/, '~')
  try {
    return decodeURIComponent(path)
  } catch {
    return path // not percent-encoded: a plain % in a name
  }
}
