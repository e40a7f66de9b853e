// Finds what the user's files import, as compilers and bundlers do and programs are often written for: `./lib` and `./lib.js`
// where there is a lib.ts, `./folder` with its index, and JSON without an attribute.
import { statSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'

const notFound = new Set(['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND', 'ERR_UNSUPPORTED_DIR_IMPORT'])
const endings = ['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs', '.json']
/** What a compiler would have made of these. */
const sources = { '.js': ['.ts'], '.mjs': ['.mts'], '.cjs': ['.cts'] }

/** A hook of node:module, for all but the program itself. */
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

/** Undefined if it names a package, or a package asks for it. */
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
