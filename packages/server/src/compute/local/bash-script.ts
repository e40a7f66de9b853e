/**
 * Converts a script to the form that Bash expects. Removes a byte order mark, which Bash would read as part of the first word.
 * Replaces CR LF by LF, as Bash would read each CR as part of the last word. The first line decides which line end the script
 * has, so that a script with LF keeps a CR LF in its data.
 */
export function bashScript(code: string): string {
  const script = code.replace(/^\uFEFF/, '')
  return /^[^\n]*\r\n/.test(script) ? script.replaceAll(/\r\n|\r$/g, (end) => (end === '\r' ? '' : '\n')) : script
}
