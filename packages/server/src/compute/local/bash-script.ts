/**
 * A script as Bash reads it: without a byte order mark, which it would take for a part of the first word, and with LF where
 * lines end with CR LF, as it would take each CR for a part of the last. The first line decides, so that a script with LF
 * keeps a CR LF that stands in its data.
 */
export function bashScript(code: string): string {
  const script = code.replace(/^\uFEFF/, '')
  return /^[^\n]*\r\n/.test(script) ? script.replaceAll(/\r\n|\r$/g, (end) => (end === '\r' ? '' : '\n')) : script
}
