/** The lines of a range, as the AI SDK's own sessions return them: the last one without its line ending. */
export function linesOf(text: string, startLine: number | undefined, endLine: number | undefined): string {
  if (startLine === undefined && endLine === undefined) return text
  const ending = ['\r\n', '\n', '\r'].find((each) => text.includes(each)) ?? '\n'
  return text
    .split(ending)
    .slice(Math.max(1, startLine ?? 1) - 1, endLine)
    .join(ending)
}
