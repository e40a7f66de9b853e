// Resolves imports of the user's files like compilers and bundlers: `./lib` and `./lib.js` find lib.ts, `./folder` finds its
// index, and JSON needs no import attribute.
import { statSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'

const notFound = new Set(['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND', 'ERR_UNSUPPORTED_DIR_IMPORT'])
const endings = ['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs', '.json']
/** The output files of a compiler, and the sources of each. */
const sources = { '.js': ['.ts'], '.mjs': ['.mts'], '.cjs': ['.cts'] }

/** A hook of node:module for all modules except the main program. */
export function resolve(specifier, context, next) {
  try {
    return withJson(next(specifier, context), context)
  } catch (error) {
    const path = notFound.has(error.code) && pathOf(specifier, context.parentURL)
    const found = path && candidatesFor(path).find(isFile)
    if (!found) throw error
    return withJson({ url: pathToFileURL(found).href, shortCircuit: true }, context)
  }
}

/** Undefined if the specifier names a package, or the importing file is in a package. */
function pathOf(specifier, parentUrl) {
  if (!/^(\.{0,2}\/|\.{1,2}$|file:)/.test(specifier) || parentUrl?.includes('/node_modules/')) return undefined
  const url = URL.parse(specifier, parentUrl)
  return url?.protocol === 'file:' ? fileURLToPath(url) : undefined
}

function candidatesFor(path) {
  const [ending] = /\.[mc]?js$/.exec(path) ?? []
  return [
    ...(sources[ending] ?? []).map((source) => path.slice(0, -ending.length) + source),
    ...endings.map((added) => path + added),
    ...endings.map((added) => `${path.replace(/\/$/, '')}/index${added}`),
  ]
}

function isFile(path) {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false
}

function withJson(resolved, { importAttributes, conditions }) {
  const isImported = resolved.url?.split(/[?#]/)[0].endsWith('.json') && !conditions.includes('require')
  return isImported ? { ...resolved, importAttributes: { type: 'json', ...importAttributes } } : resolved
}
