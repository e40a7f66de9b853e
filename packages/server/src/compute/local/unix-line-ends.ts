/**
 * A script whose lines end with CR LF, with LF instead: Bash would take each CR for a part of the last word. The first line
 * decides, so that a script with LF keeps a CR LF that stands in its data.
 */
export function withUnixLineEnds(script: string): string {
  return /^[^\n]*\r\n/.test(script) ? script.replaceAll(/\r\n|\r$/g, (end) => (end === '\r' ? '' : '\n')) : script
}
