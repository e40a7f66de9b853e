const maxChars = 300

/** Prints an unexpected error as one line on standard error. */
export function printError(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error)
  process.stderr.write(`theazo-mcp: ${message.slice(0, maxChars)}\n`)
}
