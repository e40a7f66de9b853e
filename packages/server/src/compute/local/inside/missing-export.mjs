// Explains why a module lacks an export that TypeScript code imports. Types do not exist when the program runs, and the
// compiler, which sees one file at a time, cannot distinguish a type from a value in an import.
const noExport = /^The requested module '(.+)' does not provide an export named '(.+)'$/
/** Node writes the position of the import before the error. */
const byTypeScript = /^(?:file:\/\/)?\/.*\.[mc]?ts:\d+\n(.*)\n/

/** A listener of `uncaughtExceptionMonitor`: node prints the stack of the error after it. */
export function explainMissingExport(error) {
  if (!(error instanceof SyntaxError)) return
  const [, line] = byTypeScript.exec(error.stack) ?? []
  const [, specifier, name] = noExport.exec(error.message) ?? []
  if (line === undefined || name === undefined || name === 'default') return
  const verb = /^\s*export\b/.test(line) ? 'export' : 'import'
  const hint = `If '${name}' is a type, ${verb} it as one: ${verb} { type ${name} } from '${specifier}'`
  error.stack = error.stack.replace(
    error.message,
    (message) => `${message}\n${hint}. Types are removed before code runs.`,
  )
}
